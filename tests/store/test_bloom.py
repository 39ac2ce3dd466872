"""The filter may say "maybe" about what it never saw, but never "no" about what it did see."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from hilum.store.bloom import Bloom

keys = st.integers(-(1 << 63), (1 << 63) - 1)
HOUR = 3_600_000_000
FIRST = (1 << 22) // 16  # keys that the first filter holds


@given(st.lists(keys, max_size=200), st.lists(keys, max_size=50))
def test_what_was_added_is_never_denied(added: list[int], others: list[int]) -> None:
    bloom = Bloom(HOUR)
    for number, key in enumerate(added):
        bloom.add(key, number)
    assert all(key in bloom for key in added)
    assert sum(key in bloom for key in set(others) - set(added)) <= len(others) * 0.1 + 1


@given(st.lists(keys, min_size=1, max_size=50))
def test_it_denies_nothing_before_it_is_ready(some: list[int]) -> None:
    bloom = Bloom(HOUR, ready=False)
    assert all(key in bloom for key in some)
    bloom.ready = True
    assert not any(key in bloom for key in some)


def test_it_grows_and_alarms_rarely() -> None:
    noise = random.Random(5)
    added = [noise.randrange(-(1 << 63), 1 << 63) for _ in range(FIRST + 20_000)]
    bloom = Bloom(HOUR)
    for key in added:
        bloom.add(key, 0)
    assert all(key in bloom for key in added)
    false = sum(noise.randrange(-(1 << 63), 1 << 63) in bloom for _ in range(20_000))
    assert false < 20_000 * 0.02


def test_it_forgets_what_is_older_than_its_window() -> None:
    noise = random.Random(7)
    old = [noise.randrange(-(1 << 63), 1 << 63) for _ in range(FIRST)]
    bloom = Bloom(HOUR)
    for key in old:
        bloom.add(key, 0)
    bloom.add(1, HOUR)
    assert all(key in bloom for key in old), "the window is not over"
    bloom = Bloom(HOUR)
    for key in old:
        bloom.add(key, 0)
    bloom.add(1, HOUR + 1)
    assert 1 in bloom
    assert sum(key in bloom for key in old) < len(old) * 0.02
