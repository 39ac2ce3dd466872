"""The lanes to every destination: how they stand, and what a person may do about it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from hilum import clock
from hilum.model.access import Scope
from hilum.model.audit import Act
from hilum.model.status import LaneStatus, Status, StuckLane
from hilum.services.jobs import Jobs, JobState
from hilum.services.messages import lane_name, stamp
from hilum.services.names import Names
from hilum.store import Connection, Store, deliveries
from hilum.store.endpoints import Known


@dataclasses.dataclass(frozen=True, slots=True)
class Stuck:
    """A lane that waits for its next try (`retry_in` seconds) or for a person (None: it is blocked)."""

    lane: str | None  # None: the destination's only lane
    delivery: int  # at its head: what skipping it asks for
    message: str
    waiting: int
    attempts: int
    retry_in: float | None
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class Lane:
    """A destination. States: idle, sending, retrying, holding, blocked, paused; stopped where no hub runs."""

    reference: str
    state: str
    health: str
    reason: str
    backlog: int
    oldest_waiting_seconds: float | None
    lanes: int
    breaker: str
    delivered: int
    failed: int
    last_delivered_at: str | None
    stuck: list[Stuck]


class Lanes:
    def __init__(self, store: Store, names: Names, jobs: Jobs, status: Callable[[], Status | None]) -> None:
        self._store = store
        self._names = names
        self._jobs = jobs
        self._status = status

    async def all(self, scope: Scope) -> list[Lane]:
        """Every destination, by name."""
        status = self._status()
        if status is not None:
            within = await self._names.visible(scope)
            found = [
                _lane(one)
                for one in status.lanes
                if one.organization == scope.organization and (within is None or one.number in within)
            ]
        else:
            known = await self._names.known(scope, "outbound")
            found = await self._store.within(scope.organization).read(_stopped, known)
        return sorted(found, key=lambda one: one.reference)

    async def retry(self, act: Act, reference: str) -> JobState:
        """Try now: forgets waiting times and the breaker, frees what is blocked. Raises NotFound, Conflict."""
        destination = await self._names.endpoint(act.scope, reference, "outbound")
        return await self._jobs.run(act, "retry_lane", {"destination": destination}, f"lane/{reference}")

    async def skip(self, act: Act, reference: str, delivery: int, reason: str) -> JobState:
        """Take the delivery at the head of its lane out of it. Raises NotFound, Conflict where it is no such head."""
        destination = await self._names.endpoint(act.scope, reference, "outbound")
        arguments = {"destination": destination, "delivery": delivery, "reason": reason}
        act.reason = reason
        return await self._jobs.run(act, "skip_delivery", arguments, f"lane/{reference}")


def _lane(one: LaneStatus) -> Lane:
    return Lane(
        reference=one.reference,
        state=one.state,
        health=one.health,
        reason=one.reason,
        backlog=one.backlog,
        oldest_waiting_seconds=_age(one.oldest_at),
        lanes=one.lanes,
        breaker=one.breaker,
        delivered=one.delivered,
        failed=one.failed,
        last_delivered_at=None if one.last_delivered_at is None else stamp(one.last_delivered_at),
        stuck=[_stuck(lane) for lane in one.stuck],
    )


def _stuck(one: StuckLane) -> Stuck:
    return Stuck(
        lane_name(one.lane), one.delivery, one.message, one.waiting, one.attempts, one.retry_in, one.reason
    )  # fmt: skip


def _age(since: int | None) -> float | None:
    return None if since is None else max(clock.micros() - since, 0) / 1_000_000


def _stopped(connection: Connection, known: list[Known]) -> list[Lane]:
    """What the rows say where no engine runs."""
    standing = deliveries.standing(connection)
    found = []
    for one in known:
        watermark, delivered, failed = standing.get(one.number, (0, 0, 0))
        parked = deliveries.parked_lanes(connection, one.number)
        waiting, _ = deliveries.waiting(connection, one.number, watermark)
        found.append(
            Lane(
                reference=one.reference,
                state="stopped",
                health="unknown",
                reason="the hub does not run",
                backlog=waiting + sum(parked.values()),
                oldest_waiting_seconds=_age(deliveries.oldest(connection, one.number, watermark)),
                lanes=len(parked),
                breaker="unknown",
                delivered=delivered,
                failed=failed,
                last_delivered_at=None,
                stuck=[],
            )
        )
    return found
