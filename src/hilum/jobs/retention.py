"""Removes bodies after the time that their organization or route keeps them, a few at a time; gives the space back."""

from __future__ import annotations

from typing import Any

from hilum import clock
from hilum.jobs import Context
from hilum.model.configuration import Retention
from hilum.store import configuration, messages
from hilum.store.jobs import Job

_BATCH = 500
_DAY = 86_400_000_000


async def run(context: Context, job: Job) -> dict[str, Any]:
    """`bodies` removed by organization."""
    removed: dict[str, int] = {}
    for organization in await context.store.read(configuration.read):
        keep = Retention.model_validate(organization.document.get("retention", {})).bodies
        now = clock.micros()
        own = await context.store.read(configuration.retentions, organization.id)
        routes = {version: now - days * _DAY for version, days in own.items()}
        after: int | None = 0
        while after is not None:
            count, after = await context.store.write(
                messages.purge_bodies, organization.id, now - keep * _DAY, after, _BATCH, routes
            )
            removed[organization.name] = removed.get(organization.name, 0) + count
    await context.store.give_space_back()
    return {"bodies": removed}
