"""What waits for a removed endpoint ends, with the reason."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from hilum.jobs import Context, discard
from hilum.model.delivery import DeliveryState, Pending
from hilum.model.message import Disposition, NewMessage
from hilum.store import Store, deliveries
from hilum.store.jobs import Job

pytestmark = pytest.mark.anyio


async def stored(store: Store, destination: int) -> NewMessage:
    delivery = Pending(destination, 1, 0, 0, 5, 0, b"body")
    new = NewMessage(1, 1, 1, Disposition.DELIVERING, "AA", "", "", b"body", b"", deliveries=[delivery])
    return await store.append(new)


async def test_waiting_deliveries_end_with_the_reason(context: Context, store: Store, job: Callable[..., Job]) -> None:
    gone, other = await stored(store, 9), await stored(store, 8)
    assert await discard.run(context, job("discard", destination=9, reason="the lab moved")) == {"discarded": 1}
    (ended,) = await store.read(deliveries.of_message, gone.deliveries[0].id, 1)
    assert (ended.state, ended.detail) == (DeliveryState.DISCARDED, "the lab moved")
    (waiting,) = await store.read(deliveries.of_message, other.deliveries[0].id, 1)
    assert waiting.state is DeliveryState.PENDING


async def test_it_waits_until_the_lanes_are_closed(
    context: Context, store: Store, lanes: dict[int, Any], job: Callable[..., Job]
) -> None:
    await stored(store, 3)
    asyncio.get_running_loop().call_later(0.2, lanes.pop, 3)
    assert await discard.run(context, job("discard", destination=3, reason="gone")) == {"discarded": 1}
