from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum import clock
from hilum.model.configuration import RateLimit
from hilum.outbound.limiter import Limiter


def test_a_burst_then_an_even_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 10.0
    monkeypatch.setattr(clock, "monotonic", lambda: now)  # the clock is there to be moved
    limiter = Limiter(RateLimit(messages=4, period=2_000))
    assert [limiter.wait() for _ in range(4)] == [0.0] * 4
    assert [limiter.wait() for _ in range(3)] == [0.5, 1.0, 1.5]
    now += 3.5  # what was owed is paid back, and four are free again
    assert [limiter.wait() for _ in range(5)] == [0.0, 0.0, 0.0, 0.0, 0.5]


def test_a_burst_of_another_size(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 10.0
    monkeypatch.setattr(clock, "monotonic", lambda: now)
    limiter = Limiter(RateLimit(messages=4, period=2_000, burst=2))
    assert [limiter.wait() for _ in range(4)] == [0.0, 0.0, 0.5, 1.0]
    now += 60  # however long nothing was sent
    assert [limiter.wait() for _ in range(3)] == [0.0, 0.0, 0.5]
    large = Limiter(RateLimit(messages=1, period=1_000, burst=3))
    assert [large.wait() for _ in range(4)] == [0.0, 0.0, 0.0, 1.0]


@pytest.mark.anyio
async def test_places_are_bounded_and_given_on() -> None:
    limiter = Limiter(RateLimit(messages=100, concurrency=2))
    assert [await limiter.enter(), await limiter.enter(0.01), await limiter.enter(0.01)] == [True, True, False]
    waiting = asyncio.create_task(limiter.enter(10))
    await asyncio.sleep(0)
    limiter.leave()
    assert await waiting
    free = Limiter(RateLimit(messages=1))
    assert all([await free.enter(0.0) for _ in range(100)]), "without a bound there is always one"
    free.leave()


@given(
    messages=st.integers(1, 50),
    period=st.integers(10, 5_000),
    pauses=st.lists(st.floats(0, 3), min_size=1, max_size=200),
)
def test_no_period_sees_more_than_its_limit_and_a_burst(messages: int, period: int, pauses: list[float]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        now = 0.0
        patch.setattr(clock, "monotonic", lambda: now)
        limiter = Limiter(RateLimit(messages=messages, period=period))
        used = []
        for pause in pauses:
            now += pause
            now += limiter.wait()  # whoever takes a token waits before using it
            used.append(now)
    for place, at in enumerate(used):
        inside = sum(at <= one < at + period / 1000 - 1e-6 for one in used[place:])
        assert inside <= 2 * messages


def test_a_token_that_is_given_back_can_be_taken_again() -> None:
    limiter = Limiter(RateLimit(messages=1, period=600_000))
    assert limiter.wait() == 0.0
    for _ in range(3):
        assert 500 < limiter.wait() <= 600
        limiter.give_back()
    limiter.give_back()
    limiter.give_back()
    assert (limiter.wait(), limiter.wait() > 0) == (0.0, True), "never more than there were"
