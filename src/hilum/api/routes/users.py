"""Users: invite, look at, give roles, disable. A password is set by its owner alone, by a one-time link."""

from __future__ import annotations

import uuid
from typing import Annotated, Literal

from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict, Field

from hilum.api.paging import Page, Paging
from hilum.api.preconditions import IfMatch, etag
from hilum.api.services import Used
from hilum.api.surface import Acting, Surface, allow
from hilum.api.texts import Email, Line, Name, Note
from hilum.model.access import Role
from hilum.services.policy import Intent
from hilum.services.users import InvitedUser, Link, User
from hilum.store.users import Grant, State, UserFilter

router = Surface("/users")


class RoleGiven(BaseModel):
    """A role, in a study or in the whole organization."""

    model_config = ConfigDict(extra="forbid")

    role: Role
    study: Name | None = Field(None, description="The name of a study; none: the whole organization.")

    def grant(self) -> Grant:
        return Grant(self.role, self.study)


Roles = Annotated[
    list[RoleGiven],
    Field(max_length=50, description="All roles; what is not here, is not.", examples=[[{"role": "viewer"}]]),
]


class NewUser(BaseModel):
    model_config = ConfigDict(extra="forbid")

    email: Email = Field(..., description="What one signs in with.")
    name: Line = Field(..., description="As it is printed beside a signature.", examples=["Ann Smith"])
    roles: Roles = []


class UserPatch(BaseModel):
    """What is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    name: Line | None = Field(None, description="As it is printed beside a signature.", examples=["Ann Smith"])
    state: Literal["active", "disabled"] | None = Field(None, description="disabled: shut out until active again.")
    identity_proofed: bool | None = Field(None, description="Somebody saw an identity document (21 CFR 11.100(b)).")


class NewRoles(BaseModel):
    model_config = ConfigDict(extra="forbid")

    roles: Roles


@router.get("")
@allow("users:read", audits="user.list")
async def list_users(
    services: Used,
    act: Acting,
    paging: Paging,
    state: Annotated[State | None, Query(description="Without it, all that were not removed.")] = None,
    role: Annotated[Role | None, Query(description="Those who have it, anywhere.")] = None,
    q: Annotated[Note | None, Query(description="A part of the name or the e-mail address.")] = None,
) -> Page[User]:
    """The organization's users, by name."""
    wanted = UserFilter(state, role, q or None)
    items, total = await services.users.list(act.scope, wanted, paging.offset, paging.limit)
    return Page[User].of(items, total, paging)


@router.post("", status_code=201)
@allow("users:write", audits="user.invite")
async def invite_user(services: Used, act: Acting, response: Response, wanted: NewUser) -> InvitedUser:
    """Invite somebody. The link's token is shown this once; hand it over to that person."""
    if wanted.roles:
        told = {"email": wanted.email, "roles": [one.model_dump(mode="json") for one in wanted.roles]}
        await services.policy.check_own(act, "user.roles", told)
    made = await services.users.invite(act, wanted.email, wanted.name, [one.grant() for one in wanted.roles])
    response.headers["location"] = f"/api/v1/users/{made.user.id}"
    etag(response, made.user.version)
    return made


@router.get("/{user_id}")
@allow("users:read", audits="user.read")
async def read_user(services: Used, act: Acting, response: Response, user_id: uuid.UUID) -> User:
    """Also one who was removed: signatures and the audit trail name him."""
    act.entity = f"user/{user_id}"
    found = await services.users.show(act.scope, user_id)
    etag(response, found.version)
    return found


@router.patch("/{user_id}")
@allow("users:write", audits="user.change")
async def change_user(
    services: Used, act: Acting, response: Response, user_id: uuid.UUID, version: IfMatch, wanted: UserPatch
) -> User:
    """Rename, disable, enable. Who is disabled is signed out at once; 409 for the last administrator."""
    changed = await services.users.change(
        act, user_id, version, name=wanted.name, state=wanted.state, identity_proofed=wanted.identity_proofed
    )
    etag(response, changed.version)
    return changed


@router.put("/{user_id}/roles")
@allow("users:write", audits="user.roles")
async def set_roles(
    services: Used, act: Acting, response: Response, user_id: uuid.UUID, version: IfMatch, wanted: NewRoles
) -> User:
    """Put these roles in the place of all others. Who loses one is signed out; 409 for the last administrator."""
    told = {"roles": [one.model_dump(mode="json") for one in wanted.roles]}
    await services.policy.check(act, Intent("user.roles", f"user/{user_id}", told, version=version))
    changed = await services.users.set_roles(act, user_id, version, [one.grant() for one in wanted.roles])
    etag(response, changed.version)
    return changed


@router.post("/{user_id}/link", status_code=201)
@allow("users:write", audits="user.link")
async def make_link(services: Used, act: Acting, user_id: uuid.UUID) -> Link:
    """A one-time link to set a new password; the user is signed out. The token is shown this once."""
    return (await services.users.link(act, user_id)).link


@router.delete("/{user_id}", status_code=204)
@allow("users:write", audits="user.remove")
async def remove_user(services: Used, act: Acting, user_id: uuid.UUID) -> None:
    """For good: the row stays as evidence, its id is never used again. 409 for the last administrator."""
    await services.users.remove(act, user_id)
