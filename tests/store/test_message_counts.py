"""Messages and deliveries are counted by stretches of ids, on both databases, and by the key alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from hilum.model.delivery import DeliveryState
from hilum.model.message import Disposition
from hilum.store import Store, message_counts
from hilum.store.message_counts import STRETCH, receiving, sending

pytestmark = pytest.mark.anyio
HOUR = 3_600_000_000
START = 490_000 * HOUR


async def test_by_endpoint_disposition_and_hour(
    store: Store, arrived: Callable[..., Any], queued: Callable[..., Any]
) -> None:  # fmt: skip
    """Times need not be in the order of ids, and neither end's microsecond is lost."""
    times = (START + 2 * HOUR, START, START + HOUR - 1, START + HOUR, START - 1, START + 3 * HOUR)
    for number, at in enumerate(times):
        some = [queued(2), queued(3)] if number % 2 == 0 else []
        kind = Disposition.DELIVERING if some else Disposition.FILTERED
        await store.append(arrived(str(number), received_at=at, endpoint=1, disposition=kind, deliveries=some))
    await store.append(arrived("other", received_at=START, organization=2))
    newest = await store.read(message_counts.last_message, 1)
    found = await store.read(message_counts.received, 1, START, START + 3 * HOUR, HOUR, 0)
    assert Counter({(one.endpoint, one.disposition, one.began - START): one.many for one in found}) == {
        (1, Disposition.DELIVERING, 0): 1, (1, Disposition.FILTERED, 0): 1, (1, Disposition.FILTERED, HOUR): 1,
        (1, Disposition.DELIVERING, 2 * HOUR): 1,
    }  # fmt: skip
    first = min(one.first for one in found if one.first is not None)
    last = max(one.last for one in found if one.last is not None)
    ways = await store.read(message_counts.sent, 1, START, START + 3 * HOUR, HOUR, first - 1, last)
    assert Counter({(one.endpoint, one.destination, one.state, one.began - START): one.many for one in ways}) == {
        (1, destination, int(DeliveryState.PENDING), at): 1 for destination in (2, 3) for at in (0, 2 * HOUR)
    }
    assert newest >= 6
    assert await store.read(message_counts.received, 1, START, START + 3 * HOUR, HOUR, newest) == []
    assert await store.read(message_counts.last_message, 3) == 0


async def test_a_stretch_is_found_by_the_key(sqlite_store: Store) -> None:
    def plans(connection: sa.Connection) -> list[str]:
        compiled = [
            one.compile(connection, compile_kwargs={"literal_binds": True})
            for one in (receiving(1, 5, 9, HOUR, STRETCH), sending(1, 5, 9, HOUR, 7, 9))
        ]
        return [
            row.detail for one in compiled for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {one}").all()
        ]  # fmt: skip

    details = [one for one in await sqlite_store.read(plans) if "TEMP B-TREE" not in one]
    assert len(details) == 3, details
    assert all(one.startswith("SEARCH") and "INTEGER PRIMARY KEY (rowid" in one for one in details), details
