"""Takes the waiting head of a lane out of it, with a person's reason."""

from __future__ import annotations

from typing import Any

from hilum.errors import Conflict, NotFound
from hilum.jobs import Context
from hilum.store.jobs import Job


async def run(context: Context, job: Job) -> dict[str, Any]:
    lanes = context.lanes.get(job.arguments["destination"])
    if lanes is None:
        raise NotFound("no lane leads there")
    if not lanes.skip(job.arguments["delivery"], job.arguments["reason"]):
        raise Conflict("only the delivery at the head of its lane can be skipped, and not while it is being sent")
    await context.recorder.flush()
    return {"lane": lanes.reference, "delivery": job.arguments["delivery"]}
