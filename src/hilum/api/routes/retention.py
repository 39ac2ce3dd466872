"""Retention: how long what is kept, and what the next purge would remove, without removing it."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Response
from pydantic import BaseModel, ConfigDict, Field

from hilum.api.items import Items
from hilum.api.preconditions import IfMatch, etag
from hilum.api.services import Used
from hilum.api.surface import Acting, Surface, allow
from hilum.model.retention import CLASSES
from hilum.services.retention import Preview, RetentionPolicy

router = Surface("/retention")
Kind = Annotated[str, Path(max_length=40, description=f"One of: {', '.join(CLASSES)}.", examples=["execution_bodies"])]


class Keep(BaseModel):
    model_config = ConfigDict(extra="forbid")

    keep: int = Field(..., ge=1, le=36_500, description="Days or years, as the policy's unit says.", examples=[100])


@router.get("/preview")
@allow("retention:read", audits="retention.preview", fails=(404,))
async def preview_retention(services: Used, act: Acting) -> Preview:
    """Counts by class of what is due now, and of what is due but held. Nothing is removed."""
    return await services.retention.preview(act.scope)


@router.get("/policies")
@allow("retention:read", audits="retention.list", fails=(404,))
async def list_retention_policies(services: Used, act: Acting) -> Items[RetentionPolicy]:
    """How long the organization keeps each class of what the hub writes, and why not for less."""
    return Items(items=await services.retention.policies(act.scope))


@router.get("/policies/{kind}")
@allow("retention:read", audits="retention.read")
async def read_retention_policy(services: Used, act: Acting, response: Response, kind: Kind) -> RetentionPolicy:
    """One class; its ETag is the organization's."""
    found = await services.retention.policy(act, kind)
    etag(response, found.version)
    return found


@router.put("/policies/{kind}")
@allow("retention:write", audits="retention.change", fails=(409,))
async def change_retention_policy(
    services: Used, act: Acting, response: Response, kind: Kind, version: IfMatch, wanted: Keep
) -> RetentionPolicy:
    """Keep a class for longer, or for less, but never below its least. In production that needs a signature."""
    changed = await services.retention.keep(act, kind, version, wanted.keep)
    etag(response, changed.version)
    return changed
