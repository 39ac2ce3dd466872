"""Removes the outbox rows of events that happened 90 days ago; what was queued of them has a copy of its own."""

from __future__ import annotations

from typing import Any

from hilum import clock
from hilum.jobs import Context
from hilum.model.webhook import KEPT
from hilum.store import outbox
from hilum.store.jobs import Job


async def run(context: Context, job: Job) -> dict[str, Any]:
    """How many `events` went. One is queued within seconds of being written, or never."""
    return {"events": await context.store.write(outbox.forget, clock.micros() - KEPT)}
