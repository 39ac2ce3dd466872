"""What waits for one destination, in memory and in order, lane by lane.

Memory holds a window. Beyond it deliveries stay in the store and are read in order when there is room; a lane
that is stuck while others move is parked there, so that it holds neither memory nor the watermark.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections import deque

from hilum.model.delivery import Pending

WINDOW = 4_000  # deliveries in memory
WINDOW_BYTES = 64 << 20  # bodies in memory; above it a body is made again when its turn comes


@dataclasses.dataclass(slots=True, eq=False)
class Lane:
    """One ordered line. `key` 0 is a destination's only lane. One delivery of it is out at a time."""

    key: int
    queue: deque[Pending] = dataclasses.field(default_factory=deque)
    busy: bool = False  # a worker has it, or it waits for its next try
    blocked: bool = False  # its head is dead and `on_dead` is block: a person decides
    retry_at: float | None = None  # monotonic, while it waits
    reason: str = ""  # why it waits or is blocked
    timer: asyncio.TimerHandle | None = None
    parked: int = 0  # deliveries in the store that come after those in `queue`
    read: int = 0  # the newest parked delivery that was taken back into `queue`
    frozen: bool = False  # its tail is being parked right now

    @property
    def stuck(self) -> bool:
        """It waits for its next try, or for a person."""
        return self.blocked or self.retry_at is not None


class Line:
    """The lanes of one destination. Knows no loop and sends nothing."""

    def __init__(self, window: int = WINDOW, window_bytes: int = WINDOW_BYTES) -> None:
        self.window = window
        self.window_bytes = window_bytes
        self.lanes: dict[int, Lane] = {}
        self.ready: deque[Lane] = deque()
        self.failing: set[Lane] = set()  # their last try failed: they wait for the partner, or for a person
        self.owed = 0  # what waited in lanes that failed and now move: it is caught up without holding a source
        self.backlog = 0  # everything that waits, wherever it is
        self.behind = False  # newer deliveries are in the store only
        self.cursor = 0  # the newest delivery that was taken into memory (or parked)
        self.newest = 0  # the newest delivery that was announced
        self.held = 0  # in memory
        self.held_bytes = 0
        self._order: deque[int] = deque()  # ids in memory that are not parked, ascending
        self._done: set[int] = set()
        self._early: set[int] = set()  # read from the store before they were announced

    def announce(self, one: Pending) -> Lane | None:
        """A new delivery. Returns the lane that became ready, or None."""
        self.backlog += 1
        self.newest = one.id
        if self._early and one.id in self._early:
            self._early.discard(one.id)
            return None
        lane = self.lanes.get(one.lane)
        if self.behind or self.held >= self.window or (lane is not None and (lane.parked or lane.frozen)):
            self.behind = True
            return None
        return self.take(one)

    def read(self, one: Pending, *, aside: bool) -> Lane | None:
        """The next waiting one of the store comes into memory; `aside`: it was parked there instead."""
        if one.id > self.newest:
            self._early.add(one.id)
        if not aside:
            return self.take(one)
        self.cursor = one.id
        self.lanes[one.lane].parked += 1
        return None

    def take(self, one: Pending) -> Lane | None:
        """Into memory. A lane with parked deliveries takes nothing directly: what is parked comes first."""
        self.cursor = one.id
        lane = self.lanes.get(one.lane)
        if lane is None:
            lane = self.lanes[one.lane] = Lane(one.lane)
        self._order.append(one.id)
        return self._append(lane, one)

    def take_back(self, lane: Lane, one: Pending) -> Lane | None:
        """A parked delivery comes back into memory; it stays parked in the store until it has ended."""
        lane.parked -= 1
        lane.read = one.id
        one.parked = True
        return self._append(lane, one)

    def _append(self, lane: Lane, one: Pending) -> Lane | None:
        self.held += 1
        if one.body is not None:
            self.held_bytes += len(one.body)
            if self.held_bytes > self.window_bytes:
                self.drop_body(one)
        lane.queue.append(one)
        if lane.busy or lane.blocked or lane.frozen or len(lane.queue) > 1:
            return None
        self.ready.append(lane)
        return lane

    def drop_body(self, one: Pending) -> None:
        """Give the memory back; the body is made again when its turn comes."""
        if one.body is not None:
            self.held_bytes -= len(one.body)
            one.body = None

    def end(self, lane: Lane, one: Pending) -> None:
        """The head of a lane ended."""
        lane.queue.popleft()
        if lane in self.failing:
            self.failing.discard(lane)
            self.owed += len(lane.queue) + lane.parked
        self.held -= 1
        self.backlog -= 1
        self.drop_body(one)
        if not one.parked:
            self._pass(one.id)

    def release(self, lane: Lane) -> bool:
        """A lane is free again. True: it has something to send."""
        if lane.timer is not None:
            lane.timer.cancel()
        lane.busy, lane.blocked, lane.timer, lane.retry_at, lane.reason = False, False, None, None, ""
        if lane.frozen:
            return False
        if lane.queue:
            self.ready.append(lane)
            return True
        if not lane.parked:
            self.lanes.pop(lane.key, None)
        return False

    def stuck(self) -> list[Lane]:
        """Lanes that wait for their next try (or for a person) and hold memory, or the watermark."""
        waiting = [lane for lane in self.failing if lane.stuck and lane.queue]
        return [lane for lane in waiting if len(lane.queue) > 1 or not lane.queue[0].parked]

    def park(self, lane: Lane) -> None:
        """All of a frozen lane is parked in the store now. Its head alone stays in memory, to be tried."""
        for one in lane.queue:
            if not one.parked:
                one.parked = True
                self._pass(one.id)
        while len(lane.queue) > 1:
            self.drop_body(lane.queue.pop())
            self.held -= 1
            lane.parked += 1
        lane.read = lane.queue[0].id

    def _pass(self, delivery: int) -> None:
        self._done.add(delivery)
        while self._order and self._order[0] in self._done:
            self._done.discard(self._order.popleft())

    def watermark(self, newest: int) -> int:
        """Every delivery up to here is final or parked. `newest` is the newest of any destination."""
        if self._order:
            return self._order[0] - 1
        return self.cursor if self.behind else max(self.cursor, newest)

    @property
    def lag(self) -> int:
        """What waits in lanes that move: those that fail are nobody's pace."""
        return self.backlog - sum(len(lane.queue) + lane.parked for lane in self.failing)

    @property
    def has_room(self) -> bool:
        return self.held - len(self.failing) < self.window // 2

    @property
    def stretched(self) -> bool:
        """So much has ended behind one that has not that the watermark must be freed."""
        return len(self._order) > 2 * self.window
