"""Studies: list, create, rename, archive. Their names are what configuration files say, so they never change."""

from __future__ import annotations

import uuid

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from hilum.api.paging import Page, Paging
from hilum.api.preconditions import IfMatch, etag
from hilum.api.services import Used
from hilum.api.surface import Acting, Surface, allow
from hilum.api.texts import Line, Name, Note
from hilum.services.studies import Study

router = Surface("/studies")


class NewStudy(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Name = Field(..., description="Unique within the organization, for good.", examples=["trial-7"])
    title: Note = Field("", description="What people read.")


class StudyPatch(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: Line = Field(..., description="What people read.")


@router.get("")
@allow("studies:read", audits="study.list")
async def list_studies(services: Used, act: Acting, paging: Paging) -> Page[Study]:
    """The studies that one may see, by name. Archived ones are left out."""
    items, total = await services.studies.list(act.scope, paging.offset, paging.limit)
    return Page[Study].of(items, total, paging)


@router.post("", status_code=201)
@allow("studies:write", audits="study.create")
async def create_study(services: Used, act: Acting, response: Response, wanted: NewStudy) -> Study:
    """409 where there is, or was, one of that name."""
    made = await services.studies.create(act, wanted.name, wanted.title)
    response.headers["location"] = f"/api/v1/studies/{made.id}"
    etag(response, made.version)
    return made


@router.get("/{study_id}")
@allow("studies:read", audits="study.read")
async def read_study(services: Used, act: Acting, response: Response, study_id: uuid.UUID) -> Study:
    """404 where it was archived."""
    act.entity = f"study/{study_id}"
    found = await services.studies.show(act.scope, study_id)
    etag(response, found.version)
    return found


@router.patch("/{study_id}")
@allow("studies:write", audits="study.change")
async def change_study(
    services: Used, act: Acting, response: Response, study_id: uuid.UUID, version: IfMatch, wanted: StudyPatch
) -> Study:
    """Give it another title."""
    act.entity = f"study/{study_id}"
    changed = await services.studies.change(act, study_id, version, wanted.title)
    etag(response, changed.version)
    return changed


@router.delete("/{study_id}", status_code=204)
@allow("studies:write", audits="study.archive")
async def archive_study(services: Used, act: Acting, study_id: uuid.UUID) -> None:
    """Archive it: 409 while integrations belong to it. What is bound to it reaches nothing any more."""
    act.entity = f"study/{study_id}"
    await services.studies.archive(act, study_id)
