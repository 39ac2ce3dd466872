"""One job a file: `async def run(context, job)` returns the result. The engine finds them and knows none by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Mapping
from typing import Protocol

from hilum.model.delivery import DeliveryState
from hilum.store import Store


class LaneControl(Protocol):
    """What a job may do to the lanes of a destination."""

    reference: str

    def retry_now(self) -> None: ...

    def skip(self, delivery: int, reason: str, state: DeliveryState = ...) -> bool: ...


class Flusher(Protocol):
    """Waits until results are in their rows."""

    def flush(self) -> Awaitable[None]: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Context:
    """What a job works with."""

    store: Store
    recorder: Flusher
    lanes: Mapping[int, LaneControl]
