"""Tries the lanes of a destination now: forgets waiting times and the breaker, frees what a dead letter blocks."""

from __future__ import annotations

from typing import Any

from hilum.errors import NotFound
from hilum.jobs import Context
from hilum.store.jobs import Job


async def run(context: Context, job: Job) -> dict[str, Any]:
    lanes = context.lanes.get(job.arguments["destination"])
    if lanes is None:
        raise NotFound("no lane leads there")
    lanes.retry_now()
    return {"lane": lanes.reference}
