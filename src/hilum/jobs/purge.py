"""Removes what is older than its organization keeps it, class by class: logs, results, executions, sessions …

Some rows at a time, each time with an audit event that says of which class, how many and up to when: whenever this
ends, the next run goes on. What a legal hold holds stays. Bodies of messages go by `retention`,
audit events by `audit_purge`.
"""

from __future__ import annotations

from typing import Any

from hilum import clock, telemetry
from hilum.errors import HilumError, NotFound
from hilum.jobs import Context
from hilum.model.access import HUB, Scope
from hilum.model.audit import Act
from hilum.model.retention import CLASSES, Class
from hilum.store import Store, organizations, purges
from hilum.store.jobs import Job
from hilum.store.organizations import Organization

_BATCH = 500  # rows that are removed together
log = telemetry.logger("retention")


async def run(context: Context, job: Job) -> dict[str, Any]:
    """`removed`: rows by class, by organization. Raises HilumError where some class's failed, after all others."""
    removed: dict[str, dict[str, int]] = {}
    failed: list[str] = []
    for one in await context.store.read(organizations.every):
        for kind in purges.PARTS:
            try:
                count = await _purge(context.store, one, kind)
            except HilumError as error:
                log.error("purge failed", organization=one.name, kind=kind, reason=str(error))
                failed.append(f"{one.name}, {kind}: {error}")
                continue
            if count:
                removed.setdefault(one.name, {})[kind] = count
    await context.store.give_space_back()
    if failed:
        raise HilumError("; ".join(failed))
    return {"removed": removed}


async def _purge(store: Store, owner: Organization, kind: Class) -> int:
    """A class of an organization; how many rows went, or lost what they were to lose."""
    own, kept = store.within(owner.id), CLASSES[kind]
    cutoff, count = kept.cutoff(clock.micros(), getattr(owner.settings, kept.setting)), 0
    for part in purges.PARTS[kind]:
        ids, last = await own.load(purges.due, owner.id, part, cutoff, 0, _BATCH)
        while ids:
            act = Act(HUB, Scope(owner.id), "retention.purge")
            try:
                count += await own.change(act, purges.remove, owner.id, kind, part, cutoff, ids)
            except NotFound:
                log.info("a legal hold came first", organization=owner.name, kind=kind)
            ids, last = await own.load(purges.due, owner.id, part, cutoff, last, _BATCH)
    return count
