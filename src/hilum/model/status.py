"""How the running hub stands: what its sources and destinations are doing right now."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class StuckLane:
    """A lane that waits for its next try, or for a person. `lane` is 0 for a destination's only lane."""

    lane: int
    delivery: int  # at its head
    message: str  # that delivery's message, by UUID
    waiting: int  # deliveries in the lane, the parked ones included
    attempts: int
    retry_in: float | None  # seconds; None: it is blocked
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class LaneStatus:
    """A destination. States: idle, sending, retrying, holding (unreachable), blocked, paused (inactive)."""

    number: int
    organization: int
    reference: str
    state: str
    health: str  # healthy, degraded, unhealthy, unknown
    reason: str
    backlog: int
    oldest_at: int | None  # when what waits longest was received, microseconds
    lanes: int  # lanes that hold something
    breaker: str  # closed, open, half-open
    delivered: int
    failed: int
    last_delivered_at: int | None
    stuck: tuple[StuckLane, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class SourceStatus:
    """An inbound endpoint. `problem` says why it does not run."""

    number: int
    organization: int
    reference: str
    url: str
    running: bool
    problem: str
    held: tuple[str, ...]  # why its sockets are held (back-pressure)
    received: int
    errors: int
    stored_within: tuple[int, ...] = ()  # messages by how long storing took, in telemetry.Latency's buckets
    stored_seconds: float = 0.0  # the sum of that


@dataclasses.dataclass(frozen=True, slots=True)
class Status:
    """Everything at once."""

    lanes: tuple[LaneStatus, ...]
    sources: tuple[SourceStatus, ...]
    free_disk: float  # share of the disk that is free
    commits: int
