"""Group commit: one thread writes whatever is queued in one transaction, then takes what queued meanwhile.

There is no timer: an idle writer commits at once, a busy one collects. A lone message is committed on the event loop
itself, where the database is a file and its disk is quick: two switches of threads cost it more; so are audit events.
Messages, results and events are hot and written together; everything else is a closure under a SAVEPOINT of its own,
so that it fails alone.
Futures resolve after the outer commit only.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import queue
import threading
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa

from hilum import clock, telemetry
from hilum.errors import HilumError, StoreError, StoreFull
from hilum.model.message import NewMessage
from hilum.store.hot import TOGETHER, Batch, EventRow, Hot, Results, driver

T = TypeVar("T")
Closure = Callable[[sa.Connection], Any]
Told = Callable[[Any, BaseException | None], None]
Outcome = tuple[Told, Any, BaseException | None]
_BATCH = 512  # messages in one transaction at the most
_SMALL, _FEW = 64 << 10, 16  # bytes and deliveries of a message that the loop may commit
_QUICK = 0.001  # seconds that such a commit may take on average
_AWAY = 1.0  # seconds without one after the disk was slower
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
        """Both are told the messages of each commit: `on_commit` where it was made, `announce` on the loop."""
        self._announce = announce
        self._engine = engine
        self.hot = hot
        self._on_commit = on_commit
        self._queue: deque[tuple[Any, Told]] = deque()
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._kicked = self._closing = self._checkpoint = False
        self._connection: sa.Connection | None = None
        self._owner = threading.Lock()  # held by whoever uses the connection: the thread, or the loop
        self._sent = self._heard = 0  # commits of the thread, and those that the loop has told
        self._took = self._away = 0.0
        self._thread = threading.Thread(target=self._work, name="hilum-writer", daemon=True)
        self.commits = 0

    def start(self) -> None:
        self._thread.start()

    def append(self, message: NewMessage) -> asyncio.Future[NewMessage]:
        """Store a message and its deliveries. Resolves after the commit. Raises StoreFull, StoreError."""
        return self._put(message)

    def put(self, message: NewMessage, told: Told) -> None:
        """`append` without a future: `told` is called on the loop with the message, or with None and the error."""
        if self._closing:
            self._loop.call_soon(told, None, StoreError("the store is closing"))
        else:
            self._enqueue(message, told)

    def settle(self, results: Results) -> asyncio.Future[Results]:
        """Write how deliveries ended."""
        return self._put(results)

    def note(self, event: EventRow) -> asyncio.Future[EventRow]:
        """Store an audit event."""
        return self._put(event)

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
        else:
            self._enqueue(work, functools.partial(_resolve, future))
        return future

    def _enqueue(self, work: Any, told: Told) -> None:
        self._queue.append((work, told))
        if not self._kicked:  # one wake-up for a turn of the loop, so that what it read shares a commit
            self._kicked = True
            self._loop.call_soon(self._kick)

    def _kick(self) -> None:
        self._kicked = False
        if not self._commit_here():
            self._wake.put(None)

    def _commit_here(self) -> bool:
        """Commit a lone message, or events, on the loop, where the thread rests and the disk is quick."""
        started = clock.monotonic()
        if not self.hot.local or self._checkpoint or started < self._away or not self._light():
            return False
        if not self._owner.acquire(blocking=False):
            return False
        try:
            if self._connection is None or not self._queue or self._sent != self._heard:
                return False  # what the thread committed before is told before
            outcomes, messages = self._commit(self._next())
        finally:
            self._owner.release()
        self._took += (clock.monotonic() - started - self._took) / 16
        if self._took > _QUICK:
            self._took, self._away = 0.0, clock.monotonic() + _AWAY
        self._tell(outcomes, messages)
        return True

    def _light(self) -> bool:
        """Whether what is queued is one small message at the most and a few events."""
        if len(self._queue) > TOGETHER:
            return False
        others = [work for work, _ in self._queue if not isinstance(work, EventRow)]
        return not others or (len(others) == 1 and _small(others[0]))

    def _next(self) -> list[tuple[Any, Told]]:
        return [self._queue.popleft() for _ in range(min(len(self._queue), _BATCH))]

    def _work(self) -> None:
        while True:
            self._wake.get()
            with contextlib.suppress(queue.Empty):
                while True:
                    self._wake.get_nowait()
            with self._owner:
                while self._queue:
                    told = self._commit(self._next())
                    self._sent += 1
                    with contextlib.suppress(RuntimeError):  # the loop is gone: nobody waits
                        self._loop.call_soon_threadsafe(self._hear, *told)
            if self._closing and not self._queue:
                self._disconnect()
                return

    def _commit(self, batch: list[tuple[Any, Told]]) -> tuple[list[Outcome], list[NewMessage]]:
        messages = [work for work, _ in batch if isinstance(work, NewMessage)]
        results = [work for work, _ in batch if isinstance(work, Results)]
        hot = Batch(messages, results, [work for work, _ in batch if isinstance(work, EventRow)])
        outcomes: list[Outcome] = []
        try:
            connection = self._connect()
            if any(callable(work) for work, _ in batch):
                with connection.begin():
                    self.hot.write(driver(connection), hot, alone=False)
                    outcomes = [(told, *self._run(connection, work)) for work, told in batch]
            else:
                self.hot.write(driver(connection), hot, alone=True)
                outcomes = [(told, work, None) for work, told in batch]
            self.commits += 1
            self._committed(connection, messages)
        except Exception as error:
            reason = explain(error)
            # the frames alone: the text of a database's error may quote the row
            trace = "" if isinstance(reason, StoreFull) else "".join(traceback.format_tb(error.__traceback__))
            log.error("commit failed", reason=str(reason), messages=len(messages), trace=trace)
            outcomes = [(told, None, reason) for _, told in batch]
            self._disconnect()
            messages = []
        return outcomes, messages

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

    def _hear(self, outcomes: list[Outcome], messages: list[NewMessage]) -> None:
        self._heard += 1
        self._tell(outcomes, messages)

    def _tell(self, outcomes: list[Outcome], messages: list[NewMessage]) -> None:
        for told, result, error in outcomes:
            try:
                told(result, error)
            except Exception:
                log.exception("telling of a commit failed")
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


def _small(work: Any) -> bool:
    return isinstance(work, NewMessage) and len(work.body) <= _SMALL and len(work.deliveries) <= _FEW


def _resolve(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


def explain(error: BaseException) -> HilumError:
    """What a failed transaction means to the rest of the hub. PostgreSQL's details quote the row: they are left out."""
    if isinstance(error, HilumError):
        return error
    original = getattr(error, "orig", None) or error
    text = getattr(getattr(original, "diag", None), "message_primary", None) or str(original)
    if "disk is full" in text or "No space left" in text or "disk I/O error" in text:
        return StoreFull(f"no room to store: {text}")
    return StoreError(f"cannot store: {text}")
