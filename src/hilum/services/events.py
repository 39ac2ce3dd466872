"""What changes in an organization, told as it happens: the outbox's rows, in order, from wherever a client left off."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncGenerator, Sequence

from hilum import clock
from hilum.services.messages import stamp
from hilum.store import Store, outbox

BEAT = 15.0  # seconds of silence after which something is sent, so that nothing between takes the line for dead
_LOOK = 1.0  # seconds between looks: another process may have written
_BATCH = 200


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """`type` is the act, such as study.create; `entity` what it was done to. `id` grows, and is where to go on from."""

    id: int
    type: str
    entity: str
    time: str


class Events:
    """One a hub. `close` ends every stream, so that the server can end."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._closing = asyncio.Event()

    def close(self) -> None:
        self._closing.set()

    async def after(self, organization: int, last: int, types: Sequence[str], limit: int) -> list[Event]:
        """The next ones, the oldest first. `types`: of these alone if there are any; `study.*` is all of a noun."""
        found = await self._store.within(organization).read(outbox.of, organization, last, types, limit)
        return [Event(one.id, one.topic, one.entity, stamp(one.stamp)) for one in found]

    async def newest(self, organization: int) -> int:
        """Where somebody begins who wants only what is to come."""
        return await self._store.within(organization).read(outbox.newest)

    async def stream(
        self, organization: int, last: int, types: Sequence[str], seconds: float
    ) -> AsyncGenerator[Event | None, None]:  # fmt: skip
        """Those after `last`, and then each as it comes, for so long; None: nothing happened for a while."""
        wake, until = asyncio.Event(), clock.monotonic() + seconds
        forget = self._store.subscribe("outbox", wake.set)
        try:
            silent = 0.0
            while not self._closing.is_set():
                wake.clear()
                found = await self.after(organization, last, types, _BATCH)
                for one in found:
                    last, silent = one.id, 0.0
                    yield one
                if found:
                    continue
                left = until - clock.monotonic()
                if left <= 0:
                    return
                await self._wait(wake, min(left, _LOOK))
                silent += _LOOK
                if silent >= BEAT:
                    silent = 0.0
                    yield None
        finally:
            forget()

    async def _wait(self, wake: asyncio.Event, seconds: float) -> None:
        """Until something was written, it is time to look, or the hub ends."""
        waits = [asyncio.ensure_future(wake.wait()), asyncio.ensure_future(self._closing.wait())]
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await one
