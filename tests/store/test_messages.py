"""Lists are narrowed by what is asked for, and by nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from hilum.model.delivery import DeliveryState, Pending, Settled
from hilum.model.message import Disposition, NewMessage
from hilum.store import Store, deliveries, messages
from hilum.store.messages import Filter

pytestmark = pytest.mark.anyio
Arrived = Callable[..., NewMessage]
Queued = Callable[..., Pending]


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


@pytest.mark.ledger_part("S4-74", "messages of tests are found apart, and each organization's by itself")
async def test_messages_of_tests_are_found_apart(store: Store, arrived: Arrived) -> None:
    given = [
        arrived("a", synthetic=True), arrived("b"), arrived("c", organization=2, synthetic=True),
        arrived("d", synthetic=True, disposition=Disposition.ERROR),
    ]  # fmt: skip
    stored = await asyncio.gather(*map(store.append, given))
    assert await controls(store, Filter(synthetic=True)) == ["d", "a"]
    assert await controls(store, Filter(synthetic=False)) == ["b"]
    assert await controls(store, Filter(synthetic=True, disposition=Disposition.ERROR)) == ["d"]
    assert await controls(store, Filter(synthetic=True), organization=2) == ["c"]
    assert await controls(store, Filter(synthetic=False), organization=2) == []
    rows = await store.read(messages.by_ids, [one.id for one in stored])
    assert [messages.view(row, store.sealer).synthetic for row in rows] == [True, True, False, True]


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
