"""A circuit breaker: after failures in a row nobody knocks for a while, then one probe may."""

from __future__ import annotations

from hilum import clock
from hilum.model.configuration import Breaker as Settings


class Breaker:
    """closed -> open (failures in a row) -> half-open (one probe) -> closed or open again."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._failures = 0
        self._until = 0.0
        self._probing = 0.0  # until when the probe that was let through may take

    @property
    def state(self) -> str:
        if self._failures < self._settings.failures:
            return "closed"
        return "half-open" if clock.monotonic() >= self._until else "open"

    @property
    def failures(self) -> int:
        return self._failures

    def wait(self) -> float:
        """Seconds until the next try is allowed; 0 now. A half-open breaker admits one at a time."""
        if self._failures < self._settings.failures:
            return 0.0
        now = clock.monotonic()
        left = max(self._until, self._probing) - now
        if left > 0:
            return left
        self._probing = now + self._settings.open_for / 1000
        return 0.0

    def success(self) -> None:
        self._failures, self._probing = 0, 0.0

    def failure(self) -> None:
        self._failures += 1
        self._probing = 0.0
        self._until = clock.monotonic() + self._settings.open_for / 1000

    def reset(self) -> None:
        """A person says: try now."""
        self._failures, self._probing, self._until = 0, 0.0, 0.0
