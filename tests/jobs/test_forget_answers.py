"""Answers that were kept under idempotency keys go after a day."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hilum import clock
from hilum.jobs import Context, forget_answers
from hilum.store import Store, idempotency
from hilum.store.jobs import Job

pytestmark = pytest.mark.anyio
HOUR = 3_600_000_000


async def test_a_key_is_kept_for_a_day(context: Context, store: Store, job: Callable[..., Job]) -> None:
    now = clock.micros()
    for name, age in ((b"old", 25), (b"young", 23)):
        await store.write(idempotency.reserve, 1, name, b"", now - age * HOUR, 0)
    assert await forget_answers.run(context, job("forget_answers")) == {"keys": 1}
    assert await store.write(idempotency.reserve, 1, b"old", b"", now, 0) is None
    assert await store.write(idempotency.reserve, 1, b"young", b"", now, 0) is not None
