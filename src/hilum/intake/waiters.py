"""Those who wait for a message's deliveries: sources that acknowledge after delivery, and duplicates meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from hilum.model.delivery import Pending

_ROUTE = 0  # stands for the deliveries of a message that is not routed yet


class Waiters:
    """Told of each result by the engine. The loop's alone."""

    def __init__(self) -> None:
        self._open: dict[int, set[int]] = {}  # message to its open deliveries
        self._failed: set[int] = set()
        self._futures: dict[int, asyncio.Future[bool]] = {}

    def expect(self, message: int, deliveries: Sequence[Pending]) -> None:
        """Call in the same loop turn as the commit, before the engine can tell a result.

        Without deliveries it is yet to be `routed`.
        """
        self._open[message] = {one.id for one in deliveries} or {_ROUTE}
        self._futures[message] = asyncio.get_running_loop().create_future()

    def routed(self, message: int, deliveries: Sequence[Pending], accepted: bool) -> None:
        """What was stored before it was routed has its deliveries now. Call in the turn that announces them."""
        if message in self._open:
            self._open[message].update(one.id for one in deliveries)
            self.settled(message, _ROUTE, accepted)

    def settled(self, message: int, delivery: int, delivered: bool) -> None:
        """A delivery ended."""
        still = self._open.get(message)
        if still is None:
            return
        still.discard(delivery)
        if not delivered:
            self._failed.add(message)
        if not still:
            self._finish(message, message not in self._failed)

    async def wait(self, message: int, timeout: float) -> bool | None:  # noqa: ASYNC109 - the answer is None, no error
        """True: all delivered; False: one failed for good; None: not known within `timeout` seconds."""
        future = self._futures.get(message)
        if future is None:
            await asyncio.sleep(timeout)
            return None
        try:
            return await asyncio.wait_for(asyncio.shield(future), timeout)
        except TimeoutError:
            return None

    def forget(self, message: int) -> None:
        """Nobody waits any more; the delivery goes on."""
        self._open.pop(message, None)
        self._failed.discard(message)
        self._futures.pop(message, None)

    def _finish(self, message: int, delivered: bool) -> None:
        future = self._futures.get(message)
        if future is not None and not future.done():
            future.set_result(delivered)
