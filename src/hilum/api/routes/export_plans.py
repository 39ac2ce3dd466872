"""Export plans: exports that are asked for again and again, by a name and at their times."""

from __future__ import annotations

import uuid

from fastapi import Response

from hilum.api.paging import Page, Paging
from hilum.api.preconditions import IfMatch, etag
from hilum.api.services import Used
from hilum.api.surface import Acting, Surface, allow
from hilum.model.export_plan import ExportPlan
from hilum.services.export_plans import ExportPlanView
from hilum.services.exports import ExportView

router = Surface("/exports/plans")


@router.get("")
@allow("exports:read", audits="export-plan.list")
async def list_export_plans(services: Used, act: Acting, paging: Paging) -> Page[ExportPlanView]:
    """By name, with what comes next and what came last."""
    items, total = await services.export_plans.list(act.scope, paging.offset, paging.limit)
    return Page[ExportPlanView].of(items, total, paging)


@router.post("", status_code=201)
@allow("exports:create", audits="export-plan.create", fails=(404, 409))
async def create_export_plan(services: Used, act: Acting, response: Response, wanted: ExportPlan) -> ExportPlanView:
    """It runs with the rights that you have when it runs. What you could not ask for now is refused."""
    made = await services.export_plans.create(act, wanted)
    response.headers["location"] = f"/api/v1/exports/plans/{made.id}"
    etag(response, made.version)
    return made


@router.get("/{plan_id}")
@allow("exports:read", audits="export-plan.read")
async def read_export_plan(services: Used, act: Acting, response: Response, plan_id: uuid.UUID) -> ExportPlanView:
    """What it asks for, when next, and why nothing came of its last time where nothing did."""
    act.entity = f"export-plan/{plan_id}"
    found = await services.export_plans.show(act.scope, plan_id)
    etag(response, found.version)
    return found


@router.put("/{plan_id}")
@allow("exports:create", audits="export-plan.change", fails=(404, 409))
async def replace_export_plan(
    services: Used, act: Acting, response: Response, plan_id: uuid.UUID, version: IfMatch, wanted: ExportPlan
) -> ExportPlanView:
    """All of it. From now on it runs with your rights, whoever made it."""
    act.entity = f"export-plan/{plan_id}"
    changed = await services.export_plans.replace(act, plan_id, version, wanted)
    etag(response, changed.version)
    return changed


@router.delete("/{plan_id}", status_code=204)
@allow("exports:create", audits="export-plan.archive")
async def archive_export_plan(services: Used, act: Acting, plan_id: uuid.UUID) -> None:
    """It runs no more; what came of it stays."""
    act.entity = f"export-plan/{plan_id}"
    await services.export_plans.archive(act, plan_id)


@router.post("/{plan_id}/run", status_code=202)
@allow("exports:create", audits="export.ask", fails=(404, 409, 429))
async def run_export_plan(services: Used, act: Acting, response: Response, plan_id: uuid.UUID) -> ExportView:
    """Now, with your own rights; its times stay. How far it is stands at the place that Location names."""
    act.entity = f"export-plan/{plan_id}"
    made = await services.export_plans.run(act, plan_id)
    response.headers["location"] = f"/api/v1/exports/jobs/{made.id}"
    return made
