"""Plans ask for their exports: once a time, whatever is killed or runs beside it, with the rights that hold then."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hilum import clock
from hilum.app import Hub
from hilum.jobs import Context, Still, export_plans
from hilum.model import cron
from hilum.model.access import Principal, Role, Scope, permit
from hilum.model.audit import Act
from hilum.model.export_plan import ExportPlan
from hilum.model.period import period
from hilum.settings import Settings
from hilum.store import export_plans as plans
from hilum.store import exports, jobs, owners, users
from hilum.store.exports import Export, Filter
from hilum.store.jobs import Job
from hilum.store.schema_datasets import export_plan
from hilum.store.schema_people import user
from hilum.store.users import Grant, Might, User

pytestmark = pytest.mark.anyio
RECORDS = {"source": {"records": "messages"}, "format": "csv"}
ALL = Might(operate=True, administer=True)
DAY = 86_400_000_000


async def planned(kept: Any, act: Act, name: str = "weekly", **changes: Any) -> uuid.UUID:
    """A plan, whose time has come."""
    wanted = {"name": name, "kind": "data", "wish": RECORDS, "cron": "* * * * *", **changes}
    made = await kept.hub.services().export_plans.create(act, ExportPlan(**wanted))
    await due(kept, made.id)
    return uuid.UUID(str(made.id))


async def due(kept: Any, plan: uuid.UUID, ago: int = 1) -> None:
    table = export_plan.update().where(export_plan.c.uuid == plan).values(next_at=clock.micros() - ago)
    await kept.hub.store.write(lambda connection: connection.execute(table))


async def set_to(kept: Any, plan: uuid.UUID, **values: Any) -> None:
    table = export_plan.update().where(export_plan.c.uuid == plan).values(**values)
    await kept.hub.store.write(lambda connection: connection.execute(table))


async def found(kept: Any, plan: uuid.UUID, organization: int = 1) -> plans.Plan:
    one: plans.Plan = await kept.hub.store.read(plans.find, Scope(organization), plan)
    return one


async def asked(kept: Any, organization: int = 1) -> list[Export]:
    """The exports that there are, the newest first."""
    got, total = await kept.hub.store.read(exports.listed, organization, None, Filter(), 0, 1_000)
    assert total == len(got)
    return list(got)


async def waiting(kept: Any) -> int:
    """Jobs that make them."""
    return len([one for one in await kept.hub.store.read(jobs.open_ones) if one.kind == exports.JOB])


async def person(kept: Any, *grants: Grant) -> User:
    store = kept.hub.store
    address = f"{uuid.uuid4().hex}@example.org"
    made, _ = await store.within(1).change(
        kept.act("user.invite"), users.invite, store.hash, 1, address, "Ann", grants, ALL, 60
    )
    table = user.update().where(user.c.id == made.id).values(state="active")
    await store.write(lambda connection: connection.execute(table))
    one: User = await store.read(users.find, 1, made.uuid)
    return one


async def acting(kept: Any, one: User) -> Act:
    principal: Principal = await kept.hub.store.read(owners.of, 1, str(one.uuid))
    return Act(principal, permit(principal, "exports:create"), "export-plan.create")


async def have(kept: Any, one: User, *grants: Grant) -> None:
    """These roles and no other."""
    now = await kept.hub.store.read(users.find, 1, one.uuid)
    arguments = (users.set_roles, 1, one.uuid, now.version, grants, ALL)
    await kept.hub.store.within(1).change(kept.act("user.set_roles"), *arguments)


async def test_a_time_asks_once(kept: Any, job: Callable[..., Job]) -> None:
    await kept.receive("C1", days=1)
    plan = await planned(kept, kept.act("export-plan.create"))
    assert await export_plans.run(kept.context, job("export_plans")) == {"asked": 1, "failed": 0}
    assert await export_plans.run(kept.context, job("export_plans")) == {"asked": 0, "failed": 0}
    (one,) = await asked(kept)
    assert (one.kind, one.status, one.asked_by, one.definition["source"]["records"]) == (
        "data", "queued", "local:test", "messages"
    )  # fmt: skip
    assert await waiting(kept) == 1
    after = await found(kept, plan)
    assert (after.last, after.problem, after.version) == (one.id, None, 1)
    assert after.next_at is not None
    assert 0 < after.next_at - clock.micros() <= 60_000_000
    (event,) = await kept.events("export.ask")
    assert (event["actor"]["id"], event["details"]["plan"], event["entity"]) == (
        "local:test", f"export-plan/{plan}", one.entity
    )  # fmt: skip
    assert await asked(kept, 2) == []


async def test_times_that_nobody_was_there_for_are_one(kept: Any, job: Callable[..., Job]) -> None:
    plan = await planned(kept, kept.act("export-plan.create"))
    await due(kept, plan, DAY)
    assert (await export_plans.run(kept.context, job("export_plans")))["asked"] == 1
    assert len(await asked(kept)) == 1
    assert (await found(kept, plan)).next_at > clock.micros()  # type: ignore[operator]  # it has times


async def test_words_are_told_from_the_newest_time_that_came(kept: Any, job: Callable[..., Job]) -> None:
    wish = {"source": {"records": "messages", "since": "yesterday", "until": "yesterday"}, "format": "csv"}
    plan = await planned(kept, kept.act("export-plan.create"), wish=wish, cron="30 12 1 1 *")
    await due(kept, plan, 3 * 366 * DAY)
    report = {"report": "integration-activity", "format": "json", "since": "last-24h"}
    await planned(kept, kept.act("export-plan.create"), "report", kind="report", wish=report, cron="0 * * * *")
    now = clock.now()
    assert await export_plans.run(kept.context, job("export_plans")) == {"asked": 2, "failed": 0}
    last, first = await asked(kept)
    expected = period("yesterday", cron.newest("30 12 1 1 *", now))
    assert expected is not None
    source = first.definition["source"]
    assert (source["since"], source["until"]) == tuple(moment.isoformat() for moment in expected)
    assert (expected[0].month, expected[0].day) == (12, 31), "not the day before today"
    day = period("last-24h", cron.newest("0 * * * *", now))
    assert day is not None
    assert last.definition["source"]["since"] == day[0].isoformat()


async def test_who_may_no_more_gets_nothing_and_the_plan_says_why(kept: Any, job: Callable[..., Job]) -> None:
    one = await person(kept, Grant(Role.OPERATOR))
    plan = await planned(kept, await acting(kept, one))
    assert (await export_plans.run(kept.context, job("export_plans")))["asked"] == 1
    for grants, why in (([Grant(Role.VIEWER)], "exports:create"), ([Grant(Role.AUDITOR)], None), ([], "exports")):
        await have(kept, one, *grants)
        await due(kept, plan)
        told = await export_plans.run(kept.context, job("export_plans"))
        after = await found(kept, plan)
        assert told == ({"asked": 1, "failed": 0} if why is None else {"asked": 0, "failed": 1})
        assert after.problem is None if why is None else why in (after.problem or "")
        assert (after.next_at or 0) > clock.micros(), "it goes on"
    assert len(await asked(kept)) == 2
    first, _ = await kept.events("export-plan.fail")
    assert (first["entity"], first["actor"]["id"], first["after"]["name"]) == (f"export-plan/{plan}", "hub", "weekly")
    assert "exports:create" in first["after"]["problem"]


async def test_rights_are_those_on_the_rows(kept: Any, job: Callable[..., Job]) -> None:
    """Who may export, but not read what is in the messages any more."""
    one = await person(kept, Grant(Role.OPERATOR))
    wish = {"source": {"records": "messages", "payload": True}, "format": "csv"}
    plan = await planned(kept, await acting(kept, one), wish=wish)
    await have(kept, one, Grant(Role.AUDITOR))
    assert await export_plans.run(kept.context, job("export_plans")) == {"asked": 0, "failed": 1}
    assert "messages:payload" in ((await found(kept, plan)).problem or "")
    assert await asked(kept) == []


async def test_what_the_organization_forbids_now(kept: Any, job: Callable[..., Job]) -> None:
    plan = await planned(kept, kept.act("export-plan.create"))
    other = await planned(kept, kept.act("export-plan.create"), "other", wish={**RECORDS, "purpose": "review"})
    await kept.settings(exports={"purpose": True})
    assert await export_plans.run(kept.context, job("export_plans")) == {"asked": 1, "failed": 1}
    assert "purpose" in ((await found(kept, plan)).problem or "")
    await kept.settings(exports={"at_once": 1})
    for one in (plan, other):
        await due(kept, one)
    assert await export_plans.run(kept.context, job("export_plans")) == {"asked": 0, "failed": 2}
    assert "at work already" in ((await found(kept, plan)).problem or "")
    await kept.settings(exports={"at_once": 50})
    await due(kept, plan)
    assert (await export_plans.run(kept.context, job("export_plans")))["asked"] == 1
    assert (await found(kept, plan)).problem is None


async def test_one_that_is_broken_stops_no_other(kept: Any, job: Callable[..., Job]) -> None:
    act = kept.act("export-plan.create")
    names = ("unknown-kind", "unknown-format", "no-wish", "fine")
    broken = {name: await planned(kept, act, name) for name in names}
    await set_to(kept, broken["unknown-kind"], kind="hologram")
    await set_to(kept, broken["unknown-format"], definition={**RECORDS, "format": "hologram"})
    await set_to(kept, broken["no-wish"], definition={})
    assert await export_plans.run(kept.context, job("export_plans")) == {"asked": 1, "failed": 3}
    problems = {name: (await found(kept, plan)).problem for name, plan in broken.items()}
    assert problems["unknown-kind"] == "internal error: ValueError"
    assert "hologram" in (problems["unknown-format"] or "")
    assert "wish" in (problems["no-wish"] or "")
    assert problems["fine"] is None
    assert len(await kept.events("export-plan.fail")) == 3


async def test_each_organization_has_its_own(kept: Any, job: Callable[..., Job]) -> None:
    await planned(kept, kept.act("export-plan.create"))
    theirs = await planned(kept, kept.act("export-plan.create", 2))
    assert (await export_plans.run(kept.context, job("export_plans")))["asked"] == 2
    assert [one.organization for one in (*await asked(kept), *await asked(kept, 2))] == [1, 2]
    assert (await found(kept, theirs, 2)).last == (await asked(kept, 2))[0].id
    assert [len(await kept.events("export.ask", one)) for one in (1, 2)] == [1, 1]


@pytest.mark.ledger_part("S0-54", "two processes on one PostgreSQL: a plan's time asks for one export")
async def test_two_processes_ask_once(kept: Any, job: Callable[..., Job], tmp_path: Path) -> None:
    """On SQLite, which is one process's, two jobs of that."""
    await kept.settings(exports={"at_once": 50})
    for number in range(20):
        await planned(kept, kept.act("export-plan.create"), f"p{number}")
    async with contextlib.AsyncExitStack() as stack:
        both = [kept.context, kept.context]
        if kept.url is not None:
            folder = tmp_path / "two"
            folder.mkdir()
            shutil.copy(kept.folder / "hub.key", folder / "hub.key")
            other = Hub(Settings(data=folder, database=kept.url, http=None))
            await other.open()
            stack.push_async_callback(other.close)
            both[1] = Context(other.store, Still(), {}, vault=other.vault)
        told = await asyncio.gather(*(export_plans.run(one, job("export_plans")) for one in both))
    assert sum(one["asked"] for one in told) == 20
    assert sum(one["failed"] for one in told) == 0
    assert len(await asked(kept)) == 20
    assert await waiting(kept) == 20
    assert len(await kept.events("export.ask")) == 20


WORK = textwrap.dedent("""
    import asyncio, pathlib, sys
    from hilum.app import Hub
    from hilum.jobs import Context, export_plans
    from hilum.settings import Settings

    async def main():
        hub = Hub(Settings(data=pathlib.Path(sys.argv[1]), database=sys.argv[2] or None, http=None))
        await hub.open()
        print("ready", flush=True)
        sys.stdin.readline()
        await export_plans.run(Context(hub.store, None, {}, vault=hub.vault), None)
        print("done", flush=True)

    asyncio.run(main())
""")
ENDLESS = """
    CREATE TRIGGER endless BEFORE UPDATE OF next_at ON export_plan BEGIN
    SELECT sum(n) FROM (WITH RECURSIVE many(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM many) SELECT n FROM many); END
"""


@contextlib.contextmanager
def amid(folder: Path, owner: str | None) -> Iterator[Callable[[], bool]]:
    """The plan's row cannot be written, what comes before it can; tells whether somebody waits there."""
    if owner is None:
        connection = sqlite3.connect(folder / "hub.db", isolation_level=None, timeout=0)
        connection.execute(ENDLESS)

        def busy() -> bool:
            for _ in range(20):
                try:
                    connection.execute("BEGIN IMMEDIATE")
                except sqlite3.OperationalError:
                    time.sleep(0.02)
                    continue
                connection.execute("ROLLBACK")
                return False
            return True

        yield busy
        connection.execute("PRAGMA busy_timeout=10000")
        connection.execute("DROP TRIGGER endless")
        connection.close()
        return
    with psycopg.connect(owner) as server, psycopg.connect(owner, autocommit=True) as looking:
        server.execute("SELECT 1 FROM export_plan FOR UPDATE")
        query = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        yield lambda: looking.execute(query).fetchone() is not None


def killed(folder: Path, url: str | None, owner: str | None) -> None:
    """The job is killed when the export is in its transaction, and the plan's next time is not."""
    command = [sys.executable, "-c", WORK, str(folder), url or ""]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        with amid(folder, owner) as reached:
            process.stdin.write("go\n")
            process.stdin.flush()
            end = time.monotonic() + 30
            while not reached():
                assert time.monotonic() < end
                time.sleep(0.02)
            process.send_signal(signal.SIGKILL)
            assert process.wait(30) == -signal.SIGKILL
        assert process.stdout.read() == ""
        process.stdin.close()


async def test_a_kill_amid_it_asks_neither_twice_nor_never(
    request: pytest.FixtureRequest, kept: Any, job: Callable[..., Job]
) -> None:
    plan = await planned(kept, kept.act("export-plan.create"))
    before = await found(kept, plan)
    await kept.close()
    owner = None if kept.url is None else request.getfixturevalue("postgres")
    await asyncio.to_thread(killed, kept.folder, kept.url, owner)
    await kept.reopen()
    assert await asked(kept) == []
    assert await found(kept, plan) == before
    assert await export_plans.run(kept.context, job("export_plans")) == {"asked": 1, "failed": 0}
    (one,) = await asked(kept)
    assert (await found(kept, plan)).last == one.id
    assert await waiting(kept) == 1
