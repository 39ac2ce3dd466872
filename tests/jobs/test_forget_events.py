"""The outbox goes back ninety days."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hilum.jobs import forget_events
from hilum.store import outbox, webhook_deliveries, webhook_subscriptions
from hilum.store.jobs import Job

pytestmark = pytest.mark.anyio


async def test_events_go_after_ninety_days_and_what_was_queued_stays(
    kept: Any, job: Callable[..., Job], later: Callable[[float], None]
) -> None:
    service, store = kept.hub.services().webhook_subscriptions, kept.hub.store
    act = kept.act("webhook-subscription.create")
    await service.create(act, "https://x.example/", ["study.*"], description="", scheme="v1", study=None)
    await kept.hub.services().studies.create(kept.act("study.create"), "alpha", "alpha")
    notes = await store.read(outbox.after, 0)
    assert await store.write(webhook_deliveries.queue, store.sealer, notes, notes[-1].id) == 1
    assert await store.write(webhook_deliveries.queue, store.sealer, notes, notes[-1].id) == 0, "each event once"
    assert await store.read(webhook_deliveries.watermark) == notes[-1].id
    later(89)
    assert await forget_events.run(kept.context, job("forget_events")) == {"events": 0}
    later(91)
    assert await forget_events.run(kept.context, job("forget_events")) == {"events": len(notes)}
    assert await store.read(outbox.after, 0) == []
    (owner,) = await store.read(webhook_subscriptions.active)
    found, total = await store.read(webhook_deliveries.listed, owner.id, None, None, None, 0, 9)
    assert (total, found[0].type) == (1, "study.create")
