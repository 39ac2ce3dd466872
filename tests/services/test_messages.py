"""Messages as people see them, on either database."""

from __future__ import annotations

import datetime
import uuid
from collections import Counter
from collections.abc import Callable

import pytest

from hilum import clock
from hilum.app import Hub
from hilum.errors import Conflict, NotFound, StoreError
from hilum.model.audit import Act
from hilum.model.delivery import Attempt, DeliveryState, Pending, Settled
from hilum.model.identifier import row_of
from hilum.model.message import Disposition, NewMessage
from hilum.services.messages import Query, micros, stamp, state_of
from hilum.store import Connection, deliveries, legal_holds, messages, retention
from hilum.store.retention import Cutoffs

pytestmark = pytest.mark.anyio
New = Callable[..., NewMessage]
STATES = DeliveryState


async def settle(hub: Hub, one: NewMessage, *states: DeliveryState) -> None:
    """End the deliveries of a message so; PENDING leaves one as it is."""
    ended = [
        Settled(delivery.id, delivery.destination, one.id, state, 1, clock.micros(), state.name.lower())
        for delivery, state in zip(one.deliveries, states, strict=True)
        if state.final
    ]
    await hub.store.settle(ended, [], {}, [])


@pytest.mark.parametrize(
    ("states", "wanted"),
    [
        ((STATES.DELIVERED, STATES.DELIVERED), "delivered"),
        ((STATES.DELIVERED, STATES.PENDING), "pending"),
        ((STATES.PENDING, STATES.DEAD), "failed"),
        ((STATES.EXPIRED, STATES.SKIPPED), "failed"),
        ((STATES.DELIVERED, STATES.SKIPPED), "skipped"),
        ((STATES.DELIVERED, STATES.DISCARDED), "discarded"),
        ((STATES.SKIPPED, STATES.PENDING), "pending"),
    ],
)
async def test_states_follow_from_deliveries(
    hub: Hub, new: New, states: tuple[DeliveryState, ...], wanted: str, act: Callable[..., Act]
) -> None:
    one = await hub.store.append(new("C1", hub, lanes=(0, 7)))
    other = await hub.store.append(new("C2", hub))
    await settle(hub, one, *states)
    service = hub.services().messages
    second, first = (await service.page(act(), Query())).items
    assert (first.state, second.state) == (wanted, "unrouted")
    for state in ("pending", "delivered", "failed", "skipped", "discarded", "unrouted"):
        found = [item.id for item in (await service.page(act(), Query(state=state))).items]
        if state == wanted:
            assert found == [one.uuid]
        elif state == "unrouted":
            assert found == [other.uuid]
        elif state not in {each.name.lower() for each in states}:
            assert found == []


def test_a_message_without_deliveries_stands_as_it_was_disposed() -> None:
    for disposition in Disposition:
        expected = "delivered" if disposition is Disposition.DELIVERING else disposition.name.lower()
        assert state_of(disposition, Counter()) == expected


async def test_counts_of_neighbours_and_strangers(hub: Hub, new: New) -> None:
    stored = [await hub.store.append(new(f"C{number}", hub, lanes=(0,) * (number % 3))) for number in range(9)]
    await settle(hub, stored[2], STATES.DELIVERED, STATES.DEAD)
    await settle(hub, stored[7], STATES.DELIVERED)

    def read(connection: Connection, ids: list[int]) -> dict[int, Counter[DeliveryState]]:
        return deliveries.counts(connection, messages.by_ids(connection, ids))

    assert await hub.store.read(read, [stored[one].id for one in (0, 1, 2, 7)]) == {
        stored[1].id: Counter({STATES.PENDING: 1}),
        stored[2].id: Counter({STATES.DELIVERED: 1, STATES.DEAD: 1}),
        stored[7].id: Counter({STATES.DELIVERED: 1}),
    }
    assert await hub.store.read(read, [stored[0].id]) == {}
    assert await hub.store.read(read, []) == {}


async def test_a_waiting_delivery_counts_the_tries_so_far(hub: Hub, new: New, act: Callable[..., Act]) -> None:
    one = await hub.store.append(new("C1", hub, lanes=(-5,)))
    tried = [Attempt(one.deliveries[0].id, number, clock.micros(), 1_500, "transient", "busy") for number in (1, 2)]
    await hub.store.settle([], tried, {}, [])
    detail = await hub.services().messages.show(act(), uuid.UUID(one.uuid), payload=True)
    (way,) = detail.deliveries
    assert (way.state, way.attempts, way.done_at, way.destination) == ("pending", 2, None, "lab/out")
    assert way.lane == "fffffffffffffffb"
    assert [(each.number, each.milliseconds, each.detail) for each in way.tries] == [(1, 1.5, "busy"), (2, 1.5, "busy")]


async def test_sent_bytes_are_those_that_were_promised_or_none(hub: Hub, new: New, act: Callable[..., Act]) -> None:
    service = hub.services().messages
    one = await hub.store.append(new("C1", hub, lanes=(0,)))  # its digest is of no bytes that the route makes
    with pytest.raises(StoreError, match="no longer makes the bytes"):
        await service.sent(act(), uuid.UUID(one.uuid), 1)
    lost = await hub.store.append(new("C2", hub, deliveries=[Pending(2, 99, 0, 0, 0, 0, None)]))
    with pytest.raises(Conflict, match="no route version 99"):
        await service.sent(act(), uuid.UUID(lost.uuid), 1)
    for number in (0, 2):
        with pytest.raises(NotFound):
            await service.sent(act(), uuid.UUID(lost.uuid), number)


async def test_what_a_script_made_was_kept_and_stays(hub: Hub, act: Callable[..., Act]) -> None:
    """A replay of a message takes both routes: the script's output can't be made again, so it was stored."""
    services = hub.services()
    body = b"MSH|^~\\&|HIS|W|HUB|X|20260102||ADT^A01|C1|P|2.5\r"
    values = (1, 1, clock.micros(), Disposition.UNROUTED, "AA", "ADT^A01", "C1", body, hub.store.seal_hash(body))
    first = await hub.store.append(NewMessage(*values))
    made = uuid.UUID(await services.replays.one(act(), uuid.UUID(first.uuid), "again"))
    detail = await services.messages.show(act(), made, payload=True)
    assert detail.routes == ["adt-to-lab v1", "adt-to-script v1"]
    assert [one.route for one in detail.deliveries] == detail.routes
    mapped, scripted = [await services.messages.sent(act(), made, number) for number in (1, 2)]
    assert b"|LAB|X|" in mapped
    assert b"|HUB|SEEN1|" in scripted
    assert await services.messages.sent(act(), made, 2) == scripted
    steps = await services.messages.steps(act(), made)
    assert [(one.route, one.repeatable) for one in steps] == [("adt-to-lab v1", True), ("adt-to-script v1", False)]
    assert "|SEEN2|" in steps[1].steps[0].made[0]  # run once more
    kept, cutoffs = await hub.store.read(retention.policy, 1), Cutoffs(clock.micros(), clock.micros() + 1)
    holds, ids = await legal_holds.standing(hub.store, 1), [first.id, row_of(made)]
    await hub.store.write(retention.remove, kept, cutoffs, holds, ids)
    assert (await services.messages.show(act(), made, payload=True)).body is not None  # it waits for its delivery
    with pytest.raises(Conflict):
        await services.messages.body(act(), uuid.UUID(first.uuid))


async def test_a_route_version_that_no_longer_compiles_is_told(hub: Hub, new: New, act: Callable[..., Act]) -> None:
    one = await hub.store.append(new("C1", hub, routes="1 99"))
    good, bad = await hub.services().messages.steps(act(), uuid.UUID(one.uuid))
    assert (good.problem, len(good.steps)) == (None, 1)
    assert (bad.problem, bad.steps) == ("there is no route version 99", [])


def test_stamps_have_six_decimals_and_come_back() -> None:
    assert stamp(1_767_322_245_000_000) == "2026-01-02T02:50:45.000000Z"
    moment = datetime.datetime.fromisoformat(stamp(1_767_322_245_000_001))
    assert micros(moment) == 1_767_322_245_000_001
    assert micros(moment.replace(tzinfo=None)) == 1_767_322_245_000_001
    assert micros(moment.astimezone(datetime.timezone(datetime.timedelta(hours=5)))) == 1_767_322_245_000_001
