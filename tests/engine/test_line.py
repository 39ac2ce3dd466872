"""The lanes' line against a model: order, nothing lost, a watermark that passes nothing that is open."""

from __future__ import annotations

import dataclasses
from collections import deque
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from hilum.engine.line import WINDOW, WINDOW_BYTES, Lane, Line
from hilum.model.delivery import Pending


def pending(one: int, lane: int = 0, body: bytes | None = b"x") -> Pending:
    return Pending(1, 1, 0, lane, lane % 64, 0, body, id=one, message=one)


@dataclasses.dataclass
class Row:
    """A delivery in the store."""

    id: int
    lane: int
    done: bool = False
    parked: bool = False


class Waiting(RuleBasedStateMachine):
    """Plays the store, the feed and the workers, each step at any time; a small window makes everything happen."""

    lanes = Bundle("lanes")

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Row] = []
        self.line = Line(8, 12)
        self.unannounced: deque[Row] = deque()
        self.ended: dict[int, list[int]] = {}  # by lane, in the order in which they ended
        self.newest = 0
        self.out: list[Lane] = []  # lanes that a worker has
        self.freezing: list[tuple[Lane, list[Pending]]] = []
        self.saved = 0  # the highest watermark that was written

    # The store and its announcements

    @rule(lane=st.integers(0, 4), count=st.integers(1, 4))
    def commit(self, lane: int, count: int) -> None:
        for _ in range(count):
            self.rows.append(Row(len(self.rows) + 1, lane))
            self.unannounced.append(self.rows[-1])

    @rule(count=st.integers(1, 12))
    def announce(self, count: int) -> None:
        for _ in range(min(count, len(self.unannounced))):
            row = self.unannounced.popleft()
            self.newest = row.id
            self.line.announce(pending(row.id, row.lane))

    # The feed, as Feed.top_up does it

    @rule(size=st.integers(1, 6))
    @precondition(lambda self: self.line.behind and self.line.has_room and not self.freezing)  # one task does both
    def page(self, size: int) -> None:
        newest = self.line.newest
        found = [row for row in self.rows if row.id > self.line.cursor and not row.done and not row.parked][:size]
        for row in found:
            aside = row.lane in self.line.lanes and bool(self.line.lanes[row.lane].parked)
            row.parked = aside
            self.line.read(pending(row.id, row.lane, None), aside=aside)
        if len(found) < size:
            self.line.cursor = max(self.line.cursor, newest)
            self.line.behind = self.line.newest > newest

    @rule(count=st.integers(1, 3))
    @precondition(lambda self: not self.freezing)
    def feed_parked(self, count: int) -> None:
        for lane in [one for one in self.line.lanes.values() if one.parked and not one.frozen]:
            if len(lane.queue) >= (1 if lane in self.line.failing else 2):
                continue
            mine = [row for row in self.rows if row.lane == lane.key and row.parked and not row.done]
            for row in [row for row in mine if row.id > lane.read][:count]:
                self.line.take_back(lane, pending(row.id, row.lane, None))

    @rule()
    @precondition(lambda self: not self.freezing)
    def begin_parking(self) -> None:
        for lane in self.line.stuck()[:1]:
            lane.frozen = True
            self.freezing.append((lane, [one for one in lane.queue if not one.parked]))

    @rule()
    @precondition(lambda self: self.freezing)
    def end_parking(self) -> None:
        lane, tail = self.freezing.pop()
        for one in tail:
            self.rows[one.id - 1].parked = True
        self.line.park(lane)
        lane.frozen = False
        if not lane.busy:
            self.line.release(lane)

    # Workers

    @rule()
    @precondition(lambda self: self.line.ready)
    def pick(self) -> None:
        lane = self.line.ready.popleft()
        if lane.queue and not lane.busy and not lane.blocked and not lane.frozen:
            lane.busy = True
            self.out.append(lane)

    @rule(data=st.data())
    @precondition(lambda self: self.out)
    def deliver(self, data: Any) -> None:
        lane = data.draw(st.sampled_from(self.out))
        one = lane.queue[0]
        row = self.rows[one.id - 1]
        assert row.lane == lane.key
        assert not row.done
        assert one.parked == row.parked
        row.done, row.parked = True, False
        self.ended.setdefault(lane.key, []).append(one.id)
        self.line.end(lane, one)
        if not lane.queue or data.draw(st.booleans()):
            self.out.remove(lane)
            self.line.release(lane)

    @rule(data=st.data(), blocked=st.booleans())
    @precondition(lambda self: self.out)
    def fail(self, data: Any, blocked: bool) -> None:
        lane = data.draw(st.sampled_from(self.out))
        self.out.remove(lane)
        self.line.failing.add(lane)
        if blocked:
            lane.blocked = True
        else:
            lane.retry_at = 1.0

    @rule(data=st.data())
    @precondition(lambda self: any(lane.stuck for lane in self.line.lanes.values()))
    def retry(self, data: Any) -> None:
        stuck = [lane for lane in self.line.lanes.values() if lane.stuck]
        self.line.release(data.draw(st.sampled_from(stuck)))

    @rule()
    def write_the_watermark(self) -> None:
        self.saved = self.line.watermark(self.newest)

    @rule()
    @precondition(lambda self: not self.freezing)
    def crash(self) -> None:
        """Memory is gone; what the store has is taken up at the last watermark."""
        self.unannounced.clear()
        self.out.clear()
        self.line = Line(8, 12)
        self.line.cursor = self.saved
        parked: dict[int, int] = {}
        for row in self.rows:
            if row.parked:
                parked[row.lane] = parked.get(row.lane, 0) + 1
        waiting = [row for row in self.rows if row.id > self.saved and not row.done and not row.parked]
        self.line.backlog = len(waiting) + sum(parked.values())
        self.line.newest = self.newest = max(self.newest, waiting[-1].id if waiting else 0)
        self.line.behind = bool(waiting)
        for key, count in parked.items():
            self.line.lanes[key] = Lane(key, parked=count)
        self.feed_parked(2)

    # What always holds

    @invariant()
    def order_holds_in_every_lane(self) -> None:
        for ids in self.ended.values():
            assert ids == sorted(set(ids))

    @invariant()
    def the_watermark_passes_nothing_open(self) -> None:
        announced = [row for row in self.rows if row not in self.unannounced]
        open_ones = [row.id for row in announced if not row.done and not row.parked]
        if open_ones:
            assert self.line.watermark(self.newest) < open_ones[0]
            assert self.saved < open_ones[0]

    @invariant()
    def the_backlog_is_what_is_open(self) -> None:
        early = len(self.line._early)
        announced = [row for row in self.rows if row not in self.unannounced]
        # a delivery that was read before it was announced is counted by its announcement
        assert self.line.backlog <= sum(not row.done for row in announced)
        assert self.line.backlog >= sum(not row.done for row in announced) - early - len(self.rows) * bool(early)

    @invariant()
    def memory_is_counted_and_bounded(self) -> None:
        queues = [lane.queue for lane in self.line.lanes.values()]
        assert self.line.held == sum(map(len, queues))
        assert self.line.held_bytes == sum(len(one.body or b"") for queue in queues for one in queue)
        assert self.line.held_bytes <= 12
        ids = [one.id for queue in queues for one in queue]
        assert len(ids) == len(set(ids))

    def finish(self) -> None:
        """Whatever happened, everything arrives in the end."""
        if self.freezing:
            self.end_parking()
        self.announce(len(self.rows))
        for _ in range(len(self.rows) * 6 + 20):
            for lane in list(self.line.lanes.values()):
                if lane.stuck:
                    self.line.release(lane)
            for lane in self.out:
                self.line.release(lane)
            self.out.clear()
            while self.line.ready:
                self.pick()
                for lane in list(self.out):
                    while lane.queue:
                        row = self.rows[lane.queue[0].id - 1]
                        assert not row.done
                        row.done, row.parked = True, False
                        self.ended.setdefault(lane.key, []).append(row.id)
                        self.line.end(lane, lane.queue[0])
                    self.out.remove(lane)
                    self.line.release(lane)
            self.feed_parked(3)
            if self.line.behind and self.line.has_room:
                self.page(6)
        assert [row.id for row in self.rows if not row.done] == []
        assert self.line.backlog == self.line.held == self.line.held_bytes == 0
        assert self.line.lanes == {}
        assert not self.line._early
        assert not self.line._order
        assert not self.line._done
        self.order_holds_in_every_lane()
        assert self.line.watermark(self.newest) == max(self.newest, self.saved)


class Finished(Waiting):
    def teardown(self) -> None:
        self.finish()


Finished.TestCase.settings = settings(
    max_examples=150, stateful_step_count=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestLine = Finished.TestCase


def test_a_delivery_that_was_read_before_it_was_announced_is_sent_once() -> None:
    """The store's reader may see a commit before the loop is told of it."""
    line = Line()
    line.behind = True
    line.read(pending(1), aside=False)
    line.cursor, line.behind = 1, False
    assert line.announce(pending(1)) is None
    assert [one.id for one in line.lanes[0].queue] == [1]
    assert line.backlog == 1


def test_memory_holds_a_window() -> None:
    line = Line()
    for one in range(1, 3 * WINDOW):
        line.announce(pending(one, one))
    assert line.held == WINDOW
    assert line.behind
    assert line.backlog == 3 * WINDOW - 1
    assert line.watermark(10**6) == 0


def test_bodies_above_the_window_are_made_again_later() -> None:
    line = Line()
    big = b"x" * (WINDOW_BYTES // 4)
    for one in range(1, 9):
        line.announce(pending(one, one, big))
    assert line.held_bytes <= WINDOW_BYTES
    assert [lane.queue[0].body is None for lane in line.lanes.values()] == [False] * 4 + [True] * 4


@pytest.mark.parametrize("count", [63, 5_000])
def test_lanes_that_fail_take_no_room_from_the_others(count: int) -> None:
    """However many patients are stuck: the others' deliveries come into memory."""
    line = Line()
    number = 0
    for key in range(1, count + 1):
        for _ in range(40 if count < 100 else 1):
            number += 1
            line.announce(pending(number, key))
        if key in line.lanes:
            lane = line.lanes[key]
            line.ready.remove(lane)
            lane.busy = lane.blocked = True
            line.failing.add(lane)
    for lane in line.stuck():
        line.park(lane)
    assert line.has_room
    assert all(len(lane.queue) == 1 for lane in line.lanes.values())
    assert line.watermark(number) == (line.cursor if line.behind else number)
