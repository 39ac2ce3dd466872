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
STUCK = 32  # deliveries of a stuck lane that stay in memory while others need the room


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

    def __init__(self) -> None:
        self.lanes: dict[int, Lane] = {}
        self.ready: deque[Lane] = deque()
        self.failing: set[Lane] = set()  # their last try failed: they wait for the partner, or for a person
        self.backlog = 0  # everything that waits, wherever it is
        self.behind = False  # newer deliveries are in the store only
        self.cursor = 0  # the newest delivery that was taken into memory (or parked)
        self.newest = 0  # the newest delivery that was announced
        self.held = 0  # in memory
        self.held_bytes = 0
        self._order: deque[int] = deque()  # ids in memory that are not parked, ascending
        self._done: set[int] = set()

    def announce(self, one: Pending) -> Lane | None:
        """A new delivery. Returns the lane that became ready, or None."""
        self.backlog += 1
        self.newest = one.id
        lane = self.lanes.get(one.lane)
        if self.behind or self.held >= WINDOW or (lane is not None and (lane.parked or lane.frozen)):
            self.behind = True
            return None
        return self.take(one)

    def take(self, one: Pending) -> Lane | None:
        """Into memory. A lane with parked deliveries takes nothing directly: see `parking`."""
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
            if self.held_bytes > WINDOW_BYTES:
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
        self.failing.discard(lane)
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
        """Lanes that wait for their next try (or for a person) and hold more memory than they need."""
        return [lane for lane in self.lanes.values() if lane.stuck and len(lane.queue) > STUCK]

    def tail(self, lane: Lane) -> list[Pending]:
        """What of a stuck lane should be parked: all but the first few."""
        return [lane.queue[place] for place in range(STUCK, len(lane.queue))]

    def park(self, lane: Lane, tail: list[Pending]) -> None:
        """`tail`, the end of a frozen lane, is parked in the store now: out of memory with it."""
        for one in reversed(tail):
            lane.queue.pop()
            self.drop_body(one)
            if not one.parked:
                self._pass(one.id)
        lane.parked += len(tail)
        lane.read = min(lane.read, tail[0].id - 1)
        self.held -= len(tail)

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
        return self.held < WINDOW // 2
