"""How often something is tried, and how long to wait in between."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

from hilum_client.call import Call
from hilum_client.errors import Conflict, HilumError, HubUnreachable

_FIRST, _LONGEST = 0.5, 8.0  # seconds, where the hub does not say


@dataclasses.dataclass(frozen=True, slots=True)
class Waits:
    """At most `tries` of a call; no wait above `patience` seconds: then the caller is told instead."""

    tries: int = 4
    patience: float = 60.0

    def before_next(self, call: Call[Any], failure: HilumError, tried: int, unsure: bool) -> float | None:
        """Seconds until the next try; None where there is none. `unsure`: an earlier try may have been carried out."""
        if tried >= self.tries or not _again(call, failure, unsure):
            return None
        asked = failure.retry_after
        wait = random.uniform(0, min(_FIRST * 2**tried, _LONGEST)) if asked is None else asked
        return None if wait > self.patience else wait


def _again(call: Call[Any], failure: HilumError, unsure: bool) -> bool:
    """Whether a repetition helps and does no harm."""
    if failure.status == 429:  # turned away before anything was done
        return True
    if isinstance(failure, HubUnreachable):
        return call.repeatable or not failure.sent
    if failure.status == 503:
        return call.repeatable
    if failure.status in (502, 504):
        return call.method == "GET"
    return unsure and call.keyed and type(failure) is Conflict  # the first try is still being worked on
