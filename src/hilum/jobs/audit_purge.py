"""Removes audit events after the years that their organization keeps them: seven at least.

A signed start takes their place, so that what is left still verifies; the purge is an event of its own. From the first
one on that may be about something under a legal hold they all stay, for a chain has no gaps.
"""

from __future__ import annotations

from typing import Any

from hilum import clock
from hilum.errors import Conflict
from hilum.jobs import Context, Trails
from hilum.model.access import SYSTEM
from hilum.model.organization import Settings
from hilum.model.retention import years_before
from hilum.store import Store, legal_holds, organizations
from hilum.store.jobs import Job


async def run(context: Context, job: Job) -> dict[str, Any]:
    """`events` removed, by organization."""
    if context.trails is None:
        raise Conflict("nothing is sealed here")
    kept = {SYSTEM: ("system", Settings().audit_years)}
    for one in await context.store.read(organizations.every):
        kept[one.id] = one.name, one.settings.audit_years
    removed: dict[str, int] = {}
    for number, (name, count) in kept.items():
        if gone := await _purge(context.store, context.trails, number, years_before(clock.micros(), count)):
            removed[name] = gone
    return {"events": removed}


async def _purge(store: Store, trails: Trails, number: int, due: int) -> int:
    if number == SYSTEM:  # nothing of the hub's own is held
        return await trails.purge(number, due, None)
    while True:
        holds = await legal_holds.standing(store, number)
        held = await legal_holds.oldest(store, holds)
        try:
            return await trails.purge(number, due if held is None else min(due, held), holds)
        except Conflict:
            continue  # a hold was placed or lifted meanwhile
