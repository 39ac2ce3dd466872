"""What was received, until its receipt is given."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping

from hilum.intake.identity import Identity
from hilum.sdk.contracts import Receipt

_UNREADABLE = Identity("", "", ())


@dataclasses.dataclass(slots=True, eq=False)
class Arrival:
    """A received body until its receipt is given."""

    body: bytes
    attributes: Mapping[str, str] | None
    wait: float | None
    future: asyncio.Future[Receipt]
    received_at: int
    identity: Identity = _UNREADABLE
    hash: bytes = b""
    note: str = ""
    stored: asyncio.Future[None] | None = None  # made where a repeat waits for the row
