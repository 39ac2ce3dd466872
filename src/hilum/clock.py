"""The one place that reads time, so that tests can move it.

Stamps are whole microseconds since 1970 in UTC. Order and ids never depend on them.
"""

from __future__ import annotations

import datetime
import functools
import time

monotonic = time.monotonic  # delays, time-outs, breakers


def now() -> datetime.datetime:
    """The wall clock, in UTC, aware."""
    return datetime.datetime.now(datetime.UTC)  # noqa: TID251 - this is the clock


def micros() -> int:
    """The wall clock as whole microseconds since 1970."""
    return time.time_ns() // 1000


def from_micros(stamp: int) -> datetime.datetime:
    """The aware UTC time of a stamp."""
    return datetime.datetime.fromtimestamp(stamp / 1_000_000, datetime.UTC)


def iso(stamp: int) -> str:
    """A stamp as ISO 8601 in UTC, always with six decimals: text that sorts as time does."""
    second, rest = divmod(stamp, 1_000_000)
    return f"{_second(second)}.{rest:06d}Z"


@functools.lru_cache(maxsize=1024)
def _second(second: int) -> str:
    """What many stamps of a page begin with."""
    return from_micros(second * 1_000_000).isoformat().removesuffix("+00:00")
