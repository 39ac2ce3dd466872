"""Numbers: what an integration's executions came to, and how all integrations stand."""

from __future__ import annotations

import datetime
import uuid
from typing import Annotated

from fastapi import Query

from hilum import clock
from hilum.api.services import Used
from hilum.api.surface import Acting, Surface, allow
from hilum.services.analytics import DAY, AnalyticsReport, Stats
from hilum.services.messages import micros

router = Surface(tag="analytics")


@router.get("/integrations/stats")
@allow("integrations:read", audits="integration-stats.read")
async def read_stats(services: Used, act: Acting) -> Stats:
    """All integrations that one may see, by status and type, and what was asked of them lately."""
    return await services.analytics.stats(act.scope)


@router.get("/integrations/{integration_id}/analytics")
@allow("executions:read", audits="integration-analytics.read")
async def read_analytics(
    services: Used,
    act: Acting,
    integration_id: uuid.UUID,
    start: Annotated[datetime.datetime | None, Query(description="By default a day before the end.")] = None,
    end: Annotated[datetime.datetime | None, Query(description="Not in it; by default now.")] = None,
    synthetic: Annotated[bool, Query(description="Of tests alone; by default these are left out.")] = False,
) -> AnalyticsReport:
    """Requests, rates, times and errors of at most 366 days. A time without offset is UTC."""
    act.entity = f"integration/{integration_id}"
    until = clock.micros() + 1 if end is None else micros(end)
    since = until - DAY if start is None else micros(start)
    return await services.analytics.report(act.scope, integration_id, since, until, synthetic=synthetic)
