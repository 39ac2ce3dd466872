"""Organizations: one's own and its settings; whoever runs the hub sees all and makes new ones."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from hilum.api.paging import Page, Paging
from hilum.api.preconditions import IfMatch, etag
from hilum.api.services import Used
from hilum.api.surface import Acting, Surface, allow
from hilum.api.texts import Email, Line, Name, Note
from hilum.model.organization import Settings
from hilum.model.retention import CLASSES
from hilum.services.organizations import FoundedOrganization, Organization
from hilum.services.policy import Intent

router = Surface("/organizations")
_RETENTION = ("archive_bodies", *(one.setting for one in CLASSES.values() if one.setting))


class Administrator(BaseModel):
    """The first one, who invites all others."""

    model_config = ConfigDict(extra="forbid")

    email: Email = Field(..., description="What one signs in with.")
    name: Line = Field(..., description="As it is printed beside a signature.", examples=["Ann Smith"])


class NewOrganization(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Name = Field(
        ..., description="Unique in the hub, for good; what configuration files say.", examples=["clinic"]
    )
    title: Note = Field("", description="What people read.")
    administrator: Administrator


class OrganizationPatch(BaseModel):
    """What is left out stays as it is; `settings` are replaced as a whole."""

    model_config = ConfigDict(extra="forbid")

    title: Note | None = Field(None, description="What people read.", examples=["City clinic"])
    settings: Settings | None = Field(None, description="Passwords, sessions, signatures.")


@router.get("")
@allow("organizations:read", audits="organization.list")
async def list_organizations(services: Used, act: Acting, paging: Paging) -> Page[Organization]:
    """One's own; all of them for a platform operator."""
    items, total = await services.organizations.list(act, paging.offset, paging.limit)
    return Page[Organization].of(items, total, paging)


@router.post("", status_code=201)
@allow("organizations:create", audits="organization.create")
async def create_organization(
    services: Used, act: Acting, response: Response, wanted: NewOrganization
) -> FoundedOrganization:
    """Make one and invite its first administrator. The link's token is shown this once."""
    first = wanted.administrator
    made = await services.organizations.create(act, wanted.name, wanted.title, first.email, first.name)
    response.headers["location"] = f"/api/v1/organizations/{made.organization.id}"
    etag(response, made.organization.version)
    return made


@router.get("/{organization_id}")
@allow("organizations:read", audits="organization.read")
async def read_organization(
    services: Used, act: Acting, response: Response, organization_id: uuid.UUID
) -> Organization:
    """One's own; any of them for a platform operator."""
    act.entity = f"organization/{organization_id}"
    found = await services.organizations.show(act, organization_id)
    etag(response, found.version)
    return found


@router.patch("/{organization_id}")
@allow("organizations:write", audits="organization.change")
async def change_organization(
    services: Used, act: Acting, response: Response, organization_id: uuid.UUID, version: IfMatch,
    wanted: OrganizationPatch,
) -> Organization:  # fmt: skip
    """Give one's own another title or other settings."""
    act.entity = f"organization/{organization_id}"
    if wanted.settings is not None:
        before = (await services.organizations.show(act, organization_id)).settings
        for operation, told in _asked(before, wanted.settings):
            await services.policy.check(act, Intent(operation, act.entity, told, version=version))
    changed = await services.organizations.change(
        act, organization_id, version, title=wanted.title, settings=wanted.settings
    )
    etag(response, changed.version)
    return changed


def _asked(before: Settings, after: Settings) -> Iterator[tuple[str, dict[str, Any]]]:
    """The operations that new settings are, as far as policy knows them; two that need a signature are two requests."""
    if after.policy != before.policy:
        yield "policy.change", {"policy": [one.model_dump(mode="json", exclude_unset=True) for one in after.policy]}
    kept = {name: getattr(after, name) for name in _RETENTION if getattr(after, name) != getattr(before, name)}
    if kept:
        yield "retention.change", kept
