"""Replays of more than one request's chunk, in order, on either database."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hilum.app import Hub
from hilum.errors import NotFound
from hilum.intake.identity import search_key
from hilum.model.audit import Act
from hilum.model.message import NewMessage
from hilum.services.messages import Query

pytestmark = pytest.mark.anyio
New = Callable[..., NewMessage]


async def test_chunks_keep_the_order(hub: Hub, new: New, act: Callable[..., Act]) -> None:
    for number in range(230):
        await hub.store.append(new(f"C{number}", hub))
    done = await hub.services().replays.many(act(), Query(disposition="unrouted"), "again")
    assert (done.replayed, len(done.ids), done.purged, done.more) == (230, 100, 0, False)
    service = hub.services().messages
    newest = (await service.page(act(), Query(), limit=100)).items
    assert [one.control_id for one in newest] == [f"C{number}" for number in range(229, 129, -1)]
    assert {one.state for one in newest} == {"pending"}
    assert len({one.origin for one in newest}) == 100


async def test_a_key_finds_what_other_filters_then_narrow(hub: Hub, new: New, act: Callable[..., Act]) -> None:
    key = search_key(hub.store.hash, 1, "patient", "4711")
    for number in range(6):
        kind = "ORU^R01" if number % 2 else "ADT^A01"
        await hub.store.append(new(f"C{number}", hub, type=kind, keys=(key,) if number < 4 else ()))
    query = Query(type="ADT", key="patient", value="4711")
    done = await hub.services().replays.many(act(), query, "again", 10)
    assert done.replayed == 2
    with pytest.raises(NotFound):
        await hub.services().replays.many(act(), Query(endpoint="adt/nope"), "again")


async def test_another_organization_replays_nothing(hub: Hub, new: New, act: Callable[..., Act]) -> None:
    await hub.store.append(new("C1", hub))
    assert (await hub.services().replays.many(act(2), Query(type="ADT"), "again")).replayed == 0
