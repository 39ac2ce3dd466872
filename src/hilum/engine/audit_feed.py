"""Sends sealed audit events, in order, to the collectors that organizations named: over syslog or as webhooks.

How far each is stands in a row. It may see an event twice, by the same id, but never misses one; one that is away
holds up nobody else, and catches up in order.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Protocol

from hilum import telemetry
from hilum.engine.audit_syslog import SyslogCarrier
from hilum.engine.audit_webhook import NotTaken, WebhookCarrier
from hilum.errors import HilumError
from hilum.model.organization import AuditFeed
from hilum.outbound.dialer import Dialers
from hilum.security.references import Entries
from hilum.store import Store, organizations

LOOK = 1.0  # seconds between looks for events
_AGAIN = (1.0, 60.0)  # seconds until a collector is tried again: at first, and at the most
_LONGEST = 3_600.0  # seconds that a collector may ask us to wait
log = telemetry.logger("audit_feed")
Place = tuple[int, str]
"""An organization's number and the feed's name."""


class Carrier(Protocol):
    """The way to a collector."""

    async def send(self) -> None:
        """Everything that is there. Raises HilumError, OSError."""
        ...

    async def close(self) -> None: ...


class AuditFeeds:
    """All feeds of a hub. One process sends: whichever `mine` says."""

    def __init__(self, store: Store, dialers: Dialers, entries: Entries, host: str, mine: Callable[[], bool]) -> None:
        """`entries` is the vault, with what webhooks are signed with; `host` names this hub to the collectors."""
        self._store = store
        self._dialers = dialers
        self._entries = entries
        self._host = host
        self._mine = mine
        self._feeds: dict[Place, _Feed] = {}
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def trouble(self) -> str:
        """Which collectors have been away for some time; empty: none."""
        away = sorted(one.title for one in self._feeds.values() if one.is_away)
        return f"waiting for the collector of {', '.join(away)}" if away else ""

    async def start(self) -> None:
        self._task = asyncio.create_task(self._work())

    async def stop(self) -> None:
        self._stopping.set()
        if self._task is not None:
            await self._task
        for one in self._feeds.values():
            await one.stop()

    async def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                await self._arrange()
            except HilumError as error:
                log.error("audit feeds wait", reason=str(error))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), LOOK)

    async def _arrange(self) -> None:
        """Make what runs equal to what is set."""
        wanted: dict[Place, AuditFeed] = {}
        names: dict[int, str] = {}
        if self._mine():
            for one in await self._store.read(organizations.every):
                names[one.id] = one.name
                wanted |= {(one.id, feed.name): feed for feed in one.settings.audit_feeds}
        for place, feed in list(self._feeds.items()):
            if wanted.get(place) != feed.wanted:
                await self._feeds.pop(place).stop()
        for place, setting in wanted.items():
            if place not in self._feeds:
                owner = names[place[0]]
                title = f"the audit feed {owner}/{setting.name}" if setting.name else f"{owner}'s audit feed"
                self._feeds[place] = _Feed(title, setting, self._carrier(place[0], owner, setting))
            self._feeds[place].wake.set()

    def _carrier(self, organization: int, name: str, wanted: AuditFeed) -> Carrier:
        dialer = self._dialers.organization(name)
        if wanted.is_webhook:
            return WebhookCarrier(self._store, dialer, self._entries, organization, wanted)
        return SyslogCarrier(self._store, dialer, self._host, organization, wanted)


class _Feed:
    """One of them."""

    def __init__(self, title: str, wanted: AuditFeed, carrier: Carrier) -> None:
        self.title = title
        self.wanted = wanted
        self.wake = asyncio.Event()
        self.is_away = False
        self._carrier = carrier
        self._task = asyncio.create_task(self._work())

    async def stop(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await self._carrier.close()

    async def _work(self) -> None:
        pause = _AGAIN[0]
        while True:
            try:
                await self._carrier.send()
                pause, self.is_away = _AGAIN[0], False
                self.wake.clear()
                await self.wake.wait()
            except Exception as error:  # whatever it was, a feed goes on
                await self._carrier.close()
                reason = str(error) if isinstance(error, HilumError | OSError) else type(error).__name__
                asked = min(error.after, _LONGEST) if isinstance(error, NotTaken) else 0.0
                again = max(pause, asked)
                log.warning("an audit feed waits", feed=self.title, url=self.wanted.url, reason=reason, again=again)
                self.is_away = again >= _AGAIN[1]
                await asyncio.sleep(again)
                pause = min(pause * 2, _AGAIN[1])
