"""Respects a partner's rate limit: a token bucket that fills evenly, and places for what is with the partner."""

from __future__ import annotations

import asyncio
import contextlib

from hilum import clock
from hilum.model.configuration import RateLimit


class Limiter:
    def __init__(self, limit: RateLimit) -> None:
        self._rate = limit.messages / (limit.period / 1000)  # a second
        self._most = float(limit.burst or limit.messages)
        self._room = self._most
        self._at = clock.monotonic()
        self._places = asyncio.Semaphore(limit.concurrency) if limit.concurrency else None

    def wait(self) -> float:
        """Take one token. Returns the seconds to wait before using it."""
        now = clock.monotonic()
        self._room = min(self._most, self._room + (now - self._at) * self._rate)
        self._at = now
        self._room -= 1
        return 0.0 if self._room >= 0 else -self._room / self._rate

    def give_back(self) -> None:
        """A token that was taken is not used."""
        self._room = min(self._most, self._room + 1)

    async def enter(self, patience: float | None = None) -> bool:
        """Take a place at the partner, and `leave` it afterwards. False: none was free within so many seconds."""
        if self._places is None:
            return True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._places.acquire()
            return True
        return False

    def leave(self) -> None:
        """Somebody else may have the place."""
        if self._places is not None:
            self._places.release()
