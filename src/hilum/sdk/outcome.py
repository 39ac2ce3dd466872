"""What became of a try to send, classed by what to do next."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(slots=True)  # not frozen: made for each message
class Delivered:
    """The destination took the message. `detail` is its answer's code, such as AA or 200; no patient data."""

    detail: str = ""
    response: bytes = b""  # the answer itself, where someone waits for it


@dataclasses.dataclass(frozen=True, slots=True)
class Transient:
    """Nothing was taken; the same send may work later.

    `answered` is True where the partner spoke about this message (AE, 408, 429, 5xx): that uses up a retry.
    False where the partner could not be reached at all: the lane holds and probes, no retry is used.
    """

    detail: str
    answered: bool = False
    retry_after: float | None = None  # seconds, as the partner asked


@dataclasses.dataclass(frozen=True, slots=True)
class Ambiguous:
    """It was sent, but no answer came: the partner may or may not have taken it."""

    detail: str


@dataclasses.dataclass(frozen=True, slots=True)
class Permanent:
    """The partner refused this message for good (AR, 4xx): sending it again cannot help."""

    detail: str


@dataclasses.dataclass(frozen=True, slots=True)
class Placed:
    """A file is with the partner, whole. `place` is its name there; `detail` tells written from already there."""

    place: str
    detail: str = "written"


Outcome = Delivered | Transient | Ambiguous | Permanent
Deposited = Placed | Transient | Ambiguous | Permanent
