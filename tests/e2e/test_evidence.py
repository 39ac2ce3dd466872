"""What the owner of the database does to the audit trail is found with the export, the checkpoint file and the key.

Nothing else is needed: one test runs the verification as a program of its own, in a folder with only these three.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from hilum import app, clock
from hilum.cli import root
from hilum.engine.evidence import Evidence
from hilum.errors import StoreError
from hilum.model.access import HUB, Scope
from hilum.model.audit import Act
from hilum.model.message import Disposition, NewMessage
from hilum.security.chain import EvidenceKey
from hilum.security.keyring import Keyring
from hilum.services.audit import Trail
from hilum.store import Connection, Store, audit, chain, organizations

pytestmark = pytest.mark.anyio
SOURCES = Path(app.__file__).parents[1]


@dataclasses.dataclass
class Case:
    """A trail of twelve events in three checkpoints of four, six messages in the first two of them, one event newer.

    The organization that is looked at is the second one; the first one's rows lie in between.
    """

    store: Store
    evidence: Evidence
    folder: Path
    owner: str | None
    organization: int = 2

    async def fill(self) -> None:
        for name in ("ward", "clinic"):
            await self.store.write(organizations.create, name, name)
        for _ in range(2):
            await self.record(4)
            await self.receive(3)
            await self.evidence.look(sign=True)
        await self.record(4)
        await self.evidence.look(sign=True)
        await self.record(1)
        await self.evidence.look()

    async def record(self, count: int) -> None:
        for number in range(count):
            for organization in (1, self.organization):
                act = Act(HUB, Scope(organization), "message.show", entity=f"message/{number}")
                await self.store.journal.record(audit.event(act))

    async def receive(self, count: int) -> None:
        for number in range(count):
            for organization in (1, self.organization):
                body = b"%d %d" % (organization, number)
                await self.store.append(
                    NewMessage(
                        organization, 1, clock.micros(), Disposition.FILTERED, "AA", "ADT^A01", str(number), body,
                        hashlib.sha256(body).digest(),
                    )
                )  # fmt: skip

    async def refuses(self) -> None:
        """The hub's own role in the database can add to the trail and read it, no more."""
        for table in ("audit_event", "audit_seal", "checkpoint"):
            for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET organization = 1"):
                with pytest.raises(StoreError, match=r"only ever added|permission denied"):
                    await self.store.write(Connection.execute, sa.text(statement))

    def as_owner(self, *statements: str) -> None:
        """Anything, as the database's owner, who needs no trigger and no grant to be kept from it."""
        filled = [one.format(mine=self.organization) for one in statements]
        if self.owner is not None:
            with psycopg.connect(self.owner, autocommit=True) as server:
                server.execute("SELECT set_config('hilum.organization', '*', false)")
                for table in ("audit_event", "audit_seal", "checkpoint"):
                    server.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
                for statement in filled:
                    server.execute(statement)
            return
        with contextlib.closing(sqlite3.connect(self.folder / "hub.db", isolation_level=None, timeout=10)) as file:
            for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                file.execute(f"DROP TRIGGER {name}")
            for statement in filled:
                file.execute(statement)

    async def verify(self) -> dict[str, Any]:
        """What `hilum audit verify` says, with its exit code."""
        away = self.folder / f"auditor-{uuid.uuid4()}"
        away.mkdir()
        pieces = Trail(self.store).export(Scope(self.organization))
        (away / "trail.zip").write_bytes(b"".join([piece async for piece in threaded(pieces)]))
        name = (await self.store.read(chain.names))[self.organization]
        file = self.folder / "checkpoints" / f"{name}.jsonl"
        (away / "checkpoints.jsonl").write_bytes(file.read_bytes())
        (away / "evidence.pub").write_bytes((self.folder / "checkpoints" / "evidence.pub").read_bytes())
        return await asyncio.to_thread(verify, away)


async def threaded(pieces: Any) -> AsyncIterator[bytes]:
    """An iterator that blocks, read on a thread."""
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece


def verify(folder: Path) -> dict[str, Any]:
    """In this process, for speed."""
    files = [str(folder / name) for name in ("trail.zip", "checkpoints.jsonl", "evidence.pub")]
    done = CliRunner().invoke(
        root.app, ["audit", "verify", files[0], "--checkpoints", files[1], "--key", files[2], "--json"]
    )
    assert done.stdout, done.stderr
    return {**json.loads(done.stdout), "code": done.exit_code}


def tell(folder: Path) -> tuple[str, int]:
    """What a person reads, of a process that knows nothing but the folder."""
    command = [sys.executable, "-m", "hilum", "audit", "verify", "trail.zip", "--checkpoints", "checkpoints.jsonl"]
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCES), "COLUMNS": "160"}
    done = subprocess.run(
        [*command, "--key", "evidence.pub"], cwd=folder, env=environ, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    return done.stdout, done.returncode


@pytest.fixture
async def case(
    url: str | None, tmp_path: Path, request: pytest.FixtureRequest, anyio_backend: object
) -> AsyncIterator[Case]:
    keys, _ = Keyring.create(tmp_path / "hub.key")
    store = await Store(tmp_path, keys, url).open(lambda message: ())
    owner = request.getfixturevalue("owner_url") if url is not None else None
    evidence = Evidence(store, tmp_path / "checkpoints", owner)
    await evidence.prepare()
    made = Case(store, evidence, tmp_path, owner)
    await made.fill()
    yield made
    await evidence.leave()
    await store.close()


MINE = "(SELECT event FROM audit_seal WHERE organization = {mine} AND position = %d)"


def at(position: int) -> str:
    """The row of an event, by its place."""
    return MINE % position


def documents(one: int, other: int) -> list[str]:
    """The texts of two events change places."""
    both = f"SELECT document FROM audit_event WHERE id = {at(one)}"
    return [
        "CREATE TABLE aside (document TEXT)",
        f"INSERT INTO aside {both}",
        "UPDATE audit_event SET document = "
        f"(SELECT document FROM audit_event WHERE id = {at(other)}) WHERE id = {at(one)}",
        f"UPDATE audit_event SET document = (SELECT document FROM aside) WHERE id = {at(other)}",
    ]


COLUMNS = "organization, stamp, action, actor, entity, outcome, document, witness"
ATTACKS: dict[str, tuple[list[str], int | None, int, str]] = {
    "update": (
        [f"UPDATE audit_event SET document = replace(document, 'hub', 'eve') WHERE id = {at(6)}"],
        6, 5, "event 6 is not what was sealed",
    ),
    "update of a column alone": (
        [f"UPDATE audit_event SET actor = 'eve' WHERE id = {at(6)}"], 6, 5, "its actor was changed beside its text",
    ),
    "delete": ([f"DELETE FROM audit_event WHERE id = {at(6)}"], 6, 5, "event 6 was removed"),
    "delete with its seal": (
        [
            f"DELETE FROM audit_event WHERE id = {at(6)}",
            "DELETE FROM audit_seal WHERE organization = {mine} AND position = 6",
        ],
        6, 4, "event 6 is missing",
    ),
    "insert of a place": (
        [
            f"INSERT INTO audit_event ({COLUMNS}) SELECT {COLUMNS} FROM audit_event WHERE id = {at(2)}",
            "UPDATE audit_seal SET position = -position - 1 WHERE organization = {mine} AND position >= 6",
            "UPDATE audit_seal SET position = -position WHERE organization = {mine} AND position < 0",
            "INSERT INTO audit_seal (organization, position, event, hash) "
            "SELECT {mine}, 6, (SELECT max(id) FROM audit_event), hash FROM audit_seal "
            "WHERE organization = {mine} AND position = 2",
        ],
        6, 4, "event 6 is not what was sealed",
    ),
    "reorder": (documents(6, 7), 6, 5, "event 6 is not what was sealed"),
    "truncation of the tail": (
        [
            f"DELETE FROM audit_event WHERE id >= {at(11)} AND organization = {{mine}}",
            "DELETE FROM audit_seal WHERE organization = {mine} AND position >= 11",
        ],
        11, 8, "events 11 to 12 are missing",
    ),
    "truncation with its checkpoints' copies": (
        [
            f"DELETE FROM audit_event WHERE id >= {at(9)} AND organization = {{mine}}",
            "DELETE FROM audit_seal WHERE organization = {mine} AND position >= 9",
            "DELETE FROM checkpoint WHERE organization = {mine} AND number > 2",
        ],
        9, 8, "events 9 to 12 are missing",
    ),
    "everything": (
        [f"DELETE FROM {table} WHERE organization = {{mine}}" for table in ("audit_event", "audit_seal", "checkpoint")],
        1, 0, "events 1 to 4 are missing",
    ),
    "a body's hash": (
        ["UPDATE message SET body_hash = (SELECT body_hash FROM message WHERE id = 1) WHERE id = 4"],
        None, 12, "is not what its hash says",
    ),
    "a message": (["DELETE FROM message WHERE id = 4"], None, 12, "1 missing"),
    "a message with its body": (
        ["DELETE FROM body WHERE message = 8", "DELETE FROM message WHERE id = 8"], None, 12, "1 missing",
    ),
    "a body": (
        ["UPDATE body SET sealed = (SELECT sealed FROM body WHERE message = 6) WHERE message = 4"],
        None, 12, "does not open any more",
    ),
    "another organization's event": (
        [f"UPDATE audit_event SET organization = 1 WHERE id = {at(6)}"], 6, 5, "event 6",
    ),
}  # fmt: skip


async def test_a_trail_as_it_is_verifies(case: Case) -> None:
    found = await case.verify()
    assert (found["code"], found["faults"]) == (0, [])
    assert (found["events"], found["messages"], found["bodies"]) == (12, 6, 6)
    assert found["last_protected"]["position"] == 12
    assert found["not_protected"] == {"events": 1, "messages": 0}


@pytest.mark.ledger("S0-20")
@pytest.mark.parametrize("attack", ATTACKS, ids=str)
async def test_what_the_owner_does_is_found(case: Case, attack: str) -> None:
    statements, first, protected, what = ATTACKS[attack]
    await case.refuses()  # the hub itself could not do it
    case.as_owner(*statements)
    found = await case.verify()
    assert found["code"] == 1
    assert what in " / ".join(one["what"] for one in found["faults"])
    assert found["first_broken"] == first
    assert (found["last_protected"] or {"position": 0})["position"] == protected


async def test_hashes_that_the_owner_makes_again_do_not_help(case: Case) -> None:
    """Everybody can compute the chain; nobody else can sign what it ends in."""
    name = (await case.store.read(chain.names))[case.organization]
    rows = await case.store.read(chain.stands, case.organization, 1, 99)
    before, statements = chain.chain.genesis(name), []
    for row in rows:
        assert row.text is not None
        text = row.text.replace("message.show", "nothing.do") if row.position == 6 else row.text
        before = chain.chain.link(before, row.position, text)
        value = f"'\\x{before.hex()}'" if case.owner else f"x'{before.hex()}'"
        place = f"organization = {case.organization} AND position = {row.position}"
        statements.append(f"UPDATE audit_seal SET hash = {value} WHERE {place}")
    changed = "document = replace(document, 'message.show', 'nothing.do'), action = 'nothing.do'"
    case.as_owner(*statements, f"UPDATE audit_event SET {changed} WHERE id = {at(6)}")
    found = await case.verify()
    assert (found["code"], found["first_broken"], found["last_protected"]["position"]) == (1, 5, 4)
    assert "events 5 to 8 are not what checkpoint 2 was signed over" in found["faults"][0]["what"]


async def test_an_event_that_the_owner_inserts_is_never_sealed(case: Case) -> None:
    columns = COLUMNS.removesuffix(", witness")
    case.as_owner(f"INSERT INTO audit_event ({columns}) SELECT {columns} FROM audit_event WHERE id = {at(2)}")
    await case.record(1)
    await case.evidence.look(sign=True)
    refused = await case.store.read(audit.newest, case.organization, audit.EventFilter(action="audit.refuse"))
    assert len(refused) == 1
    if case.owner is None:  # on PostgreSQL an event may be committed late, so that it is odd only after a while
        found = await case.verify()
        assert found["code"] == 1
        assert "was never sealed" in found["faults"][0]["what"]


async def test_what_a_purge_leaves_verifies(case: Case) -> None:
    removed = await case.evidence.purge(case.organization, clock.micros() + 1, None)
    await case.evidence.look(sign=True)
    found = await case.verify()
    assert removed == 12
    assert (found["code"], found["faults"], found["begins"], found["removed"]) == (0, [], 13, 12)
    assert found["last_protected"]["position"] == 14  # the newer one, and the purge itself
    case.as_owner("DELETE FROM audit_event WHERE organization = {mine}",
                  "DELETE FROM audit_seal WHERE organization = {mine}")  # fmt: skip
    assert (await case.verify())["first_broken"] == 13


async def test_people_are_told_as_well(case: Case) -> None:
    found = await case.verify()
    assert found["code"] == 0
    (away,) = case.folder.glob("auditor-*")
    text, code = await asyncio.to_thread(tell, away)
    assert code == 0
    assert "The trail is what was signed." in text
    assert "last protected event" in text
    other = Keyring.create(away / "other.key")[0]
    (away / "evidence.pub").write_text(EvidenceKey(other.evidence).public.pem)
    text, code = await asyncio.to_thread(tell, away)
    assert code == 1
    assert "The trail is broken." in text
    assert "the key did not sign it" in text
