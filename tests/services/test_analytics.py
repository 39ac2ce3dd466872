"""Analytics in document 003's shape: what is rounded, what is exact, what is null."""

from __future__ import annotations

import dataclasses
import datetime
import uuid
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from hilum import clock
from hilum.app import Hub
from hilum.errors import ConfigError, NotFound, StoreError
from hilum.model.access import Scope
from hilum.model.audit import Act
from hilum.model.execution import ExecutionState
from hilum.services import analytics
from hilum.services.analytics import DAY, KEYS, Analytics, metrics_of
from hilum.services.messages import micros
from hilum.services.names import Names
from hilum.store import Connection, executions, schema
from hilum.store import analytics as numbers
from hilum.store.analytics import Count
from hilum.store.executions import Ended, New

pytestmark = pytest.mark.anyio


@pytest.mark.ledger("S3-69", "S3-70")
def test_whole_numbers_and_exact_ones() -> None:
    """199 of 200 is 99.5, whatever the rounded field says; an average is over all requests, measured or not."""
    found = metrics_of(Count(completed=199, failed=1, timed=200, duration=200_500_000), 24.0)
    assert (found.totalRequests, found.successfulRequests, found.failedRequests) == (200, 199, 1)
    assert (found.successRate, found.errorRate) == (100, 1)  # document 003's own trap
    assert (found.successRateExact, found.errorRateExact) == (99.5, 0.5)
    assert (found.averageResponseTime, found.averageResponseTimeMs) == (1003, 1002.5)
    assert (found.requestsPerHour, found.requestsPerHourExact) == (8, 200 / 24)
    half = metrics_of(Count(completed=1, failed=1, timed=1, duration=301_000), 1.0)
    assert (half.averageResponseTime, half.averageResponseTimeMs) == (151, 301.0)
    nothing = metrics_of(Count(), 24.0)
    assert (nothing.successRate, nothing.errorRate, nothing.averageResponseTime, nothing.requestsPerHour) == (0,) * 4
    assert (nothing.successRateExact, nothing.errorRateExact, nothing.averageResponseTimeMs) == (None,) * 3


@pytest.mark.ledger_part("S3-69", "without requests 0, and null beside it")
@pytest.mark.ledger_part("S3-70", "requests an hour, rounded and as a decimal")
def test_nothing_is_zero_and_null() -> None:
    found = dataclasses.asdict(metrics_of(Count(executing=3, cancelled=2), 24.0))
    assert found == {
        "totalRequests": 0, "successfulRequests": 0, "failedRequests": 0, "successRate": 0, "averageResponseTime": 0,
        "requestsPerHour": 0, "errorRate": 0, "successRateExact": None, "errorRateExact": None,
        "averageResponseTimeMs": None, "requestsPerHourExact": 0.0, "executingRequests": 3, "cancelledRequests": 2,
    }  # fmt: skip


@pytest.fixture
async def lab(hub: Hub) -> uuid.UUID:
    """An integration of which three things were asked: one done, one failed, one that still runs."""
    table = schema.integration

    def find(connection: Connection) -> Any:
        return connection.execute(sa.select(table).where(table.c.name == "lab")).one()

    row = await hub.store.read(find)
    endpoint = await Names(hub.store).endpoint(Scope(1), "lab/out")
    ends = (
        Ended(ExecutionState.COMPLETED, 50_000, 1, 200), None,
        Ended(ExecutionState.FAILED, 150_000, 1, 503, "http_5xx", None, {"error": "HTTP 503: Busy", "tries": []}),
    )  # fmt: skip
    for ended in ends:
        new = New(1, row.id, endpoint, "c", "me", {}, executions.name())
        number = await hub.store.write(executions.insert, hub.store.sealer, new)
        if ended is not None:
            await hub.store.write(executions.finish, hub.store.sealer, number, new.uuid, ended)
    return uuid.UUID(str(row.uuid))


PARTS = {
    "metrics": {"totalRequests", "successfulRequests", "failedRequests", "successRate", "averageResponseTime",
                "requestsPerHour", "errorRate"},
    "performance": {"fastestRequest", "slowestRequest", "responseTimeDistribution"},
}  # fmt: skip
"""What document 003 has in each part."""


@pytest.mark.ledger("S3-65")
async def test_a_report(hub: Hub, lab: uuid.UUID) -> None:
    now = clock.micros()
    report = await Analytics(hub.store).report(Scope(1), lab, now - DAY, now + 1)
    told = dataclasses.asdict(report)
    assert {"integrationId", "timeRange", "generatedAt", "errors", "endpoints", *PARTS} <= told.keys()
    assert all(names <= told[part].keys() for part, names in PARTS.items())
    assert all(PARTS["metrics"] <= one["metrics"].keys() for one in told["endpoints"])
    assert report.generatedAt >= report.errors[0].timestamp
    assert report.integrationId == str(lab)
    assert (report.metrics.totalRequests, report.metrics.successRate, report.metrics.executingRequests) == (2, 50, 1)
    assert report.performance.responseTimeDistribution == dict(zip(KEYS, (1, 1, 0, 0, 0), strict=True))
    assert list(report.performance.responseTimeDistribution) == ["<100ms", "100-500ms", "500ms-1s", "1-5s", ">5s"]
    assert report.performance.fastestRequest is not None
    assert report.performance.slowestRequest is not None
    assert (report.performance.fastestRequest.duration, report.performance.slowestRequest.duration) == (50.0, 150.0)
    assert (report.performance.percentiles.p50, report.performance.percentiles.p99) == (50.0, 150.0)
    (error,), (group,), (endpoint,) = report.errors, report.errorGroups, report.endpoints
    assert (error.error, error.errorClass, error.statusCode) == ("HTTP 503: Busy", "http_5xx", 503)
    assert error.executionId == report.performance.slowestRequest.executionId
    assert (group.count, group.errorClass, group.endpointId) == (1, "http_5xx", error.endpointId)
    assert (endpoint.name, endpoint.endpointId, endpoint.metrics) == ("out", error.endpointId, report.metrics)
    assert (report.partial, report.error) == (False, None)


async def put(hub: Hub, lab: uuid.UUID, *several: tuple[int | None, int]) -> list[uuid.UUID]:
    """Executions of these durations that were begun at these moments (microseconds); their ids."""
    table, made = schema.metadata.tables["execution"], []
    found = schema.integration
    row = await hub.store.read(lambda one: one.execute(sa.select(found).where(found.c.uuid == lab)).one())
    endpoint = await Names(hub.store).endpoint(Scope(1), "lab/out")
    for duration, at in several:
        new = New(1, row.id, endpoint, "c", "me", {}, executions.name())
        number = await hub.store.write(executions.insert, hub.store.sealer, new)
        done = Ended(ExecutionState.COMPLETED, duration, 1, 200)
        if duration is not None:
            await hub.store.write(executions.finish, hub.store.sealer, number, new.uuid, done)
        where = table.c.id == number
        await hub.store.write(
            lambda one, at=at, where=where: one.execute(table.update().where(where).values(started_at=at)).rowcount
        )
        made.append(new.uuid)
    return made


@pytest.mark.ledger("S3-67", "S3-72")
async def test_the_distribution_and_its_ends(hub: Hub, lab: uuid.UUID) -> None:
    """Bounds belong to the bucket above; 0 is a duration; what still runs has none, and is in no bucket."""
    edges = (0, 99_999, 100_000, 499_999, 500_000, 999_999, 1_000_000, 4_999_999, 5_000_000, 300_000_000)
    ids = await put(hub, lab, *((one, place) for place, one in enumerate(edges)), (None, 10))
    report = await Analytics(hub.store).report(Scope(1), lab, 0, DAY)
    assert report.performance.responseTimeDistribution == {
        "<100ms": 2, "100-500ms": 2, "500ms-1s": 2, "1-5s": 2, ">5s": 2
    }  # fmt: skip
    assert (report.metrics.totalRequests, report.metrics.executingRequests) == (10, 1)
    fastest, slowest = report.performance.fastestRequest, report.performance.slowestRequest
    assert fastest == analytics.TimedRequest(0.0, "1970-01-01T00:00:00.000000Z", str(ids[0]))
    assert slowest == analytics.TimedRequest(300_000.0, "1970-01-01T00:00:00.000009Z", str(ids[9]))


@pytest.mark.ledger("S3-71")
async def test_hours_are_those_of_the_world(hub: Hub, lab: uuid.UUID) -> None:
    """Berlin's longest and shortest day of 2026: 25 and 23 hours, for the same number of requests."""
    for start, end, hours in (
        ("2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00", 23),
        ("2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00", 25),
        ("2026-06-01T00:00:00Z", "2026-06-01T00:30:00Z", 0.5),
    ):
        since, until = (micros(datetime.datetime.fromisoformat(one)) for one in (start, end))
        await put(hub, lab, (10, since), (10, since + 1), (10, until - 1), (10, until))
        report = await Analytics(hub.store).report(Scope(1), lab, since, until)
        assert report.metrics.totalRequests == 3, "the end is not in it"
        assert report.metrics.requestsPerHourExact == pytest.approx(3 / hours)


@pytest.mark.ledger_part("S3-71", "without requests nothing is divided")
async def test_a_report_of_a_day_without_requests(hub: Hub, lab: uuid.UUID) -> None:
    report = await Analytics(hub.store).report(Scope(1), lab, 0, DAY)
    assert (report.metrics.totalRequests, report.metrics.requestsPerHourExact) == (0, 0.0)
    assert (report.performance.fastestRequest, report.performance.percentiles.p95) == (None, None)
    assert (report.errors, [one.name for one in report.endpoints]) == ([], ["out"])
    assert (report.timeRange.start, report.timeRange.end) == (
        "1970-01-01T00:00:00.000000Z",
        "1970-01-02T00:00:00.000000Z",
    )


@pytest.mark.ledger_part("S3-64", "start before end, 366 days at most")
@pytest.mark.parametrize(("since", "until"), [(5, 5), (6, 5), (0, 366 * DAY + 1)])
async def test_times_that_are_no_range(hub: Hub, lab: uuid.UUID, since: int, until: int) -> None:
    with pytest.raises(ConfigError):
        await Analytics(hub.store).report(Scope(1), lab, since, until)
    assert (await Analytics(hub.store).report(Scope(1), lab, 0, 366 * DAY)).metrics.totalRequests == 0


async def test_what_is_not_there(hub: Hub, lab: uuid.UUID) -> None:
    with pytest.raises(NotFound, match="Integration not found"):
        await Analytics(hub.store).report(Scope(1), uuid.uuid4(), 0, DAY)
    with pytest.raises(NotFound):
        await Analytics(hub.store).report(Scope(2), lab, 0, DAY)


@pytest.mark.ledger_part("S3-73", "a part that cannot be read: error and partial; not even the counts: an error")
async def test_a_part_that_cannot_be_read_is_said(hub: Hub, lab: uuid.UUID) -> None:
    """What an error is sealed with is bound to its row: moved to another one it no longer opens."""
    now = clock.micros()
    table = schema.metadata.tables["execution"]
    await hub.store.write(
        lambda one: one.execute(table.update().where(table.c.status == "failed").values(told=b"x")).rowcount
    )
    report = await Analytics(hub.store).report(Scope(1), lab, now - DAY, now + 1)
    assert (report.partial, report.errors) == (True, [])
    assert report.error
    assert (report.metrics.totalRequests, report.performance.percentiles.p50) == (2, 50.0)
    rename = "ALTER TABLE execution RENAME TO gone"
    await hub.store.write(lambda connection: connection.exec_driver_sql(rename).rowcount)
    with pytest.raises(StoreError):
        await Analytics(hub.store).report(Scope(1), lab, now - DAY, now + 1)


@pytest.mark.ledger_part("S2-12", "totals by status and type, error count, latency, success rate of a day and a week")
@pytest.mark.ledger_part("S2-51", "active, inactive, error and testing add up to the total")
async def test_stats(hub: Hub, lab: uuid.UUID, act: Callable[..., Act]) -> None:
    stats = await Analytics(hub.store).stats(Scope(1))
    assert (stats.total, stats.active, stats.by_type) == (2, 2, {"HL7": 1, "OTHER": 1})
    assert stats.total == stats.active + stats.inactive + stats.error + stats.testing
    assert stats.by_status == {"initializing": 0, "testing": 0, "active": 2, "inactive": 0, "error": 0}
    assert stats.last_24h == analytics.Window(2, 1, 50.0, 50.0, 150.0)
    assert stats.last_7d == stats.last_24h
    table = schema.integration
    for lifecycle, field in (
        ("initializing", "testing"),
        ("testing", "testing"),
        ("error", "error"),
        ("inactive", "inactive"),
    ):
        await hub.store.write(
            lambda one, to=lifecycle: (
                one.execute(table.update().where(table.c.name == "lab").values(lifecycle=to)).rowcount
            )
        )
        stats = await Analytics(hub.store).stats(Scope(1))
        assert (getattr(stats, field), stats.active, stats.total) == (1, 1, 2)
    nobody = await Analytics(hub.store).stats(Scope(1, frozenset()))
    assert (nobody.total, nobody.last_24h) == (0, analytics.Window(0, 0, None, None, None))


@pytest.mark.ledger_part("S2-53", "the same numbers wherever they are shown")
async def test_the_sum_over_endpoints_is_the_whole(hub: Hub, lab: uuid.UUID) -> None:
    now = clock.micros()
    over = numbers.Over(Scope(1), now - DAY, now + 1)
    everything = await hub.store.read(numbers.counts, over)
    report = await Analytics(hub.store).report(Scope(1), lab, now - DAY, now + 1)
    assert sum(one.total for one in everything.values()) == report.metrics.totalRequests
