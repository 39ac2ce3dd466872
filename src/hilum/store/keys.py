"""Finds messages by keyed hash: search keys and de-duplication.

On SQLite the keys go as sorted runs into a file of their own (a log-structured merge): random inserts into
one tree would double what is written for each message. The file is not synced on the way of a message; after
a crash the keys that it misses are made again from the rows. Keys with the lowest bit set are for
de-duplication and are known to the Bloom filter as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sqlite3
import struct
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa

from hilum import clock, telemetry
from hilum.errors import StoreError
from hilum.model.message import NewMessage
from hilum.store import schema
from hilum.store.bloom import Bloom

WINDOW = 7 * 86_400_000_000  # microseconds that de-duplication remembers
_PERIOD = 0.5
_TOGETHER = 256  # rows of one statement
_PAGE = 10_000  # messages that are looked up in one go
_FANOUT = 8  # runs of one size that are merged into a bigger one
_SLICES = 32  # a merge is done in slices of the hash range, so that it never holds the disk for long
_TABLES = """
CREATE TABLE IF NOT EXISTS run (run INTEGER PRIMARY KEY, size INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS key (run INTEGER, hash INTEGER, message INTEGER, PRIMARY KEY (run, hash, message))
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS progress (one INTEGER PRIMARY KEY CHECK (one = 1), through INTEGER NOT NULL);
"""
_FIND = "SELECT message FROM key WHERE run = ? AND hash = ? AND message < ? ORDER BY message DESC LIMIT ?"
_DELETE_SOME = (
    "DELETE FROM key WHERE (run, hash, message) IN (SELECT run, hash, message FROM key WHERE run = ? LIMIT 5000)"
)
log = telemetry.logger("store")


class Keys(Protocol):
    """What the store needs of an index."""

    def add(self, messages: Sequence[NewMessage]) -> None:
        """Take the keys of committed messages. Called by the writer, on its thread or on the loop."""

    def maybe(self, key: int) -> bool:
        """False: this de-duplication key was certainly not seen within the window."""

    async def find(self, key: int, *, before: int | None = None, limit: int = 20) -> list[int]:
        """Ids of the messages under a key, newest first, below `before`."""

    def start(self, missing: Callable[[int], Sequence[NewMessage]], newest: int) -> None:
        """`missing(after)` makes the keys of up to some thousand messages with ids above `after` again.

        `newest` is the newest message: keys of later ones belong to another life of the store.
        """

    def close(self) -> None: ...


async def every(keys: Keys, key: int) -> list[int]:
    """All messages under a key, newest first."""
    found: list[int] = []
    while page := await keys.find(key, before=found[-1] if found else None, limit=_PAGE):
        found += page
    return found


def pack(keys: Sequence[int]) -> bytes:
    """Keys as they are kept with what they cannot be made again of."""
    return struct.pack(f">{len(keys)}q", *keys)


def unpack(packed: bytes) -> tuple[int, ...]:
    return struct.unpack(f">{len(packed) // 8}q", packed)


class SqliteKeys:
    """Sorted runs in `keys.db`, with a thread that flushes and merges."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._fresh: defaultdict[int, list[int]] = defaultdict(list)  # not in the file yet
        self._flushing: dict[int, list[int]] = {}
        self._through = 0  # the newest message whose keys were added
        self._bloom = Bloom(WINDOW, ready=False)
        self._stop = threading.Event()
        try:
            self._reading = self._open()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):  # not the file's fault, such as a full disk
                raise StoreError(f"{path} cannot be opened: {error}") from None
            log.warning("search keys are made anew", reason=str(error))
            self._reading = self._anew()
        self._reading_lock = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="hilum-keys", daemon=True)

    def start(self, missing: Callable[[int], Sequence[NewMessage]], newest: int) -> None:
        try:
            (stored,) = self._reading.execute("SELECT coalesce(max(through), 0) FROM progress").fetchone()
            problem = "they know messages that are not in the store" if stored > newest else ""
        except sqlite3.DatabaseError as error:
            problem = str(error)
        if problem:
            log.warning("search keys are made anew", reason=problem)
            self._reading.close()
            self._reading, stored = self._anew(), 0
        self._through = stored
        while batch := missing(self._through):
            self.add(batch)
        self._thread.start()

    def add(self, messages: Sequence[NewMessage]) -> None:
        with self._lock:
            for one in messages:
                for key in one.keys:
                    self._fresh[key].append(one.id)
                    if key & 1:
                        self._bloom.add(key, one.received_at)
            if messages:
                self._through = max(self._through, messages[-1].id)

    def maybe(self, key: int) -> bool:
        return key in self._bloom

    async def find(self, key: int, *, before: int | None = None, limit: int = 20) -> list[int]:
        return await asyncio.to_thread(self._find, key, before or 1 << 62, limit)

    def close(self) -> None:
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._reading.close()

    def _find(self, key: int, before: int, limit: int) -> list[int]:
        with self._lock:
            found = {one for one in (*self._fresh.get(key, ()), *self._flushing.get(key, ())) if one < before}
        with self._reading_lock:
            try:
                self._reading.execute("BEGIN")  # one snapshot, or a merge could move keys past us
                for (run,) in self._reading.execute("SELECT run FROM run").fetchall():
                    found.update(one for (one,) in self._reading.execute(_FIND, (run, key, before, limit)))
            except sqlite3.Error as error:
                raise StoreError(f"search keys cannot be read: {error}") from None
            finally:
                with contextlib.suppress(sqlite3.Error):
                    self._reading.rollback()
        return sorted(found, reverse=True)[:limit]

    def _anew(self) -> sqlite3.Connection:
        """An empty file: everything in it can be made again from the rows."""
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        return self._open()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        try:
            for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=10000", "cache_size=-4000"):
                connection.execute(f"PRAGMA {pragma}")
            connection.executescript(_TABLES)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _work(self) -> None:
        connection = self._open()
        try:
            connection.execute("DELETE FROM key WHERE run NOT IN (SELECT run FROM run)")  # a merge was interrupted
            self._remember(connection)
        except sqlite3.Error as error:
            log.error("search keys cannot be read", reason=str(error))
        while not self._stop.wait(_PERIOD):
            with contextlib.suppress(sqlite3.Error):
                self._flush(connection)
                self._merge(connection)
        with contextlib.suppress(sqlite3.Error):
            self._flush(connection)
        connection.close()

    def _remember(self, connection: sqlite3.Connection) -> None:
        """Teach the Bloom filter what the file knows, then let it answer."""
        now = clock.micros()
        cursor = connection.execute("SELECT hash FROM key WHERE hash & 1")
        while rows := cursor.fetchmany(2_000):
            with self._lock:
                for (key,) in rows:
                    self._bloom.add(key, now)
            if self._stop.wait(0.001):  # let the event loop have the interpreter
                return
        self._bloom.ready = True

    def _flush(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            if not self._fresh:
                return
            self._flushing, self._fresh = self._fresh, defaultdict(list)
            through = self._through
        rows = sorted((key, one) for key, ids in self._flushing.items() for one in ids)
        try:
            connection.execute("BEGIN IMMEDIATE")
            run = connection.execute("INSERT INTO run (size) VALUES (?)", (len(rows),)).lastrowid
            for start in range(0, len(rows), _TOGETHER):  # each statement is a chance to lose the interpreter
                some = rows[start : start + _TOGETHER]
                values = ", ".join(["(?1, ?, ?)"] * len(some))
                flat = [run, *itertools.chain.from_iterable(some)]
                connection.execute(f"INSERT OR IGNORE INTO key VALUES {values}", flat)
            connection.execute("INSERT OR REPLACE INTO progress VALUES (1, ?)", (through,))
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            log.warning("search keys wait", reason=str(error))
            with self._lock:
                for key, ids in self._flushing.items():
                    self._fresh[key] = ids + self._fresh[key]
            if connection.in_transaction:  # on a full disk SQLite has rolled back by itself
                connection.execute("ROLLBACK")
            raise
        finally:
            with self._lock:
                self._flushing = {}

    def _merge(self, connection: sqlite3.Connection) -> None:
        """Merge the runs of one size class once there are _FANOUT of them."""
        classes: defaultdict[int, list[int]] = defaultdict(list)
        for run, size in connection.execute("SELECT run, size FROM run").fetchall():
            classes[max(size, 1).bit_length() // 3].append(run)
        for runs in classes.values():
            if len(runs) >= _FANOUT:
                self._merge_runs(connection, runs)
                return

    def _merge_runs(self, connection: sqlite3.Connection, runs: list[int]) -> None:
        marks = ", ".join("?" * len(runs))
        target = connection.execute("INSERT INTO run (size) VALUES (0)").lastrowid
        edges = [-(1 << 63) + number * ((1 << 64) // _SLICES) for number in range(_SLICES)] + [(1 << 63) - 1]
        size = 0
        for low, high in itertools.pairwise(edges):
            last = high == edges[-1]
            size += connection.execute(
                f"INSERT OR IGNORE INTO key SELECT ?, hash, message FROM key WHERE run IN ({marks})"
                f" AND hash >= ? AND hash {'<=' if last else '<'} ? ORDER BY hash, message",
                (target, *runs, low, high),
            ).rowcount
            if self._stop.wait(0.002):
                return  # what was copied is only found twice; the next start merges again
        connection.execute("UPDATE run SET size = ? WHERE run = ?", (size, target))
        for run in runs:
            connection.execute("DELETE FROM run WHERE run = ?", (run,))
            while connection.execute(_DELETE_SOME, (run,)).rowcount:
                if self._stop.wait(0.002):
                    return


class PostgresKeys:
    """A table beside the messages, written in their transaction (hot.py); several processes may share it."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def start(self, missing: Callable[[int], Sequence[NewMessage]], newest: int) -> None:
        """Nothing can be missing."""

    def add(self, messages: Sequence[NewMessage]) -> None:
        """Written already."""

    def maybe(self, key: int) -> bool:
        return True

    async def find(self, key: int, *, before: int | None = None, limit: int = 20) -> list[int]:
        return await asyncio.to_thread(self._find, key, before or 1 << 62, limit)

    def close(self) -> None:
        """Holds nothing open."""

    def _find(self, key: int, before: int, limit: int) -> list[int]:
        table = schema.search_key
        query = (
            sa.select(table.c.message)
            .where(table.c.hash == key, table.c.message < before)
            .order_by(table.c.message.desc())
            .limit(limit)
        )
        with self._engine.connect() as connection:
            return list(connection.execute(query).scalars())
