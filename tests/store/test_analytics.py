"""Numbers of executions on both databases: counts, buckets, percentiles, errors, by the indexes alone."""

from __future__ import annotations

import dataclasses
import random
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa

from hilum.model.access import Scope
from hilum.security.seal import Sealer
from hilum.store import Store, analytics, configuration, executions, schema
from hilum.store.analytics import Over
from hilum.store.schema_activity import execution

pytestmark = pytest.mark.anyio
HOUR = 3_600_000_000


@dataclasses.dataclass
class Home:
    organization: int
    integration: int
    endpoints: tuple[int, int]
    study: int | None

    def over(self, since: int = 0, until: int = HOUR, studies: frozenset[int] | None = None) -> Over:
        return Over(Scope(self.organization, studies), since, until, self.integration)


Settle = Callable[..., Awaitable[Home]]
Fill = Callable[..., Awaitable[None]]


@pytest.fixture
def settle(store: Store) -> Settle:
    async def make(organization: str = "demo", name: str = "lab", study: str | None = None, **said: Any) -> Home:
        ends = [{"name": one, "direction": "outbound", "url": "https://x"} for one in ("a", "b")]
        document = {"name": name, "protocol": "rest_api", "type": "API", "study": study, "endpoints": ends, **said}

        def write(connection: sa.Connection) -> Home:
            owner = configuration.put_organization(connection, organization, {})
            configuration.put_integration(connection, owner, name, document, "file")
            first, second = (
                configuration.put_endpoint(connection, owner, f"{name}/{one['name']}", "outbound", one) for one in ends
            )
            where = (schema.integration.c.organization == owner, schema.integration.c.name == name)
            row = connection.execute(sa.select(schema.integration).where(*where)).one()
            return Home(owner, row.id, (first, second), row.study)

        return await store.write(write)

    return make


def told(sealer: Sealer, identifier: uuid.UUID, error: str) -> bytes:
    return executions._sealed(sealer, identifier, "told", {"error": error, "tries": []})


@pytest.fixture
def fill(store: Store) -> Fill:
    """Stores executions; each is (status, duration), and what else is to be said of it."""

    async def add(home: Home, *several: tuple[str, int | None] | dict[str, Any]) -> None:
        rows = []
        for number, one in enumerate(several):
            said = one if isinstance(one, dict) else {"status": one[0], "duration": one[1]}
            identifier = uuid.uuid4()
            row = {
                "uuid": identifier, "organization": home.organization, "integration": home.integration,
                "endpoint": home.endpoints[0], "started_at": number, "attempts": 1, "correlation": "", "actor": "me",
                "request": b"", "status_code": None, "fault": None, "synthetic": 0, **said,
            }  # fmt: skip
            row["told"] = told(store.sealer, identifier, row.pop("error", "no"))
            rows.append(row)
        await store.write(lambda connection: connection.execute(execution.insert(), rows).rowcount)

    return add


async def whole(store: Store, over: Over) -> analytics.Count:
    found = analytics.Count()
    for one in (await store.read(analytics.counts, over)).values():
        found.add(one)
    return found


@pytest.mark.ledger("S3-66")
async def test_what_is_counted_as_what(store: Store, settle: Settle, fill: Fill) -> None:
    home = await settle()
    await fill(
        home, ("completed", 10), ("completed", 0), ("failed", 30), ("timeout", 40), ("cancelled", 7),
        ("executing", None), ("failed", None),
    )  # fmt: skip
    found = await whole(store, home.over())
    assert (found.completed, found.failed, found.cancelled, found.executing, found.total) == (2, 3, 1, 1, 5)
    assert (found.timed, found.duration) == (4, 80)
    assert sum(found.buckets) == 4


@pytest.mark.ledger_part("S4-74", "executions of tests are left out of analytics, or counted alone")
async def test_tests_are_counted_apart(store: Store, settle: Settle, fill: Fill) -> None:
    home = await settle()
    test = {"status": "failed", "duration": 9_000_000, "synthetic": 1, "fault": "REFUSED"}
    await fill(home, ("completed", 10), ("failed", 20), test, {**test, "status": "completed"})
    real, tests = home.over(), dataclasses.replace(home.over(), synthetic=True)
    assert [((await whole(store, one)).completed, (await whole(store, one)).failed) for one in (real, tests)] == [
        (1, 1), (1, 1)
    ]  # fmt: skip
    assert [(await whole(store, one)).duration for one in (real, tests)] == [30, 18_000_000]
    ends = await store.read(analytics.extremes, real)
    assert ends is not None
    assert [one.duration for one in ends] == [10, 20]
    assert await store.read(analytics.percentiles, real, (0.99,), 2) == {0.99: 20}
    assert [one.fault for one in await store.read(analytics.failures, store.sealer, real, 9)] == [None]
    assert [one.fault for one in await store.read(analytics.groups, tests, 9)] == ["REFUSED"]


@pytest.mark.ledger_part("S3-72", "the lower bound belongs to the bucket: 100 ms to the second, 5000 to the last")
async def test_the_bounds_of_the_buckets(store: Store, settle: Settle, fill: Fill) -> None:
    home = await settle()
    edges = (0, 99_999, 100_000, 499_999, 500_000, 999_999, 1_000_000, 4_999_999, 5_000_000, 300_000_000)
    await fill(home, *(("completed", one) for one in edges), ("executing", None))
    assert (await whole(store, home.over())).buckets == [2, 2, 2, 2, 2]


async def test_counts_go_by_endpoint_and_time(store: Store, settle: Settle, fill: Fill) -> None:
    home, other = await settle(), await settle(name="other")
    first, second = home.endpoints
    rows = [{"status": "completed", "duration": 1, "endpoint": first, "started_at": at} for at in (0, 5, 10)]
    await fill(home, *rows, {"status": "failed", "duration": 1, "endpoint": second, "started_at": 5})
    await fill(other, ("failed", 1))
    found = await store.read(analytics.counts, home.over(5, 10))
    assert {number: (one.completed, one.failed) for number, one in found.items()} == {first: (1, 0), second: (0, 1)}
    both = Over(Scope(home.organization), 0, HOUR)
    assert sum(one.total for one in (await store.read(analytics.counts, both)).values()) == 5
    assert (await whole(store, home.over(11))).total == 0


async def test_percentiles_are_those_of_the_sorted_durations(store: Store, settle: Settle, fill: Fill) -> None:
    home = await settle()
    durations = list(range(1, 101))
    random.Random(7).shuffle(durations)
    await fill(home, *(("completed", one) for one in durations), ("cancelled", 10_000), ("executing", None))
    found = await store.read(analytics.percentiles, home.over(), (0.5, 0.95, 0.99, 1.0), 100)
    assert found == {0.5: 50, 0.95: 95, 0.99: 99, 1.0: 100}
    assert await store.read(analytics.percentiles, home.over(HOUR, 2 * HOUR), (0.5,), 0) == {}
    single = await settle(name="single")
    await fill(single, ("failed", 42))
    assert await store.read(analytics.percentiles, single.over(), (0.5, 0.99), 1) == {0.5: 42, 0.99: 42}


@pytest.mark.ledger_part("S3-67", "the fastest and the slowest with their execution, a duration of 0 counted")
async def test_the_fastest_and_the_slowest(store: Store, settle: Settle, fill: Fill) -> None:
    home = await settle()
    assert await store.read(analytics.extremes, home.over()) is None
    await fill(
        home, ("completed", 5), ("completed", 0), ("timeout", 9), ("cancelled", 99), ("failed", None), ("failed", 9)
    )
    ends = await store.read(analytics.extremes, home.over())
    assert ends is not None
    assert [(one.duration, one.started_at) for one in ends] == [(0, 1), (9, 2)]


@pytest.mark.ledger_part("S3-68", "the newest of bounded many, and the kinds with their counts")
async def test_errors_are_the_newest_and_grouped(store: Store, settle: Settle, fill: Fill) -> None:
    home = await settle()
    busy = {"status": "failed", "duration": 1, "fault": "http_5xx", "status_code": 503}
    late = {"status": "timeout", "duration": 1, "fault": "timeout"}
    await fill(
        home, *({**busy, "error": f"HTTP 503: {n}"} for n in range(5)), {**late, "error": "late"}, ("completed", 1),
        ("cancelled", 1),
    )  # fmt: skip
    found = await store.read(analytics.failures, store.sealer, home.over(), 3)
    assert [one.error for one in found] == ["late", "HTTP 503: 4", "HTTP 503: 3"]
    assert [one.fault for one in found] == ["timeout", "http_5xx", "http_5xx"]
    groups = await store.read(analytics.groups, home.over(), 10)
    assert [(one.fault, one.status_code, one.count, one.last_at) for one in groups] == [
        ("http_5xx", 503, 5, 4), ("timeout", None, 1, 5)
    ]  # fmt: skip
    assert len(await store.read(analytics.groups, home.over(), 1)) == 1


@pytest.mark.ledger_part("S2-50", "archived ones are left out; total is the sum of all statuses")
async def test_how_integrations_stand(store: Store, settle: Settle) -> None:
    await settle()
    await settle(name="hl7", type="HL7", active=False, study="alpha")
    gone = await settle(name="gone")
    await settle("another", name="theirs")
    values = {"archived_at": 1, "lifecycle": "archived"}
    table = schema.integration
    await store.write(
        lambda connection: (
            connection.execute(table.update().where(table.c.id == gone.integration).values(values)).rowcount
        )
    )
    found = await store.read(analytics.standing, Scope(gone.organization))
    assert sorted((one.lifecycle, one.health, one.type, one.count) for one in found) == [
        ("active", "unknown", "API", 1), ("inactive", "unknown", "HL7", 1)
    ]  # fmt: skip


async def test_only_what_is_within_is_counted(store: Store, settle: Settle, fill: Fill) -> None:
    alpha, beta = await settle(study="alpha"), await settle(name="two", study="beta")
    theirs = await settle("another", name="theirs", study="gamma")
    for home in (alpha, beta, theirs):
        await fill(home, ("completed", 1))
    assert alpha.study is not None
    scopes = {Scope(alpha.organization): 2, Scope(alpha.organization, frozenset({alpha.study})): 1,
              Scope(alpha.organization, frozenset()): 0, Scope(theirs.organization): 1}  # fmt: skip
    for scope, total in scopes.items():
        assert (await whole(store, Over(scope, 0, HOUR))).total == total
        assert sum(one.count for one in await store.read(analytics.standing, scope)) == total


def plan(connection: sa.Connection, query: sa.Select[Any]) -> str:
    text = str(query.compile(connection, compile_kwargs={"literal_binds": True}))
    words = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
    rows = connection.exec_driver_sql(f"{words} {text}".replace("%", "%%"))
    return "\n".join(str(tuple(row)) for row in rows)


async def test_seven_years_are_counted_by_an_index(store: Store, settle: Settle, fill: Fill) -> None:
    home, other = await settle(), await settle(name="other")
    theirs = await settle("another", name="theirs")
    for number, one in enumerate((other, theirs, home)):
        rows = [
            {"status": "completed", "duration": n, "started_at": n * HOUR} for n in range(60 if one is home else 3_000)
        ]
        await fill(one, *rows)
        assert number < 3
    years = 7 * 365 * 24 * HOUR
    for over, index in (
        (home.over(0, years), "execution_integration"),
        (Over(Scope(theirs.organization), 0, 9 * HOUR), "execution_organization"),
    ):
        found = await store.read(plan, analytics.counting(over))
        assert index in found, found
        assert "SCAN execution" not in found.replace(f"USING COVERING INDEX {index}", "")
        assert "Seq Scan" not in found


async def test_percentiles_of_each_endpoint_are_those_of_one(store: Store, settle: Settle, fill: Fill) -> None:
    """The same rank, whether an endpoint is asked for alone or with the others."""
    home = await settle()
    chance = random.Random(3)
    rows: list[dict[str, Any]] = [
        {"status": chance.choice(["completed", "failed"]), "duration": chance.randrange(10**6), "endpoint": end}
        for end in home.endpoints
        for _ in range(chance.randrange(1, 90))
    ]
    await fill(home, *rows, {"status": "cancelled", "duration": 5}, {"status": "executing", "duration": None})
    counts = await store.read(analytics.counts, home.over())
    timed = {one: count.timed for one, count in counts.items()}
    found = await store.read(analytics.each_percentile, home.over(), (0.5, 0.95), timed)
    for end in home.endpoints:
        mine = sorted(row["duration"] for row in rows if row["endpoint"] == end)
        assert found[end] == {ratio: mine[max(-int(-ratio * len(mine) // 1), 1) - 1] for ratio in (0.5, 0.95)}
    assert await store.read(analytics.each_percentile, home.over(), (0.5,), {home.endpoints[0]: 0}) == {}


async def test_over_time_and_by_class(store: Store, settle: Settle, fill: Fill) -> None:
    home = await settle()
    first, second = home.endpoints
    await fill(
        home, {"status": "completed", "duration": 1, "started_at": 0},
        {"status": "completed", "duration": 1, "started_at": 9},
        {"status": "failed", "duration": 1, "started_at": 10, "fault": "REFUSED"},
        {"status": "timeout", "duration": 1, "started_at": 19, "endpoint": second},
        {"status": "failed", "duration": 1, "started_at": 11, "fault": "REFUSED"},
        {"status": "failed", "duration": 1, "started_at": 12, "fault": "REFUSED", "synthetic": 1},
    )  # fmt: skip
    assert sorted(await store.read(analytics.over_time, home.over(), 10)) == [
        ("completed", 0, 2), ("failed", 10, 2), ("timeout", 10, 1),
    ]  # fmt: skip
    assert await store.read(analytics.faults, home.over()) == [(first, "REFUSED", 2), (second, None, 1)]
    nobody = Over(Scope(home.organization, frozenset()), 0, HOUR)
    assert await store.read(analytics.faults, nobody) == []
    assert await store.read(analytics.over_time, nobody, 10) == []
