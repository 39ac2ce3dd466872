"""Executions, the activity log and what tests found: rows on both databases, sealed, an organization's own."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa

from hilum.errors import NotFound
from hilum.model.access import Scope
from hilum.model.execution import EXECUTION_TRANSITIONS, ExecutionState
from hilum.model.lifecycle import Lifecycle
from hilum.store import Store, activity_log, configuration, executions, probes, schema, schema_activity
from hilum.store.activity_log import Entry, Logged, Wanted
from hilum.store.executions import Ended, New

pytestmark = pytest.mark.anyio
ENDPOINT = {"name": "out", "direction": "outbound", "url": "https://lab.example.org/orders"}
SECRET = "Erika Mustermann"


@dataclasses.dataclass
class Home:
    """An organization with an integration of one endpoint."""

    organization: int
    integration: int
    endpoint: int
    uuid: uuid.UUID
    endpoint_uuid: uuid.UUID
    study: int | None


Settle = Callable[..., Awaitable[Home]]


@pytest.fixture
def settle(store: Store) -> Settle:
    async def make(organization: str = "demo", name: str = "lab", study: str | None = None) -> Home:
        document = {"name": name, "protocol": "rest_api", "type": "API", "study": study, "endpoints": [ENDPOINT]}

        def write(connection: sa.Connection) -> Home:
            owner = configuration.put_organization(connection, organization, {})
            configuration.put_integration(connection, owner, name, document, "file")
            endpoint = configuration.put_endpoint(connection, owner, f"{name}/out", "outbound", ENDPOINT)
            where = (schema.integration.c.organization == owner, schema.integration.c.name == name)
            row = connection.execute(sa.select(schema.integration).where(*where)).one()
            own = connection.execute(
                sa.select(schema.endpoint.c.uuid).where(schema.endpoint.c.id == endpoint)
            ).scalar_one()
            return Home(owner, row.id, endpoint, row.uuid, own, row.study)

        return await store.write(write)

    return make


async def execute(
    store: Store, home: Home, *, correlation: str = "c", ended: Ended | None = None, synthetic: bool = False
) -> executions.Stored:
    new = New(
        home.organization, home.integration, home.endpoint, correlation, "me", {"data": SECRET}, executions.name(),
        synthetic,
    )  # fmt: skip
    number = await store.within(home.organization).write(executions.insert, store.sealer, new)
    if ended is not None:
        assert await store.within(home.organization).write(executions.finish, store.sealer, number, new.uuid, ended)
    return await store.within(home.organization).read(executions.get, store.sealer, number)


def done(status: ExecutionState = ExecutionState.COMPLETED, duration: int | None = 1_000, **values: Any) -> Ended:
    return Ended(status, duration, 1, 200, None, **values)


@pytest.mark.ledger_part("S3-51", "there from the start as executing, request and answer sealed")
async def test_it_is_there_from_the_start_and_sealed(store: Store, settle: Settle) -> None:
    home = await settle()
    one = await execute(store, home)
    assert (one.status, one.ended_at, one.duration, one.attempts) == (ExecutionState.EXECUTING, None, None, 0)
    assert (one.integration_uuid, one.endpoint_uuid, one.reference) == (home.uuid, home.endpoint_uuid, "lab/out")
    assert (one.request, one.response, one.told) == ({"data": SECRET}, None, None)
    told = {"error": SECRET, "tries": []}
    ended = done(response={"data": SECRET}, told=told)
    assert await store.write(executions.finish, store.sealer, one.id, one.uuid, ended)
    found = await store.read(executions.find, store.sealer, Scope(home.organization), one.uuid)
    assert (found.response, found.told, found.status_code) == ({"data": SECRET}, told, 200)
    assert found.started_at == one.started_at

    def raw(connection: sa.Connection) -> str:
        return str(connection.execute(sa.select(schema_activity.execution)).one())

    assert SECRET not in await store.read(raw)


@pytest.mark.ledger_part("S4-74", "executions and log entries of tests are found apart, each organization's by itself")
async def test_what_tests_did_is_found_apart(store: Store, settle: Settle) -> None:
    homes = {name: await settle(name) for name in ("one", "two")}
    made = {}
    for name, home in homes.items():
        made[name] = [await execute(store, home, synthetic=synthetic) for synthetic in (False, True)]
        entries = [
            Entry(home.organization, home.integration, kind, "info", "success", "success", execution=number)
            for kind, number in (
                ("execute", made[name][0].id), ("execute", made[name][1].id), ("test", None), ("check", None)
            )
        ]  # fmt: skip
        await store.write(activity_log.insert, store.sealer, entries)
    for name, home in homes.items():
        for synthetic, execution, kinds in (
            (None, made[name][::-1], ["check", "test", "execute", "execute"]), (False, made[name][:1], ["execute"]),
            (True, made[name][1:], ["check", "test", "execute"]),
        ):  # fmt: skip
            read = store.within(home.organization).read
            asked = executions.Wanted(synthetic=synthetic)
            found, total = await read(executions.listed, store.sealer, Scope(home.organization), asked, 0, 9)
            assert [(one.uuid, one.synthetic) for one in found] == [(one.uuid, one.synthetic) for one in execution]
            assert total == len(execution)
            where = (home.organization, home.integration, Wanted(synthetic=synthetic))
            logs, total = await read(activity_log.listed, store.sealer, *where, 0, 9)
            assert [one.entry.kind for one in logs] == kinds
            assert total == len(kinds)
            assert synthetic is None or {one.synthetic for one in logs} == {synthetic}


@pytest.mark.parametrize("state", [one for one in ExecutionState if one is not ExecutionState.EXECUTING])
async def test_what_has_ended_stays_so(store: Store, settle: Settle, state: ExecutionState) -> None:
    one = await execute(store, await settle(), ended=done(state))
    assert EXECUTION_TRANSITIONS[state] == frozenset()
    for other in ExecutionState:
        if other is not ExecutionState.EXECUTING:
            assert not await store.write(executions.finish, store.sealer, one.id, one.uuid, done(other))
    assert await store.read(executions.state, one.id) is state


async def test_a_list_is_narrowed_and_shows_no_payload(store: Store, settle: Settle) -> None:
    lab, other = await settle(), await settle(name="other")
    first = await execute(store, lab, correlation="a", ended=done())
    second = await execute(store, lab, correlation="b", ended=done(ExecutionState.FAILED))
    third = await execute(store, other)
    scope = Scope(lab.organization)

    async def listed(**wanted: Any) -> list[uuid.UUID]:
        narrowed = executions.Wanted(**wanted)
        found, total = await store.read(executions.listed, store.sealer, scope, narrowed, 0, 10)
        assert total == len(found)
        assert all(one.request is None and one.response is None for one in found)
        return [one.uuid for one in found]

    assert await listed() == [third.uuid, second.uuid, first.uuid]
    assert await listed(integration=lab.uuid) == [second.uuid, first.uuid]
    assert await listed(endpoint=other.endpoint_uuid) == [third.uuid]
    assert await listed(status="failed") == [second.uuid]
    assert await listed(correlation="a") == [first.uuid]
    assert await listed(since=second.started_at) == [third.uuid, second.uuid]
    assert await listed(until=second.started_at) == [first.uuid]
    page, total = await store.read(executions.listed, store.sealer, scope, executions.Wanted(), 1, 1)
    assert ([one.uuid for one in page], total) == ([second.uuid], 3)


@pytest.mark.ledger_part("S4-75", "executions, log and test results of another organization or study are not there")
async def test_another_organization_s_and_another_study_s_are_not_there(store: Store, settle: Settle) -> None:
    lab = await settle(study="alpha")
    theirs = await settle("other", study="beta")
    mine, not_mine = await execute(store, lab), await execute(store, theirs)
    assert lab.study is not None
    assert theirs.study is not None
    assert theirs.organization != lab.organization
    for scope in (Scope(lab.organization), Scope(lab.organization, frozenset({lab.study}))):
        found, total = await store.read(executions.listed, store.sealer, scope, executions.Wanted(), 0, 10)
        assert ([one.uuid for one in found], total) == ([mine.uuid], 1)
        with pytest.raises(NotFound, match=f"Execution not found: {not_mine.uuid}"):
            await store.read(executions.find, store.sealer, scope, not_mine.uuid)
    nothing = Scope(lab.organization, frozenset({theirs.study + 1_000}))
    assert await store.read(executions.listed, store.sealer, nothing, executions.Wanted(), 0, 10) == ([], 0)
    with pytest.raises(NotFound):
        await store.read(executions.find, store.sealer, nothing, mine.uuid)
    with pytest.raises(NotFound, match="Integration not found"):
        await store.read(executions.aim, nothing, lab.uuid, lab.endpoint_uuid)


@pytest.mark.ledger_part("S3-52", "Integration not found: <id>, Endpoint not found: <id>")
async def test_what_is_aimed_at(store: Store, settle: Settle) -> None:
    lab, other = await settle(), await settle(name="other")
    scope = Scope(lab.organization)
    aim = await store.read(executions.aim, scope, lab.uuid, lab.endpoint_uuid)
    assert aim == executions.Aim(lab.integration, lab.endpoint, "out", "outbound", Lifecycle.ACTIVE)
    nobody = uuid.uuid4()
    for wanted, endpoint, text in (
        (nobody, lab.endpoint_uuid, f"Integration not found: {nobody}"),
        (lab.uuid, nobody, f"Endpoint not found: {nobody}"),
        (lab.uuid, other.endpoint_uuid, f"Endpoint not found: {other.endpoint_uuid}"),
    ):
        with pytest.raises(NotFound, match=text):
            await store.read(executions.aim, scope, wanted, endpoint)
    await store.write(configuration.remove_endpoint, lab.organization, "lab/out", draining=False)
    with pytest.raises(NotFound, match="Endpoint not found"):
        await store.read(executions.aim, scope, lab.uuid, lab.endpoint_uuid)


async def test_an_integration_that_was_used_is_archived_where_a_file_removes_it(store: Store, settle: Settle) -> None:
    used, unused = await settle(), await settle(name="unused")
    one = await execute(store, used)
    for name in ("lab", "unused"):
        await store.write(configuration.remove_integration, used.organization, name)
    rows = await store.read(lambda connection: connection.execute(sa.select(schema.integration)).all())
    assert [(row.id, row.lifecycle, row.archived_at is not None) for row in rows] == [
        (used.integration, "archived", True)
    ]
    assert unused.integration != used.integration
    assert (await store.read(executions.get, store.sealer, one.id)).integration_uuid == used.uuid
    again = await settle()
    assert (again.integration, again.uuid) == (used.integration, used.uuid)


# The log


def entry(home: Home, level: str = "info", **values: Any) -> Entry:
    outcome = "success" if level == "info" else "failure"
    return Entry(home.organization, home.integration, "execute", level, outcome, "completed", **values)


async def listed(store: Store, home: Home, **wanted: Any) -> list[Logged]:
    """Oldest first."""
    found, total = await store.within(home.organization).read(
        activity_log.listed, store.sealer, home.organization, home.integration, Wanted(**wanted), 0, 100
    )
    assert total == len(found)
    return list(reversed(found))


@pytest.mark.ledger_part("S3-74", "what an entry holds; its error is sealed")
async def test_an_entry_is_kept_and_its_error_sealed(store: Store, settle: Settle) -> None:
    home = await settle()
    one = await execute(store, home)
    told = entry(
        home, "error", endpoint=home.endpoint, execution=one.id, status_code=503, duration=1_500, attempt=2,
        fault="http_5xx", correlation="corr", error=SECRET + "x" * 2_000,
    )  # fmt: skip
    await store.within(home.organization).write(activity_log.insert, store.sealer, [told])
    (found,) = await listed(store, home)
    assert found.entry == dataclasses.replace(told, error=(told.error or "")[: activity_log.LONGEST])
    assert (found.endpoint, found.execution) == (home.endpoint_uuid, one.uuid)

    def raw(connection: sa.Connection) -> str:
        return str(connection.execute(sa.select(schema_activity.activity_log)).one())

    assert SECRET not in await store.read(raw)


@pytest.mark.ledger_part(
    "S0-17", "newest first, narrowed by level, outcome, endpoint, execution, correlation, time, text"
)
async def test_the_log_is_narrowed(store: Store, settle: Settle) -> None:
    home, other = await settle(), await settle(name="other")
    one = await execute(store, home)
    several = [
        entry(home, correlation="first"), entry(home, "error", error="Connection REFUSED", fault="refused"),
        entry(home, "warn", endpoint=home.endpoint, execution=one.id), entry(other),
    ]  # fmt: skip
    for each in several:
        await store.write(activity_log.insert, store.sealer, [each])
    await store.write(activity_log.insert, store.sealer, [])
    first, second, third = await listed(store, home)

    async def ids(**wanted: Any) -> list[uuid.UUID]:
        return [found.uuid for found in await listed(store, home, **wanted)]

    assert await ids(level="error") == [second.uuid]
    assert await ids(outcome="failure") == [second.uuid, third.uuid]
    assert await ids(endpoint=home.endpoint_uuid) == await ids(execution=one.uuid) == [third.uuid]
    assert await ids(correlation="first") == [first.uuid]
    assert await ids(since=second.stamp, until=third.stamp) == [second.uuid]
    assert await ids(text="refused") == [second.uuid]
    assert await ids(text="IRST") == [first.uuid]
    assert await ids(text="nowhere") == []
    assert len(await listed(store, other)) == 1
    read = store.within(home.organization).read

    async def page(offset: int, before: uuid.UUID | None = None, **wanted: Any) -> tuple[list[uuid.UUID], int]:
        found, total = await read(
            activity_log.listed, store.sealer, home.organization, home.integration, Wanted(**wanted), offset, 1, before
        )  # fmt: skip
        return [each.uuid for each in found], total

    assert await page(1) == ([second.uuid], 3)
    assert await page(0, third.uuid) == ([second.uuid], 2)
    assert await page(0, second.uuid, text="first") == ([first.uuid], 1)
    assert await page(0, uuid.uuid4()) == ([], 0)


async def test_entries_of_the_same_moment_are_all_found_by_the_cursor(store: Store, settle: Settle) -> None:
    home = await settle()
    await store.write(activity_log.insert, store.sealer, [entry(home) for _ in range(5)])
    await store.write(
        lambda connection: connection.execute(schema_activity.activity_log.update().values(stamp=7)).rowcount
    )
    seen: list[uuid.UUID] = []
    before = None
    while True:
        found, _ = await store.read(
            activity_log.listed, store.sealer, home.organization, home.integration, Wanted(), 0, 2, before
        )
        if not found:
            break
        seen += [one.uuid for one in found]
        before = seen[-1]
    assert len(seen) == len(set(seen)) == 5


# What tests found


async def test_the_last_result_of_each_endpoint(store: Store, settle: Settle) -> None:
    home = await settle()
    for success in (True, False):
        told = probes.Probed(home.endpoint, success, 7, 200, None, {"error": SECRET, "success": success})
        await store.within(home.organization).write(
            probes.insert, store.sealer, home.organization, home.integration, "check", [told]
        )
    await store.write(probes.insert, store.sealer, home.organization, home.integration, "check", [])
    found = await store.within(home.organization).read(
        probes.latest, store.sealer, home.organization, home.integration
    )  # fmt: skip
    (one,) = found.values()
    assert (one.success, one.told["success"], one.duration) == (False, False, 7)
    assert one.stamp > 0
    raw = await store.read(lambda connection: str(connection.execute(sa.select(schema_activity.probe_result)).all()))
    assert SECRET not in raw


# Indexes


def plan(connection: sa.Connection, query: sa.Select[Any]) -> str:
    text = str(query.compile(connection, compile_kwargs={"literal_binds": True}))
    words = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
    rows = connection.exec_driver_sql(f"{words} {text}".replace("%", "%%"))
    return "\n".join(str(tuple(row)) for row in rows)


@pytest.mark.ledger_part("S0-17", "a query over seven years uses an index (EXPLAIN)")
async def test_the_log_of_seven_years_is_read_by_its_index(store: Store, settle: Settle) -> None:
    home, other = await settle(), await settle(name="other")
    years = 7 * 365 * 86_400_000_000

    def fill(connection: sa.Connection) -> None:
        rows = [
            {"uuid": uuid.uuid4(), "organization": home.organization, "kind": "execute", "level": "info", "attempt": 1,
             "integration": home.integration if n % 50 == 0 else other.integration, "stamp": n * (years // 5_000),
             "outcome": "success", "status": "completed", "correlation": ""}
            for n in range(5_000)
        ]  # fmt: skip
        connection.execute(schema_activity.activity_log.insert(), rows)

    await store.write(fill)
    wanted = Wanted(since=0, until=years)
    query = activity_log.query(activity_log._narrowed(home.organization, home.integration, wanted)).limit(20)
    for found in (await store.read(plan, query), await store.within(home.organization).read(plan, query)):
        assert "activity_log_integration" in found, found
        assert "SCAN activity_log" not in found
        assert "Seq Scan on activity_log" not in found
