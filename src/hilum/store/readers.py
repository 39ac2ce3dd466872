"""Reads beside the writer, each on a snapshot of its own: on threads, or where it is worth it on the event loop itself.

A file answers a small read in less time than handing it to a thread and back takes, so the loop tries it first. It
gives up what lasts, and what would have to wait; a thread then does it anew. While reads are slow it does not try.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import sqlalchemy as sa

from hilum import clock
from hilum.errors import HilumError, StoreError
from hilum.store.database import Database, at_rest
from hilum.store.hot import driver, driver_errors
from hilum.store.writer import explain

T = TypeVar("T")
Work = Callable[[sa.Connection], T]
_PATIENCE = 0.003  # seconds that the loop gives to one read
_STEPS = 2_000  # of SQLite's machine between two looks at the clock: some 50 microseconds
_QUICK = 0.005  # seconds that a read may take on average
_AWAY = 0.25  # seconds without one on the loop after they were slower


class Readers:
    """What reads from a database. One a store, used from its loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._threads = ThreadPoolExecutor(database.pool.most, thread_name_prefix="hilum-reader")
        self._room = asyncio.Semaphore(database.pool.most)
        self._here: dict[bool, sa.Connection] = {}
        self._until = self._took = self._away = 0.0

    async def read(self, work: Work[T], *, own: bool = False) -> T:
        """Run `work` on a thread. `own`: it reads one organization's rows. Raises StoreError without an answer."""
        await self._enter()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._on_thread, work, own)
        except sa.exc.SQLAlchemyError as error:
            self._database.timeouts += isinstance(error, sa.exc.TimeoutError)
            raise explain(error) from None
        finally:
            self._room.release()

    async def read_small(self, work: Work[T], *, own: bool = False) -> T:
        """`read` for what is mostly a few rows, and may be begun twice."""
        if self._database.embedded and clock.monotonic() >= self._away:
            with contextlib.suppress(sa.exc.SQLAlchemyError):  # a thread says what is wrong, if it still is
                return self._on_loop(work, own)
        return await self.read(work, own=own)

    async def _enter(self) -> None:
        """Wait until a connection is free. Raises StoreError where that takes too long."""
        if not self._room.locked():
            await self._room.acquire()
            return
        try:
            async with asyncio.timeout(self._database.pool.timeout):
                await self._room.acquire()
        except TimeoutError:
            self._database.timeouts += 1
            raise StoreError("all connections to the database are in use") from None

    def close(self) -> None:
        """Wait for what is being read."""
        self._threads.shutdown()
        for own in list(self._here):
            self._disconnect(own)

    def _on_thread(self, work: Work[T], own: bool) -> T:
        with self._engine(own).connect() as connection:
            try:
                return work(connection)
            except BaseException as error:
                if not isinstance(error, HilumError) or not at_rest(connection):
                    connection.invalidate()
                raise

    def _engine(self, own: bool) -> sa.Engine:
        return self._database.own if own else self._database.reader

    def _on_loop(self, work: Work[T], own: bool) -> T:
        began = clock.monotonic()
        self._until = began + _PATIENCE
        try:
            connection = self._here.get(own) or self._connect(own)
            raw = driver(connection)
            with driver_errors(connection):  # these are interrupted as well, where the loop was held up
                raw.execute("BEGIN")
            result = work(connection)
            with driver_errors(connection):
                raw.execute("COMMIT")
            return result
        except BaseException as error:
            if not isinstance(error, HilumError) or not self._roll_back(own):
                self._disconnect(own)
            raise
        finally:
            took = min(clock.monotonic() - began, 2 * _QUICK)  # one that was very slow says little
            self._took += (took - self._took) / 16
            if self._took > _QUICK:
                self._took, self._away = 0.0, clock.monotonic() + _AWAY

    def _connect(self, own: bool) -> sa.Connection:
        connection = self._here[own] = self._engine(own).connect()
        connection.begin()  # for SQLAlchemy it never ends: its part of one took longer than a read
        raw = driver(connection)
        raw.execute("COMMIT")
        raw.execute("PRAGMA busy_timeout=0")
        raw.set_progress_handler(lambda: clock.monotonic() > self._until, _STEPS)
        return connection

    def _roll_back(self, own: bool) -> bool:
        """End a read that came to nothing, such as one of what is not there. False: its connection is of no use now."""
        connection = self._here[own]
        with contextlib.suppress(sa.exc.SQLAlchemyError), driver_errors(connection):
            driver(connection).execute("ROLLBACK")
            return at_rest(connection)
        return False

    def _disconnect(self, own: bool) -> None:
        connection = self._here.pop(own, None)
        if connection is not None:
            connection.invalidate()  # the threads' connections wait, and have all the time
            connection.close()
