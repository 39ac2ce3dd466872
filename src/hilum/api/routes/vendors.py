"""Vendors: who makes or runs the systems at the other end, what was agreed with them, which integrations are theirs."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import Query, Response

from hilum.api.paging import Page, Paging
from hilum.api.preconditions import IfMatch, etag
from hilum.api.services import Used
from hilum.api.surface import Acting, Surface, allow
from hilum.model.vendor import Vendor
from hilum.services.vendors import VendorView

router = Surface("/vendors")


@router.get("")
@allow("vendors:read", audits="vendor.list")
async def list_vendors(
    services: Used,
    act: Acting,
    paging: Paging,
    q: Annotated[str | None, Query(max_length=120, description="In the name.")] = None,
) -> Page[VendorView]:
    """By name, with what ends soon."""
    items, total = await services.vendors.list(act.scope, q, paging.offset, paging.limit)
    return Page[VendorView].of(items, total, paging)


@router.post("", status_code=201)
@allow("vendors:write", audits="vendor.create")
async def create_vendor(services: Used, act: Acting, response: Response, wanted: Vendor) -> VendorView:
    """409 where there is one of that name."""
    made = await services.vendors.create(act, wanted)
    response.headers["location"] = f"/api/v1/vendors/{made.id}"
    etag(response, made.version)
    return made


@router.get("/{vendor_id}")
@allow("vendors:read", audits="vendor.read")
async def read_vendor(services: Used, act: Acting, response: Response, vendor_id: uuid.UUID) -> VendorView:
    """With its integrations, as far as one may see them."""
    act.entity = f"vendor/{vendor_id}"
    found = await services.vendors.show(act.scope, vendor_id)
    etag(response, found.version)
    return found


@router.put("/{vendor_id}")
@allow("vendors:write", audits="vendor.change")
async def replace_vendor(
    services: Used, act: Acting, response: Response, vendor_id: uuid.UUID, version: IfMatch, wanted: Vendor
) -> VendorView:
    """All of it."""
    act.entity = f"vendor/{vendor_id}"
    changed = await services.vendors.replace(act, vendor_id, version, wanted)
    etag(response, changed.version)
    return changed


@router.delete("/{vendor_id}", status_code=204)
@allow("vendors:write", audits="vendor.archive")
async def archive_vendor(services: Used, act: Acting, vendor_id: uuid.UUID) -> None:
    """409 while integrations name it as their provider."""
    act.entity = f"vendor/{vendor_id}"
    await services.vendors.archive(act, vendor_id)
