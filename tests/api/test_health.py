"""Alive, ready, and what is named where it is not."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hilum.api import create_app
from hilum.app import Hub
from hilum.settings import Settings

pytestmark = pytest.mark.anyio


def public(hub: Hub) -> httpx.AsyncClient:
    assert hub.http is not None
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{hub.http.port}", timeout=30)


@contextlib.contextmanager
def taken(port: int) -> Iterator[None]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        yield


@pytest.mark.ledger_part("S0-55", "liveness and readiness endpoints")
async def test_a_running_hub_is_alive_and_ready(running: Any) -> None:
    async with public(running.hub) as client:
        live, ready = await client.get("/health/live"), await client.get("/health/ready")
    assert (live.status_code, live.json()) == (200, {"status": "alive"})
    assert (ready.status_code, ready.json()) == (200, {"status": "ready", "unhealthy": []})
    local = (await running.local.get("/health/ready")).json()
    assert (local["status"], local["reason"], local["sources"]) == ("ready", "", [])
    assert 0 < local["free_disk"] <= 1
    assert local["evidence"] == ""


async def test_what_is_wrong_with_the_evidence_is_told(running: Any) -> None:
    """It makes nothing unready: messages go on, but somebody has to look."""
    running.hub.evidence.broken = "the audit trail of system is broken: event 2 was removed"
    local = (await running.local.get("/health/ready")).json()
    assert (local["status"], local["evidence"]) == ("ready", running.hub.evidence.broken)
    async with public(running.hub) as client:
        assert (await client.get("/health/ready")).json() == {"status": "ready", "unhealthy": []}


async def test_a_taken_port_is_named_and_the_rest_runs(tmp_path: Path, config: Path, port: int) -> None:
    with taken(port):
        hub = Hub(Settings(data=tmp_path / "data", http="127.0.0.1:0", config=config))
        await hub.open()
        await hub.run()
        try:
            async with public(hub) as client:
                ready = await client.get("/health/ready")
                assert (ready.status_code, ready.json()) == (200, {"status": "ready", "unhealthy": ["adt/in"]})
                metrics = (await client.get("/metrics")).text
                assert 'hilum_source_up{endpoint="adt/in",organization="demo"} 0.0' in metrics
            transport = httpx.ASGITransport(create_app(hub.services(), local=True))
            async with httpx.AsyncClient(transport=transport, base_url="http://hub") as client:
                (named,) = (await client.get("/health/ready")).json()["sources"]
                assert named["reference"] == "adt/in"
                assert "in use" in named["problem"]
                (source,) = (await client.get("/api/v1/sources")).json()["items"]
                assert (source["running"], source["problem"]) == (False, named["problem"])
        finally:
            await hub.close()


async def test_a_store_that_does_not_answer_is_not_ready(running: Any) -> None:
    let_go = threading.Event()
    stuck = [asyncio.ensure_future(running.hub.store.read(lambda _: let_go.wait(30))) for _ in range(4)]
    try:
        async with public(running.hub) as client:
            ready = await client.get("/health/ready")
            assert (ready.status_code, ready.json()["status"]) == (503, "not ready")
            assert (await client.get("/health/live")).status_code == 200
        assert "did not answer" in (await running.local.get("/health/ready")).json()["reason"]
    finally:
        let_go.set()
        await asyncio.gather(*stuck)
    assert (await running.local.get("/health/ready")).status_code == 200


async def test_without_an_engine_nothing_is_ready(stopped: Hub) -> None:
    for local in (False, True):
        transport = httpx.ASGITransport(create_app(stopped.services(), local=local))
        async with httpx.AsyncClient(transport=transport, base_url="http://hub") as client:
            ready = await client.get("/health/ready")
            assert (ready.status_code, ready.json()["status"]) == (503, "not ready")
            assert (await client.get("/health/live")).json() == {"status": "alive"}
