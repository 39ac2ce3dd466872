"""Sends events to whoever subscribed: reads the outbox in order, queues deliveries, tries them by their schedule.

Everything is a row: what was queued, when it is tried next, what became of each try. A delivery keeps its webhook-id
and its bytes, so that a receiver knows a repeat: after a crash the try that was under way is made again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable

import httpx

from hilum import clock, telemetry
from hilum.errors import Conflict, HilumError
from hilum.model.access import HUB, Scope
from hilum.model.audit import Act
from hilum.model.webhook import PATIENCE, DeliveryState, delay
from hilum.outbound.dialer import Dialers
from hilum.outbound.posting import TIMEOUT, Answer, post
from hilum.security.envelope import Sealing
from hilum.security.webhooks import Standard
from hilum.store import Store, organizations, outbox, webhook_deliveries, webhook_subscriptions
from hilum.store.outbox import Note
from hilum.store.webhook_deliveries import Attempt, Delivery
from hilum.store.webhook_subscriptions import Subscription

LOOK = 1.0  # seconds between looks at what is due
AT_ONCE = 16  # subscriptions that are sent to at a time
_BATCH = 500  # outbox rows, and deliveries, of one look
_LATE = 10.0  # seconds in which other writers may still commit an outbox row with a lower number
_REST = 30.0  # seconds that a subscription rests where our own side failed
_ALONE = 500  # outbox rows that nobody wanted after which the watermark is written all the same
log = telemetry.logger("webhooks")


class Webhooks:
    """All subscriptions of a hub. One process sends: whichever `mine` says."""

    def __init__(self, store: Store, dialers: Dialers, vault: Sealing, mine: Callable[[], bool]) -> None:
        self._store = store
        self._dialers = dialers
        self._vault = vault
        self._mine = mine
        self._wake = asyncio.Event()
        self._position = 0  # every outbox row up to here was queued
        self._written = 0  # as the watermark's row says it
        self._seen: dict[int, float] = {}  # rows behind the position that were queued, and when they were first seen
        self._clients: dict[int, httpx.AsyncClient] = {}
        self._sending: dict[int, asyncio.Task[None]] = {}  # by subscription
        self._task: asyncio.Task[None] | None = None
        self._forget: list[Callable[[], None]] = []

    async def start(self) -> None:
        """Raises StoreError."""
        found = await self._store.read(webhook_deliveries.watermark)
        self._position = await self._store.read(outbox.newest) if found is None else found
        if found is None:  # before the first subscription: nobody wants what was
            await self._store.write(webhook_deliveries.queue, self._store.sealer, [], self._position)
        self._written = self._position
        self._forget = [self._store.subscribe(topic, self._wake.set) for topic in ("outbox", "webhook")]
        self._task = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """Nothing new is tried; what is under way is made again by the next life."""
        for forget in self._forget:
            forget()
        tasks = [one for one in (self._task, *self._sending.values()) if one is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for client in self._clients.values():
            await client.aclose()

    async def _work(self) -> None:
        while True:
            try:
                if self._mine():
                    await self._queue()
                    await self._send()
            except HilumError as error:
                log.error("webhooks wait for the store", reason=str(error))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), LOOK)
            self._wake.clear()

    # From the outbox

    async def _queue(self) -> None:
        """Queue what is new. Several writers commit out of order: what is young is looked at again."""
        cursor = self._position
        while notes := await self._store.read(outbox.after, cursor, _BATCH):
            cursor = notes[-1].id
            fresh = [one for one in notes if one.id not in self._seen]
            if fresh:
                await self._take(fresh)
            if len(notes) < _BATCH:
                break

    async def _take(self, fresh: list[Note]) -> None:
        through = self._settled()
        wanted = await self._store.read(webhook_subscriptions.active)
        owners = {one.organization for one in wanted}
        if any(one.organization in owners for one in fresh) or through - self._written > _ALONE:
            await self._store.write(webhook_deliveries.queue, self._store.sealer, fresh, through)
            self._written = through
        now = clock.monotonic()
        self._seen |= dict.fromkeys((one.id for one in fresh), now)
        self._settled()

    def _settled(self) -> int:
        """Move the position over what is old enough that nothing can come before it any more."""
        late = 0.0 if self._store.database.embedded else _LATE
        until = clock.monotonic() - late
        for number in sorted(self._seen):
            if self._seen[number] > until:
                break
            self._position = number
            del self._seen[number]
        return self._position

    # To the receivers

    async def _send(self) -> None:
        """Begin to send what is due: to each subscription in order, to several at once."""
        room = AT_ONCE - len(self._sending)
        if room < 1:
            return
        found = await self._store.read(webhook_deliveries.due, clock.micros(), list(self._sending), _BATCH)
        waiting: dict[int, list[Delivery]] = {}
        for one in found:
            waiting.setdefault(one.subscription, []).append(one)
        for number, several in list(waiting.items())[:room]:
            task = asyncio.create_task(self._several(number, several))
            self._sending[number] = task
            task.add_done_callback(lambda done, number=number: self._ended(number, done))  # type: ignore[misc]  # bound

    def _ended(self, number: int, task: asyncio.Task[None]) -> None:
        self._sending.pop(number, None)
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("webhook deliveries wait", subscription=number, reason=str(error))

    async def _several(self, number: int, several: list[Delivery]) -> None:
        """One after the other; who is asked for is read each time, so that a change holds at once."""
        try:
            for one in several:
                owner = await self._store.within(one.organization).read(webhook_subscriptions.get, number)
                if owner is None:
                    return
                await self._try(owner, one)
        except HilumError as error:  # the store or the vault: nothing that the receiver could help
            log.error("webhook deliveries wait", subscription=number, reason=str(error))
            await asyncio.sleep(_REST)

    async def _try(self, owner: Subscription, one: Delivery) -> None:
        """Raises HilumError where our own side fails."""
        body = self._store.sealer.open(one.sealed, one.place)
        keys, client = await self._keys(owner), await self._client(owner.organization)
        at, began = clock.micros(), clock.monotonic()
        signed = Standard().sign(keys, str(one.uuid), at // 1_000_000, body)
        answer = await post(client, owner.url, signed, body)
        took = round((clock.monotonic() - began) * 1_000_000)
        await self._settle(owner, one, answer, at, took)

    async def _keys(self, owner: Subscription) -> list[str]:
        """Those that hold now, the current one first."""
        keys: list[str] = json.loads(await self._vault.open(owner.place, owner.sealed))
        for key in keys:
            telemetry.secrets.add(key)
        return keys if (owner.previous_until or 0) > clock.micros() else keys[:1]

    async def _client(self, organization: int) -> httpx.AsyncClient:
        """Through the dialer of what people configure: its egress rules hold, and redirects are not followed."""
        if organization not in self._clients:
            owner = await self._store.read(organizations.get, organization)
            if organization not in self._clients:  # another subscription may have waited for the same row
                transport = self._dialers.organization(owner.name).transport()
                self._clients[organization] = httpx.AsyncClient(
                    transport=transport, follow_redirects=False, trust_env=False, timeout=TIMEOUT
                )
        return self._clients[organization]

    async def _settle(self, owner: Subscription, one: Delivery, answer: Answer, at: int, took: int) -> None:
        own, number = self._store.within(one.organization), one.attempts + 1
        state, next_at = DeliveryState.DELIVERED, None
        if not answer.taken:
            pause = None if answer.status == 410 else delay(number - one.earlier, answer.retry_after)
            state = DeliveryState.FAILED if pause is None else DeliveryState.WAITING
            next_at = None if pause is None else clock.micros() + round(pause * 1_000_000)
        detail = self._store.sealer.seal(answer.detail.encode("utf-8", "replace"), one.place)
        attempt = Attempt(number, at, took, answer.status, detail)
        if not await own.write(webhook_deliveries.settle, one, attempt, state, next_at):
            return
        since = None if answer.taken else owner.failing_since or at
        if since != owner.failing_since:
            await own.write(webhook_subscriptions.felt, owner.id, since)
        if answer.status == 410:
            await self._give_up(owner, "the receiver answered 410: it is gone")
        elif since is not None and at - since >= PATIENCE:
            await self._give_up(owner, f"every try failed since {clock.iso(since)}")

    async def _give_up(self, owner: Subscription, reason: str) -> None:
        act = Act(HUB, Scope(owner.organization), "webhook-subscription.disable", reason=reason)
        own = self._store.within(owner.organization)
        with contextlib.suppress(Conflict):  # somebody was faster
            await own.change(act, webhook_subscriptions.disable, owner, reason)
        log.warning("a webhook subscription was disabled", subscription=str(owner.uuid), reason=reason)
