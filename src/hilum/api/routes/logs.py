"""The activity log of an integration. Bodies are never in it: they are the executions'."""

from __future__ import annotations

import datetime
import uuid
from typing import Annotated, Literal

from fastapi import Query
from pydantic import Field

from hilum.api.errors import Invalid
from hilum.api.language import Language, spoken
from hilum.api.paging import Page, Paging
from hilum.api.services import Used
from hilum.api.surface import Acting, Surface, allow
from hilum.services.activity import Failures, LogEntry
from hilum.services.messages import micros
from hilum.store.activity_log import Wanted

router = Surface(tag="logs")
Level = Literal["debug", "info", "warn", "error", "success"]


class LogPage(Page[LogEntry]):
    """`next` goes into `before` for what is older: new entries do not move it, as they move pages."""

    next: str | None = Field(None, description="The last entry here; null where nothing is older.")


@router.get("/integrations/{integration_id}/logs")
@allow("logs:read", audits="log.list")
async def list_logs(
    services: Used,
    act: Acting,
    paging: Paging,
    integration_id: uuid.UUID,
    level: Annotated[Level | None, Query(description="success: entries of outcome success.")] = None,
    outcome: Literal["success", "failure"] | None = None,
    endpoint_id: uuid.UUID | None = None,
    execution_id: uuid.UUID | None = None,
    correlation_id: Annotated[str | None, Query(max_length=128)] = None,
    since: Annotated[datetime.datetime | None, Query(alias="from", description="Then or later.")] = None,
    until: Annotated[datetime.datetime | None, Query(alias="to", description="Before then.")] = None,
    q: Annotated[str | None, Query(min_length=2, max_length=120, description="In error, class, correlation.")] = None,
    synthetic: Annotated[bool | None, Query(description="true: of tests and checks alone; false: none.")] = None,
    before: Annotated[uuid.UUID | None, Query(description="`next` of the answer before.")] = None,
) -> LogPage:
    """The newest first. A time without offset is UTC. With `q` the newest 10,000 are looked through."""
    act.entity = f"integration/{integration_id}"
    if level == "success":  # document 003 has two levels, success and error
        if outcome == "failure":
            raise Invalid("no entry of outcome failure has the level success", field="level")
        level, outcome = None, "success"
    times = [None if one is None else micros(one) for one in (since, until)]
    wanted = Wanted(level, outcome, endpoint_id, execution_id, correlation_id, times[0], times[1], q, synthetic)
    offset = 0 if before is not None else paging.offset
    items, total = await services.activity.list(
        act.scope, integration_id, wanted, offset, paging.limit, before
    )  # fmt: skip
    page = LogPage.of(items, total, paging)
    page.next = items[-1].id if items and offset + len(items) < total else None
    return page


@router.get("/integrations/{integration_id}/logs/failures")
@allow("logs:read", audits="log.failures")
async def list_failures(
    services: Used,
    act: Acting,
    language: Language,
    integration_id: uuid.UUID,
    endpoint_id: uuid.UUID | None = None,
    since: Annotated[datetime.datetime | None, Query(alias="from", description="Then or later.")] = None,
    until: Annotated[datetime.datetime | None, Query(alias="to", description="Before then.")] = None,
) -> Failures:
    """What failed in the last week, or between two times, by class and endpoint: how often, the newest, what to do."""
    act.entity = f"integration/{integration_id}"
    times = [None if one is None else micros(one) for one in (since, until)]
    return spoken(await services.activity.failures(act, integration_id, times[0], times[1], endpoint_id), language)
