"""Retention removes what is old and not needed any more, keeps what is held, and gives its space back."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import uuid
from collections.abc import Awaitable, Callable

import pytest
import sqlalchemy as sa

from hilum.errors import Conflict, NotFound
from hilum.model.delivery import DeliveryState, Pending, Settled
from hilum.model.message import Disposition, NewMessage
from hilum.store import Store, configuration, deliveries, legal_holds, messages, retention, schema
from hilum.store.legal_holds import Wanted
from hilum.store.messages import Filter
from hilum.store.retention import Cutoffs

pytestmark = pytest.mark.anyio
Arrived = Callable[..., NewMessage]
Queued = Callable[..., Pending]
Open = Callable[..., Awaitable[Store]]
PATIENT = 1 << 40  # a search key


def settled(one: Pending, state: DeliveryState = DeliveryState.DELIVERED) -> Settled:
    return Settled(one.id, one.destination, one.message, state, 1, 9, "")


async def controls(store: Store, where: Filter, organization: int = 1, **page: int) -> list[str]:
    rows = await store.read(lambda connection: messages.newest(connection, organization, where, **page))
    return [row.control_id for row in rows]


async def purge(store: Store, organization: int, cutoff: int, limit: int = 3) -> int:
    """As the retention job does: page by page."""
    policy, cutoffs = await store.read(retention.policy, organization), Cutoffs(1_000, cutoff)
    holds = await legal_holds.standing(store, organization)
    gone, after = 0, 0
    for _ in range(1_000):
        found, go_on = await store.read(retention.due, organization, cutoffs, after, limit)
        ids = [one.id for one in found if not holds.keep(one.id, one.endpoint, one.received_at)]
        if ids:
            change = await store.write(retention.remove, policy, cutoffs, holds, ids)
            gone += change.result
        if go_on is None:
            return gone
        assert go_on > after
        after = go_on
    raise AssertionError("it does not end")


async def owned(store: Store) -> Store:
    """With organizations 1 and 2; endpoint 7, which holds name, is the first one's."""
    for name in ("north", "south"):
        await store.write(configuration.put_organization, name, {})
    one = {"id": 7, "uuid": uuid.uuid4(), "organization": 1, "reference": "adt/in", "direction": "inbound",
           "document": {}, "draining": 0}  # fmt: skip
    await store.write(lambda connection: connection.execute(schema.endpoint.insert().values(one)))
    return store


@pytest.fixture
async def store(store: Store) -> Store:
    return await owned(store)


@pytest.fixture
async def sqlite_store(sqlite_store: Store) -> Store:
    return await owned(sqlite_store)


async def hold(store: Store, organization: int = 1, **values: int) -> legal_holds.Hold:
    change = await store.write(legal_holds.place, store.sealer, organization, "eva", Wanted("case 17", "a", **values))
    placed: legal_holds.Hold = change.result
    return placed


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


@pytest.mark.ledger_part("S0-65", "a legal hold keeps bodies, by patient, endpoint and time; lifted, they go")
@pytest.mark.parametrize(
    ("values", "left"),
    [
        ({}, "abc"),
        ({"patient": PATIENT}, "ab"),
        ({"endpoint": 7}, "bc"),
        ({"since": 20}, "bc"),
        ({"until": 20}, "a"),
        ({"since": 10, "until": 30, "endpoint": 7, "patient": PATIENT}, "b"),
        ({"patient": 99}, ""),
    ],
    ids=str,
)
async def test_what_is_held_stays_until_the_hold_is_lifted(
    store: Store, arrived: Arrived, values: dict[str, int], left: str
) -> None:
    for name, at, endpoint, keys in (("a", 10, 1, (PATIENT,)), ("b", 20, 7, (2, PATIENT)), ("c", 30, 7, (4,))):
        kind = Disposition.FILTERED
        await store.append(arrived(name, received_at=at, endpoint=endpoint, keys=keys, disposition=kind))
    placed = await hold(store, **values)
    await hold(store, organization=2)
    assert await purge(store, 1, cutoff=100) == 3 - len(left)
    assert await kept(store) == set(left)
    await store.write(legal_holds.lift, 1, placed.uuid, 1, "eva", "over")
    assert await purge(store, 1, cutoff=100) == len(left)
    assert await kept(store) == set(), "the other organization's hold holds nothing here"


async def test_a_hold_that_is_placed_while_bodies_go_is_not_overlooked(store: Store, arrived: Arrived) -> None:
    one = await store.append(arrived("a", received_at=10, disposition=Disposition.FILTERED))
    policy, cutoffs = await store.read(retention.policy, 1), Cutoffs(1_000, 100)
    before = await legal_holds.standing(store, 1)
    placed = await hold(store)
    with pytest.raises(Conflict, match="placed or lifted"):
        await store.write(retention.remove, policy, cutoffs, before, [one.id])
    held = await legal_holds.standing(store, 1)
    with pytest.raises(NotFound):
        await store.write(retention.remove, policy, cutoffs, held, [one.id])
    await store.write(legal_holds.lift, 1, placed.uuid, 1, "eva", "over")
    with pytest.raises(Conflict, match="placed or lifted"):
        await store.write(retention.remove, policy, cutoffs, held, [one.id])
    assert await kept(store) == {"a"}


async def test_from_when_on_events_may_be_about_what_is_held(store: Store, arrived: Arrived) -> None:
    async def oldest() -> int | None:
        return await legal_holds.oldest(store, await legal_holds.standing(store, 1))

    for at, endpoint in ((10, 1), (20, 7), (30, 7)):
        await store.append(arrived(received_at=at, endpoint=endpoint, keys=(PATIENT,)))
    assert await oldest() is None
    wide = await hold(store, since=500)
    assert await oldest() == 500
    narrow = await hold(store, patient=PATIENT, endpoint=7)
    assert await oldest() == 20
    unknown = await hold(store, patient=98)
    assert await oldest() == 20
    await store.write(legal_holds.lift, 1, narrow.uuid, 1, "eva", "over")
    await store.write(legal_holds.lift, 1, wide.uuid, 1, "eva", "over")
    assert await oldest() == unknown.placed_at, "nothing is held yet but the hold's own event"
    await hold(store, endpoint=7)
    assert await oldest() == 0, "without a beginning it may hold the very first message"


async def test_a_hold_is_lifted_once(store: Store) -> None:
    placed = await hold(store, patient=PATIENT)
    with pytest.raises(Conflict, match="changed since"):
        await store.write(legal_holds.lift, 1, placed.uuid, 9, "eva", "over")
    with pytest.raises(NotFound):
        await store.write(legal_holds.lift, 2, placed.uuid, 1, "eva", "over")
    change = await store.write(legal_holds.lift, 1, placed.uuid, 1, "eva", "over")
    assert (change.result.lifted_by, change.result.lifted_why, change.result.version) == ("eva", "over", 2)
    with pytest.raises(Conflict, match="lifted already"):
        await store.write(legal_holds.lift, 1, placed.uuid, 2, "eva", "over")
    assert [one.name for one in (await store.read(legal_holds.listed, 1, False, 0, 10))[0]] == ["case 17"]
    assert await store.read(legal_holds.listed, 1, True, 0, 10) == ([], 0)
    assert "1099511627776" not in str(legal_holds.shown(placed)), "of the key its hexadecimal digits alone"
