"""Writes down how deliveries ended: into the crash-proof mark at once, into rows in batches."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from hilum import clock, telemetry
from hilum.errors import StoreError
from hilum.intake.waiters import Waiters
from hilum.model.delivery import Attempt, DeliveryState, Pending, Settled
from hilum.store import Store

_BATCH = 256
_PERIOD = 0.02  # seconds a result may wait for company
_AGAIN = 1.0
log = telemetry.logger("engine")


class Recorder:
    """One per process. `watermarks` asks the lanes how far each destination is."""

    def __init__(self, store: Store, waiters: Waiters) -> None:
        self._store = store
        self._mark = store.mark
        self._waiters = waiters
        self._loop = asyncio.get_running_loop()
        self._settled: list[Settled] = []
        self._slots: list[int] = []
        self._tried: list[Attempt] = []
        self._unparked: list[tuple[int, int, int]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Future[None] | None = None
        self._room = asyncio.Event()
        self._room.set()
        self.watermarks: Callable[[], dict[int, int]] = dict
        self._last: dict[int, int] = {}
        self._refusing: set[asyncio.Task[None]] = set()

    @property
    def has_room(self) -> bool:
        """Can results be written down? What cannot be recorded must not be sent."""
        return self._room.is_set() and not self._mark.full

    async def room(self) -> None:
        """Wait until there is room."""
        if not self.has_room:
            self._room.clear()
            await self._room.wait()

    def settle(self, one: Pending, state: DeliveryState, detail: str, at: int) -> None:
        """A delivery ended `at` (microseconds). A delivered one is marked at once, before the lane goes on."""
        # several may have been on their way when the mark filled up: no more than one a lane
        if state is DeliveryState.DELIVERED and not self._mark.full:
            self._slots.append(self._mark.add(one.id))
        self._settled.append(Settled(one.id, one.destination, one.message, state, one.attempts, at, detail))
        if one.parked:
            self._unparked.append((one.id, one.destination, one.lane))
        self._waiters.settled(one.message, one.id, state is DeliveryState.DELIVERED)
        self._schedule()

    def tried(self, attempt: Attempt) -> None:
        """An attempt that did not succeed."""
        self._tried.append(attempt)
        self._schedule()

    def judged_late(self, delivery: int, destination: int, reason: str) -> None:
        """A delivered one was refused afterwards: rewrite its row, move its count."""
        judged = Attempt(delivery, 0, clock.micros(), 0, "permanent", reason)
        task = self._loop.create_task(self._refuse(judged, destination))
        self._refusing.add(task)
        task.add_done_callback(self._refusing.discard)

    async def _refuse(self, judged: Attempt, destination: int) -> None:
        while True:
            await self._drain()  # its row must say delivered before it can say anything else
            try:
                if await self._store.refuse(judged, destination):
                    self._store.tallies.refuse(destination)
                return
            except StoreError as error:
                log.error("a refusal waits for the store", delivery=judged.delivery, reason=str(error))
                await asyncio.sleep(_AGAIN)

    async def flush(self) -> None:
        """Return once everything told so far is in its rows; while the store refuses, that may take long."""
        await self._drain()
        if self._refusing:
            await asyncio.wait(self._refusing)

    async def _drain(self) -> None:
        while self._settled or self._tried or self._writing:
            if self._writing is None and self._room.is_set():
                self._write()
            if self._writing is None:
                await self._room.wait()
            else:
                await asyncio.wait({self._writing})
                await asyncio.sleep(0)  # let its callback run

    def _schedule(self) -> None:
        if len(self._settled) >= _BATCH and self._writing is None:
            self._write()
        elif self._timer is None and self._writing is None:
            self._timer = self._loop.call_later(_PERIOD, self._write)

    def _write(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._writing is not None or not (self._settled or self._tried):
            return
        batch = (self._settled, self._tried, self._unparked, self._slots)
        self._settled, self._tried, self._unparked, self._slots = [], [], [], []
        self._writing = self._store.settle(batch[0], batch[1], self._marks(batch[0]), batch[2])
        self._writing.add_done_callback(lambda done: self._written(batch, done))

    def _marks(self, settled: list[Settled]) -> dict[int, tuple[int, int, int]]:
        delivered = Counter(one.destination for one in settled if one.state is DeliveryState.DELIVERED)
        failed = Counter(one.destination for one in settled if one.state is not DeliveryState.DELIVERED)
        now = self.watermarks()
        changed = {one for one, watermark in now.items() if self._last.get(one) != watermark} | {*delivered, *failed}
        self._last |= now
        return {one: (self._last.get(one, 0), delivered[one], failed[one]) for one in changed}

    def _written(
        self,
        batch: tuple[list[Settled], list[Attempt], list[tuple[int, int, int]], list[int]],
        done: asyncio.Future[None],
    ) -> None:
        self._writing = None
        settled, tried, unparked, slots = batch
        if done.cancelled() or done.exception() is not None:
            error = None if done.cancelled() else done.exception()
            if isinstance(error, StoreError):
                log.error("results wait for the store", reason=str(error), results=len(settled))
            self._settled[:0], self._tried[:0], self._unparked[:0], self._slots[:0] = settled, tried, unparked, slots
            self._room.clear()
            self._timer = self._loop.call_later(_AGAIN, self._write)
            return
        self._store.mark.clear(slots)
        for one in settled:
            self._store.tallies.settle(one.destination, one.state is DeliveryState.DELIVERED)
        self._room.set()
        if self._settled or self._tried:
            self._schedule()
