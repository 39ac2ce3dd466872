"""Exports (document 001): rows of data sets in the formats that analysts and regulators take."""

from __future__ import annotations

import asyncio
import datetime
import uuid
from typing import Annotated

from fastapi import Query, Request, Response

from hilum.api import files
from hilum.api.files import BYTES
from hilum.api.items import Items
from hilum.api.paging import Page, Paging
from hilum.api.services import Used
from hilum.api.surface import Acting, Surface, allow
from hilum.exporting.asking import AnyWish
from hilum.model.audit import Act
from hilum.model.export import (
    BulkWish,
    DashboardWish,
    DataWish,
    ExportKind,
    ExportStatus,
    PackageWish,
    ReportWish,
)
from hilum.services.exports import (
    ExportView,
    Format,
    PagesKind,
    ReleaseSignature,
    dashboards,
    formats,
    reports,
)
from hilum.store.exports import Filter

router = Surface("/exports")


@router.get("/formats")
@allow("exports:read", audits="export-format.list")
async def list_export_formats(services: Used, act: Acting) -> Items[Format]:
    """Every format, with what it can be told."""
    return Items[Format](items=await asyncio.to_thread(formats))


@router.post("/data", status_code=202)
@allow("exports:create", audits="export.ask", fails=(404, 409, 429))
async def export_data(services: Used, act: Acting, response: Response, wanted: DataWish) -> ExportView:
    """A job makes it; how far it is stands at the place that Location names."""
    return await _asked(services, act, response, wanted)


@router.post("/bulk", status_code=202)
@allow("exports:create", audits="export.ask", fails=(404, 409, 429))
async def export_bulk(services: Used, act: Acting, response: Response, wanted: BulkWish) -> ExportView:
    """Up to 100 exports in one ZIP, with a manifest that says of each what became of it."""
    return await _asked(services, act, response, wanted)


@router.post("/package", status_code=202)
@allow("exports:create", audits="export.ask", fails=(404, 409, 429))
async def export_package(services: Used, act: Acting, response: Response, wanted: PackageWish) -> ExportView:
    """A study as it is submitted: data files, Define-XML, checks, a sealed manifest; it waits for a signature."""
    return await _asked(services, act, response, wanted)


@router.get("/reports")
@allow("exports:read", audits="export-report.list")
async def list_export_reports(services: Used, act: Acting) -> Items[PagesKind]:
    """Every report, with what it needs and the formats that it comes in."""
    return Items[PagesKind](items=reports())


@router.get("/dashboards")
@allow("exports:read", audits="export-dashboard.list")
async def list_export_dashboards(services: Used, act: Acting) -> Items[PagesKind]:
    """Every dashboard, with what it needs and the formats that it comes in."""
    return Items[PagesKind](items=dashboards())


@router.post("/report", status_code=202)
@allow("exports:create", audits="export.ask", fails=(404, 409, 429))
async def export_report(services: Used, act: Acting, response: Response, wanted: ReportWish) -> ExportView:
    """A report of a time, or of how things stand when it is made: for people, and for the file."""
    return await _asked(services, act, response, wanted)


@router.post("/dashboard", status_code=202)
@allow("exports:create", audits="export.ask", fails=(404, 409, 429))
async def export_dashboard(services: Used, act: Acting, response: Response, wanted: DashboardWish) -> ExportView:
    """One page with the figures of a time: those that the API has."""
    return await _asked(services, act, response, wanted)


async def _asked(services: Used, act: Act, response: Response, wanted: AnyWish) -> ExportView:
    made = await services.exports.ask(act, wanted)
    response.headers["location"] = f"/api/v1/exports/jobs/{made.id}"
    return made


@router.get("/jobs")
@allow("exports:read", audits="export.list")
async def list_export_jobs(
    services: Used,
    act: Acting,
    paging: Paging,
    status: Annotated[ExportStatus | None, Query(description="Where it stands.")] = None,
    type: Annotated[ExportKind | None, Query(description="What is exported.")] = None,
    format: Annotated[str | None, Query(max_length=40, description="By its first name.")] = None,
    requested_by: Annotated[str | None, Query(max_length=100, description="The id of a user or key.")] = None,
    since: Annotated[datetime.datetime | None, Query(alias="from", description="Asked for then or later.")] = None,
    until: Annotated[datetime.datetime | None, Query(alias="to", description="Asked for before then.")] = None,
) -> Page[ExportView]:
    """The newest first, with those that failed or expired."""
    wanted = Filter(status, type, format, requested_by, _micros(since), _micros(until))
    items, total = await services.exports.list(act.scope, wanted, paging.offset, paging.limit)
    return Page[ExportView].of(items, total, paging)


@router.get("/jobs/{job_id}")
@allow("exports:read", audits="export.read")
async def read_export_job(services: Used, act: Acting, job_id: uuid.UUID) -> ExportView:
    """How far it is, and what its file is."""
    act.entity = f"export/{job_id}"
    return await services.exports.show(act, job_id)


@router.get("/jobs/{job_id}/download", response_class=Response, responses={200: {"content": {BYTES: {}}}})
@allow("exports:create", audits="export.download", fails=(409, 410, 416))
async def download_export(
    services: Used,
    act: Acting,
    request: Request,
    job_id: uuid.UUID,
    draft: Annotated[bool, Query(description="To look at it before it is released.")] = False,
) -> Response:
    """The file, or the part of it that Range asks for. 409: not ready, or not released; 410: its time is over."""
    act.entity = f"export/{job_id}"
    file = await services.exports.file(act, job_id, draft=draft)
    response = files.answer(request, act, file)
    if files.gives(request, file):
        await services.exports.given(act, job_id)
    return response


@router.post("/jobs/{job_id}/release")
@allow("exports:create", audits="export.release", fails=(404, 409))
async def release_export(services: Used, act: Acting, job_id: uuid.UUID) -> ExportView:
    """It may be fetched from now on; this needs a signature for what it is (`POST /signatures`)."""
    act.entity = f"export/{job_id}"
    return await services.exports.release(act, job_id)


@router.get("/jobs/{job_id}/signature")
@allow("exports:read", audits="export.signature")
async def read_export_signature(services: Used, act: Acting, job_id: uuid.UUID) -> ReleaseSignature:
    """Who released it, sealed: `hilum verify PACKAGE --signature FILE` takes it."""
    act.entity = f"export/{job_id}"
    return await services.exports.signature(act, job_id)


@router.post("/jobs/{job_id}/cancel")
@allow("exports:create", audits="export.cancel", fails=(409,))
async def cancel_export(services: Used, act: Acting, job_id: uuid.UUID) -> ExportView:
    """It stops within a second; nothing of it is kept."""
    act.entity = f"export/{job_id}"
    return await services.exports.cancel(act, job_id)


@router.post("/jobs/{job_id}/retry", status_code=202)
@allow("exports:create", audits="export.retry", fails=(409,))
async def retry_export(services: Used, act: Acting, job_id: uuid.UUID) -> ExportView:
    """What failed or was cancelled, once more."""
    act.entity = f"export/{job_id}"
    return await services.exports.retry(act, job_id)


@router.delete("/jobs/{job_id}", status_code=204)
@allow("exports:create", audits="export.remove", fails=(409,))
async def remove_export(services: Used, act: Acting, job_id: uuid.UUID) -> None:
    """Its file goes, its record stays."""
    act.entity = f"export/{job_id}"
    await services.exports.remove(act, job_id)


def _micros(moment: datetime.datetime | None) -> int | None:
    """One without an offset is in UTC."""
    if moment is None:
        return None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp() * 1_000_000)
