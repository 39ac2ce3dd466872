"""Counts what came, what was sent and what was asked of partners, for whoever may see it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping

from hilum.exporting.definition import Asked
from hilum.exporting.means import Means, Watch
from hilum.model.access import Scope
from hilum.model.delivery import DeliveryState
from hilum.model.execution import ExecutionState
from hilum.model.message import Disposition
from hilum.store import Connection, analytics, endpoints, message_counts
from hilum.store.analytics import Count, Over
from hilum.store.endpoints import Known

RATIOS = (0.5, 0.95)
Ends = Mapping[int, Known]
"""Endpoints by number, removed ones too."""


@dataclasses.dataclass(frozen=True, slots=True)
class Traffic:
    """Messages of a time by endpoint, disposition and hour or day; deliveries of them by destination, state and that.

    Where studies narrow it, a delivery counts where both of its ends are of theirs.
    """

    received: Counter[tuple[int, Disposition, int]]
    sent: Counter[tuple[int, DeliveryState, int]]


@dataclasses.dataclass(frozen=True, slots=True)
class Requests:
    """Executions of a time, those of tests left out: by endpoint and altogether. Times are microseconds."""

    by_end: dict[int, Count]
    whole: Count
    ranks_by_end: dict[int, dict[float, int]]
    ranks: dict[float, int]
    over_time: Counter[tuple[ExecutionState, int]]


def named(one: Known | None) -> tuple[str, str]:
    """Integration and endpoint."""
    integration, _, endpoint = ("" if one is None else one.reference).partition("/")
    return integration, endpoint


async def ends(means: Means, scope: Scope) -> Ends:
    """Those within."""
    return await means.store.within(scope.organization).load(_ends, scope)


def _ends(connection: Connection, scope: Scope) -> Ends:
    found = endpoints.read(connection)
    return {one.number: one for one in found if one.organization == scope.organization and scope.admits(one.study)}


async def traffic(means: Means, asked: Asked, within: Ends, watch: Watch) -> Traffic:
    """Raises StoreError, Conflict where nobody wants it any more."""
    await means.flush()
    organization, own = asked.scope.organization, means.store.within(asked.scope.organization)
    time, every = (asked.since, asked.until, asked.size), asked.scope.studies is None
    done = Traffic(Counter(), Counter())
    first, last = 0, 0  # of the deliveries
    newest = await own.load(message_counts.last_message, organization)
    for after in range(0, newest, message_counts.STRETCH):
        watch.check()
        for one in await own.load(message_counts.received, organization, *time, after):
            if every or one.endpoint in within:
                done.received[one.endpoint, Disposition(one.disposition), one.began] += one.many
                if one.first is not None and one.last is not None:
                    first, last = min(first or one.first, one.first), max(last, one.last)
    for after in range(first - 1, last, message_counts.STRETCH) if first else ():
        watch.check()
        for way in await own.load(message_counts.sent, organization, *time, after, last):
            if every or (way.endpoint in within and way.destination in within):
                done.sent[way.destination, DeliveryState(way.state), way.began] += way.many
    return done


async def requests(means: Means, asked: Asked, integration: int | None = None) -> Requests:
    """As the API's analytics count them. Raises StoreError."""
    own = means.store.within(asked.scope.organization)
    over = Over(asked.scope, asked.since, asked.until, integration)
    counts = await own.load(analytics.counts, over)
    whole = Count()
    for one in counts.values():
        whole.add(one)
    timed = {number: one.timed for number, one in counts.items()}
    series: Counter[tuple[ExecutionState, int]] = Counter()
    for status, began, many in await own.load(analytics.over_time, over, asked.size):
        series[ExecutionState(status), began] += many
    return Requests(
        counts, whole, await own.load(analytics.each_percentile, over, RATIOS, timed),
        await own.load(analytics.percentiles, over, RATIOS, whole.timed), series,
    )  # fmt: skip


def seconds(micros: int | None) -> float | None:
    return None if micros is None else micros / 1_000_000


def rate(count: Count) -> float | None:
    """The share that succeeded, of those that ended."""
    return count.completed / count.total if count.total else None
