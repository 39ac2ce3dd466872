"""Back-pressure: a source that outruns a healthy destination is read more slowly, its sockets held."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from hilum import telemetry
from hilum.engine.lanes import Lanes
from hilum.intake.inbox import Inbox
from hilum.sdk.contracts import Source

_FREE = 0.10  # of the disk that stays free: below it nothing is taken in
_UNROUTED = 10_000
_LOOK = 1.0
log = telemetry.logger("engine")


class Valve:
    """One running source: it reads while nobody has a reason against it."""

    def __init__(self, reference: str, source: Source[object], inbox: Inbox) -> None:  # type: ignore[type-var]
        self.reference = reference
        self.source = source
        self.inbox = inbox
        self.reasons: set[str] = set()

    def hold(self, reason: str) -> None:
        if not self.reasons:
            log.debug("source held", source=self.reference, reason=reason)
            self.source.pause()
        self.reasons.add(reason)

    def free(self, reason: str) -> None:
        if reason in self.reasons:
            self.reasons.discard(reason)
            if not self.reasons:
                self.source.resume()


class Pressure:
    """Knows every running source, and which destinations its messages go to."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.valves: dict[str, Valve] = {}
        self.free_disk = 1.0

    def lag(self, lanes: Lanes) -> None:
        """A destination's backlog or health changed. One that is down slows nobody, up to its `max_backlog`."""
        backlog, endpoint = lanes.line.backlog, lanes.endpoint
        lag = lanes.line.lag - lanes.line.owed if lanes.health != "unhealthy" and not lanes.paused else 0
        full = endpoint.max_backlog is not None and backlog >= endpoint.max_backlog
        high = full or lag > endpoint.max_lag
        lanes.lagging = high or (lanes.lagging and lag > endpoint.max_lag // 2)
        reason = f"{lanes.reference} lags"
        for valve in self.valves.values():
            if lanes.number not in valve.inbox.routing.destinations or not lanes.lagging:
                valve.free(reason)
            elif high:
                valve.hold(reason)

    def forget(self, lanes: Lanes) -> None:
        """A destination is gone: nobody is held for it."""
        for valve in self.valves.values():
            valve.free(f"{lanes.reference} lags")

    async def watch(self) -> None:
        """Look at the disk and at what waits to be routed, for ever."""
        while True:
            usage = await asyncio.to_thread(shutil.disk_usage, self._folder)
            before, self.free_disk = self.free_disk, usage.free / usage.total
            if self.free_disk < _FREE <= before:
                log.error("the disk is nearly full: nothing is taken in", free=round(self.free_disk, 3))
            for valve in self.valves.values():
                act = valve.hold if self.free_disk < _FREE else valve.free
                act("the disk is nearly full")
                unrouted = valve.inbox.unrouted
                if unrouted > _UNROUTED:
                    valve.hold("messages wait to be routed")
                elif unrouted < _UNROUTED // 2:
                    valve.free("messages wait to be routed")
            await asyncio.sleep(_LOOK)
