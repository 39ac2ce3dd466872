"""Group commit: all or nothing for what is hot, each closure for itself, and no gap after a failure."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from hilum.errors import Conflict, StoreError, StoreFull
from hilum.model.delivery import Attempt, DeliveryState, Pending, Settled
from hilum.model.message import Disposition, NewMessage
from hilum.store import Connection, Store, deliveries, schema

pytestmark = pytest.mark.anyio
Arrived = Callable[..., NewMessage]
Queued = Callable[..., Pending]
Open = Callable[..., Awaitable[Store]]


def put(connection: Connection, name: str, error: BaseException | None = None) -> str:
    """Writes a row, then fails if told so."""
    connection.execute(schema.setting.insert().values(name=name, value="x"))
    if error is not None:
        raise error
    return name


def names(connection: Connection) -> set[str]:
    return set(connection.execute(sa.select(schema.setting.c.name)).scalars())


def message_ids(connection: Connection) -> list[int]:
    return list(connection.execute(sa.select(schema.message.c.id).order_by(schema.message.c.id)).scalars())


def positions(connection: Connection) -> dict[int, list[int]]:
    """Positions by shard, in order of delivery ids."""
    found: dict[int, list[int]] = {}
    columns = (schema.delivery.c.shard, schema.delivery.c.position)
    for shard, position in connection.execute(sa.select(*columns).order_by(schema.delivery.c.id)):
        found.setdefault(shard, []).append(position)
    return found


def gapless(found: dict[int, list[int]]) -> bool:
    return all(sorted(numbers) == list(range(1, len(numbers) + 1)) for numbers in found.values())


def settled(one: Pending, detail: str = "AA") -> Settled:
    return Settled(one.id, one.destination, one.message, DeliveryState.DELIVERED, 1, 5, detail)


@contextlib.asynccontextmanager
async def held(store: Store) -> AsyncIterator[None]:
    """What is queued meanwhile shares one commit: the writer is busy until the block ends."""
    busy, go = threading.Event(), threading.Event()

    def wait(connection: Connection) -> None:
        busy.set()
        go.wait(30)

    waiting = store.write(wait)
    await asyncio.to_thread(busy.wait, 30)
    try:
        yield
    finally:
        go.set()
        await waiting


@pytest.mark.parametrize(
    "error", [Conflict("no"), ValueError("no"), ZeroDivisionError("no"), sa.exc.NoResultFound("no")], ids=repr
)
async def test_a_closure_that_fails_fails_alone(store: Store, arrived: Arrived, error: Exception) -> None:
    before = store.writer.commits
    async with held(store):
        work: list[asyncio.Future[Any]] = [
            store.write(put, "first"), store.write(put, "failing", error), store.append(arrived()),
            store.write(put, "last"),
        ]  # fmt: skip
    done = await asyncio.gather(*work, return_exceptions=True)
    assert done[0] == "first"
    assert isinstance(done[1], StoreError if isinstance(error, sa.exc.SQLAlchemyError) else type(error))
    assert isinstance(done[2], NewMessage)
    assert done[3] == "last"
    assert store.writer.commits <= before + 2, "they shared a commit"
    found = await store.read(names)
    assert {"first", "last"} <= found
    assert "failing" not in found
    assert len(await store.read(message_ids)) == 1


async def test_a_row_that_is_there_already_fails_alone(store: Store) -> None:
    await store.write(put, "taken")
    done = await asyncio.gather(store.write(put, "taken"), store.write(put, "free"), return_exceptions=True)
    assert isinstance(done[0], StoreError)
    assert done[1] == "free"


async def test_many_share_a_commit(store: Store, arrived: Arrived) -> None:
    before = store.writer.commits
    async with held(store):
        stored = [store.append(arrived(str(number))) for number in range(300)]
    await asyncio.gather(*stored)
    assert store.writer.commits - before <= 3
    assert [one.result().control_id for one in stored] == [str(number) for number in range(300)]
    ids = [one.result().id for one in stored]
    assert ids == sorted(ids), "in the order in which they were handed over"


async def test_what_the_loop_commits_itself_is_announced_after_what_the_thread_committed(
    store: Store, arrived: Arrived, queued: Queued
) -> None:
    told: list[Pending] = []
    store.listeners.append(told.extend)
    busy, go = threading.Event(), threading.Event()
    waiting = store.write(lambda _: (busy.set(), go.wait(30)))
    await asyncio.to_thread(busy.wait, 30)
    before = store.writer.commits
    first = store.append(arrived("1", deliveries=[queued(2)]))
    go.set()
    while store.writer.commits < before + 2:  # the loop is not given up: it cannot be told yet
        time.sleep(0.001)  # noqa: ASYNC251
    time.sleep(0.01)  # noqa: ASYNC251 - the thread rests
    last = store.append(arrived("2", deliveries=[queued(2)]))
    await asyncio.gather(waiting, first, last)
    assert [one.id for one in told] == [1, 2]


async def test_positions_are_gapless_in_commit_order(store: Store, arrived: Arrived, queued: Queued) -> None:
    """Several producers, several lanes and destinations: the reader asserts position = cursor + 1."""
    told: list[Pending] = []
    store.listeners.append(told.extend)

    async def produce(producer: int) -> None:
        for number in range(60):
            lane = (producer * 7 + number) % 11
            made = [queued(2, lane=lane), queued(3 + number % 4, lane=0)]
            await store.append(arrived(f"{producer}-{number}", deliveries=made))

    await asyncio.gather(*(produce(one) for one in range(8)))
    found = await store.read(positions)
    assert gapless(found)
    assert all(numbers == sorted(numbers) for numbers in found.values()), "ids and positions go the same way"
    assert sum(map(len, found.values())) == 8 * 60 * 2
    lanes: dict[tuple[int, int], list[int]] = {}
    for one in told:
        lanes.setdefault((one.destination, one.lane), []).append(one.id)
    assert all(ids == sorted(ids) for ids in lanes.values()), "they are announced in order"


async def test_two_processes_on_one_database_give_gapless_positions(
    role_url: str, open_store: Open, arrived: Arrived, queued: Queued, tmp_path: Path
) -> None:
    stores = [await open_store(tmp_path / name, role_url) for name in ("a", "b")]
    sizes = itertools.cycle((1, 2, 3, 40))

    async def produce(producer: int) -> None:
        for number in range(100):
            made = [queued(2, lane=(number + one) % 5, shard=(number + one) % 3) for one in range(next(sizes))]
            await stores[producer % 2].append(arrived(f"{producer}-{number}", deliveries=made))

    await asyncio.gather(*(produce(one) for one in range(8)))
    found = await stores[0].read(positions)
    assert gapless(found)
    assert len(set(await stores[0].read(message_ids))) == 800

    def neighbours(connection: Connection) -> None:
        for row in connection.execute(sa.select(schema.message)):
            mine = deliveries.of_message(connection, row.first_delivery, row.deliveries)
            assert [one.message for one in mine] == [row.id] * row.deliveries, "a message's deliveries are neighbours"

    await stores[1].read(neighbours)


async def test_a_message_with_more_deliveries_than_a_block_of_ids(
    store: Store, arrived: Arrived, queued: Queued
) -> None:
    first = await store.append(arrived("1", deliveries=[queued() for _ in range(990)]))
    big = await store.append(arrived("2", deliveries=[queued() for _ in range(2_500)]))
    for one in (first, big):
        mine = await store.read(deliveries.of_message, one.deliveries[0].id, len(one.deliveries))
        assert {found.message for found in mine} == {one.id}
        assert len(mine) == len(one.deliveries)
    assert gapless(await store.read(positions))


async def test_a_closure_rolled_back_leaves_no_gap(store: Store, arrived: Arrived, queued: Queued) -> None:
    """Routing and settling count ids and positions too; where they fail alone, the next ones must not notice."""
    stored = await store.append(arrived("1", disposition=Disposition.RECEIVED, deliveries=()))
    waiting = await store.append(arrived("2", deliveries=[queued(2, shard=3)]))
    stored.attributes = {"cannot": object()}  # type: ignore[dict-item]  # it fails after the deliveries were written
    with pytest.raises(TypeError):
        await store.route(stored, Disposition.DELIVERING, [queued(2, shard=3), queued(2, shard=4)], "1", "")
    broken = Attempt(waiting.deliveries[0].id, 1, 0, 0, "transient", None)  # type: ignore[arg-type]  # likewise
    with pytest.raises(AttributeError):
        await store.settle([settled(waiting.deliveries[0])], [broken], {2: (1, 1, 0)}, ())
    await store.append(arrived("3", deliveries=[queued(2, shard=3), queued(2, shard=4), queued(2, shard=5)]))
    assert await store.read(positions) == {3: [1, 2], 4: [1], 5: [1]}
    (state,) = (await store.read(deliveries.states, [waiting.deliveries[0].id])).values()
    assert state is DeliveryState.PENDING


async def test_positions_go_on_after_a_settle_that_failed(
    url: str | None, open_store: Open, arrived: Arrived, queued: Queued
) -> None:
    """The shards' tails are written with results; a failed write must not make the store forget which moved."""
    store = await open_store(url=url)
    first = await store.append(arrived("1", deliveries=[queued(2, shard=5)]))
    broken = Attempt(first.deliveries[0].id, 1, 0, 0, "transient", None)  # type: ignore[arg-type]  # fails the closure
    with pytest.raises(AttributeError):
        await store.settle([settled(first.deliveries[0])], [broken], {}, ())
    second = await store.append(arrived("2", deliveries=[queued(2, shard=7)]))
    await store.settle([settled(second.deliveries[0])], (), {}, ())
    await store.close()
    again = await open_store(url=url)
    await again.append(arrived("3", deliveries=[queued(2, shard=5)]))
    assert await again.read(positions) == {5: [1, 2], 7: [1]}


@contextlib.asynccontextmanager
async def full_disk(store: Store) -> AsyncIterator[None]:
    """SQLite's own limit: the database may not grow by another page until the block ends."""

    def limit(connection: Connection, pages: int) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    await store.write(limit, 1)  # SQLite takes the present size instead
    try:
        yield
    finally:
        with contextlib.suppress(StoreError):
            await store.write(limit, 1 << 30)


async def test_a_full_disk_fails_the_batch_and_the_writer_recovers(
    sqlite_store: Store, arrived: Arrived, queued: Queued
) -> None:
    store, big = sqlite_store, bytes(range(256)) * 4_000
    told: list[Pending] = []
    store.listeners.append(told.extend)
    stored = [await store.append(arrived("0", deliveries=[queued(2, shard=1)]))]
    async with full_disk(store):
        async with held(store):
            work: list[asyncio.Future[Any]] = [
                store.append(arrived("lost", incompressible(big), deliveries=[queued(2, shard=1)])),
                store.append(arrived("with it", deliveries=[queued(2, shard=2)])),
                store.write(put, "with them"),
            ]
        done = await asyncio.gather(*work, return_exceptions=True)
        assert [type(one) for one in done] == [StoreFull] * 3
        assert [one.message for one in told] == [stored[0].id], "nobody was told of what is not there"
    stored.append(await store.append(arrived("1", incompressible(big), deliveries=[queued(2, shard=1)])))
    assert [one.id for one in stored] == [1, 2] == await store.read(message_ids)
    assert await store.read(positions) == {1: [1, 2]}
    assert "with them" not in await store.read(names)
    assert sum(store.tallies.received.values()) == 2


async def test_a_closure_that_meets_the_full_disk(sqlite_store: Store, arrived: Arrived, queued: Queued) -> None:
    """SQLite then gives up the whole transaction, so that everyone in it is told."""
    store, big = sqlite_store, "x" * 1_000_000
    async with full_disk(store):
        async with held(store):
            work: list[asyncio.Future[Any]] = [
                store.append(arrived("1", deliveries=[queued(2, shard=1)])),
                store.write(lambda connection: put(connection, big)),
                store.write(put, "after it"),
            ]
        done = await asyncio.gather(*work, return_exceptions=True)
        assert isinstance(done[1], StoreFull)
    found = await store.read(message_ids)
    assert found == ([] if isinstance(done[0], StoreFull) else [1]), "who was told so, and only they, is stored"
    assert ("after it" in await store.read(names)) == (done[2] == "after it")
    new = await store.append(arrived("2", deliveries=[queued(2, shard=1)]))
    assert new.id == len(found) + 1
    assert gapless(await store.read(positions))


def incompressible(pattern: bytes) -> bytes:
    return random.Random(pattern).randbytes(len(pattern))


@pytest.mark.parametrize("limited", ["log", "database"])
def test_what_no_file_can_hold_is_refused_and_what_was_committed_is_not(limited: str, tmp_path: Path) -> None:
    """A limit on file sizes, in a process of its own: the kernel refuses what lies behind it.

    Where the log cannot grow the commit fails. Where only the database cannot, the commit stands although the
    checkpoint after it fails: whoever waits must not be told otherwise.
    """
    code = """
        import asyncio, hashlib, pathlib, resource, signal, sys
        from hilum.errors import StoreFull
        from hilum.model.message import Disposition, NewMessage
        from hilum.security.keyring import Keyring
        from hilum.store import Store

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        folder, limited = pathlib.Path(sys.argv[1]), sys.argv[2]

        def message(size):
            body = b"".join(hashlib.sha256(b"%d" % n).digest() for n in range(size // 32))
            return NewMessage(1, 1, 1, Disposition.FILTERED, "AA", "", "", body, b"")

        async def main():
            store = await Store(folder, Keyring.create(folder / "hub.key")[0]).open(lambda message: ())
            told = []
            for _ in range(4):
                await store.append(message(1_000_000))
            if limited == "database":
                store.writer.checkpoint()
                await store.append(message(32))  # now the database is big, and its log starts anew
                await store.append(message(32))
            _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            size = store.database.path.with_name("hub.db-wal" if limited == "log" else "hub.db").stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (size if limited == "log" else size // 2, hard))
            results = []
            for _ in range(2):
                store.writer.checkpoint()
                results += await asyncio.gather(store.append(message(200_000)), return_exceptions=True)
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            results.append(await store.append(message(200_000)))
            print(*("full" if isinstance(one, StoreFull) else one.id for one in results))
            await store.close()

        asyncio.run(main())
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path), limited]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == {"log": "full full 5", "database": "7 8 9"}[limited]


async def test_results_and_messages_share_a_commit(store: Store, arrived: Arrived, queued: Queued) -> None:
    first = await store.append(arrived("1", deliveries=[queued(), queued()]))
    before = store.writer.commits
    async with held(store):
        work: list[asyncio.Future[Any]] = [store.append(arrived("2"))]
        work += [store.settle([settled(one)], (), {2: (one.id, 1, 0)}, ()) for one in first.deliveries]
    await asyncio.gather(*work)
    assert store.writer.commits - before <= 2
    states = await store.read(deliveries.states, [one.id for one in first.deliveries])
    assert set(states.values()) == {DeliveryState.DELIVERED}
    assert (await store.read(deliveries.standing))[2] == (first.deliveries[1].id, 2, 0)


async def test_a_result_with_text_that_no_database_can_hold(store: Store, arrived: Arrived, queued: Queued) -> None:
    first = await store.append(arrived("1", deliveries=[queued()]))
    await store.settle([settled(first.deliveries[0], "M\0SA|AA \udcff ü")], (), {}, ())
    (one,) = await store.read(deliveries.of_message, first.deliveries[0].id, 1)
    assert one.state is DeliveryState.DELIVERED
    assert one.detail == "M\ufffdSA|AA ? ü"


async def test_a_lost_connection_is_made_anew(
    role_url: str, owner_url: str, open_store: Open, arrived: Arrived
) -> None:
    store = await open_store(url=role_url)
    await store.append(arrived("1"))
    with psycopg.connect(owner_url, autocommit=True) as server:
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    with pytest.raises(StoreError):
        await store.append(arrived("2"))
    third = await store.append(arrived("3"))
    assert len(await store.read(message_ids)) == 2
    assert third.id in await store.read(message_ids)
