"""Judges every audit trail by its checkpoint file, once a day, and says loudly where one is broken."""

from __future__ import annotations

from typing import Any

from hilum.errors import Conflict
from hilum.jobs import Context
from hilum.store.jobs import Job


async def run(context: Context, job: Job) -> dict[str, Any]:
    """What was found, by chain. The event of each check is in its own trail."""
    if context.trails is None:
        raise Conflict("nothing is sealed here")
    return {
        one.chain: {
            "intact": one.intact, "events": one.events, "messages": one.messages,
            "last_protected": one.protected.position if one.protected else None, "first_broken": one.first,
        }
        for one in await context.trails.check()
    }  # fmt: skip
