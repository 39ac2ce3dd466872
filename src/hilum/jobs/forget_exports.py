"""Removes the files of exports about a person once their time is over; their rows stay."""

from __future__ import annotations

import asyncio
from typing import Any

from hilum import clock
from hilum.errors import Conflict
from hilum.jobs import Context
from hilum.model.access import HUB, Scope
from hilum.model.audit import Act
from hilum.store import files, organizations, subject_exports
from hilum.store.jobs import Job


async def run(context: Context, job: Job) -> dict[str, Any]:
    """How many `exports` ended, and `files` were removed: theirs, and what a crash may have left."""
    ended = gone = 0
    for one in await context.store.read(subject_exports.over, clock.micros()):
        act = Act(HUB, Scope(one.organization), "subject-export.expire")
        try:
            await context.store.within(one.organization).change(act, subject_exports.expire, one)
        except Conflict:
            continue
        ended += 1
    for owner in await context.store.read(organizations.every):
        known = await context.store.within(owner.id).read(subject_exports.named, owner.id)
        gone += await asyncio.to_thread(files.sweep, context.store.folder, files.EXPORTS, owner.uuid, known)
    return {"exports": ended, "files": gone}
