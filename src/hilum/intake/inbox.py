"""One endpoint's way in: recognise, route, store, and only then answer."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
from collections import deque
from collections.abc import Coroutine, Mapping

from hilum import clock, telemetry
from hilum.errors import FormatError, StoreError
from hilum.formats.hl7v2 import AckError
from hilum.intake.arrival import Arrival
from hilum.intake.identity import Identify, file_key
from hilum.intake.overdue import Overdue
from hilum.intake.routing import Routing, Verdict
from hilum.intake.waiters import Waiters
from hilum.model.message import Ack, Disposition, NewMessage
from hilum.sdk.contracts import Receipt
from hilum.store import Connection, Store, messages
from hilum.store.keys import WINDOW

log = telemetry.logger("intake")
_LARGE = 256 << 10  # bytes above which a message is routed beside the loop
_SLOW = 0.025  # seconds after which a route is no longer run on the loop
_CODES = {Disposition.ERROR: Ack.AE}
_CLOSE = 2.0  # seconds that answers may take once the source has stopped
_LOOK = 0.25  # seconds between looks at the rows of a message that is being delivered


class Inbox:
    """Implements the sdk's Inbox for one endpoint. `routing` may be exchanged at any time (atomic reload)."""

    def __init__(
        self, store: Store, organization: int, endpoint: int, identify: Identify, routing: Routing, waiters: Waiters
    ) -> None:
        self._store = store
        self.organization = organization
        self.endpoint = endpoint
        self.identify = identify
        self.routing = routing
        self._waiters = waiters
        self.latency = telemetry.Latency()
        self._loop = asyncio.get_running_loop()
        self._storing: dict[int, Arrival] = {}  # de-duplication keys whose message is being stored
        self._held: deque[Arrival] | None = None  # what came while a possible repeat is looked up
        self._overdue = Overdue(store, self)
        self._tasks: set[asyncio.Task[None]] = set()

    def receive(
        self, body: bytes, attributes: Mapping[str, str] | None = None, *, wait: float | None = None
    ) -> asyncio.Future[Receipt]:
        arrival = Arrival(body, attributes, wait, self._loop.create_future(), clock.micros())
        if self._held is not None:
            self._held.append(arrival)
        else:
            self._take(arrival)
        return arrival.future

    def reject(self, body: bytes, reason: str, attributes: Mapping[str, str] | None = None) -> asyncio.Future[Receipt]:
        arrival = Arrival(body, attributes, None, self._loop.create_future(), clock.micros())
        with contextlib.suppress(FormatError):
            arrival.identity = dataclasses.replace(self.identify(body, attributes), dedupe=0)
        self.store(arrival, Verdict(Disposition.ERROR, note=reason), Ack.AR)
        return arrival.future

    async def seen(self, identity: str) -> bool:
        ids = await self._store.keys.find(file_key(self._store.hash, self.endpoint, identity))
        rows = await self._store.read(messages.by_ids, ids) if ids else []
        return any(Ack(row.ack).positive for row in rows)  # what failed is processed anew

    @property
    def unrouted(self) -> int:
        """Messages that were taken but not yet routed."""
        return len(self._overdue) + len(self._held or ())

    async def recover(self) -> None:
        """Route what was stored but not yet routed when the hub ended."""
        await self._overdue.recover()

    async def close(self) -> None:
        """Finish what was taken. Who still waits for a delivery then goes without an answer, and asks again."""
        until = clock.monotonic() + _CLOSE
        while self._tasks and (left := until - clock.monotonic()) > 0:
            await asyncio.wait(self._tasks, timeout=left)
        for task in self._tasks:
            task.cancel()
        await self._overdue.close()

    def _take(self, arrival: Arrival) -> None:
        try:
            arrival.identity = self.identify(arrival.body, arrival.attributes)
        except FormatError as error:
            errors = (AckError("207" if error.segment is None else "100", "E", error.segment, error.reason),)
            self.store(arrival, Verdict(Disposition.ERROR, note=f"unreadable: {error}", errors=errors), Ack.AR)
            return
        arrival.hash = self._store.seal_hash(arrival.body)
        key = arrival.identity.dedupe
        if key:
            if key in self._storing or self._store.keys.maybe(key):
                self._held = deque()  # order holds: what follows waits until this one is known
                self._spawn(self._settle_repeat(arrival))
                return
            self._storing[key] = arrival
        self._route(arrival)

    def _route(self, arrival: Arrival) -> None:
        routing = self.routing
        if not routing.deterministic or routing.slow or len(arrival.body) > _LARGE or len(self._overdue):
            self._overdue.put(arrival)  # may take its time: stored first if it does
            return
        started = clock.monotonic()
        verdict = routing(arrival.body, arrival.attributes, arrival.identity.message)
        routing.slow = clock.monotonic() - started > _SLOW
        self._put(arrival, verdict, _CODES.get(verdict.disposition, Ack.AA))

    def store(
        self, arrival: Arrival, verdict: Verdict, code: Ack | None = None, versions: str | None = None
    ) -> asyncio.Future[NewMessage]:
        """Queue the row; the receipt is given after the commit. `versions` routed it, if not the current ones."""
        code = code or _CODES.get(verdict.disposition, Ack.AA)
        row = self._row(arrival, verdict, code)
        if versions is not None:
            row.routes = versions
        stored = self._store.append(row)
        stored.add_done_callback(lambda done: self._stored(arrival, verdict, code, row, done.exception()))
        return stored

    def _put(self, arrival: Arrival, verdict: Verdict, code: Ack) -> None:
        """`store` for the hot path: no future, nobody waits for the row."""
        self._store.put(self._row(arrival, verdict, code), functools.partial(self._stored, arrival, verdict, code))

    def _row(self, arrival: Arrival, verdict: Verdict, code: Ack) -> NewMessage:
        identity, deliveries, note = arrival.identity, verdict.deliveries, verdict.note
        if arrival.note:
            note = f"{arrival.note}; {note}" if note else arrival.note
        return NewMessage(
            self.organization, self.endpoint, arrival.received_at, verdict.disposition, code.value, identity.type,
            identity.control_id, arrival.body, arrival.hash or self._store.seal_hash(arrival.body),
            self.routing.versions, note, arrival.attributes, None, identity.keys, deliveries, identity.synthetic,
        )  # fmt: skip

    def _stored(
        self, arrival: Arrival, verdict: Verdict, code: Ack, new: NewMessage | None, error: BaseException | None
    ) -> None:
        if arrival.identity.dedupe:
            self._storing.pop(arrival.identity.dedupe, None)
            if arrival.stored is not None:
                arrival.stored.set_result(None)
        if arrival.future.cancelled():
            return
        if new is None or error is not None:
            arrival.future.set_exception(error or StoreError("not stored"))
            return
        self.latency.observe((clock.micros() - arrival.received_at) / 1_000_000)
        receipt = Receipt(
            new.uuid, code, verdict.disposition, note=verdict.note, errors=verdict.errors,
            message=arrival.identity.message,
        )  # fmt: skip
        if arrival.wait is not None and (verdict.deliveries or verdict.disposition is Disposition.RECEIVED):
            self._waiters.expect(new.id, verdict.deliveries)
            self._spawn(self._answer_after_delivery(arrival, receipt, new.id))
            return
        arrival.future.set_result(receipt)

    async def _answer_after_delivery(self, arrival: Arrival, receipt: Receipt, message: int) -> None:
        wait = arrival.wait or 0
        delivered: bool | None = None
        for part in (min(wait, _LOOK), max(wait - _LOOK, 0)):
            if delivered is None:
                delivered = await self._waiters.wait(message, part)
            if delivered is None:
                with contextlib.suppress(StoreError):  # it may have ended in the very turn that announced it
                    delivered = await self._store.read(_delivered, message)
        self._waiters.forget(message)
        if not arrival.future.done():
            arrival.future.set_result(_judged(receipt, delivered))

    def routed(self, message: int, verdict: Verdict) -> None:
        """A message that was stored first has its verdict now. Call it in the turn that announces its deliveries."""
        self._waiters.routed(message, verdict.deliveries, verdict.disposition is not Disposition.ERROR)

    async def _settle_repeat(self, arrival: Arrival) -> None:
        """Look a possible repeat up: answer it as before, or go on with it as a new message."""
        try:
            key = arrival.identity.dedupe
            if (first := self._storing.get(key)) is not None:
                first.stored = first.stored or self._loop.create_future()
                await first.stored
            known = await self._known(arrival)
            if known is None:
                self._storing[key] = arrival
                self._route(arrival)
            else:
                self._spawn(self._answer_repeat(arrival, known))  # which may wait for delivery: others need not
        except Exception as error:  # whatever a database says
            self._fail(arrival, error)
        finally:
            held, self._held = self._held or deque(), None
            while held:
                one = held.popleft()
                if self._held is None:
                    self._take(one)
                else:
                    self._held.append(one)

    async def _known(self, arrival: Arrival) -> tuple[int, str] | None:
        """(id, uuid) of the message that this one repeats; a note is left where only the id is the same."""
        ids = await self._store.keys.find(arrival.identity.dedupe, limit=20)
        if not ids:
            return None
        for row in await self._store.read(messages.by_ids, ids):
            if row.endpoint != self.endpoint or row.received_at < arrival.received_at - WINDOW:
                continue
            if row.body_hash != arrival.hash:
                arrival.note = "another message with this control id was received before"
            elif Ack(row.ack or Ack.AE).positive:
                if arrival.wait is not None and await self._store.read(_delivered, row.id) is False:
                    arrival.note = "received before, but its delivery failed"
                    continue
                return row.id, messages.view(row, self._store.sealer).uuid
        return None

    async def _answer_repeat(self, arrival: Arrival, known: tuple[int, str]) -> None:
        message, identifier = known
        receipt = Receipt(identifier, Ack.AA, Disposition.DELIVERING, duplicate=True)
        try:
            if arrival.wait is not None:
                receipt = _judged(receipt, await self._await_delivery(message, arrival.wait))
        except Exception as error:
            self._fail(arrival, error)
            return
        log.info("repeat answered", message=identifier)
        if not arrival.future.done():
            arrival.future.set_result(receipt)

    async def _await_delivery(self, message: int, seconds: float) -> bool | None:
        """The rows tell, for those who wait may be another process's, or an earlier one's."""
        until = clock.monotonic() + seconds
        delivered: bool | None = None
        while delivered is None and (left := until - clock.monotonic()) > 0:
            delivered = await self._store.read(_delivered, message)
            if delivered is None:
                delivered = await self._waiters.wait(message, min(left, _LOOK))
        return delivered

    def _fail(self, arrival: Arrival, error: Exception) -> None:
        if not arrival.future.done():
            known = isinstance(error, StoreError)
            arrival.future.set_exception(error if known else StoreError(f"cannot tell whether it is new: {error}"))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _judged(receipt: Receipt, delivered: bool | None) -> Receipt:
    """The answer of a source that acknowledges after delivery."""
    code = Ack.AA if delivered else Ack.AE
    note = "" if delivered else "stored, delivery pending" if delivered is None else "stored, delivery failed"
    return dataclasses.replace(receipt, code=code, delivered=delivered, note=note)


def _delivered(connection: Connection, message: int) -> bool | None:
    """True: it is where it belongs; False: its route or a delivery failed for good; None: it is under way."""
    (row,) = messages.by_ids(connection, [message])
    if row.disposition == Disposition.RECEIVED:
        return None
    return False if row.disposition == Disposition.ERROR else messages.all_delivered(connection, message)
