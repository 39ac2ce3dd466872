"""What a report or a dashboard says of itself, and what it is asked: one a file in `reports` and `dashboards`."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Awaitable, Callable

from hilum import clock
from hilum.exporting.means import Means, Watch
from hilum.formats.report.document import Section
from hilum.model.access import Scope
from hilum.model.retention import DAY
from hilum.store.exports import Export

HOUR = 3_600_000_000  # microseconds
_HOURS = 72  # of a time that is shown by hours


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """Whose, and of which time (microseconds, `until` is excluded); both 0 where it is of no time."""

    export: Export
    scope: Scope
    since: int = 0
    until: int = 0

    @property
    def size(self) -> int:
        """Of the parts that the time is shown in: an hour or a day, as UTC has them."""
        return HOUR if self.until - self.since <= _HOURS * HOUR else DAY

    @property
    def unit(self) -> str:
        return "hour" if self.size == HOUR else "day"

    @property
    def parts(self) -> list[int]:
        """When each of them begins."""
        return list(range(self.since - self.since % self.size, self.until, self.size))

    @property
    def labels(self) -> list[datetime.datetime]:
        return [clock.from_micros(one) for one in self.parts]

    @property
    def days(self) -> list[int]:
        """When each day of it begins."""
        return list(range(self.since - self.since % DAY, self.until, DAY))


@dataclasses.dataclass(frozen=True, slots=True)
class Definition:
    """`days`: the longest time that it can be of; 0: it tells how things stand, and is of no time.

    `by_study`: can it be told of some studies alone? Else it is for who may do all of it everywhere.
    """

    name: str
    title: str
    about: str
    permissions: frozenset[str]
    build: Callable[[Means, Asked, Watch], Awaitable[tuple[Section, ...]]]
    days: int = 366
    by_study: bool = True
