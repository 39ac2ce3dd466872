"""Archives of bodies: list, verify, put back for a while."""

from __future__ import annotations

import uuid

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from hilum.api.paging import Page, Paging
from hilum.api.services import Used
from hilum.api.surface import Acting, Surface, allow
from hilum.api.texts import Note
from hilum.services.archives import Archive, ArchiveState
from hilum.services.jobs import JobState

router = Surface("/archives")


class Restore(BaseModel):
    model_config = ConfigDict(extra="forbid")

    days: int = Field(7, ge=1, le=90, description="Days until retention removes the bodies again.")
    reason: Note = Field("", description="Why they are needed; or in X-Reason.")


@router.get("")
@allow("retention:read", audits="archive.list")
async def list_archives(services: Used, act: Acting, paging: Paging) -> Page[Archive]:
    """The newest first, without those that were removed."""
    items, total = await services.archives.list(act.scope, paging.offset, paging.limit)
    return Page[Archive].of(items, total, paging)


@router.get("/{archive_id}")
@allow("retention:read", audits="archive.read")
async def read_archive(services: Used, act: Acting, archive_id: uuid.UUID) -> Archive:
    """Its period, what is in it, and the checksum of its file."""
    act.entity = f"archive/{archive_id}"
    return await services.archives.show(act.scope, archive_id)


@router.post("/{archive_id}/verify")
@allow("retention:read", audits="archive.verify")
async def verify_archive(services: Used, act: Acting, archive_id: uuid.UUID) -> ArchiveState:
    """Compare the checksum, open all of it, compare each body with what was received. Nothing is put back."""
    act.entity = f"archive/{archive_id}"
    return await services.archives.verify(act, archive_id)


@router.post("/{archive_id}/restore", responses={202: {"model": JobState}})
@allow("retention:write", audits="archive.restore")
async def restore_archive(
    services: Used, act: Acting, response: Response, archive_id: uuid.UUID, wanted: Restore
) -> JobState:
    """Put its bodies back for some days. 202: it will be done, ask for the job later. 409: it was changed."""
    act.entity = f"archive/{archive_id}"
    job = await services.archives.restore(act, archive_id, wanted.days, wanted.reason)
    response.status_code = 200 if job.state == "done" else 202
    return job
