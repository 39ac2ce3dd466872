"""Ends everything that waits for a removed endpoint, with the reason that was given."""

from __future__ import annotations

import asyncio
from typing import Any

from hilum.errors import Conflict
from hilum.jobs import Context
from hilum.store import deliveries
from hilum.store.jobs import Job

_LOOKS = 100


async def run(context: Context, job: Job) -> dict[str, Any]:
    destination = job.arguments["destination"]
    for _ in range(_LOOKS):  # the engine is about to close its lanes
        if destination not in context.lanes:
            break
        await asyncio.sleep(0.1)
    else:
        raise Conflict("the endpoint is in use again")
    return {"discarded": await context.store.write(deliveries.discard, destination, job.arguments["reason"])}
