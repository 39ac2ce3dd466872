"""Bodies go after their time, into an archive where that is wanted; rows, what waits and what is held stay."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
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
import sqlalchemy as sa

from hilum import clock
from hilum.errors import Conflict, HilumError
from hilum.jobs import Context, retention
from hilum.model.delivery import Pending
from hilum.model.message import Disposition, NewMessage
from hilum.security.envelope import Place
from hilum.store import (
    Store,
    archives,
    configuration,
    files,
    legal_holds,
    messages,
    schema,
    schema_retention,
)
from hilum.store.jobs import Job

pytestmark = pytest.mark.anyio
DAY = 86_400_000_000


async def stored(store: Store, owner: int, days: int, routes: str = "", *, waits: bool = False) -> int:
    made = [Pending(2, 1, 0, 0, 5, 0, b"body")] if waits else []
    kind = Disposition.DELIVERING if waits else Disposition.FILTERED
    received = clock.micros() - days * DAY
    new = NewMessage(owner, 1, received, kind, "AA", "", "", b"body", b"", routes=routes, deliveries=made)
    return (await store.append(new)).id


async def test_old_bodies_go_and_waiting_ones_stay(context: Context, store: Store, job: Callable[..., Job]) -> None:
    owner = await store.write(configuration.put_organization, "demo", {"retention": {"bodies": 10}})
    old, waiting, young = (
        await stored(store, owner, 11),
        await stored(store, owner, 11, waits=True),
        await stored(store, owner, 9),
    )
    assert await retention.run(context, job("retention")) == {"bodies": {"demo": 1}}
    assert set(await store.read(messages.bodies, store.sealer, [old, waiting, young])) == {waiting, young}
    assert len(await store.read(messages.by_ids, [old, waiting, young])) == 3


async def test_a_route_keeps_its_own_time(context: Context, store: Store, job: Callable[..., Job]) -> None:
    owner = await store.write(configuration.put_organization, "demo", {"retention": {"bodies": 10}})
    for name, days in (("short", 1), ("long", 100)):
        document = {"route": {"name": name, "from": "a/in", "retention": {"bodies": days}}}
        await store.write(configuration.put_route, owner, name, document, "file")
    versions = {one.name: str(one.id) for one in (await store.read(configuration.read, "demo"))[0].routes.values()}
    short, long = versions["short"], versions["long"]
    ids = {
        "short": await stored(store, owner, 5, short),
        "long": await stored(store, owner, 50, long),
        "both": await stored(store, owner, 50, f"{short} {long}"),
        "none": await stored(store, owner, 5),
    }
    await retention.run(context, job("retention"))
    left = await store.read(messages.bodies, store.sealer, list(ids.values()))
    assert {name for name, one in ids.items() if one in left} == {"long", "both", "none"}


# What goes into an archive first


async def test_bodies_are_archived_before_they_go(kept: Any, job: Callable[..., Job]) -> None:
    await kept.settings(archive_bodies=True)
    old = [await kept.receive(f"C{n}", days=20 + n, made=b"sent" if n else None) for n in range(3)]
    young = await kept.receive("young", days=5)
    other = await kept.receive("other", days=20, organization=2)
    done = await retention.run(kept.context, job("retention"))
    assert done == {"bodies": {"north": 3, "south": 1}, "archived": {"north": 3}}
    assert await kept.bodies(*old, young, other) == {"young"}
    (file,) = kept.files()
    assert (file.stat().st_mode & 0o777, file.suffix) == (0o600, ".sealed")
    assert b"P4711" not in file.read_bytes()
    (row,) = await kept.hub.store.read(archives.there, 1)
    assert (row.messages, row.first, row.last) == (3, old[0].id, old[2].id)
    assert (row.since, row.until) == (old[2].received_at, old[0].received_at)
    assert (row.size, row.sha256) == files.digest(file)
    assert await kept.hub.store.read(archives.there, 2) == []
    shown = await kept.hub.services().messages.show(kept.act("message.show"), uuid.UUID(old[0].uuid))
    assert (shown.size, shown.archive) == (None, str(row.uuid))
    with pytest.raises(Conflict, match=f"its body is in archive {row.uuid}"):
        await kept.hub.services().messages.body(kept.act("message.body"), uuid.UUID(old[0].uuid))
    (created,) = await kept.events("archive.create")
    assert created["after"] == {"messages": 3, "bytes": row.size, "sha256": row.sha256.hex()}
    (purged,) = await kept.events("retention.purge")
    assert purged["after"] == {
        "class": "bodies", "rows": 3, "until": clock.iso(max(one.received_at for one in old)), "first": old[0].uuid,
        "last": old[2].uuid,
    }  # fmt: skip
    assert [one["after"]["rows"] for one in await kept.events("retention.purge", 2)] == [1]
    assert await retention.run(kept.context, job("retention")) == {"bodies": {"north": 0, "south": 0}}
    assert kept.files() == [file]


async def test_what_a_hold_holds_is_neither_archived_nor_removed(kept: Any, job: Callable[..., Job]) -> None:
    await kept.settings(archive_bodies=True)
    held, free = await kept.receive("held", "P4711", days=20), await kept.receive("free", "P4712", days=20)
    holds, act = kept.hub.services().legal_holds, kept.act("legal-hold.create")
    placed = await holds.place(act, "case 17", "a claim", patient="P4711", endpoint=None, since=None, until=None)
    done = await retention.run(kept.context, job("retention"))
    assert done == {"bodies": {"north": 1, "south": 0}, "archived": {"north": 1}, "held": {"north": 1}}
    assert await kept.bodies(held, free) == {"held"}
    found = await kept.hub.store.read(legal_holds.find, 1, placed.id)
    await kept.hub.store.write(legal_holds.lift, 1, found.uuid, 1, "eva", "over")
    assert (await retention.run(kept.context, job("retention")))["archived"] == {"north": 1}
    assert await kept.bodies(held, free) == set()


async def test_a_hold_that_is_placed_while_the_archive_is_written_still_holds(
    kept: Any, job: Callable[..., Job]
) -> None:
    await kept.settings(archive_bodies=True)
    one = await kept.receive("C1", days=20)

    class Slow:
        """Somebody places a hold while the first file is made."""

        async def open(self, at: Place, sealed: bytes) -> bytes:
            return bytes(await kept.hub.vault.open(at, sealed))

        async def seal(self, at: Place, plain: bytes) -> tuple[bytes, int]:
            holds, act = kept.hub.services().legal_holds, kept.act("legal-hold.create")
            await holds.place(act, "case 17", "a claim", patient=None, endpoint="adt/in", since=None, until=None)
            found: tuple[bytes, int] = await kept.hub.vault.seal(at, plain)
            return found

    context = dataclasses.replace(kept.context, vault=Slow())
    done = await retention.run(context, job("retention"))
    assert done == {"bodies": {"north": 0, "south": 0}, "archived": {"north": 1}, "held": {"north": 1}}
    assert await kept.bodies(one) == {"C1"}


WORK = textwrap.dedent("""
    import asyncio, pathlib, sys, uuid
    from hilum.app import Hub
    from hilum.jobs import Context, retention
    from hilum.security.envelope import Place
    from hilum.settings import Settings

    async def main():
        hub = Hub(Settings(data=pathlib.Path(sys.argv[1]), database=sys.argv[2] or None, http=None))
        await hub.open()
        await hub.vault.seal(Place(1, "archive", uuid.UUID(int=1)), b"x")  # the next seals write no row
        print("ready", flush=True)
        sys.stdin.readline()
        await retention.run(Context(hub.store, None, {}, vault=hub.vault), None)

    asyncio.run(main())
""")


@contextlib.contextmanager
def no_rows(folder: Path, owner: str | None) -> Iterator[None]:
    """Nobody else can write a row: the archive's have to wait."""
    if owner is None:
        connection = sqlite3.connect(folder / "hub.db", isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.close()
    else:
        with psycopg.connect(owner) as server:
            server.execute("LOCK TABLE archive IN EXCLUSIVE MODE")
            yield


def killed(folder: Path, url: str | None, owner: str | None) -> None:
    """A retention job is killed when the file of its archive is there and no row of it is."""
    command = [sys.executable, "-c", WORK, str(folder), url or ""]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "ready\n"
        with no_rows(folder, owner):
            process.stdin.write("go\n")
            process.stdin.flush()
            end = time.monotonic() + 30
            while not list((folder / "archive").rglob("*.sealed")) and time.monotonic() < end:
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            assert process.wait(30) == -signal.SIGKILL
        process.stdin.close()


@pytest.mark.ledger_part("S0-65", "killed between an archive's file and its rows nothing is lost, nothing half is left")
async def test_a_kill_between_the_file_and_its_rows_loses_nothing(
    request: pytest.FixtureRequest, kept: Any, job: Callable[..., Job]
) -> None:
    await kept.settings(archive_bodies=True)
    stored = [await kept.receive(f"C{n}", days=20) for n in range(5)]
    await kept.close()
    owner = None if kept.url is None else request.getfixturevalue("postgres")
    await asyncio.to_thread(killed, kept.folder, kept.url, owner)
    (orphan,) = kept.files()
    orphan.with_name(orphan.name + ".partial").write_bytes(b"half")  # and one that was being written
    await kept.reopen()
    assert await kept.hub.store.read(archives.there, 1) == []
    assert len(await kept.bodies(*stored)) == 5, "no body went before its archive was known"
    assert (await retention.run(kept.context, job("retention")))["archived"] == {"north": 5}
    (file,) = kept.files()
    assert file != orphan
    (row,) = await kept.hub.store.read(archives.there, 1)
    assert file.name == f"{row.uuid}.sealed"
    assert await kept.bodies(*stored) == set()


async def test_a_body_that_does_not_open_stays_and_stops_nothing(kept: Any, job: Callable[..., Job]) -> None:
    await kept.settings(archive_bodies=True)
    broken, whole = await kept.receive("broken", days=20), await kept.receive("whole", days=20)
    table = schema.body
    spoilt = table.update().where(table.c.message == broken.id).values(sealed=b"nothing that was sealed")
    await kept.hub.store.write(lambda connection: connection.execute(spoilt))
    assert (await retention.run(kept.context, job("retention")))["bodies"] == {"north": 1, "south": 0}
    left = await kept.hub.store.read(lambda connection: list(connection.execute(sa.select(table.c.message)).scalars()))
    assert left == [broken.id]
    assert await kept.hub.store.read(archives.of, 1, [broken.id, whole.id]) == {
        whole.id: (await kept.hub.store.read(archives.there, 1))[0].uuid
    }


async def test_an_archive_goes_after_its_years_and_not_while_it_is_held(
    kept: Any, job: Callable[..., Job], later: Callable[[float], None]
) -> None:
    await kept.settings(archive_bodies=True, archive_years=2)
    one = await kept.receive("C1", days=20)
    await retention.run(kept.context, job("retention"))
    holds, act = kept.hub.services().legal_holds, kept.act("legal-hold.create")
    placed = await holds.place(act, "case 17", "a claim", patient="P4711", endpoint=None, since=None, until=None)
    later(729)
    assert "archives" not in await retention.run(kept.context, job("retention"))
    later(732)
    assert "archives" not in await retention.run(kept.context, job("retention")), "it is held"
    (file,) = kept.files()
    await kept.hub.store.write(legal_holds.lift, 1, placed.id, 1, "eva", "over")
    assert (await retention.run(kept.context, job("retention")))["archives"] == {"north": 1}
    assert not file.exists()
    assert await kept.hub.store.read(archives.listed, 1, 0, 10) == ([], 0)
    shown = await kept.hub.services().messages.show(kept.act("message.show"), uuid.UUID(one.uuid))
    assert shown.archive is None
    (removed,) = await kept.events("archive.remove")
    assert removed["before"]["messages"] == 1
    row = await kept.hub.store.read(lambda connection: connection.execute(sa.select(schema_retention.archive)).one())
    assert (row.sealed, row.key) == (None, None), "a copy of the file does not open any more"


async def test_without_a_vault_nothing_goes_that_is_to_be_archived(kept: Any, job: Callable[..., Job]) -> None:
    await kept.settings(archive_bodies=True)
    north, south = await kept.receive("C1", days=20), await kept.receive("C2", days=20, organization=2)
    with pytest.raises(HilumError, match="north: the vault is not open here"):
        await retention.run(dataclasses.replace(kept.context, vault=None), job("retention"))
    assert await kept.bodies(north, south) == {"C1"}, "the others' retention is done all the same"
