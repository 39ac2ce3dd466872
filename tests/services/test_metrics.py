"""Counters that never fall, and figures that are there without an engine."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hilum.app import Hub
from hilum.model.message import Disposition, NewMessage
from hilum.model.status import LaneStatus, SourceStatus, Status
from hilum.services.metrics import Metrics

pytestmark = pytest.mark.anyio
New = Callable[..., NewMessage]
LANE = LaneStatus(2, 1, "lab/out", "sending", "healthy", "", 3, 1_000_000, 1, "closed", 5, 1, None)


def values(text: bytes, name: str, label: str) -> dict[str, float]:
    """Samples of a name by the value of one of their labels."""
    return {
        sample.labels[label]: sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if sample.name == name
    }


async def test_a_late_refusal_does_not_let_a_counter_fall(hub: Hub) -> None:
    status = Status((LANE,), (), 0.5, 9)
    metrics = Metrics(hub.store, hub.services().names, lambda: status)
    assert values(await metrics.text(), "hilum_deliveries_total", "result") == {"delivered": 5, "failed": 1}
    status = Status((dataclasses.replace(LANE, delivered=4, failed=2),), (), 0.5, 9)
    text = await metrics.text()
    assert values(text, "hilum_deliveries_total", "result") == {"delivered": 5, "failed": 2}
    assert values(text, "hilum_backlog", "destination") == {"lab/out": 3}
    assert values(text, "hilum_lane_age_seconds", "destination")["lab/out"] > 1_000_000
    assert sum(values(text, "hilum_lane_state", "state").values()) == 1


async def test_storing_times_are_cumulative(hub: Hub) -> None:
    source = SourceStatus(1, 1, "adt/in", "mllp://x", True, "", ("full",), 7, 0, (1, 2, 0, 4, *[0] * 10), 1.5)
    metrics = Metrics(hub.store, hub.services().names, lambda: Status((), (source,), 0.5, 9))
    text = await metrics.text()
    assert values(text, "hilum_stored_seconds_count", "endpoint") == {"adt/in": 7}
    assert values(text, "hilum_stored_seconds_sum", "endpoint") == {"adt/in": 1.5}
    assert b'hilum_stored_seconds_bucket{endpoint="adt/in",le="0.001",organization="demo"} 3.0' in text
    assert b'hilum_stored_seconds_bucket{endpoint="adt/in",le="+Inf",organization="demo"} 7.0' in text
    assert b'hilum_source_held{endpoint="adt/in",organization="demo"} 1.0' in text


async def test_without_an_engine_there_is_what_the_store_counts(hub: Hub, new: New) -> None:
    await hub.store.append(new("C1", hub))
    await hub.store.append(new("C2", hub, disposition=Disposition.RECEIVED))
    text = await hub.services().metrics.text()
    assert b'hilum_messages_received_total{disposition="unrouted",endpoint="adt/in"} 1.0' in text
    assert b"hilum_messages_unrouted 1.0" in text
    assert b"hilum_source_up" not in text
