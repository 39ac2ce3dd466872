"""Those who wait for a message's deliveries."""

from __future__ import annotations

import asyncio

import pytest

from hilum.intake.waiters import Waiters
from hilum.model.delivery import Pending

pytestmark = pytest.mark.anyio


def pending(*ids: int) -> list[Pending]:
    return [Pending(1, 1, 0, 0, 0, 0, None, id=one, message=5) for one in ids]


async def test_all_of_them() -> None:
    waiters = Waiters()
    waiters.expect(5, pending(1, 2))
    task = asyncio.create_task(waiters.wait(5, 10))
    await asyncio.sleep(0)
    waiters.settled(5, 1, True)
    waiters.settled(6, 2, True)  # another message's
    waiters.settled(5, 1, True)
    await asyncio.sleep(0.02)
    assert not task.done()
    waiters.settled(5, 2, True)
    assert await task is True


async def test_one_that_failed_is_told_when_all_have_ended() -> None:
    waiters = Waiters()
    waiters.expect(5, pending(1, 2))
    waiters.settled(5, 1, False)
    assert await waiters.wait(5, 0.02) is None
    waiters.settled(5, 2, True)
    assert await waiters.wait(5, 1) is False


async def test_several_may_wait_and_time_limits_are_each_one_s_own() -> None:
    waiters = Waiters()
    waiters.expect(5, pending(1))
    long, short = asyncio.create_task(waiters.wait(5, 10)), asyncio.create_task(waiters.wait(5, 0.02))
    assert await short is None
    waiters.settled(5, 1, True)
    assert await long is True


async def test_what_is_forgotten_or_unknown_is_not_known_in_time() -> None:
    waiters = Waiters()
    waiters.expect(5, pending(1))
    waiters.forget(5)
    waiters.settled(5, 1, True)
    assert await waiters.wait(5, 0.02) is None
    assert await waiters.wait(99, 0.02) is None


@pytest.mark.parametrize(("ids", "accepted", "told"), [([7, 8], True, None), ([], True, True), ([], False, False)])
async def test_the_route_comes_later(ids: list[int], accepted: bool, told: bool | None) -> None:
    waiters = Waiters()
    waiters.expect(5, [])
    assert await waiters.wait(5, 0.02) is None
    waiters.routed(5, pending(*ids), accepted)
    assert await waiters.wait(5, 0.02) is told
    for one in ids:
        waiters.settled(5, one, True)
    assert await waiters.wait(5, 0.02) is accepted
    waiters.routed(99, pending(1), True)  # nobody waits for that one
