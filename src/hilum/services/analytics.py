"""What executions came to over a time: document 003's analytics, and how all integrations stand (S3-64…S3-73, S2-12).

Whole numbers are rounded as document 003 rounds them; the exact ones beside them are null where nothing was counted.
"""

from __future__ import annotations

import dataclasses
import math
import uuid
from collections import Counter
from collections.abc import Iterable

from hilum import clock
from hilum.errors import ConfigError, StoreError
from hilum.model.access import Scope
from hilum.model.lifecycle import Health, Lifecycle
from hilum.services.messages import stamp
from hilum.store import Connection, Store, analytics, endpoints, integrations
from hilum.store.analytics import Count, Extreme, Over
from hilum.store.integrations import Row

LONGEST = 366 * 86_400_000_000  # microseconds that may be asked for
ERRORS, GROUPS = 100, 20
DAY = 86_400_000_000
KEYS = ("<100ms", "100-500ms", "500ms-1s", "1-5s", ">5s")
RATIOS = (0.5, 0.95, 0.99)
Known = tuple[str, uuid.UUID]
"""An endpoint's reference and UUID."""


@dataclasses.dataclass(frozen=True, slots=True)
class TimeRange:
    """`end` is not in it."""

    start: str
    end: str


@dataclasses.dataclass(frozen=True, slots=True)
class RequestMetrics:
    """Rates in percent, times in milliseconds. Requests that still run or were cancelled count as neither."""

    totalRequests: int
    successfulRequests: int
    failedRequests: int
    successRate: int
    averageResponseTime: int
    requestsPerHour: int
    errorRate: int
    successRateExact: float | None
    errorRateExact: float | None
    averageResponseTimeMs: float | None
    requestsPerHourExact: float
    executingRequests: int
    cancelledRequests: int


@dataclasses.dataclass(frozen=True, slots=True)
class EndpointMetrics:
    """The same of one endpoint, also of one that was removed."""

    endpointId: str
    name: str
    metrics: RequestMetrics


@dataclasses.dataclass(frozen=True, slots=True)
class TimedRequest:
    """`duration` in milliseconds."""

    duration: float
    timestamp: str
    executionId: str


@dataclasses.dataclass(frozen=True, slots=True)
class Percentiles:
    """Milliseconds (nearest rank); null where nothing was measured."""

    p50: float | None
    p95: float | None
    p99: float | None


@dataclasses.dataclass(frozen=True, slots=True)
class Performance:
    """The distribution's parts add up to the requests that were measured."""

    fastestRequest: TimedRequest | None
    slowestRequest: TimedRequest | None
    responseTimeDistribution: dict[str, int]
    percentiles: Percentiles


@dataclasses.dataclass(frozen=True, slots=True)
class FailedRequest:
    """One that failed."""

    error: str
    timestamp: str
    endpointId: str
    executionId: str
    errorClass: str | None
    statusCode: int | None


@dataclasses.dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Failures of one kind at one endpoint."""

    endpointId: str
    errorClass: str | None
    statusCode: int | None
    count: int
    lastTimestamp: str


@dataclasses.dataclass(frozen=True, slots=True)
class AnalyticsReport:
    """`errors` are the newest 100; the log has all. `partial`: something of it could not be read, `error` says what.

    `synthetic`: it is about executions of tests alone; else there are none of these in it.
    """

    integrationId: str
    timeRange: TimeRange
    generatedAt: str
    metrics: RequestMetrics
    errors: list[FailedRequest]
    errorGroups: list[ErrorGroup]
    performance: Performance
    endpoints: list[EndpointMetrics]
    synthetic: bool
    partial: bool
    error: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class Window:
    """A time up to now. Percent and milliseconds; null where nothing was counted."""

    requests: int
    failed: int
    success_rate: float | None
    latency_p50: float | None
    latency_p95: float | None


@dataclasses.dataclass(frozen=True, slots=True)
class Stats:
    """`total` = active + inactive + error + testing, which includes initializing; archived ones are not in."""

    total: int
    active: int
    inactive: int
    error: int
    testing: int
    by_status: dict[str, int]
    by_health: dict[str, int]
    by_type: dict[str, int]
    last_sync: str | None
    last_24h: Window
    last_7d: Window
    generated_at: str


class Analytics:
    """The use cases."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def report(
        self, scope: Scope, identifier: uuid.UUID, since: int, until: int, *, synthetic: bool = False
    ) -> AnalyticsReport:
        """Raises NotFound, ConfigError (the times), StoreError where not even the counts can be read."""
        check(since, until)
        own = self._store.within(scope.organization)
        row = await own.read(integrations.find, scope, identifier, archived=True)
        over = Over(scope, since, until, row.id, synthetic)
        known, found = await own.load(_counts, row, over)
        whole = _sum(found.values())
        hours = (until - since) / 3_600_000_000
        problems: list[str] = []
        try:
            ends = await own.load(analytics.extremes, over)
            ranks = await own.load(analytics.percentiles, over, RATIOS, whole.timed)
        except StoreError as error:
            ends, ranks = None, {}
            problems.append(str(error))
        try:
            failures = await own.load(analytics.failures, self._store.sealer, over, ERRORS)
            groups = await own.load(analytics.groups, over, GROUPS)
        except StoreError as error:
            failures, groups = [], []
            problems.append(str(error))
        return AnalyticsReport(
            integrationId=str(row.uuid), timeRange=TimeRange(stamp(since), stamp(until)),
            generatedAt=stamp(clock.micros()), metrics=metrics_of(whole, hours),
            errors=[FailedRequest(one.error, stamp(one.started_at), str(one.endpoint), str(one.uuid), one.fault,
                          one.status_code) for one in failures],
            errorGroups=[ErrorGroup(str(one.endpoint), one.fault, one.status_code, one.count, stamp(one.last_at))
                         for one in groups],
            performance=Performance(
                None if ends is None else _request(ends[0]), None if ends is None else _request(ends[1]),
                dict(zip(KEYS, whole.buckets, strict=True)),
                Percentiles(*(_milliseconds(ranks.get(one)) for one in RATIOS)),
            ),
            endpoints=[_endpoint(known[number], one, hours) for number, one in found.items()],
            synthetic=synthetic, partial=bool(problems), error="; ".join(problems) or None,
        )  # fmt: skip

    async def stats(self, scope: Scope) -> Stats:
        """How all integrations within stand, and what was asked of them, other than by tests."""
        own, now = self._store.within(scope.organization), clock.micros()
        found = await own.read(analytics.standing, scope)
        by_status, by_health, by_type = (
            _tally((getattr(one, name), one.count) for one in found) for name in ("lifecycle", "health", "type")
        )
        testing = by_status[Lifecycle.TESTING] + by_status[Lifecycle.INITIALIZING]
        windows = [await own.load(_window, Over(scope, now - span, now + 1)) for span in (DAY, 7 * DAY)]
        return Stats(
            total=sum(by_status.values()), active=by_status[Lifecycle.ACTIVE],
            inactive=by_status[Lifecycle.INACTIVE], error=by_status[Lifecycle.ERROR], testing=testing,
            by_status={one.value: by_status[one] for one in Lifecycle if one is not Lifecycle.ARCHIVED},
            by_health={one.value: by_health[one] for one in Health}, by_type=dict(sorted(by_type.items())),
            last_sync=None, last_24h=windows[0], last_7d=windows[1], generated_at=stamp(now),
        )  # fmt: skip


def check(since: int, until: int) -> None:
    """Raises ConfigError where it is no range, or one of more than 366 days."""
    if since >= until:
        raise ConfigError("must be before the end", where="start")
    if until - since > LONGEST:
        raise ConfigError("is more than 366 days after the start", where="end")


def metrics_of(count: Count, hours: float) -> RequestMetrics:
    """Rounded as document 003 does, half up, and exact beside it."""
    total = count.total
    rates = [None if not total else part / total * 100 for part in (count.completed, count.failed)]
    average = count.duration / 1000 / total if total else None  # as document 003: over all, measured or not
    exact = count.duration / 1000 / count.timed if count.timed else None
    an_hour = total / hours if hours > 0 else 0.0
    return RequestMetrics(
        totalRequests=total, successfulRequests=count.completed, failedRequests=count.failed,
        successRate=_rounded(rates[0]), averageResponseTime=_rounded(average), requestsPerHour=_rounded(an_hour),
        errorRate=_rounded(rates[1]), successRateExact=rates[0], errorRateExact=rates[1],
        averageResponseTimeMs=exact, requestsPerHourExact=an_hour, executingRequests=count.executing,
        cancelledRequests=count.cancelled,
    )  # fmt: skip


def _counts(connection: Connection, row: Row, over: Over) -> tuple[dict[int, Known], dict[int, Count]]:
    """By endpoint: those that were asked, removed ones too, and those that nobody asked."""
    found = analytics.counts(connection, over)
    sent = [f"{row.name}/{one['name']}" for one in row.document["endpoints"] if one["direction"] == "outbound"]
    for number in endpoints.numbers(connection, row.organization, sent).values():
        found.setdefault(number, Count())
    return endpoints.known(connection, row.organization, found), found


def _window(connection: Connection, over: Over) -> Window:
    whole = _sum(analytics.counts(connection, over).values())
    ranks = analytics.percentiles(connection, over, RATIOS, whole.timed)
    rate = whole.completed / whole.total * 100 if whole.total else None
    return Window(whole.total, whole.failed, rate, _milliseconds(ranks.get(0.5)), _milliseconds(ranks.get(0.95)))


def _request(one: Extreme) -> TimedRequest:
    return TimedRequest(one.duration / 1000, stamp(one.started_at), str(one.uuid))


def _endpoint(known: Known, count: Count, hours: float) -> EndpointMetrics:
    return EndpointMetrics(str(known[1]), known[0].partition("/")[2], metrics_of(count, hours))


def _rounded(value: float | None) -> int:
    return 0 if value is None else math.floor(value + 0.5)


def _milliseconds(duration: int | None) -> float | None:
    return None if duration is None else duration / 1000


def _sum(counts: Iterable[Count]) -> Count:
    whole = Count()
    for one in counts:
        whole.add(one)
    return whole


def _tally(pairs: Iterable[tuple[str, int]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for name, count in pairs:
        found[name] += count
    return found
