"""Lists are narrowed, retention removes what is old and not needed any more, and gives its space back."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Awaitable, Callable

import pytest
import sqlalchemy as sa

from hilum.model.delivery import DeliveryState, Pending, Settled
from hilum.model.message import Disposition, NewMessage
from hilum.store import Store, deliveries, messages, schema
from hilum.store.messages import Filter

pytestmark = pytest.mark.anyio
Arrived = Callable[..., NewMessage]
Queued = Callable[..., Pending]
Open = Callable[..., Awaitable[Store]]


def settled(one: Pending, state: DeliveryState = DeliveryState.DELIVERED) -> Settled:
    return Settled(one.id, one.destination, one.message, state, 1, 9, "")


async def controls(store: Store, where: Filter, organization: int = 1, **page: int) -> list[str]:
    rows = await store.read(lambda connection: messages.newest(connection, organization, where, **page))
    return [row.control_id for row in rows]


async def test_a_list_is_narrowed(store: Store, arrived: Arrived) -> None:
    given = [
        arrived("a", endpoint=1, received_at=100, type="ADT^A01"),
        arrived("b", endpoint=2, received_at=200, type="ADT^A08", disposition=Disposition.ERROR),
        arrived("c", endpoint=1, received_at=300, type="ADTX", disposition=Disposition.REVIEW),
        arrived("d", endpoint=1, received_at=400, type="ADT", disposition=Disposition.ERROR),
        arrived("e", endpoint=1, received_at=500, type="ORU^R01", organization=2, disposition=Disposition.ERROR),
        arrived("f", endpoint=2, received_at=600, type="A_T^A01", disposition=Disposition.FILTERED),
    ]
    stored = await asyncio.gather(*map(store.append, given))
    assert await controls(store, Filter()) == ["f", "d", "c", "b", "a"]
    assert await controls(store, Filter(), organization=2) == ["e"]
    assert await controls(store, Filter(), organization=3) == []
    assert await controls(store, Filter(), limit=2) == ["f", "d"]
    assert await controls(store, Filter(), before=stored[3].id, limit=2) == ["c", "b"]
    assert await controls(store, Filter(endpoint=2)) == ["f", "b"]
    assert await controls(store, Filter(disposition=Disposition.ERROR)) == ["d", "b"]
    assert await controls(store, Filter(disposition=Disposition.DELIVERING)) == ["a"]
    assert await controls(store, Filter(type="ADT")) == ["d", "b", "a"]
    assert await controls(store, Filter(type="ADT^A01")) == ["a"]
    assert await controls(store, Filter(type="A_T")) == ["f"], "no character of it is a wildcard"
    assert await controls(store, Filter(type="%")) == []
    assert await controls(store, Filter(since=200, until=400)) == ["c", "b"]
    assert await controls(store, Filter(ids=[stored[0].id, stored[4].id])) == ["a"]
    assert await controls(store, Filter(ids=[])) == []
    assert await controls(store, Filter(endpoint=1, disposition=Disposition.REVIEW, since=300, type="ADTX")) == ["c"]
    assert await store.read(lambda one: messages.matching(one, 1, Filter(endpoint=1), 2)) == [
        stored[0].id,
        stored[2].id,
    ]


async def test_a_list_is_narrowed_by_what_became_of_it(store: Store, arrived: Arrived, queued: Queued) -> None:
    ends: dict[str, list[DeliveryState | None]] = {
        "pending": [None, DeliveryState.DELIVERED], "delivered": [DeliveryState.DELIVERED] * 2,
        "dead": [DeliveryState.DELIVERED, DeliveryState.DEAD], "expired": [DeliveryState.EXPIRED, None],
        "skipped": [DeliveryState.SKIPPED], "discarded": [DeliveryState.DISCARDED],
    }  # fmt: skip
    for name, states in ends.items():
        new = await store.append(arrived(name, deliveries=[queued(2) for _ in states]))
        done = [settled(one, state) for one, state in zip(new.deliveries, states, strict=True) if state is not None]
        await store.settle(done, (), {}, ())
    await store.append(arrived("filtered", disposition=Disposition.FILTERED))
    assert await controls(store, Filter(state="pending")) == ["pending"]
    assert await controls(store, Filter(state="delivered")) == ["delivered"]
    assert await controls(store, Filter(state="failed")) == ["expired", "dead"]
    assert await controls(store, Filter(state="skipped")) == ["skipped"]
    assert await controls(store, Filter(state="discarded")) == ["discarded"]
    rows = await store.read(lambda connection: messages.newest(connection, 1, Filter()))
    counted = await store.read(deliveries.counts, rows)
    by_control = {row.control_id: dict(counted.get(row.id, {})) for row in rows}
    assert by_control["dead"] == {DeliveryState.DELIVERED: 1, DeliveryState.DEAD: 1}
    assert by_control["filtered"] == {}


async def test_all_delivered(store: Store, arrived: Arrived, queued: Queued) -> None:
    new = await store.append(arrived(deliveries=[queued(2), queued(3)]))
    one, two = new.deliveries
    assert await store.read(messages.all_delivered, new.id) is None
    await store.settle([settled(one)], (), {}, ())
    assert await store.read(messages.all_delivered, new.id) is None
    await store.settle([settled(two)], (), {}, ())
    assert await store.read(messages.all_delivered, new.id) is True
    other = await store.append(arrived(deliveries=[queued(2), queued(3)]))
    await store.settle([settled(other.deliveries[0], DeliveryState.DEAD)], (), {}, ())
    assert await store.read(messages.all_delivered, other.id) is False


async def test_what_was_not_routed_is_found_in_order(store: Store, arrived: Arrived) -> None:
    stored = [
        await store.append(arrived(str(n), endpoint=n % 2, disposition=Disposition(n % 3 == 0 and 3))) for n in range(9)
    ]
    found = await store.read(messages.unrouted, 1)
    assert [row.id for row in found] == [one.id for one in stored if one.endpoint == 1 and not one.disposition]


async def purge(store: Store, organization: int, cutoff: int, limit: int = 3) -> int:
    """As the retention job does: page by page."""
    gone, after = 0, 0
    for _ in range(1_000):
        count, go_on = await store.write(messages.purge_bodies, organization, cutoff, after, limit)
        gone += count
        if go_on is None:
            return gone
        assert go_on > after
        after = go_on
    raise AssertionError("it does not end")


async def kept(store: Store) -> set[str]:
    join = schema.message.join(schema.body, schema.body.c.message == schema.message.c.id)
    query = sa.select(schema.message.c.control_id).select_from(join)
    return await store.read(lambda connection: set(connection.execute(query).scalars()))


@pytest.mark.ledger_part("S0-65", "bodies go when their time is over; what waits stays")
async def test_old_bodies_go_and_what_waits_stays(store: Store, arrived: Arrived, queued: Queued) -> None:
    waiting = await store.append(arrived("waiting", received_at=10, deliveries=[queued(2), queued(3, keep=True)]))
    await store.settle([settled(waiting.deliveries[0])], (), {}, ())
    await store.append(arrived("unrouted", received_at=20, disposition=Disposition.RECEIVED))
    await store.append(arrived("other's", received_at=30, organization=2))
    done = await store.append(arrived("done", received_at=40, deliveries=[queued(2, keep=True), queued(3)]))
    await store.settle([settled(one) for one in done.deliveries], (), {}, ())
    dead = await store.append(arrived("dead", received_at=50, deliveries=[queued(2, keep=True)], note="kept"))
    await store.settle([settled(dead.deliveries[0], DeliveryState.DEAD)], (), {}, ())
    for n in range(5):
        await store.append(arrived(f"old {n}", received_at=60, disposition=Disposition.FILTERED))
    await store.append(arrived("review", received_at=70, disposition=Disposition.REVIEW))
    for n in range(5):
        await store.append(arrived(f"young {n}", received_at=100))
    assert await purge(store, 1, cutoff=100) == 8
    assert await kept(store) == {"waiting", "unrouted", "other's", *(f"young {n}" for n in range(5))}
    assert await purge(store, 1, cutoff=100) == 0
    assert await controls(store, Filter(), limit=50) != [], "the rows stay"
    bodies = {
        name: await store.read(deliveries.kept_body, store.sealer, one.id)
        for name, one in (
            ("done", done.deliveries[0]),
            ("dead", dead.deliveries[0]),
            ("waiting", waiting.deliveries[1]),
        )
    }
    assert bodies == {"done": None, "dead": None, "waiting": b"MSH|made"}, "a body kept with its delivery goes as well"
    rows = {row.control_id: row for row in await store.read(lambda one: messages.newest(one, 1, Filter(), limit=50))}
    assert messages.view(rows["dead"], store.sealer).note == "kept"
    assert messages.view(rows["dead"], store.sealer).body is None


async def test_the_file_shrinks(sqlite_store: Store, arrived: Arrived) -> None:
    store, noise = sqlite_store, random.Random(1)
    for n in range(40):
        await asyncio.gather(
            *(store.append(arrived(f"{n}-{m}", noise.randbytes(20_000), received_at=1)) for m in range(10))
        )
    path = store.database.path

    async def size() -> int:
        for n in range(2):
            store.writer.checkpoint()
            await store.append(arrived(f"checkpoint {n} {noise.random()}"))
        return path.stat().st_size

    before = await size()
    assert before > 8_000_000
    assert await purge(store, 1, cutoff=2, limit=100) == 400
    await store.give_space_back()
    assert await size() < before / 10


async def test_a_file_that_cannot_shrink_is_left_as_it_is(
    open_store: Open, sqlite_store: Store, arrived: Arrived
) -> None:
    """Such as one that another tool has written anew without the setting."""
    for n in range(50):
        await sqlite_store.append(arrived(str(n), random.Random(n).randbytes(20_000), received_at=1))
    await sqlite_store.close()
    other = sqlite3.connect(sqlite_store.database.path, isolation_level=None)
    for statement in ("PRAGMA journal_mode=DELETE", "PRAGMA auto_vacuum=NONE", "VACUUM"):
        other.execute(statement)
    other.close()
    store = await open_store()
    assert await purge(store, 1, cutoff=2, limit=100) == 50
    await asyncio.wait_for(store.give_space_back(), 30)
    assert await kept(store) == set()
