"""What is on its way out says so in its every answer: since when, until when, and what to use instead."""

from __future__ import annotations

import dataclasses
import datetime
from email.utils import format_datetime


@dataclasses.dataclass(frozen=True, slots=True)
class Ending:
    """A route is deprecated from one day on, and may be gone from another; days begin at midnight UTC.

    `instead`: the path of what takes its place. Raises ValueError where it would be gone before it is deprecated.
    """

    since: datetime.date
    until: datetime.date
    instead: str = ""

    def __post_init__(self) -> None:
        if self.until < self.since:
            raise ValueError(f"it would be gone on {self.until}, before it is deprecated on {self.since}")

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """Deprecation (RFC 9745), Sunset (RFC 8594), and a link to the successor (RFC 5829)."""
        told = [
            (b"deprecation", f"@{_midnight(self.since).timestamp():.0f}".encode()),
            (b"sunset", format_datetime(_midnight(self.until), usegmt=True).encode()),
        ]
        if self.instead:
            told.append((b"link", f'<{self.instead}>; rel="successor-version"'.encode()))
        return tuple(told)


def _midnight(day: datetime.date) -> datetime.datetime:
    return datetime.datetime.combine(day, datetime.time(), datetime.UTC)
