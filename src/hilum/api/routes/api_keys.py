"""API keys: create, rotate, revoke. The key itself is shown once."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import Query, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from hilum.api.paging import Page, Paging
from hilum.api.services import Used
from hilum.api.surface import Acting, Surface, allow
from hilum.api.texts import Name
from hilum.model.access import PERMISSIONS, Role
from hilum.services.api_keys import OVERLAP, ApiKeyShown, IssuedApiKey
from hilum.store.api_keys import State

router = Surface("/api-keys")
Block = Annotated[str, StringConstraints(pattern=r"^[0-9A-Fa-f.:]{2,45}(/[0-9]{1,3})?$")]
Scope = Annotated[str, StringConstraints(pattern=r"^[a-z-]{1,30}:[a-z]{1,20}$")]


class NewApiKey(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Name = Field(..., description="What it is for; two may have one name, so that one takes over.")
    role: Role = Field(Role.SERVICE, description="What its scopes are taken from.")
    study: Name | None = Field(None, description="The name of a study; none: the whole organization.")
    scopes: list[Scope] = Field(
        ..., min_length=1, max_length=len(PERMISSIONS),
        description="Permissions, such as messages:read: those of its role, and of who creates it.",
    )  # fmt: skip
    expires_at: AwareDatetime | None = Field(None, description="At most 366 days from now; none: 90 days.")
    allow: list[Block] = Field([], max_length=32, description="CIDR blocks that it may come from; none: anywhere.")


class KeyRotation(BaseModel):
    model_config = ConfigDict(extra="forbid")

    overlap: int = Field(
        OVERLAP, ge=0, le=30 * 86_400, description="Seconds that the old key still holds.", examples=[3_600]
    )


@router.get("")
@allow("api-keys:read", audits="api-key.list")
async def list_api_keys(
    services: Used,
    act: Acting,
    paging: Paging,
    name: Annotated[Name | None, Query(description="Those of this name.")] = None,
    state: Annotated[State | None, Query(description="Without it, all.")] = None,
) -> Page[ApiKeyShown]:
    """By name, the newest of a name first. Never the key itself."""
    items, total = await services.api_keys.list(act.scope, name, state, paging.offset, paging.limit)
    return Page[ApiKeyShown].of(items, total, paging)


@router.post("", status_code=201)
@allow("api-keys:write", audits="api-key.create")
async def create_api_key(services: Used, act: Acting, response: Response, wanted: NewApiKey) -> IssuedApiKey:
    """The key is shown this once. 409 where two of that name hold already."""
    made = await services.api_keys.create(
        act, wanted.name, role=wanted.role, study=wanted.study, scopes=wanted.scopes, allow=wanted.allow,
        expires_at=wanted.expires_at,
    )  # fmt: skip
    response.headers["location"] = f"/api/v1/api-keys/{made.api_key.id}"
    return made


@router.get("/{api_key_id}")
@allow("api-keys:read", audits="api-key.read")
async def read_api_key(services: Used, act: Acting, api_key_id: uuid.UUID) -> ApiKeyShown:
    """What it may, until when, and when it was used last, to the minute."""
    act.entity = f"api-key/{api_key_id}"
    return await services.api_keys.show(act.scope, api_key_id)


@router.post("/{api_key_id}/rotate", status_code=201)
@allow("api-keys:write", audits="api-key.rotate")
async def rotate_api_key(
    services: Used, act: Acting, response: Response, api_key_id: uuid.UUID, wanted: KeyRotation | None = None
) -> IssuedApiKey:
    """A new key of the same name that may the same; the old one ends after the overlap."""
    overlap = OVERLAP if wanted is None else wanted.overlap
    made = await services.api_keys.rotate(act, api_key_id, overlap)
    response.headers["location"] = f"/api/v1/api-keys/{made.api_key.id}"
    return made


@router.delete("/{api_key_id}", status_code=204)
@allow("api-keys:write", audits="api-key.revoke")
async def revoke_api_key(services: Used, act: Acting, api_key_id: uuid.UUID) -> None:
    """It holds no more, within seconds everywhere."""
    await services.api_keys.revoke(act, api_key_id)
