"""Metrics: what they count, who may read them, and that no patient is in them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from hilum.api import create_app

pytestmark = pytest.mark.anyio
Make = Callable[..., bytes]


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample by its name and labels; the text must parse."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def read(running: Any) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    response = await running.local.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    return samples(response.text)


async def test_figures_follow_what_happens(running: Any, message: Make) -> None:
    running.registry.code = "AR"
    await running.send(message("C1", patient="900412"), message("C2", kind="ORU^R01"), message("C3", kind="SIU^S12"))
    await running.settled("delivered", "failed", "filtered")
    found = await read(running)
    feed = (("endpoint", "adt/in"), ("organization", "demo"))
    lab = (("destination", "lab/out"), ("organization", "demo"))
    registry = (("destination", "registry/out"), ("organization", "demo"))
    received = "hilum_messages_received_total"
    assert found[received, (("disposition", "delivering"), ("endpoint", "adt/in"))] == 2
    assert found[received, (("disposition", "filtered"), ("endpoint", "adt/in"))] == 1
    assert found["hilum_deliveries_total", (*lab, ("result", "delivered"))] == 1
    assert found["hilum_deliveries_total", (*registry, ("result", "failed"))] == 1
    assert found["hilum_backlog", lab] == 0
    assert found["hilum_lane_age_seconds", lab] == 0
    assert found["hilum_lane_state", (*lab, ("state", "idle"))] == 1
    assert found["hilum_lane_state", (*lab, ("state", "blocked"))] == 0
    assert found["hilum_source_up", feed] == 1
    assert found["hilum_stored_seconds_count", feed] == 3
    assert found["hilum_store_commits_total", ()] > 3
    assert 0 < found["hilum_disk_free_ratio", ()] <= 1
    text = (await running.local.get("/metrics")).text
    assert "900412" not in text
    assert "C1" not in text


@pytest.mark.ledger_part("S4-89", "RSS, descriptor, thread and queue depth metrics")
async def test_the_process_is_measured(running: Any) -> None:
    found = await read(running)
    for name in ("process_resident_memory_bytes", "process_open_fds", "hilum_process_threads"):
        assert found[name, ()] > 0
    assert ("hilum_backlog", (("destination", "lab/out"), ("organization", "demo"))) in found


@pytest.mark.ledger_part("S4-93", "an event loop lag metric")
async def test_a_held_loop_shows_as_lag(running: Any) -> None:
    before = await read(running)
    await asyncio.sleep(0.15)
    time.sleep(0.4)  # noqa: ASYNC251 - holding the loop is what is tested
    async with asyncio.timeout(20):
        while True:
            await asyncio.sleep(0.02)
            found = await read(running)
            name = "hilum_event_loop_lag_seconds_bucket"
            late = found[name, (("le", "+Inf"),)] - found[name, (("le", "0.1"),)]
            if late > before[name, (("le", "+Inf"),)] - before[name, (("le", "0.1"),)]:
                break
    assert found["hilum_event_loop_lag_seconds_sum", ()] > before["hilum_event_loop_lag_seconds_sum", ()]


@pytest.mark.parametrize(
    ("peer", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("192.0.2.7", {}, 401),
        ("127.0.0.1", {"X-Forwarded-For": "192.0.2.7"}, 401),
        ("127.0.0.1", {"Forwarded": "for=192.0.2.7"}, 401),
        ("localhost", {}, 401),
    ],
)
async def test_only_this_machine_reads_them_over_tcp(
    running: Any, peer: str, headers: dict[str, str], status: int
) -> None:
    app = create_app(running.hub.services(), local=False)
    transport = httpx.ASGITransport(app, client=(peer, 5))
    async with httpx.AsyncClient(transport=transport, base_url="http://hub") as client:
        response = await client.get("/metrics", headers=headers)
        assert response.status_code == status
        if status == 401:
            assert response.json()["error"]["code"] == "INT003"
            assert "hilum_" not in response.text
