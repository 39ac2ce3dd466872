"""What waits, what was parked, what became of it: rows, progress and counts agree, also after a crash."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa

from hilum import clock
from hilum.errors import Conflict
from hilum.model.delivery import Attempt, DeliveryState, Pending, Settled
from hilum.model.message import Disposition, NewMessage
from hilum.store import Connection, Store, deliveries, schema

pytestmark = pytest.mark.anyio
Arrived = Callable[..., NewMessage]
Queued = Callable[..., Pending]
Open = Callable[..., Awaitable[Store]]


def settled(one: Pending, state: DeliveryState = DeliveryState.DELIVERED, attempts: int = 1) -> Settled:
    return Settled(one.id, one.destination, one.message, state, attempts, 99, state.name.lower())


def counted(connection: Connection) -> tuple[dict[tuple[int, int], int], dict[tuple[int, int], int]]:
    """Messages by (endpoint, disposition) and deliveries by (destination, state), as the rows say."""
    message, delivery = schema.message, schema.delivery
    received = connection.execute(
        sa.select(message.c.endpoint, message.c.disposition, sa.func.count()).group_by(
            message.c.endpoint, message.c.disposition
        )
    )
    ended = connection.execute(
        sa.select(delivery.c.destination, delivery.c.state, sa.func.count()).group_by(
            delivery.c.destination, delivery.c.state
        )
    )
    return {(one, two): three for one, two, three in received}, {(one, two): three for one, two, three in ended}


async def counts_agree(store: Store) -> None:
    received, ended = await store.read(counted)
    tallies = store.tallies
    assert {(one, int(two)): count for (one, two), count in tallies.received.items() if count} == received
    for destination in {one for one, _ in ended}:
        delivered = ended.get((destination, 1), 0)
        failed = sum(count for (one, state), count in ended.items() if one == destination and state > 1)
        assert (tallies.delivered[destination], tallies.failed[destination]) == (delivered, failed)


async def crash(store: Store, open_store: Open, tmp_path: Path) -> Store:
    """The store as the next start finds it, had the process been killed now. SQLite: a copy of the open folder."""
    if not store.database.embedded:
        url = store.database.writer.url.set(drivername="postgresql").render_as_string(hide_password=False)
        return await open_store(tmp_path / "next", url)
    folder = tmp_path / f"copy-{clock.micros()}"
    await asyncio.to_thread(shutil.copytree, store.folder, folder, ignore=shutil.ignore_patterns("copy-*", "next"))
    return await open_store(folder)


async def test_results_become_rows(store: Store, arrived: Arrived, queued: Queued) -> None:
    new = await store.append(arrived(deliveries=[queued(2), queued(3), queued(4), queued(5)]))
    first, second, third, last = new.deliveries
    tried = [
        Attempt(second.id, 1, 10, 1_500, "transient", "AE: PID-3 of 4711 is missing"),
        Attempt(second.id, 2, 20, 900, "permanent", "AR \udcff"),
    ]
    marks = {2: (first.id, 1, 0), 3: (second.id, 0, 1), 4: (third.id, 0, 1)}
    results = [settled(first), settled(second, DeliveryState.DEAD, 2), settled(third, DeliveryState.EXPIRED)]
    await store.settle(results, tried, marks, ())
    found = await store.read(deliveries.of_message, first.id, 4)
    assert [(one.state, one.attempts, one.done_at, one.detail) for one in found] == [
        (DeliveryState.DELIVERED, 1, 99, "delivered"), (DeliveryState.DEAD, 2, 99, "dead"),
        (DeliveryState.EXPIRED, 1, 99, "expired"), (DeliveryState.PENDING, 0, None, ""),
    ]  # fmt: skip
    kept = await store.read(deliveries.attempts, store.sealer, [first.id, second.id])
    assert [(one.delivery, one.number, one.started_at, one.duration, one.outcome, one.detail) for one in kept] == [
        (second.id, 1, 10, 1_500, "transient", "AE: PID-3 of 4711 is missing"),
        (second.id, 2, 20, 900, "permanent", "AR ?"),
    ]
    assert await store.read(deliveries.standing) == marks
    failed = await store.read(lambda connection: deliveries.failed(connection, 1, before=None, limit=10))
    assert [one.id for one in failed] == [third.id, second.id]
    waits = await store.read(deliveries.waiting, 5, 0)
    assert waits == (1, last.id)


async def test_what_waits_is_read_in_order(store: Store, arrived: Arrived, queued: Queued) -> None:
    new = [await store.append(arrived(str(n), deliveries=[queued(2, lane=n % 3), queued(3)])) for n in range(6)]
    mine = [one.deliveries[0] for one in new]
    await store.settle([settled(mine[0])], [Attempt(mine[1].id, 1, 0, 0, "transient", ""),
                                           Attempt(mine[1].id, 2, 0, 0, "unreachable", "")], {}, ())  # fmt: skip
    page = await store.read(deliveries.pending, 2, 0, 3)
    assert [one.id for one in page] == [one.id for one in mine[1:4]]
    rest = await store.read(deliveries.pending, 2, page[-1].id, 100)
    assert [one.id for one in rest] == [one.id for one in mine[4:]]
    assert (page[0].attempts, page[0].answers, page[0].body, page[0].keep) == (2, 1, None, False)
    assert (page[0].uuid, page[0].message, page[0].queued_at) == (new[1].uuid, new[1].id, new[1].received_at)
    assert [(one.lane, one.shard) for one in page] == [(one.lane, one.shard) for one in mine[1:4]]


async def test_a_kept_body_comes_back(store: Store, arrived: Arrived, queued: Queued) -> None:
    new = await store.append(arrived(deliveries=[queued(2, keep=True, body=b"made once"), queued(2)]))
    found = await store.read(deliveries.pending, 2, 0, 10)
    assert [one.keep for one in found] == [True, False]
    kept = [await store.read(deliveries.kept_body, store.sealer, one.id) for one in new.deliveries]
    assert kept == [b"made once", None]


async def test_parked_deliveries_stay_aside_and_come_back(store: Store, arrived: Arrived, queued: Queued) -> None:
    new = [await store.append(arrived(str(n), deliveries=[queued(2, lane=n % 2 + 1)])) for n in range(10)]
    odd = [one.deliveries[0] for one in new if one.deliveries[0].lane == 2]
    await store.write(deliveries.park, odd[1:])
    waiting = await store.read(deliveries.pending, 2, 0, 100)
    assert {one.id for one in waiting} == {one.deliveries[0].id for one in new} - {one.id for one in odd[1:]}
    assert await store.read(deliveries.waiting, 2, 0) == (6, new[8].deliveries[0].id)
    assert await store.read(deliveries.parked_lanes, 2) == {2: 4}
    assert await store.read(deliveries.parked_lanes, 3) == {}
    back = await store.read(deliveries.unparked, 2, 2, 0, 2)
    assert [one.id for one in back] == [odd[1].id, odd[2].id]
    more = await store.read(deliveries.unparked, 2, 2, back[-1].id, 10)
    assert [one.id for one in more] == [odd[3].id, odd[4].id]
    await store.settle([settled(odd[1])], (), {2: (odd[1].id, 1, 0)}, [(odd[1].id, 2, 2)])
    assert await store.read(deliveries.parked_lanes, 2) == {2: 3}


async def test_a_delivered_one_may_be_refused_later(store: Store, arrived: Arrived, queued: Queued) -> None:
    new = await store.append(arrived(deliveries=[queued(2), queued(2)]))
    taken, waiting = new.deliveries
    await store.settle([settled(taken)], (), {2: (taken.id, 1, 0)}, ())
    assert await store.refuse(Attempt(taken.id, 0, 5, 0, "permanent", "AR: unknown patient"), 2) is True
    assert await store.refuse(Attempt(waiting.id, 0, 5, 0, "permanent", "AR"), 2) is False
    found = await store.read(deliveries.of_message, taken.id, 2)
    assert [one.state for one in found] == [DeliveryState.DEAD, DeliveryState.PENDING]
    kept = await store.read(deliveries.attempts, store.sealer, [taken.id, waiting.id])
    assert [one.detail for one in kept] == ["AR: unknown patient"]
    assert await store.read(deliveries.standing) == {2: (taken.id, 0, 1)}


async def test_what_waits_for_a_removed_destination_is_discarded(
    store: Store, arrived: Arrived, queued: Queued
) -> None:
    new = await store.append(arrived(deliveries=[queued(2), queued(2), queued(3)]))
    first, second, other = new.deliveries
    await store.settle([settled(first)], (), {2: (first.id, 1, 0)}, ())
    await store.write(deliveries.park, [second])
    assert await store.write(deliveries.discard, 2, "the laboratory closed") == 1
    found = {one.id: one for one in await store.read(deliveries.of_message, first.id, 3)}
    assert found[first.id].state is DeliveryState.DELIVERED
    assert (found[second.id].state, found[second.id].detail) == (DeliveryState.DISCARDED, "the laboratory closed")
    assert found[other.id].state is DeliveryState.PENDING
    assert await store.read(deliveries.parked_lanes, 2) == {}


async def test_counts_equal_the_rows_after_a_crash(
    store: Store, open_store: Open, arrived: Arrived, queued: Queued, tmp_path: Path
) -> None:
    kinds = [Disposition.DELIVERING, Disposition.FILTERED, Disposition.ERROR, Disposition.RECEIVED]
    stored = await asyncio.gather(
        *(
            store.append(
                arrived(
                    str(n),
                    endpoint=n % 2,
                    disposition=kinds[n % 4],
                    deliveries=[queued(2), queued(3)] if n % 4 == 0 else (),
                )
            )
            for n in range(80)
        )
    )
    await counts_agree(store)
    made = [delivery for one in stored for delivery in one.deliveries]
    batches: list[tuple[Sequence[Pending], DeliveryState]] = [
        (made[:10], DeliveryState.DELIVERED), (made[10:14], DeliveryState.DEAD), (made[14:20], DeliveryState.SKIPPED),
    ]  # fmt: skip
    for batch, state in batches:
        done = Counter(one.destination for one in batch)
        good = state is DeliveryState.DELIVERED
        marks = {one: (0, count if good else 0, 0 if good else count) for one, count in done.items()}
        await store.settle([settled(one, state) for one in batch], (), marks, ())
        for one in batch:
            store.tallies.settle(one.destination, good)
    await store.write(lambda connection: None)
    late = [one for one in stored if one.disposition is Disposition.RECEIVED]
    await asyncio.gather(*(store.route(one, Disposition.FILTERED, [], "1", "late") for one in late[:15]))
    await counts_agree(store)
    for n in range(7):
        await store.append(arrived(f"later {n}", endpoint=9))
    again = await crash(store, open_store, tmp_path)
    await counts_agree(again)
    assert await again.read(counted) == await store.read(counted)


async def test_a_count_that_moves_is_in_every_snapshot_that_is_written_after_it(
    store: Store, open_store: Open, arrived: Arrived, queued: Queued, tmp_path: Path
) -> None:
    """Two messages are routed at once: neither's counts may overwrite the other's."""
    stored = [await store.append(arrived(str(n), disposition=Disposition.RECEIVED)) for n in range(2)]
    await asyncio.gather(*(store.route(one, Disposition.DELIVERING, [queued()], "1", "") for one in stored))
    again = await crash(store, open_store, tmp_path)
    await counts_agree(again)


async def test_a_message_is_routed_once(store: Store, arrived: Arrived, queued: Queued) -> None:
    new = await store.append(arrived(disposition=Disposition.RECEIVED))
    await store.route(new, Disposition.DELIVERING, [queued()], "1", "")
    with pytest.raises(Conflict, match="routed already"):
        await store.route(new, Disposition.DELIVERING, [queued()], "1", "")
    count, _ = await store.read(deliveries.waiting, 2, 0)
    assert count == 1
    await counts_agree(store)


async def test_a_crash_keeps_what_was_committed(
    store: Store, open_store: Open, arrived: Arrived, queued: Queued, tmp_path: Path
) -> None:
    new = [await store.append(arrived(str(n), deliveries=[queued(2, lane=n % 4)])) for n in range(50)]
    done = [one.deliveries[0] for one in new[:20]]
    tried = [Attempt(new[20].deliveries[0].id, 1, 0, 0, "transient", "AE")]
    await store.settle([settled(one) for one in done], tried, {2: (done[-1].id, 20, 0)}, ())
    again = await crash(store, open_store, tmp_path)
    waiting = await again.read(deliveries.pending, 2, (await again.read(deliveries.standing))[2][0], 100)
    assert [one.id for one in waiting] == [one.deliveries[0].id for one in new[20:]]
    assert waiting[0].attempts == 1
    more = await again.append(arrived("more", deliveries=[queued(2, lane=n) for n in range(4)]))
    assert more.id > new[-1].id
    assert more.deliveries[0].id > new[-1].deliveries[0].id
    numbers: dict[int, list[int]] = {}
    for one in await again.read(deliveries.of_message, 1, 1_000_000):
        numbers.setdefault(one.shard, []).append(one.position)
    assert all(found == list(range(1, len(found) + 1)) for found in numbers.values()), "positions go on without a gap"
