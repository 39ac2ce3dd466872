"""Electronic signatures: sign for an operation on one version of a record, see who signed it, verify."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict, Field

from hilum.api.paging import Page, Paging
from hilum.api.services import Used
from hilum.api.surface import Acting, Surface, allow
from hilum.api.texts import Note, Password
from hilum.model.signing import OPERATIONS, Meaning
from hilum.services.records import NOUNS
from hilum.services.signatures import SignatureView, Verification, Wanted

router = Surface("/signatures")
ENTITY = rf"^({'|'.join(NOUNS)})/[0-9a-f-]{{36}}$"
SOME = "organization/019a3b4c-5d6e-7f80-9a1b-2c3d4e5f6071"
Entity = Annotated[str, Field(pattern=ENTITY, description="noun/UUID, such as credential/019a….", examples=[SOME])]


class NewSignature(BaseModel):
    """A signature has two components: the account that is signed in, and its password; with it the code where the
    account has an authenticator. Later ones in the same session need the password alone (21 CFR 11.200(a)(1))."""

    model_config = ConfigDict(extra="forbid")

    operation: str = Field(
        ..., max_length=100, description=f"What it is for: {', '.join(sorted(OPERATIONS))}.", examples=["policy.change"]
    )
    entity: Entity
    version: int | None = Field(None, ge=1, description="The version that was looked at; 412 where it moved on.")
    meaning: Meaning = Field(..., description="What the signature says about the record.")
    reason: Note = Field("", description="Why.")
    password: Password
    code: Annotated[str, Field(pattern=r"^[0-9]{6}$")] | None = Field(None, description="The authenticator's code.")


@router.post("", status_code=201)
@allow("signatures:write", audits="signature.create")
async def create_signature(services: Used, act: Acting, response: Response, wanted: NewSignature) -> SignatureView:
    """Sign. Name the signature in X-Signature of the request that it is for, within 15 minutes; it counts once."""
    asked = Wanted(wanted.operation, wanted.entity, wanted.version, wanted.meaning, wanted.reason)
    made = await services.signatures.create(act, asked, wanted.password.get_secret_value(), wanted.code)
    response.headers["location"] = f"/api/v1/signatures/{made.id}"
    return made


@router.get("")
@allow("signatures:read", audits="signature.list")
async def list_signatures(
    services: Used,
    act: Acting,
    paging: Paging,
    entity: Annotated[str | None, Query(pattern=ENTITY, description="Of this record, such as user/019a….")] = None,
) -> Page[SignatureView]:
    """The newest first. `record` says whether the record is still what was signed."""
    act.entity = entity or ""
    items, total = await services.signatures.list(act.scope, entity, paging.offset, paging.limit)
    return Page[SignatureView].of(items, total, paging)


@router.get("/{signature_id}")
@allow("signatures:read", audits="signature.read")
async def read_signature(services: Used, act: Acting, signature_id: uuid.UUID) -> SignatureView:
    """Who signed, when, and what it means; `text` is its one line for people."""
    act.entity = f"signature/{signature_id}"
    return await services.signatures.show(act.scope, signature_id)


@router.get("/{signature_id}/verification")
@allow("signatures:read", audits="signature.verify")
async def verify_signature(services: Used, act: Acting, signature_id: uuid.UUID) -> Verification:
    """Is it whole, in its place, and the record what was signed? With all that is needed to check it elsewhere."""
    act.entity = f"signature/{signature_id}"
    return await services.signatures.verify(act.scope, signature_id)
