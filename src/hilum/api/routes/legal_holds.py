"""Legal holds: what may be needed as evidence is not removed while one holds it."""

from __future__ import annotations

import datetime
import uuid
from typing import Annotated

from fastapi import Query, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from hilum.api.errors import Invalid
from hilum.api.paging import Page, Paging
from hilum.api.preconditions import IfMatch, etag
from hilum.api.services import Used
from hilum.api.surface import Acting, Surface, allow
from hilum.api.texts import Line, Note
from hilum.model.configuration import UNSEEN, Reference
from hilum.services.legal_holds import LegalHold

router = Surface("/legal-holds")
Patient = Annotated[str, Field(min_length=1, max_length=200, pattern=rf"^[^{UNSEEN}]*$")]


def _utc(moment: datetime.datetime) -> datetime.datetime:
    if not 1970 <= moment.year <= 9_998:
        raise PydanticCustomError("moment", "must be between the years 1970 and 9998")
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).astimezone(datetime.UTC)


Moment = Annotated[datetime.datetime, AfterValidator(_utc)]


class NewLegalHold(BaseModel):
    """What is left out narrows nothing: without any of the last four everything of the organization is held."""

    model_config = ConfigDict(extra="forbid")

    name: Line = Field(..., description="Such as the case's number.")
    reason: Line = Field(..., description="Why; never a patient's name.")
    patient: Patient | None = Field(None, description="Whose messages, exactly as the search key patient has it.")
    endpoint: Reference | None = Field(None, description="integration/endpoint that received the messages.")
    since: Moment | None = Field(None, description="Received from then on. Without offset it is UTC.")
    until: Moment | None = Field(None, description="Received before then.")


class Lift(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: Note = Field("", description="Why nothing of it is needed any more; or in X-Reason.")


@router.get("")
@allow("retention:read", audits="legal-hold.list")
async def list_legal_holds(
    services: Used,
    act: Acting,
    paging: Paging,
    active: Annotated[bool | None, Query(description="true: those that hold; false: those that were lifted.")] = None,
) -> Page[LegalHold]:
    """The newest first. A patient is shown to who has messages:payload alone."""
    items, total = await services.legal_holds.list(act, active, paging.offset, paging.limit)
    return Page[LegalHold].of(items, total, paging)


@router.post("", status_code=201)
@allow("retention:write", audits="legal-hold.create")
async def place_legal_hold(services: Used, act: Acting, response: Response, wanted: NewLegalHold) -> LegalHold:
    """From now on no body, archive or audit event of what it holds is removed."""
    if wanted.since is not None and wanted.until is not None and wanted.until <= wanted.since:
        raise Invalid("must be after since", field="until")
    made = await services.legal_holds.place(
        act, wanted.name, wanted.reason, patient=wanted.patient, endpoint=wanted.endpoint, since=wanted.since,
        until=wanted.until,
    )  # fmt: skip
    response.headers["location"] = f"/api/v1/legal-holds/{made.id}"
    etag(response, made.version)
    return made


@router.get("/{hold_id}")
@allow("retention:read", audits="legal-hold.read")
async def read_legal_hold(services: Used, act: Acting, response: Response, hold_id: uuid.UUID) -> LegalHold:
    """Also one that was lifted: who did so and why."""
    act.entity = f"legal-hold/{hold_id}"
    found = await services.legal_holds.show(act, hold_id)
    etag(response, found.version)
    return found


@router.post("/{hold_id}/lift")
@allow("retention:write", audits="legal-hold.lift")
async def lift_legal_hold(
    services: Used, act: Acting, response: Response, hold_id: uuid.UUID, version: IfMatch, wanted: Lift
) -> LegalHold:
    """It holds no more. Needs a reason and, as policy says, a signature; 409 where it was lifted already."""
    act.entity = f"legal-hold/{hold_id}"
    lifted = await services.legal_holds.lift(act, hold_id, version, wanted.reason)
    etag(response, lifted.version)
    return lifted
