"""Forgets the answers that were kept under idempotency keys, a day after."""

from __future__ import annotations

from typing import Any

from hilum import clock
from hilum.jobs import Context
from hilum.store import idempotency
from hilum.store.jobs import Job

_BATCH = 1_000
_DAY = 86_400_000_000


async def run(context: Context, job: Job) -> dict[str, Any]:
    """How many `keys` were forgotten."""
    forgotten, last = 0, _BATCH
    while last == _BATCH:
        last = await context.store.write(idempotency.purge, clock.micros() - _DAY, _BATCH)
        forgotten += last
    return {"keys": forgotten}
