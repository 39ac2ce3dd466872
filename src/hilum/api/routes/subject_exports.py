"""Exports about a person: everything that the hub has of a patient, in one file (GDPR, articles 15 and 20)."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Annotated

from fastapi import Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from hilum.api.paging import Page, Paging
from hilum.api.services import Used
from hilum.api.surface import Acting, Surface, allow
from hilum.api.texts import Line
from hilum.model.configuration import UNSEEN
from hilum.services.subject_exports import Format, SubjectExport

router = Surface("/subject-exports")
BYTES = "application/octet-stream"
Patient = Annotated[str, Field(min_length=1, max_length=200, pattern=rf"^[^{UNSEEN}]*$")]


class NewSubjectExport(BaseModel):
    model_config = ConfigDict(extra="forbid")

    patient: Patient = Field(..., description="Exactly as the search key patient has it.")
    format: Format = Field("json", description="json: one document; csv: a zip of tables.")
    reason: Line = Field(..., description="Such as the request's number.")


@router.get("")
@allow("subjects:export", audits="subject-export.list")
async def list_subject_exports(services: Used, act: Acting, paging: Paging) -> Page[SubjectExport]:
    """The newest first, with those that expired."""
    items, total = await services.subject_exports.list(act, paging.offset, paging.limit)
    return Page[SubjectExport].of(items, total, paging)


@router.post("", status_code=202)
@allow("subjects:export", audits="subject-export.ask")
async def ask_for_subject_export(
    services: Used, act: Acting, response: Response, wanted: NewSubjectExport
) -> SubjectExport:
    """A job makes it; how far it is stands in the export itself. Needs messages:payload, organization-wide."""
    made = await services.subject_exports.ask(act, wanted.patient, wanted.format, wanted.reason)
    response.headers["location"] = f"/api/v1/subject-exports/{made.id}"
    return made


@router.get("/{export_id}")
@allow("subjects:export", audits="subject-export.read")
async def read_subject_export(services: Used, act: Acting, export_id: uuid.UUID) -> SubjectExport:
    """How far it is, and until when its file can be fetched."""
    act.entity = f"subject-export/{export_id}"
    return await services.subject_exports.show(act, export_id)


@router.get("/{export_id}/file", response_class=Response, responses={200: {"content": {BYTES: {}}}})
@allow("subjects:export", audits="subject-export.download", fails=(409,))
async def download_subject_export(services: Used, act: Acting, export_id: uuid.UUID) -> StreamingResponse:
    """The file itself, for a week. 409: there is none (yet, or any more), or it was changed."""
    act.entity = f"subject-export/{export_id}"
    name, pieces = await services.subject_exports.file(act, export_id)
    headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
    return StreamingResponse(_stream(pieces), media_type=BYTES, headers=headers)


async def _stream(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    while piece := await asyncio.to_thread(next, pieces, b""):
        yield piece
