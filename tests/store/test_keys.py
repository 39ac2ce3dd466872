"""Messages are found by their keys: newest first, whatever was flushed, merged, lost or torn."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from hilum.errors import StoreError
from hilum.model.message import Disposition, NewMessage
from hilum.store import Store
from hilum.store.keys import SqliteKeys

pytestmark = pytest.mark.anyio
Arrived = Callable[..., NewMessage]
Open = Callable[..., Awaitable[Store]]
KeyOf = Callable[[str], int]


def carrier(one: int, *keys: int) -> NewMessage:
    """A committed message, as the writer hands it to the index."""
    return NewMessage(1, 1, one, Disposition.FILTERED, "", "", "", b"", b"", keys=keys, id=one)


def runs(path: Path) -> list[tuple[int, int]]:
    """(size as noted, rows) of every sorted run."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute(
            "SELECT size, (SELECT count(*) FROM key WHERE key.run = run.run) FROM run"
        ).fetchall()  # fmt: skip
    finally:
        connection.close()


async def until(true: Callable[[], bool]) -> None:
    """Waits for the index's own thread, half a minute at the most."""
    for _ in range(600):
        if true():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not happen")


async def test_the_newest_are_found_first(store: Store, arrived: Arrived, key_of: KeyOf) -> None:
    stored = [await store.append(arrived("same" if n % 2 else "other")) for n in range(20)]
    mine = [one.id for one in stored if one.control_id == "same"][::-1]
    key = key_of("same")
    assert await store.keys.find(key) == mine
    assert await store.keys.find(key, limit=3) == mine[:3]
    assert await store.keys.find(key, before=mine[2], limit=4) == mine[3:7]
    assert await store.keys.find(key, before=mine[-1]) == []
    assert await store.keys.find(key_of("unknown")) == []


async def test_a_key_that_was_seen_is_never_denied(store: Store, arrived: Arrived, key_of: KeyOf) -> None:
    for n in range(50):
        await store.append(arrived(f"seen {n}"))
        assert store.keys.maybe(key_of(f"seen {n}"))


async def test_what_was_never_seen_is_denied_once_the_file_is_known(
    sqlite_store: Store, arrived: Arrived, key_of: KeyOf
) -> None:
    await sqlite_store.append(arrived("seen"))
    await until(lambda: not sqlite_store.keys.maybe(key_of("never seen")))
    assert sqlite_store.keys.maybe(key_of("seen"))


async def test_keys_of_search_are_not_for_de_duplication(tmp_path: Path) -> None:
    keys = SqliteKeys(tmp_path / "keys.db")
    keys.start(lambda after: [], 0)
    await until(lambda: not keys.maybe(8))
    keys.add([carrier(1, 8, 9)])
    assert (keys.maybe(8), keys.maybe(9)) == (False, True)
    assert await keys.find(8) == [1]
    keys.close()


async def test_they_are_found_before_while_and_after_they_are_flushed(tmp_path: Path) -> None:
    keys = SqliteKeys(tmp_path / "keys.db")
    keys.start(lambda after: [], 0)
    keys.add([carrier(one, 4, one * 2) for one in range(1, 101)])
    assert await keys.find(4, limit=200) == list(range(100, 0, -1))
    await until(lambda: bool(runs(tmp_path / "keys.db")))
    keys.add([carrier(101, 4)])
    assert await keys.find(4, limit=200) == list(range(101, 0, -1))
    keys.close()
    again = SqliteKeys(tmp_path / "keys.db")
    again.start(lambda after: [], 101)
    assert await again.find(4, limit=200) == list(range(101, 0, -1))
    assert await again.find(20) == [10]
    again.close()


async def test_many_runs_are_merged_and_nothing_is_lost(tmp_path: Path) -> None:
    path, noise = tmp_path / "keys.db", random.Random(3)
    expected: dict[int, list[int]] = {}
    message = 0
    for _ in range(20):  # each closing flushes one run
        keys = SqliteKeys(path)
        keys.start(lambda after: [], message)
        batch = []
        for _ in range(50):
            message += 1
            mine = {noise.randrange(-(1 << 63), 1 << 63), noise.randrange(0, 40) * 2, -1 << 63, (1 << 63) - 1}
            batch.append(carrier(message, *mine))
            for key in mine:
                expected.setdefault(key, []).append(message)
        keys.add(batch)
        keys.close()
    before = len(runs(path))
    assert before > 8
    keys = SqliteKeys(path)
    keys.start(lambda after: [], message)
    await until(lambda: len(runs(path)) < 8)
    await until(lambda: all(size == rows for size, rows in runs(path)))
    found = {key: await keys.find(key, limit=2_000) for key in expected}
    keys.close()
    assert found == {key: ids[::-1] for key, ids in expected.items()}
    assert sum(rows for _, rows in runs(path)) == sum(map(len, expected.values()))


async def test_a_merge_that_was_cut_short_is_done_again(tmp_path: Path) -> None:
    path = tmp_path / "keys.db"
    keys = SqliteKeys(path)
    keys.start(lambda after: [], 0)
    keys.add([carrier(1, 4), carrier(2, 4)])
    keys.close()
    connection = sqlite3.connect(path)  # a target that was copied in part, and a run that was deleted in part
    connection.execute("INSERT INTO run VALUES (77, 0)")
    connection.execute("INSERT INTO key VALUES (77, 4, 1), (99, 4, 1), (99, 6, 3)")
    connection.commit()
    connection.close()
    keys = SqliteKeys(path)
    keys.start(lambda after: [], 2)
    await until(lambda: not keys.maybe(5))
    assert await keys.find(4) == [2, 1]
    assert await keys.find(6) == []
    keys.close()


async def crashed(store: Store, tmp_path: Path) -> Path:
    """A copy of the open data folder: what a killed process leaves behind."""
    folder = tmp_path / "copy"
    await asyncio.to_thread(shutil.copytree, store.folder, folder, ignore=shutil.ignore_patterns("copy"))
    return folder


@pytest.mark.parametrize("loss", ["nothing", "file", "log", "log's tail", "file's tail", "zeros", "garbage"])
async def test_keys_that_a_crash_lost_are_made_again(
    sqlite_store: Store, open_store: Open, arrived: Arrived, key_of: KeyOf, tmp_path: Path, loss: str
) -> None:
    stored = await asyncio.gather(*(sqlite_store.append(arrived(f"id {n % 40}")) for n in range(400)))
    await until(lambda: bool(runs(tmp_path / "keys.db")))
    stored += [await sqlite_store.append(arrived(f"id {n}")) for n in range(40)]
    if loss in {"file's tail", "zeros", "garbage"}:
        await sqlite_store.close()
    folder = await crashed(sqlite_store, tmp_path)
    file, wal = folder / "keys.db", folder / "keys.db-wal"
    match loss:
        case "file":
            for one in folder.glob("keys.db*"):
                one.unlink()
        case "log":
            wal.unlink()
        case "log's tail":
            wal.write_bytes(wal.read_bytes()[: wal.stat().st_size * 2 // 3])
        case "file's tail":
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        case "zeros":
            file.write_bytes(file.read_bytes()[:8192] + bytes(file.stat().st_size - 8192))
        case "garbage":
            file.write_bytes(b"no database" * 1_000)
    again = await open_store(folder)
    for n in range(40):
        ids = [one.id for one in stored if one.control_id == f"id {n}"]
        assert await again.keys.find(key_of(f"id {n}")) == ids[::-1][:20]
        assert again.keys.maybe(key_of(f"id {n}"))


async def test_a_body_that_does_not_open_keeps_nobody_from_starting(
    sqlite_store: Store, open_store: Open, arrived: Arrived, key_of: KeyOf, tmp_path: Path
) -> None:
    stored = [await sqlite_store.append(arrived(f"id {n}")) for n in range(5)]
    damage = f"UPDATE body SET sealed = zeroblob(60) WHERE message = {stored[2].id}"
    await sqlite_store.write(lambda connection: connection.exec_driver_sql(damage))
    await sqlite_store.close()
    (tmp_path / "keys.db").unlink()
    again = await open_store()
    found = [await again.keys.find(key_of(f"id {n}")) for n in range(5)]
    assert found == [[] if one is stored[2] else [one.id] for one in stored]


async def test_keys_of_another_life_of_the_store_are_not_believed(
    sqlite_store: Store, open_store: Open, arrived: Arrived, key_of: KeyOf, tmp_path: Path
) -> None:
    """Someone puts an older hub.db back beside the newer keys.db: its ids are given out again."""
    await sqlite_store.append(arrived("kept"))
    folder = await crashed(sqlite_store, tmp_path)
    for n in range(5):
        await sqlite_store.append(arrived(f"lost {n}"))
    await sqlite_store.close()
    for one in folder.glob("keys.db*"):
        one.unlink()
    shutil.copy(tmp_path / "keys.db", folder / "keys.db")
    again = await open_store(folder)
    new = await again.append(arrived("new"))
    assert new.id == 2
    assert await again.keys.find(key_of("lost 0")) == []
    assert await again.keys.find(key_of("new")) == [2]
    assert await again.keys.find(key_of("kept")) == [1]


async def test_a_torn_file_is_an_error_of_the_store(tmp_path: Path) -> None:
    path = tmp_path / "keys.db"
    keys = SqliteKeys(path)
    keys.start(lambda after: [], 0)
    keys.add([carrier(one, *range(one * 64, one * 64 + 64, 2)) for one in range(1, 500)])
    keys.close()
    content = path.read_bytes()
    path.write_bytes(content[:16384] + bytes(len(content) - 16384))  # its length is right, its pages are not
    keys = SqliteKeys(path)
    keys.start(lambda after: [], 500)
    with pytest.raises(StoreError, match="search keys cannot be read"):
        await keys.find(640)
    with pytest.raises(StoreError, match="search keys cannot be read"):
        await keys.find(640)
    keys.close()


def test_keys_wait_while_the_disk_is_full(tmp_path: Path) -> None:
    """In a process of its own, where the kernel refuses to let files grow."""
    code = """
        import asyncio, pathlib, resource, signal, sys, time
        from structlog.testing import capture_logs
        from hilum.model.message import Disposition, NewMessage
        from hilum.store.keys import SqliteKeys

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        path = pathlib.Path(sys.argv[1]) / "keys.db"

        def carriers(first, last):
            return [
                NewMessage(1, 1, n, Disposition.FILTERED, "", "", "", b"", b"", keys=(n * 2,), id=n)
                for n in range(first, last)
            ]

        keys = SqliteKeys(path)
        keys.start(lambda after: [], 0)
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        with capture_logs() as logs:
            resource.setrlimit(resource.RLIMIT_FSIZE, (path.with_name("keys.db-wal").stat().st_size + 4096, hard))
            keys.add(carriers(1, 20_000))
            deadline = time.monotonic() + 30
            while not any(one["event"] == "search keys wait" for one in logs):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            keys.add(carriers(20_000, 20_010))
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        keys.close()
        again = SqliteKeys(path)
        asked = []
        again.start(lambda after: asked.append(after) or [], 20_009)
        print(asked, [asyncio.run(again.find(n * 2)) for n in (1, 19_999, 20_009)])
        again.close()
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == "[20009] [[1], [19999], [20009]]"
