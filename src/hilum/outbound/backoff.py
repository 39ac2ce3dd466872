"""How long to wait before the next try: exponential, with full jitter."""

from __future__ import annotations

import random

BASE = 1.0  # seconds
CAP = 60.0


def delay(attempt: int, retry_after: float | None = None, *, base: float = BASE) -> float:
    """Seconds before the try after number `attempt` (from 1). What the partner asked for wins, up to an hour."""
    if retry_after is not None:
        return min(max(retry_after, 0.0), 3600.0)
    return random.uniform(0, min(CAP, base * 2.0 ** min(attempt - 1, 16)))
