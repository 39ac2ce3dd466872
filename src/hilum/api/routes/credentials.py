"""Credentials: secrets go in and never come out. Who refers to one, and when it should be rotated."""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Literal

from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from hilum.api.items import Items
from hilum.api.paging import Page, Paging
from hilum.api.preconditions import IfMatch, etag
from hilum.api.services import Used
from hilum.api.surface import Acting, Surface, allow
from hilum.api.texts import Name as Study
from hilum.model.credential import KINDS, LONGEST, Key, Name
from hilum.security.canonical import canonical
from hilum.services.credentials import CredentialView
from hilum.services.policy import Intent
from hilum.store.usage import Usage

router = Surface("/credentials")
KindName = Literal["api_key", "basic", "bearer", "oauth2", "jwt", "ssh_key", "generic"]
Secret = Annotated[SecretStr, Field(min_length=1, max_length=LONGEST)]
_SECRETS, _FIELDS = [{"password": "kept secret"}], [{"username": "hub"}]
Secrets = Annotated[dict[Key, Secret | None], Field(max_length=20, examples=_SECRETS)]
Value = Annotated[str, Field(max_length=LONGEST)] | Annotated[int, Field(strict=True, ge=0, le=1_000_000_000)]
Fields = Annotated[dict[Key, Value], Field(max_length=50, examples=_FIELDS)]
Days = Annotated[int, Field(ge=1, le=3_650)]


class NewCredential(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Name = Field(..., description="What `${secret:NAME}` says; unique among credentials and certificates.")
    kind: KindName = Field(..., description="Which fields and secrets it has: see /credentials/kinds.")
    study: Study | None = Field(None, description="Only integrations of this study may use it; none: all may.")
    fields: Fields = Field({}, examples=_FIELDS, description="What may be seen of it.")
    secrets: Secrets = Field({}, examples=_SECRETS, description="What may not. null: there is none.")
    rotate_every: Days | None = Field(None, description="Days after which it should be rotated.")


class CredentialPatch(BaseModel):
    """What is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    fields: Fields | None = Field(None, examples=_FIELDS, description="All of its fields.")
    secrets: Secrets = Field(
        {}, examples=_SECRETS, description="A value is set, null clears it, what is left out stays."
    )
    rotate_every: Days | None = Field(None, description="Days after which it should be rotated; null: never.")


class Rotation(BaseModel):
    model_config = ConfigDict(extra="forbid")

    secrets: Secrets = Field(
        ..., min_length=1, examples=[{"password": "a newer secret"}], description="The new values."
    )


class KindForm(BaseModel):
    """What a kind has: the JSON Schema of its fields (none: any text), the names of its secrets (none: any)."""

    kind: str
    fields: dict[str, Any] | None
    secrets: list[str] | None


@router.get("")
@allow("credentials:read", audits="credential.list")
async def list_credentials(
    services: Used,
    act: Acting,
    paging: Paging,
    kind: Annotated[KindName | None, Query(description="Of this kind alone.")] = None,
) -> Page[CredentialView]:
    """What there is, by name, with ages and when each was last used. Never a secret."""
    items, total = await services.credentials.list(act.scope, paging.offset, paging.limit, kind)
    return Page[CredentialView].of(items, total, paging)


@router.get("/kinds")
@allow("credentials:read", audits="credential.kinds")
async def list_credential_kinds() -> Items[KindForm]:
    """The kinds and what each has."""
    kinds = [
        KindForm(
            kind=name,
            fields=kind.fields.model_json_schema() if kind.fields is not None else None,
            secrets=list(kind.secrets) if kind.secrets is not None else None,
        )
        for name, kind in KINDS.items()
    ]
    return Items(items=kinds)


@router.post("", status_code=201)
@allow("credentials:write", audits="credential.create")
async def create_credential(services: Used, act: Acting, response: Response, wanted: NewCredential) -> CredentialView:
    """409 where the name is taken."""
    made = await services.credentials.create(
        act,
        name=wanted.name,
        kind=wanted.kind,
        fields=wanted.fields,
        secrets=_plain(wanted.secrets),
        study=wanted.study,
        rotate_every=wanted.rotate_every,
    )
    response.headers["location"] = f"/api/v1/credentials/{made.id}"
    etag(response, made.version)
    return made


@router.get("/{credential_id}")
@allow("credentials:read", audits="credential.read")
async def read_credential(
    services: Used, act: Acting, response: Response, credential_id: uuid.UUID
) -> CredentialView:  # fmt: skip
    """A credential, with its age and when it was last used. Never a secret."""
    act.entity = f"credential/{credential_id}"
    found = await services.credentials.show(act.scope, credential_id)
    etag(response, found.version)
    return found


@router.patch("/{credential_id}")
@allow("credentials:write", audits="credential.change")
async def change_credential(
    services: Used, act: Acting, response: Response, credential_id: uuid.UUID, version: IfMatch, wanted: CredentialPatch
) -> CredentialView:
    """Change fields, secrets or the reminder."""
    secrets = _plain(wanted.secrets)
    told = wanted.model_dump(mode="json", exclude_unset=True, exclude={"secrets"})
    await services.policy.check(act, _intent(act, credential_id, version, told, secrets))
    values = {"rotate_every": wanted.rotate_every} if "rotate_every" in wanted.model_fields_set else {}
    changed = await services.credentials.change(
        act, credential_id, version, fields=wanted.fields, secrets=secrets, **values
    )
    etag(response, changed.version)
    return changed


@router.delete("/{credential_id}", status_code=204)
@allow("credentials:write", audits="credential.remove")
async def remove_credential(services: Used, act: Acting, credential_id: uuid.UUID, version: IfMatch) -> None:
    """Its secrets are gone for good. 409 while integrations refer to it."""
    await services.policy.check(act, _intent(act, credential_id, version, {"removed": True}, {}))
    await services.credentials.remove(act, credential_id, version)


@router.post("/{credential_id}/rotate")
@allow("credentials:write", audits="credential.rotate")
async def rotate_credential(
    services: Used, act: Acting, response: Response, credential_id: uuid.UUID, version: IfMatch, wanted: Rotation
) -> CredentialView:
    """New secrets in place of old ones: integrations that refer to them use them from their next connection on."""
    secrets = _plain(wanted.secrets)
    await services.policy.check(act, _intent(act, credential_id, version, {}, secrets))
    changed = await services.credentials.rotate(act, credential_id, version, secrets)
    etag(response, changed.version)
    return changed


@router.get("/{credential_id}/usage")
@allow("credentials:read", audits="credential.usage")
async def read_credential_usage(services: Used, act: Acting, credential_id: uuid.UUID) -> Usage:
    """Where integrations refer to it."""
    act.entity = f"credential/{credential_id}"
    return await services.credentials.usage(act.scope, credential_id)


def _plain(secrets: dict[str, SecretStr | None]) -> dict[str, str | None]:
    return {name: value.get_secret_value() if value is not None else None for name, value in secrets.items()}


def _intent(
    act: Acting, credential_id: uuid.UUID, version: int, told: dict[str, Any], secrets: dict[str, str | None]
) -> Intent:
    act.entity = f"credential/{credential_id}"
    shown = {**told, "secrets": sorted(secrets)}
    return Intent("credential.change", act.entity, shown, hidden=canonical(secrets), version=version)
