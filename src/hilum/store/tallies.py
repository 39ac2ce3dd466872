"""Counts of what was received and what became of it, equal to the rows after any crash.

Deliveries are counted in the transaction that settles them. Messages are counted in memory; what a snapshot
covers is written now and then, and the rows after it are counted at start.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import sqlalchemy as sa

from hilum import clock
from hilum.model.message import Disposition, NewMessage
from hilum.store import messages
from hilum.store.schema import setting, tally

_PERIOD = 5.0  # seconds between snapshots
Snapshot = tuple[Counter[tuple[int, Disposition]], int]


class Tallies:
    """`received[endpoint, disposition]`, and `delivered` and `failed` by destination. The loop's alone."""

    def __init__(self) -> None:
        self.received: Counter[tuple[int, Disposition]] = Counter()
        self.delivered: Counter[int] = Counter()
        self.failed: Counter[int] = Counter()
        self._through = self._saved = 0
        self._at = clock.monotonic()

    @staticmethod
    def read(connection: sa.Connection) -> tuple[list[tuple[int, int, int]], int]:
        """The snapshot completed by the rows after it, and the last row."""
        found = connection.execute(sa.select(setting.c.value).where(setting.c.name == "tally_through")).scalar()
        after = int(found or 0)
        columns = (tally.c.endpoint, tally.c.disposition, tally.c["count"])
        rows = [(one, two, three) for one, two, three in connection.execute(sa.select(*columns))]
        rows += messages.tally(connection, after)
        newest = connection.exec_driver_sql("SELECT max(id) FROM message").scalar() or after
        return rows, newest

    def load(self, received: tuple[list[tuple[int, int, int]], int], standing: dict[int, tuple[int, int, int]]) -> None:
        rows, self._through = received
        self._saved = -1
        for endpoint, disposition, count in rows:
            self.received[endpoint, Disposition(disposition)] += count
        for destination, (_, delivered, failed) in standing.items():
            self.delivered[destination], self.failed[destination] = delivered, failed

    def count(self, committed: Sequence[NewMessage]) -> None:
        for one in committed:
            self.received[one.endpoint, one.disposition] += 1
        self._through = committed[-1].id

    def settle(self, destination: int, delivered: bool) -> None:
        (self.delivered if delivered else self.failed)[destination] += 1

    def refuse(self, destination: int) -> None:
        """A delivered one turned out to be refused."""
        self.delivered[destination] -= 1
        self.failed[destination] += 1

    def move(self, endpoint: int, before: Disposition, after: Disposition) -> None:
        """A message that was stored before it was routed has got its disposition."""
        self.received[endpoint, before] -= 1
        self.received[endpoint, after] += 1

    def due(self) -> bool:
        return self._through != self._saved and clock.monotonic() - self._at > _PERIOD

    def snapshot(self) -> Snapshot:
        """What `save` writes. Taken on the loop, where counts and `through` belong together."""
        self._at, self._saved = clock.monotonic(), self._through
        return Counter(self.received), self._through


def save(connection: sa.Connection, snapshot: Snapshot) -> None:
    received, through = snapshot
    connection.execute(tally.delete())
    rows = [{"endpoint": one, "disposition": int(kind), "count": n} for (one, kind), n in received.items() if n]
    if rows:
        connection.execute(tally.insert(), rows)
    value = str(through)
    if not connection.execute(setting.update().where(setting.c.name == "tally_through").values(value=value)).rowcount:
        connection.execute(setting.insert().values(name="tally_through", value=value))
