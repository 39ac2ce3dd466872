"""A delivery: a message's way to one destination, and the attempts made on it."""

from __future__ import annotations

import dataclasses
import enum


class DeliveryState(enum.IntEnum):
    """Where a delivery stands. Retries and waiting are not states: they live in the lane and in attempts."""

    PENDING = 0  # in its lane, waiting, being sent or being retried
    DELIVERED = 1  # the destination took it
    DEAD = 2  # it will not be sent again by itself: a permanent answer, or retries used up
    EXPIRED = 3  # the endpoint's `expire` passed before the destination could be reached
    SKIPPED = 4  # a person took it out of its lane, with a reason
    DISCARDED = 5  # its endpoint was removed with `--discard`, with a reason

    @property
    def final(self) -> bool:
        return self is not DeliveryState.PENDING


DELIVERY_TRANSITIONS: dict[DeliveryState, frozenset[DeliveryState]] = {
    DeliveryState.PENDING: frozenset(set(DeliveryState) - {DeliveryState.PENDING}),
    # an application ACK of enhanced mode may come long after the commit ACK freed the lane
    DeliveryState.DELIVERED: frozenset({DeliveryState.DEAD}),
    DeliveryState.DEAD: frozenset(),
    DeliveryState.EXPIRED: frozenset(),
    DeliveryState.SKIPPED: frozenset(),
    DeliveryState.DISCARDED: frozenset(),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery as people and the API see it. `lane` is 0 for a destination's only lane, else a keyed hash."""

    id: int
    message: int
    organization: int
    destination: int
    route: int  # the route version that made it
    ordinal: int  # which of that route's outputs it is
    shard: int
    position: int
    lane: int
    state: DeliveryState
    attempts: int
    done_at: int | None
    detail: str = ""  # the destination's last answer, or why it failed


@dataclasses.dataclass(frozen=True, slots=True)
class Attempt:
    """One try that did not succeed; the successful one is the delivery's own `done_at` and `detail`."""

    delivery: int
    number: int
    started_at: int
    duration: int  # microseconds
    outcome: str  # transient (the partner answered), unreachable, ambiguous or permanent
    detail: str


@dataclasses.dataclass(slots=True, eq=False)
class Pending:
    """A delivery on its way: what the pipeline made, and from the commit on what the lanes carry."""

    destination: int
    route: int
    ordinal: int
    lane: int
    shard: int
    digest: int
    body: bytes | None  # None: to be made again from the message when its turn comes
    keep: bool = False  # the route cannot make it again, so the body is stored with it
    id: int = 0
    message: int = 0
    uuid: str = ""  # the message's
    organization: int = 0
    queued_at: int = 0  # microseconds; `expire` counts from here
    attempts: int = 0
    answers: int = 0  # attempts that used up a retry
    parked: bool = False  # the store keeps it aside, out of the watermark


@dataclasses.dataclass(slots=True)
class Settled:
    """How a delivery ended, on its way to its row."""

    delivery: int
    destination: int
    message: int
    state: DeliveryState
    attempts: int
    done_at: int
    detail: str


SHARDS = 64  # lanes are owned by shard: hash(destination, key) mod SHARDS
