"""Routes that may take their time (scripts): a message that goes over the budget is stored first, routed right after.

Such routes run in a thread, in order. Whoever sent the message waits for the budget at the most.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from hilum import telemetry
from hilum.errors import StoreError
from hilum.intake.arrival import Arrival
from hilum.intake.routing import Routing, Verdict
from hilum.model.message import Disposition, Message, NewMessage
from hilum.store import Connection, Store, messages

BUDGET = 0.25  # seconds from receipt until a message is stored without being routed
_AGAIN = 1.0  # seconds until a routed message that could not be stored is tried again
log = telemetry.logger("intake")


@dataclasses.dataclass(slots=True, eq=False)
class Entry:
    """One message in the line: just received, or (once `stored` is set) on disk and waiting for its route."""

    arrival: Arrival | None
    stored: asyncio.Future[NewMessage] | asyncio.Future[Message] | None = None
    timer: asyncio.TimerHandle | None = None


class Keeper(Protocol):
    """The inbox, as far as this line needs it."""

    endpoint: int
    routing: Routing

    def store(
        self, arrival: Arrival, verdict: Verdict, *, versions: str | None = None
    ) -> asyncio.Future[NewMessage]: ...

    def routed(self, message: int, verdict: Verdict) -> None: ...


class Overdue:
    """The ordered line of one endpoint's messages that are still being routed."""

    def __init__(self, store: Store, inbox: Keeper) -> None:
        self._store = store
        self._inbox = inbox
        self._line: deque[Entry] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._routing = self._closing = False

    def __len__(self) -> int:
        return len(self._line)

    def put(self, arrival: Arrival) -> None:
        entry = Entry(arrival)
        entry.timer = asyncio.get_running_loop().call_later(BUDGET, self._store_first, entry)
        self._line.append(entry)
        self._start()

    async def recover(self) -> None:
        """Take up what an earlier run stored but did not route."""
        for message in await self._store.read(_left, self._store, self._inbox.endpoint):
            stored: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
            stored.set_result(message)
            self._line.append(Entry(None, stored))
        if self._line:
            self._start()

    async def close(self) -> None:
        """What is not routed yet is stored as such; the next start goes on."""
        self._closing = True
        if self._worker is not None:
            if self._routing:
                self._worker.cancel()  # a script is not waited for, but what it made is written
            with contextlib.suppress(asyncio.CancelledError):
                await self._worker
        for entry in self._line:
            if entry.stored is None:
                self._store_first(entry)
            if entry.stored is not None:
                with contextlib.suppress(StoreError):
                    await entry.stored
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)

    def _start(self) -> None:
        if self._worker is None or self._worker.done():
            self._worker = asyncio.get_running_loop().create_task(self._work())

    def _store_first(self, entry: Entry) -> None:
        if entry.arrival is not None and entry.stored is None:
            entry.stored = self._inbox.store(entry.arrival, Verdict(Disposition.RECEIVED))

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        self._thread = self._thread or ThreadPoolExecutor(1, thread_name_prefix="hilum-route")
        while self._line and not self._closing:
            entry, routing = self._line[0], self._inbox.routing
            try:
                if entry.arrival is not None:
                    body, attributes = entry.arrival.body, entry.arrival.attributes
                else:
                    body, attributes = await self._read(entry)
                self._routing = True
                verdict = await loop.run_in_executor(self._thread, routing, body, attributes)
                self._routing = False
                await self._finish(entry, verdict, routing.versions)
            except StoreError as error:
                log.error("a message waits for its route", reason=str(error))
                await asyncio.sleep(_AGAIN)
                continue
            self._line.popleft()

    async def _finish(self, entry: Entry, verdict: Verdict, versions: str) -> None:
        if entry.timer is not None:
            entry.timer.cancel()
        if entry.stored is None:
            if entry.arrival is not None:
                self._inbox.store(entry.arrival, verdict, versions=versions)
            return
        try:
            row: Message | NewMessage = await entry.stored
        except StoreError:
            return  # its sender was told so and keeps it
        for one in verdict.deliveries:
            one.message, one.uuid, one.organization, one.queued_at = row.id, row.uuid, row.organization, row.received_at
        await self._store.route(row, verdict.disposition, list(verdict.deliveries), versions, verdict.note)
        self._inbox.routed(row.id, verdict)

    async def _read(self, entry: Entry) -> tuple[bytes, dict[str, str]]:
        assert isinstance(entry.stored, asyncio.Future)  # noqa: S101 - recovered entries are stored ones
        message = await entry.stored
        found = await self._store.read(messages.bodies, self._store.sealer, [message.id])
        return found.get(message.id, b""), dict(message.attributes or {})


def _left(connection: Connection, store: Store, endpoint: int) -> list[Message]:
    rows = messages.unrouted(connection, endpoint)
    return [messages.view(row, store.sealer) for row in rows]
