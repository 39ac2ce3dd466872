"""kill -9 while an endpoint is asked: no execution is left hanging, and none is sent twice."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hilum.app import SOCKET
from hilum.sdk.testing.web import HttpPartner, Said

pytestmark = pytest.mark.anyio


@pytest.fixture
async def web() -> AsyncIterator[HttpPartner]:
    partner = HttpPartner(lambda _: Said())
    await partner.start()
    yield partner
    await partner.stop()


def client(hub: Any) -> httpx.AsyncClient:
    """Of the hub's own socket."""
    transport = httpx.AsyncHTTPTransport(uds=str(hub.data / SOCKET))
    return httpx.AsyncClient(transport=transport, base_url="http://hub/api/v1", timeout=60)


async def path(http: httpx.AsyncClient) -> str:
    (one,) = (await http.get("/integrations")).json()["items"]
    return f"/integrations/{one['id']}/endpoints/{one['endpoints'][0]['id']}/execute"


@pytest.mark.ledger_part("S3-51", "kill -9 amid an execution: failed after the restart, and not sent again")
async def test_a_kill_amid_an_execution(e2e: Any, tmp_path: Path, web: HttpPartner) -> None:
    end = {"name": "out", "direction": "outbound", "url": web.url("/orders"), "timeout": 60_000, "retries": 3}
    config = {
        "version": 1, "organization": "ward", "environment": "test", "routes": [],
        "integrations": [{"name": "rest", "protocol": "rest_api", "endpoints": [end]}],
    }  # fmt: skip
    hub = e2e.hub(tmp_path, config)
    await hub.start()
    web.gate.clear()
    async with client(hub) as http:
        execute = await path(http)
        waiting = asyncio.create_task(http.post(execute, json={"data": {"n": 1}, "idempotency_key": "k-1"}))
        await web.until(1)
        hub.kill()
        with contextlib.suppress(httpx.HTTPError):
            await waiting
    assert hub.rows("SELECT status FROM execution") == [("executing",)]
    web.gate.set()
    await hub.start()
    async with client(hub) as http:
        await e2e.until(lambda: hub.rows("SELECT status FROM execution") != [("executing",)])
        (found,) = (await http.get("/executions")).json()["items"]
        assert (found["status"], found["metrics"]["duration"]) == ("failed", None)
        assert "not known" in found["error"]
        logs = (await http.get(f"/integrations/{found['integrationId']}/logs")).json()["items"]
        assert [(one["executionId"], one["level"]) for one in logs] == [(found["id"], "error")]
        assert len(web.heard) == 1
        assert (await http.post(execute, json={})).status_code == 200, "the next one is asked as ever"
    assert hub.rows("SELECT state, count(*) FROM job WHERE kind = 'execute' GROUP BY state") == [("done", 2)]
    assert await hub.stop() == 0


async def test_an_end_in_good_order_waits_for_what_is_being_asked(e2e: Any, tmp_path: Path, web: HttpPartner) -> None:
    end = {"name": "out", "direction": "outbound", "url": web.url("/orders"), "timeout": 60_000, "retries": 0}
    config = {
        "version": 1, "organization": "ward", "environment": "test", "routes": [],
        "integrations": [{"name": "rest", "protocol": "rest_api", "endpoints": [end]}],
    }  # fmt: skip
    hub = e2e.hub(tmp_path, config)
    await hub.start()
    async with client(hub) as http:
        web.next.append(Said(wait=1.0))
        assert (await http.post(await path(http), json={"wait": 0})).status_code == 202
        await web.until(1)
        assert await hub.stop() == 0
    assert hub.rows("SELECT status FROM execution") == [("completed",)]
