"""Group commit: one thread writes whatever is queued in one transaction, then takes what queued meanwhile.

There is no timer: an idle writer commits at once, a busy one collects. Messages and results are hot and written
together; everything else is a closure under a SAVEPOINT of its own, so that it fails alone. Futures resolve after the
outer commit only.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa

from hilum import telemetry
from hilum.errors import HilumError, StoreError, StoreFull
from hilum.model.message import NewMessage
from hilum.store.hot import Hot, Results, driver

T = TypeVar("T")
Closure = Callable[[sa.Connection], Any]
Outcome = tuple[asyncio.Future[Any], Any, BaseException | None]
_BATCH = 512  # messages in one transaction at the most
log = telemetry.logger("store")


class Writer:
    """The store's only way to write."""

    def __init__(
        self,
        engine: sa.Engine,
        hot: Hot,
        on_commit: Callable[[Sequence[NewMessage]], None],
        announce: Callable[[Sequence[NewMessage]], None],
    ) -> None:
        """Both are told the messages of each commit: `on_commit` on the writer's thread, `announce` on the loop."""
        self._announce = announce
        self._engine = engine
        self.hot = hot
        self._on_commit = on_commit
        self._queue: deque[tuple[Any, asyncio.Future[Any]]] = deque()
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._kicked = self._closing = self._checkpoint = False
        self._connection: sa.Connection | None = None
        self._thread = threading.Thread(target=self._work, name="hilum-writer", daemon=True)
        self.commits = 0

    def start(self) -> None:
        self._thread.start()

    def append(self, message: NewMessage) -> asyncio.Future[NewMessage]:
        """Store a message and its deliveries. Resolves after the commit. Raises StoreFull, StoreError."""
        return self._put(message)

    def settle(self, results: Results) -> asyncio.Future[Results]:
        """Write how deliveries ended."""
        return self._put(results)

    def run(self, closure: Callable[[sa.Connection], T]) -> asyncio.Future[T]:
        """Run `closure` in the next transaction, under its own SAVEPOINT."""
        return self._put(closure)

    def checkpoint(self) -> None:
        """Move what is left of SQLite's write-ahead log into the database before the next commit."""
        self._checkpoint = True

    async def close(self) -> None:
        """Commit what is queued, then end the thread."""
        self._closing = True
        self._wake.put(None)
        await asyncio.to_thread(self._thread.join)

    def _put(self, work: Any) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self._loop.create_future()
        if self._closing:
            future.set_exception(StoreError("the store is closing"))
            return future
        self._queue.append((work, future))
        if not self._kicked:  # one wake-up for a turn of the loop, so that what it read shares a commit
            self._kicked = True
            self._loop.call_soon(self._kick)
        return future

    def _kick(self) -> None:
        self._kicked = False
        self._wake.put(None)

    def _work(self) -> None:
        while True:
            self._wake.get()
            with contextlib.suppress(queue.Empty):
                while True:
                    self._wake.get_nowait()
            while self._queue:
                self._commit([self._queue.popleft() for _ in range(min(len(self._queue), _BATCH))])
            if self._closing and not self._queue:
                self._disconnect()
                return

    def _commit(self, batch: list[tuple[Any, asyncio.Future[Any]]]) -> None:
        messages = [work for work, _ in batch if isinstance(work, NewMessage)]
        results = [work for work, _ in batch if isinstance(work, Results)]
        outcomes: list[Outcome] = []
        try:
            connection = self._connect()
            if any(callable(work) for work, _ in batch):
                with connection.begin():
                    self.hot.write(driver(connection), messages, results, alone=False)
                    outcomes = [(future, *self._run(connection, work)) for work, future in batch]
            else:
                self.hot.write(driver(connection), messages, results, alone=True)
                outcomes = [(future, work, None) for work, future in batch]
            self.commits += 1
            self._committed(connection, messages)
        except Exception as error:
            reason = explain(error)
            # the frames alone: the text of a database's error may quote the row
            trace = "" if isinstance(reason, StoreFull) else "".join(traceback.format_tb(error.__traceback__))
            log.error("commit failed", reason=str(reason), messages=len(messages), trace=trace)
            outcomes = [(future, None, reason) for _, future in batch]
            self._disconnect()
            messages = []
        with contextlib.suppress(RuntimeError):  # the loop is gone: nobody waits
            self._loop.call_soon_threadsafe(self._resolve, outcomes, messages)

    def _run(self, connection: sa.Connection, work: Any) -> tuple[Any, BaseException | None]:
        """The outcome of one piece of a batch; what is hot was written already."""
        if not callable(work):
            return work, None
        saved, savepoint = self.hot.save(), connection.begin_nested()
        try:
            result = work(connection)
            savepoint.commit()
            return result, None
        except Exception as error:
            try:
                savepoint.rollback()
            except sa.exc.SQLAlchemyError:  # the database gave up the whole transaction, such as on a full disk
                raise error from None
            if connection.invalidated:
                raise
            self.hot.undo(saved)
            return None, explain(error) if isinstance(error, sa.exc.SQLAlchemyError) else error

    def _committed(self, connection: sa.Connection, messages: list[NewMessage]) -> None:
        """What follows a commit cannot undo it, so it must not fail those who wait."""
        try:
            self._on_commit(messages)
            if self._checkpoint:
                self._checkpoint = False
                driver(connection).execute("PRAGMA wal_checkpoint(PASSIVE)")
        except Exception as error:
            log.warning("after a commit", reason=str(error))

    def _resolve(self, outcomes: list[Outcome], messages: list[NewMessage]) -> None:
        for future, result, error in outcomes:
            if future.done():
                continue
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)
        if messages:
            self._announce(messages)

    def _connect(self) -> sa.Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
            with self._connection.begin():
                self.hot.start(driver(self._connection))
        return self._connection

    def _disconnect(self) -> None:
        """After a failure ids and positions are read anew, on a new connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sa.exc.SQLAlchemyError):
                connection.close()


def explain(error: BaseException) -> HilumError:
    """What a failed transaction means to the rest of the hub. PostgreSQL's details quote the row: they are left out."""
    if isinstance(error, HilumError):
        return error
    original = getattr(error, "orig", None) or error
    text = getattr(getattr(original, "diag", None), "message_primary", None) or str(original)
    if "disk is full" in text or "No space left" in text or "disk I/O error" in text:
        return StoreFull(f"no room to store: {text}")
    return StoreError(f"cannot store: {text}")
