"""Rows go after the time that their organization keeps their class, not a day sooner; what is held stays."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from hilum import clock
from hilum.errors import NotFound
from hilum.jobs import purge
from hilum.model.access import Scope
from hilum.model.execution import ExecutionState
from hilum.model.retention import CLASSES
from hilum.model.webhook import DeliveryState
from hilum.security.tickets import OVER
from hilum.store import (
    Connection,
    activity_log,
    execution_blobs,
    executions,
    initializations,
    jobs,
    legal_holds,
    principals,
    probes,
    purges,
    sessions,
    users,
    webhook_deliveries,
    webhook_subscriptions,
)
from hilum.store.activity_log import Entry
from hilum.store.executions import Ended, New
from hilum.store.jobs import Job
from hilum.store.legal_holds import Wanted
from hilum.store.probes import Probed
from hilum.store.schema import initialization, integration
from hilum.store.schema import job as job_table
from hilum.store.schema_activity import activity_log as log
from hilum.store.schema_activity import execution, execution_blob, probe_result
from hilum.store.schema_people import principal_index, session
from hilum.store.schema_webhooks import webhook_attempt, webhook_delivery
from hilum.store.webhook_deliveries import Attempt

pytestmark = pytest.mark.anyio
Work = Callable[..., Job]
Later = Callable[[float], None]


TRACE: dict[str, Any] = {
    "method": "POST", "url": "https://lab.example/Doe", "endpoint": "https://lab.example/{id}", "headers": {},
    "body": "Doe", "status": 503, "reason": "Busy", "answered": {}, "answer": "Doe", "timings": None,
}  # fmt: skip


class Home:
    """An organization of the `kept` hub, with one of everything that is purged."""

    def __init__(self, kept: Any, number: int = 1) -> None:
        self.kept, self.number, self.store = kept, number, kept.hub.store
        self.own = self.store.within(number)

    async def fill(self) -> None:
        """All of it happens now."""
        out = await self.kept.hub.services().names.endpoint(Scope(self.number), "lab/out")
        await self.own.write(self._fill, out)
        await self._session()
        await self._webhook()

    def _fill(self, connection: Connection, out: int) -> None:
        sealer, number = self.store.sealer, self.number
        where = (integration.c.organization == number, integration.c.name == "lab")
        lab: int = connection.execute(sa.select(integration.c.id).where(*where)).scalar_one()
        blob = execution_blobs.seal(sealer, b"Doe", "text/plain")
        asked = {"data": None, "blob": blob.pointer}
        new = New(number, lab, out, "c-1", "eva", asked, executions.name(), blobs=(blob,))
        run = executions.insert(connection, sealer, new)
        told = {"error": "no room for Doe", "tries": []}
        ended = Ended(ExecutionState.FAILED, 5, 1, 503, "http_5xx", {"data": "Doe"}, told, TRACE)
        assert executions.finish(connection, sealer, run, new.uuid, ended)
        said = {"status": "failed", "status_code": 503, "fault": "http_5xx", "correlation": "c-1"}
        lines = [
            Entry(number, lab, "execute", "error", "failure", endpoint=out, execution=run, error="no room", **said),
            Entry(number, lab, "test", "info", "success", "success"),
        ]
        activity_log.insert(connection, sealer, lines)
        for kind in ("test", "check"):
            probes.insert(connection, sealer, number, lab, kind, [Probed(out, True, 5, 200, None, {"success": True})])
        tried = (connection, number, lab, "eva", initializations.name(), b"sealed", initializations.State.SUCCEEDED)
        initializations.insert(*tried)
        done = jobs.insert(connection, "probe", {}, actor="eva", organization=number)
        jobs.begin(connection, done)
        jobs.finish(connection, done, "done", {})
        jobs.insert(connection, "probe", {}, actor="eva", organization=number)  # it waits

    async def _session(self) -> None:
        who = await self.own.write(users.add, self.store.hash, self.number, f"a{self.number}@example.org", "Ann", [])
        for _ in range(2):
            row = (self.number, who.id, "token", executions.name(), b"digest")
            one = await self.own.write(sessions.start, self.store.hash, *row, seconds=100 * 366 * 86_400, source="")
        await self.own.change(self.kept.act("session.end", self.number), sessions.end, self.number, one, OVER)

    async def _webhook(self) -> None:
        act, services = self.kept.act("webhook-subscription.create", self.number), self.kept.hub.services()
        create = services.webhook_subscriptions.create
        await create(act, "https://x.example/", ["study.*"], description="", scheme="v1", study=None)
        for _ in range(2):
            await self.own.write(self._deliver)
        waiting = await self.own.read(webhook_deliveries.due, clock.micros() + 1, [], 10)
        first = next(one for one in waiting if one.organization == self.number)
        tried = Attempt(1, clock.micros(), 0, 200, self.store.sealer.seal(b"ok", first.place))
        assert await self.own.write(webhook_deliveries.settle, first, tried, DeliveryState.DELIVERED, None)

    def _deliver(self, connection: Connection) -> None:
        one = next(one for one in webhook_subscriptions.active(connection) if one.organization == self.number)
        webhook_deliveries.test(connection, self.store.sealer, one)

    async def there(self) -> dict[str, int]:
        """How much is left, by class; of bodies and diagnostics the columns that hold something."""
        found: dict[str, int] = await self.own.read(self._there)
        return found

    def _there(self, connection: Connection) -> dict[str, int]:
        def count(table: sa.Table, *where: sa.ColumnElement[bool]) -> int:
            mine = (table.c.organization == self.number, *where)
            found: int = connection.execute(sa.select(sa.func.count()).select_from(table).where(*mine)).scalar_one()
            return found

        sent, traced = execution.c.request != b"", execution.c.trace.is_not(None)
        bodies = [count(execution, one) for one in (sent, execution.c.response.is_not(None), traced)]
        return {
            "execution_bodies": sum(bodies) + count(execution_blob),
            "diagnostics": count(log, log.c.error.is_not(None)) + count(execution, execution.c.told.is_not(None)),
            "integration_logs": count(log) + count(initialization),
            "executions": count(execution),
            "test_results": count(probe_result, probe_result.c.kind == "test"),
            "health_results": count(probe_result, probe_result.c.kind == "check"),
            "webhook_deliveries": count(webhook_delivery) + count(webhook_attempt),
            "sessions": count(session) + count(principal_index, principal_index.c.kind == "session"),
            "jobs": count(job_table, job_table.c.kind == "probe"),
        }

    async def previewed(self) -> dict[str, tuple[int, int]]:
        found = await self.kept.hub.services().retention.preview(Scope(self.number))
        return {one.kind: (one.removed, one.held) for one in found.classes if one.removed or one.held}

    async def purged(self) -> list[dict[str, Any]]:
        return [one["after"] for one in await self.kept.events("retention.purge", self.number)]


FULL = {
    "execution_bodies": 4, "diagnostics": 2, "integration_logs": 3, "executions": 1, "test_results": 1,
    "health_results": 1, "webhook_deliveries": 3, "sessions": 4, "jobs": 2,
}  # fmt: skip
WAITING = {"webhook_deliveries": 1, "sessions": 2, "jobs": 1}
"""What has not ended: a delivery, a session, a job."""


def span(years: int) -> int:
    """Days from now until so many years later, by the calendar."""
    now = clock.now().date()
    day = min(now.day, 28)
    return (now.replace(year=now.year + years, day=day) - now.replace(day=day)).days


async def ran(kept: Any, job: Work) -> Any:
    return (await purge.run(kept.context, job("purge")))["removed"].get("north", {})


async def both_ends(kept: Any, job: Work, later: Later, home: Home, days: int, gone: dict[str, int]) -> None:
    """A day before `days` nothing goes; a day after them what the preview says, and an event tells of each class."""
    until = clock.iso(clock.micros())
    later(days - 1)
    before = await home.there()
    assert (await ran(kept, job), await home.there()) == ({}, before)
    later(days + 1)
    known = len(await home.purged())
    assert {kind: (count, 0) for kind, count in gone.items()}.items() <= (await home.previewed()).items()
    assert await ran(kept, job) == gone
    left = {**before, **{kind: WAITING.get(kind, 0) for kind in gone}}
    assert await home.there() == left
    told = (await home.purged())[known:]
    counts: dict[str, int] = {}
    for one in told:
        assert one["until"] == until
        counts[one["class"]] = counts.get(one["class"], 0) + one["rows"]
    assert counts == gone
    assert await ran(kept, job) == {}
    later(0)


@pytest.mark.ledger("S4-65")
@pytest.mark.ledger("S4-66")
@pytest.mark.ledger("S4-67")
async def test_logs_and_results_go_a_day_after_their_time(kept: Any, job: Work, later: Later) -> None:
    """Logs and results of tests after seven years, raw results of checks after one."""
    later(0)
    home = Home(kept)
    await home.fill()
    assert await home.there() == FULL
    await both_ends(kept, job, later, home, 90, {"execution_bodies": 1, "webhook_deliveries": 1, "jobs": 1})
    await both_ends(kept, job, later, home, span(1), {"health_results": 1, "sessions": 1})
    await both_ends(kept, job, later, home, span(3), {"diagnostics": 2})
    gone = {"integration_logs": 3, "executions": 1, "test_results": 1}
    await both_ends(kept, job, later, home, span(7), gone)
    assert await home.there() == {**dict.fromkeys(FULL, 0), **WAITING}


@pytest.mark.ledger("S4-69")
@pytest.mark.ledger_part("S4-70", "executions: 7 years and their bodies 90 days; webhooks 90 days, sessions a year")
async def test_the_line_of_an_error_stays_when_its_diagnostics_go(kept: Any, job: Work, later: Later) -> None:
    later(0)
    home = Home(kept)
    await home.fill()
    services, act = kept.hub.services(), kept.act("execution.show")
    (one,), _ = await services.executions.list(Scope(1), executions.Wanted(), 0, 9)
    whole = await services.executions.show(act, uuid.UUID(one.id), payload=True)
    assert whole.payloadRef == f"/api/v1/executions/{one.id}"
    blob = uuid.UUID((whole.request or {})["blob"]["id"])
    assert await services.executions.blob(act, uuid.UUID(one.id), blob) == b"Doe"
    later(91)
    await ran(kept, job)
    with pytest.raises(NotFound, match="Blob not found"):
        await services.executions.blob(act, uuid.UUID(one.id), blob)
    body = await services.executions.show(act, uuid.UUID(one.id), payload=True)
    assert (body.request, body.response, body.error, body.statusCode) == (None, None, "no room for Doe", 503)
    assert (body.payloadRef, body.trace) == (None, None)
    later(span(3) - 1)
    await ran(kept, job)
    (line,) = [each for each in await lines(kept, home) if each.level == "error"]
    assert line.error == "no room"
    later(span(3) + 1)
    await ran(kept, job)
    (line,) = [each for each in await lines(kept, home) if each.level == "error"]
    assert (line.error, line.outcome, line.statusCode, line.errorClass) == (None, "failure", 503, "http_5xx")
    assert line.executionId == one.id
    bare = await services.executions.show(act, uuid.UUID(one.id))
    assert (bare.error, bare.attempts, bare.status, bare.errorClass) == (None, [], "failed", "http_5xx")
    later(span(7) + 1)
    await ran(kept, job)
    with pytest.raises(NotFound):
        await services.executions.show(act, uuid.UUID(one.id))


async def lines(kept: Any, home: Home) -> list[Any]:
    def lab(connection: Connection) -> Any:
        mine = (integration.c.organization == home.number, integration.c.name == "lab")
        return connection.execute(sa.select(integration.c.uuid).where(*mine)).scalar_one()

    identifier = await home.own.read(lab)
    found, _ = await kept.hub.services().activity.list(Scope(home.number), identifier, activity_log.Wanted(), 0, 9)
    return list(found)


@pytest.mark.ledger_part("S0-65", "a legal hold keeps rows of every class, and the dry run says so")
async def test_what_a_hold_holds_stays(kept: Any, job: Work, later: Later) -> None:
    later(0)
    home = Home(kept)
    await home.fill()
    hold = await home.own.write(legal_holds.place, home.store.sealer, 1, "eva", Wanted("all", "a claim"))
    later(span(7) + 1)
    assert await ran(kept, job) == {}
    assert await home.there() == FULL
    held = {kind: count for kind, (_, count) in (await home.previewed()).items()}
    rows = {**dict.fromkeys(FULL, 1), "diagnostics": 2, "integration_logs": 3}
    assert {kind: held.get(kind, 0) for kind in FULL} == rows
    assert (await home.previewed())["sessions"] == (0, 1)
    await home.own.write(legal_holds.lift, 1, hold.result.uuid, 1, "eva", "over")
    await ran(kept, job)
    assert await home.there() == {**dict.fromkeys(FULL, 0), **WAITING}


async def test_a_hold_goes_by_endpoint_and_time(kept: Any, job: Work, later: Later) -> None:
    later(0)
    home, names = Home(kept), kept.hub.services().names
    await home.fill()
    feed, out = [await names.endpoint(Scope(1), one) for one in ("adt/in", "lab/out")]
    now = clock.micros()
    place = (legal_holds.place, home.store.sealer, 1, "eva")
    await home.own.write(*place, Wanted("feed", "a claim", endpoint=feed))
    await home.own.write(*place, Wanted("before", "a claim", endpoint=out, until=now))
    await home.own.write(*place, Wanted("after", "a claim", since=now + 1))
    later(span(7) + 1)
    gone = await ran(kept, job)
    assert gone == {"execution_bodies": 1, "diagnostics": 2, "integration_logs": 1, "executions": 1,
                    "test_results": 1, "health_results": 1}  # fmt: skip
    left = {"integration_logs": 2, "webhook_deliveries": 3, "sessions": 4, "jobs": 2}
    assert await home.there() == {**dict.fromkeys(FULL, 0), **left}, "what is of no endpoint may be of any"


async def test_a_hold_that_comes_between_looking_and_removing_wins(kept: Any, later: Later) -> None:
    later(0)
    home = Home(kept)
    await home.fill()
    later(span(1) + 1)
    (part,) = purges.PARTS["health_results"]
    ids, _ = await home.own.read(purges.due, 1, part, clock.micros(), 0, 9)
    assert len(ids) == 1
    await home.own.write(legal_holds.place, home.store.sealer, 1, "eva", Wanted("all", "a claim"))
    act = kept.act("retention.purge")
    with pytest.raises(NotFound):
        await home.own.change(act, purges.remove, 1, "health_results", part, clock.micros(), ids)
    assert (await home.there())["health_results"] == 1


@pytest.mark.ledger_part("S0-65", "a policy by organization and class: what one keeps longer goes for others")
async def test_each_organization_keeps_what_it_wants_for_longer(kept: Any, job: Work, later: Later) -> None:
    later(0)
    homes = [Home(kept, number) for number in (1, 2)]
    for home in homes:
        await home.fill()
    await kept.settings(2, log_years=10, health_years=8, execution_body_days=9_000)
    later(span(7) + 1)
    done = (await purge.run(kept.context, job("purge")))["removed"]
    assert done["north"].keys() == FULL.keys()
    assert done["south"].keys() == FULL.keys() - {"integration_logs", "executions", "health_results",
                                                  "execution_bodies"}  # fmt: skip
    left = await homes[1].there()
    assert (left["integration_logs"], left["executions"]) == (3, 1), "an execution stays as long as its lines"
    later(span(10) + 1)
    assert (await purge.run(kept.context, job("purge")))["removed"]["south"]["executions"] == 1


async def test_many_go_some_at_a_time(kept: Any, job: Work, later: Later) -> None:
    later(0)
    home = Home(kept)
    await home.fill()

    def more(connection: Connection) -> None:
        lab = connection.execute(sa.select(log.c.integration)).scalars().first()
        assert lab is not None
        line = Entry(1, lab, "test", "info", "success", "success")
        activity_log.insert(connection, home.store.sealer, [line] * 1_100)

    await home.own.write(more)
    later(span(7) + 1)
    assert (await ran(kept, job))["integration_logs"] == 1_103
    told = [one["rows"] for one in await home.purged() if one["class"] == "integration_logs"]
    assert told == [500, 500, 102, 1]


async def test_a_session_that_is_gone_lets_nobody_in(kept: Any, job: Work, later: Later) -> None:
    later(0)
    home = Home(kept)
    await home.fill()
    (one, other) = await home.own.read(lambda connection: connection.execute(sa.select(session)).all())
    later(span(1) + 1)
    await ran(kept, job)
    known = [
        await home.store.read(principals.find, home.store.hash, "session", row.uuid.bytes) for row in (one, other)
    ]  # fmt: skip
    assert sorted(map(len, known)) == [0, 1]


def test_every_class_that_is_purged_has_a_policy() -> None:
    assert set(purges.PARTS) < set(CLASSES)
    assert all(CLASSES[kind].setting for kind in purges.PARTS)
