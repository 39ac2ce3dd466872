"""Events get their places within a second, checkpoints lie outside the database, and what happens meanwhile shows."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from hilum import clock
from hilum.engine import evidence as module
from hilum.engine.checkpoints import Checkpoints
from hilum.engine.evidence import Evidence
from hilum.errors import ConfigError, StoreError
from hilum.model.access import HUB, Scope
from hilum.model.audit import Act
from hilum.model.message import Disposition, NewMessage
from hilum.security.chain import read_checkpoint
from hilum.security.keyring import Keyring
from hilum.security.verdict import Verdict
from hilum.store import Store, audit, chain, organizations

pytestmark = pytest.mark.anyio
Sql = Callable[..., None]
Opened = Callable[..., Awaitable[Evidence]]


@pytest.fixture
async def store(url: str | None, tmp_path: Path, anyio_backend: object) -> AsyncIterator[Store]:
    """A store with two organizations, on one database after the other."""
    keys, _ = Keyring.create(tmp_path / "hub.key")
    store = await Store(tmp_path, keys, url).open(lambda message: ())
    for name in ("ward", "clinic"):
        await store.write(organizations.create, name, name)
    yield store
    await store.close()


@pytest.fixture
async def opened(store: Store) -> AsyncIterator[Opened]:
    """Opens one after the other, as if the one before had been killed. Not started: a test says when it looks."""
    made: list[Evidence] = []

    async def work(folder: Path, owner: str | None = None) -> Evidence:
        for one in made:
            await one.leave()
        made.append(Evidence(store, folder / "checkpoints", owner))
        await made[-1].prepare()
        return made[-1]

    yield work
    for one in made:
        await one.leave()


@pytest.fixture
async def evidence(opened: Opened, tmp_path: Path) -> Evidence:
    return await opened(tmp_path)


@pytest.fixture
def as_owner(request: pytest.FixtureRequest, url: str | None, tmp_path: Path) -> Sql:
    """What the database's owner can do: anything."""

    def work(*statements: str) -> None:
        if url is not None:
            with psycopg.connect(request.getfixturevalue("owner_url"), autocommit=True) as server:
                server.execute("SELECT set_config('hilum.organization', '*', false)")
                for table in ("audit_event", "audit_seal", "checkpoint"):
                    server.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
                for statement in statements:
                    server.execute(statement)
            return
        with contextlib.closing(sqlite3.connect(tmp_path / "hub.db", isolation_level=None, timeout=10)) as file:
            for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                file.execute(f"DROP TRIGGER {name}")
            for statement in statements:
                file.execute(statement)

    return work


async def record(store: Store, count: int, organization: int = 1) -> None:
    act = Act(HUB, Scope(organization), "message.show", entity="message/1")
    await asyncio.gather(*(store.journal.record(audit.event(act)) for _ in range(count)))


async def receive(store: Store, count: int, organization: int = 1) -> None:
    for number in range(count):
        body = b"%d" % number
        await store.append(
            NewMessage(
                organization, 1, clock.micros(), Disposition.FILTERED, "AA", "ADT^A01", str(number), body,
                hashlib.sha256(body).digest(),
            )
        )  # fmt: skip


async def name(store: Store, organization: int = 1) -> str:
    return (await store.read(chain.names))[organization]


async def lines(store: Store, folder: Path, organization: int = 1) -> list[Any]:
    path = Checkpoints(folder / "checkpoints").path(await name(store, organization))
    text = path.read_text() if path.exists() else ""
    return [read_checkpoint(line) for line in text.splitlines()]


async def verdicts(evidence: Evidence, store: Store) -> dict[str, Verdict]:
    return {one.chain: one for one in await evidence.check()}


async def test_events_are_sealed_without_gaps_and_covered(store: Store, evidence: Evidence, tmp_path: Path) -> None:
    await record(store, 5)
    await record(store, 3, organization=2)
    await evidence.look()
    assert await store.read(chain.tip, 1) is not None
    assert (await store.read(chain.tip, 2) or (0,))[0] == 3
    assert await lines(store, tmp_path) == []
    await record(store, 2)
    await receive(store, 4)
    await evidence.look(sign=True)
    (one,) = await lines(store, tmp_path)
    assert (one.first, one.last, one.messages, one.number) == (1, 7, 4, 1)
    assert one.holds(store.evidence.public)
    assert await store.read(chain.newest, 1) == one
    found = await verdicts(evidence, store)
    assert all(one.intact for one in found.values())
    mine = found[await name(store)]
    assert (mine.events, mine.messages, mine.unprotected) == (7, 4, 0)
    assert found[await name(store, 2)].events == 3


async def test_it_goes_on_where_it_was(store: Store, opened: Opened, evidence: Evidence, tmp_path: Path) -> None:
    await record(store, 3)
    await receive(store, 3)
    await evidence.look(sign=True)
    await record(store, 2)
    await evidence.look()  # sealed, not covered: then the hub is killed
    again = await opened(tmp_path)
    await record(store, 1)
    await receive(store, 2)
    await again.look(sign=True)
    await again.look(sign=True)
    found = await lines(store, tmp_path)
    assert [(one.first, one.last, one.messages) for one in found] == [(1, 3, 3), (4, 6, 2)]
    assert [one.faults for one in found] == [(), ()]
    assert all(one.intact for one in await again.check())


async def test_a_checkpoint_in_its_file_alone_is_adopted(
    store: Store, opened: Opened, evidence: Evidence, tmp_path: Path, as_owner: Sql
) -> None:
    await record(store, 3)
    await receive(store, 3)
    await receive(store, 2, organization=2)
    await evidence.look(sign=True)
    as_owner("DELETE FROM checkpoint", "DELETE FROM setting WHERE name = 'evidence_frontier'")  # killed in between
    with Checkpoints(tmp_path / "checkpoints").path(await name(store)).open("a") as file:
        file.write('{"cut sho')
    again = await opened(tmp_path)
    await record(store, 1)
    await receive(store, 2)
    await again.look(sign=True)
    assert [(one.number, one.first, one.messages) for one in await lines(store, tmp_path)] == [(1, 1, 3), (2, 4, 2)]
    assert [one.number for one in await store.read(chain.copies, 1, limit=9)] == [1, 2]
    assert [one.messages for one in await lines(store, tmp_path, 2)] == [2]
    assert all(one.intact for one in await again.check())


async def test_a_folder_that_is_new_is_filled_from_the_copies(
    store: Store, opened: Opened, evidence: Evidence, tmp_path: Path
) -> None:
    await record(store, 3)
    await evidence.look(sign=True)
    before = await lines(store, tmp_path)
    other = await opened(tmp_path / "other")
    await record(store, 1)
    await other.look(sign=True)
    found = await lines(store, tmp_path / "other")
    assert found[:1] == before
    assert [one.last for one in found] == [3, 4]


async def test_an_event_that_the_hub_did_not_write_is_never_sealed(
    store: Store, evidence: Evidence, as_owner: Sql
) -> None:
    await record(store, 2)
    await evidence.look(sign=True)
    columns = "organization, stamp, action, actor, entity, outcome, document"
    forged = f"INSERT INTO audit_event ({columns}) SELECT {columns} FROM audit_event WHERE id = 1"
    as_owner(forged)
    await evidence.look(sign=True)
    await evidence.look(sign=True)
    assert (await store.read(chain.tip, 1) or (0,))[0] == 3  # and that it was refused
    refused = await store.read(audit.newest, 1, audit.EventFilter(action="audit.refuse"))
    assert len(refused) == 1
    if store.database.embedded:  # there an event without a place among others is odd at once
        broken = (await verdicts(evidence, store))[await name(store)]
        assert "was never sealed" in broken.faults[0].what


async def test_what_is_changed_before_its_checkpoint_is_found(store: Store, evidence: Evidence, as_owner: Sql) -> None:
    await record(store, 4)
    await evidence.look()
    as_owner("UPDATE audit_event SET document = replace(document, 'message.show', 'message.hide') WHERE id = 3")
    await evidence.look(sign=True)
    verdict = (await verdicts(evidence, store))[await name(store)]
    assert (verdict.first, verdict.protected and verdict.protected.position) == (3, 2)


async def test_what_is_changed_while_the_hub_is_down_is_found(
    store: Store, opened: Opened, evidence: Evidence, tmp_path: Path, as_owner: Sql
) -> None:
    await record(store, 4)
    await evidence.look()
    as_owner("UPDATE audit_event SET document = replace(document, 'message.show', 'message.hide') WHERE id = 3")
    again = await opened(tmp_path)
    await again.look(sign=True)
    (one,) = await lines(store, tmp_path)
    assert one.faults == (3,)
    verdict = (await verdicts(again, store))[await name(store)]
    assert (verdict.first, verdict.protected and verdict.protected.position) == (3, 2)


async def test_a_tail_that_is_gone_stays_gone(
    store: Store, opened: Opened, evidence: Evidence, tmp_path: Path, as_owner: Sql
) -> None:
    """Also where a database from before is put back: the chain goes on behind what was lost."""
    await record(store, 3)
    await evidence.look(sign=True)
    await record(store, 3)
    await evidence.look(sign=True)
    as_owner("DELETE FROM audit_seal WHERE position > 4", "DELETE FROM audit_event WHERE id > 4",
             "DELETE FROM checkpoint WHERE number > 1")  # fmt: skip
    again = await opened(tmp_path)
    await record(store, 2)
    await again.look(sign=True)
    verdict = (await verdicts(again, store))[await name(store)]
    assert (verdict.first, verdict.protected and verdict.protected.position) == (5, 3)
    lost = await store.read(audit.newest, 1, audit.EventFilter(action="audit.lose"))
    assert lost[0].document["details"] == {"events": "events 5 to 6"}


async def test_a_check_is_recorded_with_what_it_found(store: Store, evidence: Evidence, as_owner: Sql) -> None:
    await record(store, 2)
    await evidence.look(sign=True)
    await evidence.check()
    as_owner("DELETE FROM audit_event WHERE id = 2")
    await evidence.check()
    found = await store.read(audit.newest, 1, audit.EventFilter(action="audit.check"))
    assert [one.document["outcome"] for one in found] == ["failure", "success"]
    assert found[0].document["error"] == "event 2 was removed"


async def test_a_folder_that_takes_nothing_holds_no_event_up(store: Store, opened: Opened, tmp_path: Path) -> None:
    evidence = await opened(tmp_path)
    await record(store, 2)
    folder = tmp_path / "checkpoints"
    (folder / "evidence.pub").rename(tmp_path / "aside.pub")
    folder.rmdir()
    await evidence.look(sign=True)
    assert "checkpoints" in evidence.problem
    assert (await store.read(chain.tip, 1) or (0,))[0] == 2
    folder.mkdir()
    await evidence.look(sign=True)
    assert evidence.problem == ""
    assert [(one.first, one.last) for one in await lines(store, tmp_path)] == [(1, 2)]


async def test_many_events_bring_a_checkpoint_sooner(
    store: Store, evidence: Evidence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await evidence.look()
    await record(store, module.EVENTS - 1)
    await evidence.look()
    assert await lines(store, tmp_path) == []
    await record(store, 1)
    await evidence.look()
    (one,) = await lines(store, tmp_path)
    assert one.last == module.EVENTS


async def test_it_seals_by_itself_and_signs_when_it_stops(store: Store, tmp_path: Path) -> None:
    evidence = Evidence(store, tmp_path / "checkpoints")
    await evidence.start()
    await record(store, 2)
    async with asyncio.timeout(10):
        while await store.read(chain.tip, 1) is None:  # noqa: ASYNC110 - rows have no event to wait for
            await asyncio.sleep(0.02)
    await record(store, 1)
    await evidence.stop()
    (one,) = await lines(store, tmp_path)
    assert one.last == 3
    assert (tmp_path / "checkpoints" / "evidence.pub").read_text() == store.evidence.public.pem


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)  # on SQLite there is one process
async def test_one_process_seals(store: Store, opened: Opened, evidence: Evidence, tmp_path: Path) -> None:
    other = Evidence(store, tmp_path / "checkpoints")
    await record(store, 2)
    await evidence.look(sign=True)
    await other.look(sign=True)
    assert [one.last for one in await lines(store, tmp_path)] == [2]
    await evidence.leave()
    await record(store, 1)
    await other.look(sign=True)
    assert [one.last for one in await lines(store, tmp_path)] == [2, 3]
    await other.leave()


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)  # on SQLite there is one process
async def test_messages_of_several_writers_are_covered_once(
    store: Store, evidence: Evidence, tmp_path: Path, url: str | None
) -> None:
    keys = Keyring.load(tmp_path / "hub.key")
    other = await Store(tmp_path, keys, url).open(lambda message: ())
    await receive(store, 3)
    await receive(other, 4)
    await evidence.look(sign=True)
    await receive(store, 2)
    await receive(other, 1)
    await receive(other, 2, organization=2)
    await evidence.look(sign=True)
    found = await lines(store, tmp_path)
    assert [one.messages for one in found] == [7, 3]
    assert [len(one.ranges) for one in found] == [2, 2]
    assert all(one.intact for one in await evidence.check())
    await other.close()


async def test_what_a_purge_leaves_is_intact(
    store: Store, opened: Opened, tmp_path: Path, url: str | None, request: pytest.FixtureRequest
) -> None:
    owner = request.getfixturevalue("owner_url") if url is not None else None
    evidence = await opened(tmp_path)
    await record(store, 3)
    await evidence.look(sign=True)
    if url is not None:
        with pytest.raises(ConfigError, match="HILUM_DATABASE_OWNER"):
            await evidence.purge(1, clock.micros() + 1, None)
        assert len(await lines(store, tmp_path)) == 1
        evidence = await opened(tmp_path, owner)
        await evidence.look()
    assert await evidence.purge(1, clock.micros() - 60_000_000, None) == 0
    await record(store, 2)
    await evidence.look()
    assert await evidence.purge(1, clock.micros() + 1, None) == 3
    await evidence.look(sign=True)
    assert [(one.start, one.first, one.last) for one in await lines(store, tmp_path)] == [
        (False, 1, 3), (True, 4, 3), (False, 4, 6),
    ]  # fmt: skip
    verdict = (await verdicts(evidence, store))[await name(store)]
    assert verdict.faults == []
    assert (verdict.begins, verdict.removed, verdict.events) == (4, 3, 3)
    purged = await store.read(audit.newest, 1, audit.EventFilter(action="audit.purge"))
    assert purged[0].document["actor"]["kind"] == "system"
    again = await opened(tmp_path)
    await record(store, 1)
    await again.look(sign=True)
    assert all(one.intact for one in await again.check())


async def test_trouble_is_named_until_it_is_over(store: Store, evidence: Evidence, as_owner: Sql) -> None:
    await record(store, 2)
    await evidence.look(sign=True)
    await evidence.check()
    assert evidence.trouble == ""
    as_owner("DELETE FROM audit_event WHERE id = 2")
    await evidence.check()
    assert evidence.trouble == f"the audit trail of {await name(store)} is broken: event 2 was removed"


@pytest.mark.ledger_part("S0-20", "the hub's role in the database can only add to the audit trail")
@pytest.mark.parametrize("statement", ["DELETE FROM {}", "UPDATE {} SET organization = 2"])
async def test_the_hub_itself_can_only_add(store: Store, evidence: Evidence, statement: str) -> None:
    await record(store, 2)
    await evidence.look(sign=True)
    for table in ("audit_event", "audit_seal", "checkpoint"):
        with pytest.raises(StoreError, match=r"only ever added|permission denied"):
            await store.write(lambda connection, text: connection.execute(sa.text(text)), statement.format(table))
    assert all(one.intact for one in await evidence.check())
