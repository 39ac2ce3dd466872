"""Delivers to one destination: in order within a lane, as many lanes at once as its endpoint allows."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from hilum import clock, telemetry
from hilum.engine.feed import Feed
from hilum.engine.line import Lane, Line
from hilum.engine.recorder import Recorder
from hilum.errors import StoreError
from hilum.model.configuration import Endpoint
from hilum.model.delivery import Attempt, DeliveryState, Pending
from hilum.model.status import LaneStatus, StuckLane
from hilum.outbound.backoff import delay
from hilum.outbound.breaker import Breaker
from hilum.outbound.limiter import Limiter
from hilum.sdk.contracts import Destination, Outbound
from hilum.sdk.outcome import Delivered, Outcome, Transient

log = telemetry.logger("engine")
_TOGETHER = 64  # bodies made again with one look at the store
_SHOWN = 100  # stuck lanes that a status lists
_DRAIN = 10.0  # seconds that a partner may take to answer when the hub ends
_GRACE = 120.0  # seconds that a replaced destination has to end what it sends, and to hear what was committed
_SLOW_STEP = 0.5  # base of the back-off while a partner cannot be reached


class Lanes:
    """All lanes of one destination endpoint."""

    def __init__(
        self,
        number: int,
        organization: int,
        reference: str,
        endpoint: Endpoint,
        destination: Destination[Any],
        feed: Feed,
        recorder: Recorder,
        changed: Callable[[Lanes], None],
    ) -> None:
        """`changed` is called when backlog or health may matter to someone else."""
        self.number = number
        self.organization = organization
        self.reference = reference
        self.line = Line()
        self.health, self.reason = "unknown", ""
        self.last_delivered_at: int | None = None
        self.paused = False
        self.lagging = False  # sources are held for it
        self._feed = feed
        self._recorder = recorder
        self._changed = changed
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._feeding: asyncio.Task[None] | None = None
        self._closing = False
        self._replaced: list[Destination[Any]] = []
        self._ending: asyncio.Task[None] | None = None
        self.destination = destination
        self._tune(endpoint)

    def configure(self, endpoint: Endpoint, destination: Destination[Any]) -> None:
        """Take a new configuration; what is being sent right now ends with the old one."""
        self._replaced.append(self.destination)
        asyncio.get_running_loop().call_later(_GRACE, self._end_replaced, self.destination)
        self.destination = destination
        self._tune(endpoint)
        self._spawn_workers()
        self._wake.set()

    def _end_replaced(self, destination: Destination[Any]) -> None:
        if not self._closing:
            self._replaced.remove(destination)
            self._ending = asyncio.get_running_loop().create_task(destination.close())

    def _tune(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._many = min(endpoint.max_lag, (endpoint.max_backlog or endpoint.max_lag + 1) - 1)
        self.breaker = Breaker(endpoint.breaker)
        self.limiter = Limiter(endpoint.rate_limit) if endpoint.rate_limit else None

    async def start(self, watermark: int) -> None:
        """Take up what waits since `watermark`."""
        self.line.cursor = watermark
        await self._feed.open(self.line, self.number)
        self.line.owed = self.line.lag
        self._top_up()
        self._spawn_workers()

    def announce(self, one: Pending) -> None:
        """A delivery was committed."""
        if self.line.announce(one) is not None:
            self._wake.set()
        if self.line.backlog > self._many:
            self._changed(self)
        if self.line.behind:
            self._top_up()

    async def close(self) -> None:
        """Finish what is being sent, send nothing more."""
        self._closing = True
        self._wake.set()
        for lane in self.line.lanes.values():
            if lane.timer is not None:
                lane.timer.cancel()
        tasks = [*self._tasks, *([self._feeding] if self._feeding else [])]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=min(self.endpoint.timeout / 1000, _DRAIN))
            for task in late:
                task.cancel()
            for task in late:
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        for destination in (self.destination, *self._replaced):
            await destination.close()

    def status(self, delivered: int, failed: int) -> LaneStatus:
        """How it stands; the counts are the store's."""
        line, held = self.line, [one for one in self.line.lanes.values() if one.queue]
        stuck = [self._stuck(one) for one in held if one.stuck or (not one.busy and self.breaker.failures)]
        return LaneStatus(
            self.number,
            self.organization,
            self.reference,
            self._state(held),
            self.health,
            self.reason,
            line.backlog,
            min((one.queue[0].queued_at for one in held), default=None),
            len(line.lanes),
            self.breaker.state,
            delivered,
            failed,
            self.last_delivered_at,
            tuple(stuck[:_SHOWN]),
        )

    def _stuck(self, lane: Lane) -> StuckLane:
        head, now = lane.queue[0], clock.monotonic()
        waits = None if lane.retry_at is None else max(lane.retry_at - now, 0.0)
        return StuckLane(lane.key, head.id, head.uuid, len(lane.queue) + lane.parked, head.attempts, waits, lane.reason)

    def _state(self, held: list[Lane]) -> str:
        if self.paused:
            return "paused"
        if not self.line.backlog:
            return "idle"
        if any(one.blocked for one in held):
            return "blocked"
        if self.health == "unhealthy":
            return "holding"
        return "retrying" if any(one.retry_at is not None for one in held) else "sending"

    # What a person may do

    def retry_now(self) -> None:
        """Forget waiting times and the breaker; blocked heads are tried once more."""
        self.breaker.reset()
        for lane in list(self.line.lanes.values()):
            if lane.blocked or lane.retry_at is not None:
                for one in list(lane.queue)[:1]:
                    one.answers = 0
                self._release(lane)
        self._wake.set()

    def skip(self, delivery: int, reason: str, state: DeliveryState = DeliveryState.SKIPPED) -> bool:
        """Take the head of a lane out of it. False where that delivery is no waiting head."""
        for lane in list(self.line.lanes.values()):
            if not lane.queue or lane.queue[0].id != delivery or lane.frozen:
                continue
            if lane.stuck or not lane.busy:
                self._end(lane, lane.queue[0], state, reason)
                self._release(lane)
                return True
        return False

    def judged_late(self, delivery: int, reason: str) -> None:
        """A partner that had committed says no after all: the delivery failed, nothing is sent again by itself."""
        log.warning("delivered, then refused", destination=self.reference, delivery=delivery, reason=reason)
        self._recorder.judged_late(delivery, self.number, telemetry.mask(reason))

    def pause(self, paused: bool) -> None:
        """Inactive integrations send nothing; their deliveries wait."""
        if paused != self.paused:
            self.paused, self.line.owed = paused, self.line.lag
            self._changed(self)
        self._wake.set()

    # Workers

    def _spawn_workers(self) -> None:
        wanted = self.endpoint.lane.concurrency
        while len(self._tasks) < wanted and not self._closing:
            self._tasks.append(asyncio.get_running_loop().create_task(self._work(len(self._tasks))))

    async def _work(self, place: int) -> None:
        while not self._closing:
            if not self.line.ready or self.paused or place >= self.endpoint.lane.concurrency:
                self._wake.clear()
                self._top_up()
                await self._wake.wait()
                continue
            if pause := self.breaker.wait():
                await asyncio.sleep(min(pause, 0.2))
                continue
            lane = self.line.ready.popleft()
            if not lane.queue or lane.busy or lane.blocked or lane.frozen:
                continue
            lane.busy = True
            try:
                while lane.queue and await self._deliver(lane, lane.queue[0]):
                    if self.line.ready or self._halted:
                        break  # the others' turn
            except StoreError as error:
                self._hold(lane, 1.0, str(error))
            except Exception as error:
                log.exception("delivery failed", destination=self.reference)
                self._hold(lane, 5.0, f"internal error: {type(error).__name__}")
            if not lane.stuck:
                self._release(lane)

    @property
    def _halted(self) -> bool:
        return self.paused or self._closing

    async def _deliver(self, lane: Lane, one: Pending) -> bool:
        """Try the head of a lane once. True: the lane may go on at once."""
        if self._expired(one):
            self._end(lane, one, DeliveryState.EXPIRED, "could not be reached in time")
            return True
        if not self._recorder.has_room:
            await self._recorder.room()
        if one.body is None and not await self._load(lane, one):
            return self._dead(lane, one, "cannot be made again")
        if self.limiter is None:
            return await self._try(lane, one)
        limiter = self.limiter  # a new configuration may bring another one meanwhile
        await limiter.enter()
        try:
            if pause := limiter.wait():
                await asyncio.sleep(pause)
            return await self._try(lane, one)
        finally:
            limiter.leave()

    async def _try(self, lane: Lane, one: Pending) -> bool:
        """As `_deliver`, which looked whether it may be sent now."""
        one.attempts += 1
        at = clock.monotonic()
        try:
            outbound = Outbound(f"{one.uuid}/{one.ordinal}", one.body or b"", one.id, one.attempts)
            outcome = await self.destination.send(outbound)
        except Exception as error:  # a plug-in's fault must not end the lane
            log.exception("destination failed", destination=self.reference)
            outcome = Transient(f"internal error: {type(error).__name__}", answered=True)
        if isinstance(outcome, Delivered):
            if self.breaker.failures:
                self.breaker.success()
            detail = outcome.detail  # mostly a code, which hides nothing
            self._end(lane, one, DeliveryState.DELIVERED, detail if len(detail) < 6 else telemetry.mask(detail))
            if self.health != "healthy":
                self._set_health("healthy", "")
            return True
        return self._failed(lane, one, outcome, round((clock.monotonic() - at) * 1_000_000))

    def _failed(self, lane: Lane, one: Pending, outcome: Outcome, took: int) -> bool:
        kind = type(outcome).__name__.lower()
        detail = telemetry.mask(outcome.detail)
        if isinstance(outcome, Transient) and not outcome.answered:
            kind = "unreachable"
        first = self.breaker.failures == 0
        if kind in ("unreachable", "ambiguous"):
            self.breaker.failure()
            self._set_health("unhealthy", detail)
        else:
            self.breaker.success()
            self._set_health("degraded", f"last answer: {kind}")
        if kind != "unreachable" or first:
            self._recorder.tried(Attempt(one.id, one.attempts, clock.micros() - took, took, kind, detail))
        if kind == "unreachable" and not first:
            one.attempts -= 1  # knocking at a closed door is not an attempt on this message
        if kind == "permanent" or (kind == "ambiguous" and self.endpoint.on_ambiguous == "dead"):
            return self._dead(lane, one, kind)
        if kind == "transient":
            one.answers += 1
            if one.answers > self.endpoint.retries:
                return self._dead(lane, one, "retries used up")
            after = outcome.retry_after if isinstance(outcome, Transient) else None
            self._hold(lane, delay(one.answers, after), detail)
            return False
        self._hold(lane, delay(min(self.breaker.failures, 6), base=_SLOW_STEP), detail)
        return False

    def _dead(self, lane: Lane, one: Pending, why: str) -> bool:
        log.warning("dead letter", destination=self.reference, message=one.uuid, delivery=one.id, reason=why)
        if self.endpoint.on_dead == "block":
            lane.blocked, lane.reason = True, f"blocked by a dead letter: {why}"
            self.line.failing.add(lane)
            self._set_health("unhealthy", lane.reason)
            return False
        self._end(lane, one, DeliveryState.DEAD, why)
        return True

    def _end(self, lane: Lane, one: Pending, state: DeliveryState, detail: str) -> None:
        now = clock.micros()
        self.line.end(lane, one)
        self._recorder.settle(one, state, detail, now)
        if state is DeliveryState.DELIVERED:
            self.last_delivered_at = now
        if self.line.behind or lane.parked or self.line.stretched:
            self._top_up()
        if self.line.owed or self.lagging:
            self.line.owed = min(self.line.owed, self.line.lag)
            self._changed(self)

    def _expired(self, one: Pending) -> bool:
        return self.endpoint.expire is not None and clock.micros() - one.queued_at > self.endpoint.expire * 1000

    async def _load(self, lane: Lane, one: Pending) -> bool:
        """Make the bodies of the lane's next deliveries again. False: this one cannot be made."""
        missing = [other for other in list(lane.queue)[:_TOGETHER] if other.body is None]
        problem = await self._feed.bodies(missing)
        if one.body is None:
            reason = problem.get(one.id, "its body was removed by retention")
            one.attempts += 1
            self._recorder.tried(Attempt(one.id, one.attempts, clock.micros(), 0, "permanent", reason))
            return False
        self.line.held_bytes += sum(len(other.body) for other in missing if other.body)
        return True

    def _hold(self, lane: Lane, seconds: float, reason: str) -> None:
        """The lane waits for its next try; its worker goes on with others."""
        lane.retry_at, lane.reason = clock.monotonic() + seconds, reason
        self.line.failing.add(lane)
        lane.timer = asyncio.get_running_loop().call_later(seconds, self._release, lane)
        if not self.line.has_room:
            self._top_up()

    def _release(self, lane: Lane) -> None:
        if self.line.release(lane):
            self._wake.set()

    def _set_health(self, health: str, reason: str) -> None:
        if (health, reason) != (self.health, self.reason):
            if health != self.health:
                log.info("health changed", destination=self.reference, health=health)
            self.health, self.reason = health, reason
            self._changed(self)

    # Memory

    def _top_up(self) -> None:
        if self._closing or (self._feeding is not None and not self._feeding.done()):
            return
        line = self.line
        # only lanes of a partner that is there, and that has several, can be in each other's way
        park = (line.behind and not line.has_room) or line.stretched
        park = park and self.endpoint.lane.key is not None and self.breaker.state == "closed" and bool(line.stuck())
        if (line.behind and line.has_room) or park or self._feed.hungry(line):
            self._feeding = asyncio.get_running_loop().create_task(
                self._guard(self._feed.top_up(line, self.number, park))
            )

    async def _guard(self, work: Awaitable[Iterable[Lane]]) -> None:
        try:
            if list(await work):
                self._wake.set()
        except StoreError as error:
            log.error("waiting deliveries cannot be read", destination=self.reference, reason=str(error))
            await asyncio.sleep(1)
            self._wake.set()
        asyncio.get_running_loop().call_later(0.01, self._top_up)  # who asked meanwhile was not heard
