"""Respects a partner's rate limit: a token bucket that fills evenly."""

from __future__ import annotations

from hilum import clock
from hilum.model.configuration import RateLimit


class Limiter:
    def __init__(self, limit: RateLimit) -> None:
        self._rate = limit.messages / (limit.period / 1000)  # a second
        self._room = float(limit.messages)
        self._most = float(limit.messages)
        self._at = clock.monotonic()

    def wait(self) -> float:
        """Take one token. Returns the seconds to wait before using it."""
        now = clock.monotonic()
        self._room = min(self._most, self._room + (now - self._at) * self._rate)
        self._at = now
        self._room -= 1
        return 0.0 if self._room >= 0 else -self._room / self._rate
