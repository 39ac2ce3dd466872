"""Reads the audit events of a time, some at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator

from hilum.errors import ConfigError
from hilum.exporting.definition import Asked
from hilum.exporting.means import Means, Watch
from hilum.store import audit, audit_counts
from hilum.store.audit import EventFilter, SealedEvent

MOST = 50_000
_PAGE = 2_000


async def events(means: Means, asked: Asked, watch: Watch, *actions: str) -> AsyncIterator[SealedEvent]:
    """The oldest first; `actions`: of these alone. Raises ConfigError where they are too many, StoreError, Conflict."""
    organization, own = asked.scope.organization, means.store.within(asked.scope.organization)
    span = await own.load(audit_counts.span, organization, asked.since, asked.until, actions)
    if span.many > MOST:
        text = f"{span.many:,} audit events are too many for pages ({MOST:,} at most): choose a shorter time"
        raise ConfigError(f"{text}, or export them as data (records: audit)")
    where = EventFilter(since=asked.since, until=asked.until)
    after = span.first - 1
    while after < span.last:
        watch.check()
        found = await own.load(audit.above, organization, where, after, _PAGE)
        for one in found:
            if not actions or one.document["action"] in actions:
                yield one
        after = found[-1].id if len(found) == _PAGE else span.last
