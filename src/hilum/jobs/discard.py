"""Ends everything that waits for a removed endpoint, with the reason that was given."""

from __future__ import annotations

from typing import Any

from hilum.errors import Conflict
from hilum.jobs import Context
from hilum.store import deliveries
from hilum.store.jobs import Job


async def run(context: Context, job: Job) -> dict[str, Any]:
    destination = job.arguments["destination"]
    if destination in context.lanes:
        raise Conflict("the endpoint is in use again")
    return {"discarded": await context.store.write(deliveries.discard, destination, job.arguments["reason"])}
