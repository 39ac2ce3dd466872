"""Ends tries to make an integration work that nobody goes on with any more, because the process that ran them is gone.

On SQLite one process holds the data folder: whatever runs at its start was interrupted. On PostgreSQL others may be at
work, so a try is ended once it is older than any can become. One that was ended so by mistake fails in its own process.
"""

from __future__ import annotations

import asyncio
import contextlib

from hilum import clock, telemetry
from hilum.errors import Conflict, StoreError
from hilum.model.access import HUB, Scope
from hilum.model.audit import Act
from hilum.store import Store, initializations
from hilum.store.initializations import LEASE, Try

LOOK = 15.0  # seconds between looks
ACTION = "integration.interrupt"
WHY = "the hub stopped while it was initialized"
log = telemetry.logger("engine")


class Interrupted:
    """One a process."""

    def __init__(self, store: Store, *, lease: float = LEASE) -> None:
        """`lease`: seconds that a try may take."""
        self._store = store
        self._lease = lease
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Call it before anything new can be asked for. Raises StoreError."""
        await self.look(0.0 if self._store.database.embedded else self._lease)
        self._task = asyncio.create_task(self._work())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def look(self, lease: float) -> int:
        """End those that began so many seconds ago; how many."""
        before = clock.micros() - round(lease * 1_000_000)
        ended = 0
        for one in await self._store.read(initializations.running, before):
            ended += await self._end(one)
        if ended:
            self._store.signal("configuration")
        return ended

    async def _end(self, one: Try) -> bool:
        act = Act(HUB, Scope(one.organization), ACTION, reason=WHY, details={"initialization": str(one.uuid)})
        now = clock.iso(clock.micros())
        own = self._store.within(one.organization)
        try:
            await own.change(act, initializations.interrupt, self._store.sealer, act, one, now)
        except Conflict:
            return False  # it ended just now
        log.warning("an initialization was interrupted", initialization=str(one.uuid))
        return True

    async def _work(self) -> None:
        while True:
            await asyncio.sleep(LOOK)
            try:
                await self.look(self._lease)
            except StoreError as error:
                log.error("interrupted initializations wait for the store", reason=str(error))
