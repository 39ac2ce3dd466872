"""Idempotency keys in the store: reserved once, kept for their organization, forgotten in time."""

from __future__ import annotations

import pytest

from hilum.store import Store, idempotency

pytestmark = pytest.mark.anyio


async def test_a_key_is_reserved_kept_and_given_back(store: Store) -> None:
    within = store.within(1)
    assert await within.write(idempotency.reserve, 1, b"a", b"first", 100, 50) is None
    assert await within.write(idempotency.reserve, 1, b"a", b"other", 110, 50) == (b"first", None, None)
    await within.write(idempotency.release, b"a")
    assert await within.write(idempotency.reserve, 1, b"a", b"other", 120, 50) is None
    await within.write(idempotency.keep, store.sealer, b"a", 201, b"answer")
    await within.write(idempotency.release, b"a")  # too late
    found = await within.write(idempotency.reserve, 1, b"a", b"third", 1_000, 900)
    assert found is not None
    assert found[:2] == (b"other", 201)
    assert idempotency.opened(store.sealer, b"a", found[2] or b"") == b"answer"


async def test_what_has_no_answer_is_taken_over_once_it_counts_as_dead(store: Store) -> None:
    await store.within(1).write(idempotency.reserve, 1, b"a", b"first", 100, 50)
    assert await store.within(1).write(idempotency.reserve, 1, b"a", b"second", 200, 150) is None
    assert await store.within(1).write(idempotency.reserve, 1, b"a", b"third", 210, 150) == (b"second", None, None)


async def test_old_keys_are_forgotten_some_at_a_time(store: Store) -> None:
    for number in range(5):
        await store.within(1).write(idempotency.reserve, 1, bytes([number]), b"", number, 0)
    assert await store.write(idempotency.purge, 4, 3) == 3
    assert await store.write(idempotency.purge, 4, 3) == 1
    assert await store.within(1).write(idempotency.reserve, 1, b"\4", b"", 9, 0) == (b"", None, None)
