"""Links to files of exports: for partners who have no account."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from hilum.api import files
from hilum.api.files import BYTES
from hilum.api.items import Items
from hilum.api.services import Used
from hilum.api.surface import Acting, Surface, allow, open_to_all
from hilum.api.texts import Line
from hilum.model.export import Receiver
from hilum.services.export_links import LinkView

router = Surface("/exports", tag="exports")


class NewExportLink(BaseModel):
    model_config = ConfigDict(extra="forbid")

    receiver: Line = Field(..., description="Who it is for: the audit trail names them.", examples=["Trial sponsor"])
    country: str = Field("", pattern=r"^([A-Z]{2})?$", description="Theirs (ISO 3166-1), such as DE.")
    hours: int = Field(24, ge=1, le=720, description="How long it holds; never longer than the file is there.")
    downloads: int | None = Field(1, ge=1, le=1_000, description="How often it can be used; null: any number of times.")


@router.post("/jobs/{job_id}/links", status_code=201)
@allow("exports:create", audits="export-link.create", fails=(404, 409, 410))
async def create_export_link(services: Used, act: Acting, job_id: uuid.UUID, wanted: NewExportLink) -> LinkView:
    """Its address is in this answer alone: whoever has it fetches the file."""
    act.entity = f"export/{job_id}"
    receiver = Receiver(name=wanted.receiver, country=wanted.country)
    return await services.export_links.create(act, job_id, receiver, wanted.hours, wanted.downloads)


@router.get("/jobs/{job_id}/links")
@allow("exports:read", audits="export-link.list")
async def list_export_links(services: Used, act: Acting, job_id: uuid.UUID) -> Items[LinkView]:
    """The newest first, with those that do not hold any more."""
    act.entity = f"export/{job_id}"
    return Items[LinkView](items=await services.export_links.list(act.scope, job_id))


@router.delete("/jobs/{job_id}/links/{link_id}", status_code=204)
@allow("exports:create", audits="export-link.revoke", fails=(409,))
async def revoke_export_link(services: Used, act: Acting, job_id: uuid.UUID, link_id: uuid.UUID) -> None:
    """From now on it opens nothing."""
    act.entity = f"export/{job_id}"
    await services.export_links.revoke(act, job_id, link_id)


@router.get("/links/{token}", response_class=Response, responses={200: {"content": {BYTES: {}}}})
@open_to_all(audits="export.fetch", fails=(404, 410, 416))
async def follow_export_link(
    services: Used,
    act: Acting,
    request: Request,
    token: Annotated[str, Path(max_length=120, description="As the link has it.")],
) -> Response:
    """The file, for whoever has its link. 410: the link was revoked, used up, or its time is over."""
    file, link = await services.export_links.follow(act, token)
    response = files.answer(request, act, file)
    if files.gives(request, file):
        await services.export_links.given(link)
    return response
