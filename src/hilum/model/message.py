"""A message: one received payload, stored once. Its state and its acknowledgement are separate axes."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping, Sequence

from hilum.model.delivery import Pending


class Disposition(enum.IntEnum):
    """What the pipeline decided; every message ends in exactly one (docs/state-machine.md)."""

    RECEIVED = 0  # stored, not yet routed: the route went over its time budget
    DELIVERING = 1  # it has deliveries; their states tell how far it is
    FILTERED = 2  # a step decided that nobody wants it
    UNROUTED = 3  # no route starts at its endpoint
    ERROR = 4  # it could not be read, or a step failed
    REVIEW = 5  # a person must decide, such as on a code without a translation


class Ack(enum.StrEnum):
    """The acknowledgement codes of HL7 table 0008."""

    AA = "AA"
    AE = "AE"
    AR = "AR"
    CA = "CA"
    CE = "CE"
    CR = "CR"

    @property
    def positive(self) -> bool:
        return self in (Ack.AA, Ack.CA)


@dataclasses.dataclass(frozen=True, slots=True)
class Message:
    """A stored message as people and the API see it; `body` is None once retention removed it."""

    id: int
    uuid: str
    organization: int
    endpoint: int
    routes: tuple[int, ...]  # the route versions that it took
    received_at: int  # microseconds since 1970, UTC
    disposition: Disposition
    ack: str  # the code that was answered, empty where none was
    type: str  # MSH-9 as it came, such as ADT^A01
    control_id: str  # MSH-10
    body_hash: bytes  # SHA-256 of the body as it came
    first_delivery: int | None = None
    deliveries: int = 0
    origin: int | None = None  # the message that this one replays
    note: str = ""  # why it is in this disposition, what was noticed, why it was replayed
    attributes: dict[str, str] = dataclasses.field(default_factory=dict)
    body: bytes | None = None
    synthetic: bool = False  # it says itself that it is a test's, not a patient's


@dataclasses.dataclass(slots=True, eq=False)
class NewMessage:
    """What intake hands to the store; `id` and `uuid` are given at the commit."""

    organization: int
    endpoint: int
    received_at: int
    disposition: Disposition
    ack: str
    type: str
    control_id: str
    body: bytes
    body_hash: bytes
    routes: str = ""
    note: str = ""
    attributes: Mapping[str, str] | None = None
    origin: int | None = None
    keys: tuple[int, ...] = ()  # keyed hashes under which it can be found
    deliveries: Sequence[Pending] = ()
    synthetic: bool = False  # as in Message
    id: int = 0
    uuid: str = ""


MESSAGE_TRANSITIONS: dict[Disposition, frozenset[Disposition]] = {
    Disposition.RECEIVED: frozenset(
        {
            Disposition.DELIVERING,
            Disposition.FILTERED,
            Disposition.UNROUTED,
            Disposition.ERROR,
            Disposition.REVIEW,
        }
    ),
    Disposition.DELIVERING: frozenset(),
    Disposition.FILTERED: frozenset(),
    Disposition.UNROUTED: frozenset(),
    Disposition.ERROR: frozenset(),
    Disposition.REVIEW: frozenset(),
}
