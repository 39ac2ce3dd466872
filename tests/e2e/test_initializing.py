"""kill -9 at every commit of what takes several steps: all of it is done, or nothing is left of it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hilum.app import SOCKET
from hilum.sdk.testing.web import HttpPartner

pytestmark = pytest.mark.anyio
KILLER = Path(__file__).with_name("kill_before.py")
CONFIG = {"version": 1, "organization": "ward", "environment": "test", "routes": [], "integrations": []}
ALLOWED = {"HILUM_EGRESS_ALLOW": "127.0.0.0/8"}
CREATE = "INSERT INTO integration "
STEPS = ["validation", "authentication", "endpoints", "mappings", "connectivity", "activation"]
COMMITS = 1 + 1 + len(STEPS) + 1
"""Of a new one: it is stored with its try, moved to testing, each step begins, and how it ended."""


@pytest.fixture
async def web() -> AsyncIterator[HttpPartner]:
    partner = HttpPartner()
    await partner.start()
    yield partner
    await partner.stop()


class Ward:
    """A data folder that hubs are killed on."""

    def __init__(self, e2e: Any, folder: Path) -> None:
        self._e2e = e2e
        self._folder = folder
        self.hub: Any = None

    async def start(self, first: str = "", left: int = 0) -> None:
        """Killed before the commit `left`, counted from the statement `first` on; none: it lives."""
        prefix = [sys.executable, str(KILLER), first, str(left)] if first else ()
        self.hub = self._e2e.hub(self._folder, CONFIG, environ=ALLOWED, prefix=prefix)
        await self.hub.start()

    async def ask(self, method: str, path: str, **options: Any) -> Any:
        """None: the hub was killed."""
        transport = httpx.AsyncHTTPTransport(uds=str(self.hub.data / SOCKET))
        async with httpx.AsyncClient(transport=transport, base_url="http://hub/api/v1", timeout=60) as client:
            try:
                response = await client.request(method, path, **options)
            except httpx.TransportError:
                await asyncio.to_thread(self.hub.process.wait, 30)
                return None
        assert response.is_success, response.text
        return response.json() if response.content else {}

    async def items(self, path: str, **query: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.ask("GET", path, params=query))["items"]
        return found

    async def idle(self) -> None:
        """No job is left over."""
        await self._e2e.until(lambda: not self.hub.rows("SELECT 1 FROM job WHERE state IN ('waiting', 'running')"))


@pytest.fixture
def ward(e2e: Any, tmp_path: Path) -> Ward:
    return Ward(e2e, tmp_path)


def draft(number: int, web: HttpPartner) -> dict[str, Any]:
    return {
        "name": f"Lab {number}", "type": "API", "environment": "test",
        "authentication": {"type": "api_key", "key": f"a-key-of-lab-{number}"},
        "endpoints": [{"name": "orders", "url": web.url(f"/{number}"), "method": "GET", "timeout": 5_000}],
    }  # fmt: skip


@pytest.mark.timeout(400)
@pytest.mark.ledger_part("S0-38", "create and initialize: a crash before every commit leaves all or nothing")
async def test_an_initialization_that_is_killed_at_any_step(ward: Ward, web: HttpPartner) -> None:
    await ward.start(CREATE, 1)
    for left in range(1, COMMITS + 1):
        assert await ward.ask("POST", "/integrations", json=draft(left, web)) is None, "it was to be killed"
        await ward.start(CREATE, left + 1)
        await ward.idle()
        assert ward.hub.rows("SELECT count(*) FROM integration") == [(left - 1,)]
        assert ward.hub.rows("SELECT count(*) FROM credential") == [(left - 1,)], "its secret goes with it"
        if left > 1:
            await compensated(ward, f"lab-{left}", STEPS[: max(left - 3, 0)])
    made = await ward.ask("POST", "/integrations", json=draft(99, web))  # there is no commit more
    ward.hub.kill()
    await ward.start()
    assert (await ward.ask("GET", f"/integrations/{made['id']}"))["status"] == "active"
    (tried,) = await ward.items(f"/integrations/{made['id']}/initializations")
    assert (tried["status"], [one["success"] for one in tried["steps"]]) == ("succeeded", [True] * 6)
    assert len(await ward.items("/audit", action="integration.interrupt", size="100")) == COMMITS - 1
    assert await ward.hub.stop() == 0


async def compensated(ward: Ward, name: str, begun: list[str]) -> None:
    """Of a try that was killed: it failed, says where, and can be made again. `begun`: the steps that it had."""
    (one,) = await ward.items("/integrations", q=name.replace("-", " "))
    assert (one["status"], one["last_error"]) == ("error", INTERRUPTED)
    path = f"/integrations/{one['id']}"
    (tried,) = await ward.items(f"{path}/initializations")
    assert (tried["status"], tried["success"], tried["error"]) == ("failed", False, INTERRUPTED)
    assert [step["step"] for step in tried["steps"]] == begun
    assert [step["error"] for step in tried["steps"][-1:]] == [INTERRUPTED] * bool(begun)
    assert all(step["success"] for step in tried["steps"][:-1])
    (event,) = await ward.items("/audit", action="integration.interrupt", entity=f"integration/{one['id']}")
    assert event["event"]["after"]["status"] == "error"
    (move, *_) = await ward.items(f"{path}/history")
    assert (move["after"], move["by"], move["reason"]) == (
        "error", "Hilum", "the hub stopped while it was initialized"
    )  # fmt: skip
    again = await ward.ask("POST", f"{path}/initialize")
    assert again["success"], again
    assert (await ward.ask("GET", path))["status"] == "active"
    assert [each["status"] for each in await ward.items(f"{path}/initializations")] == ["succeeded", "failed"]


INTERRUPTED = "interrupted: the hub stopped while it was initialized; initialize it again"


@pytest.mark.timeout(400)
@pytest.mark.ledger_part("S0-38", "archive and restore are one commit each, the secrets and the lifecycle in it")
async def test_an_archive_and_a_restore_that_are_killed(ward: Ward, web: HttpPartner) -> None:
    await ward.start()
    path = f"/integrations/{(await ward.ask('POST', '/integrations', json=draft(1, web)))['id']}"
    assert await ward.hub.stop() == 0
    await ward.start("UPDATE credential", 1)
    assert await ward.ask("DELETE", path) is None
    await ward.start("UPDATE credential", 2)  # never reached: there is no second commit
    found = await ward.ask("GET", path)
    assert (found["status"], found["authentication"]["key"]["set"]) == ("active", True)
    assert await ward.ask("DELETE", path) == {}
    assert await ward.hub.stop() == 0
    await ward.start("UPDATE integration ", 1)
    assert await ward.ask("POST", f"{path}/restore") is None
    await ward.start()
    (one,) = await ward.items("/integrations", archived="true")
    assert one["status"] == "archived"
    assert (await ward.ask("POST", f"{path}/restore"))["status"] == "inactive"
    assert [move["after"] for move in await ward.items(f"{path}/history")][:2] == ["inactive", "archived"]
    assert await ward.hub.stop() == 0


async def test_an_end_in_good_order_ends_what_is_initialized(ward: Ward, web: HttpPartner) -> None:
    """Whoever waits is answered; what waits for a partner longer than the hub does is interrupted, not left over."""
    await ward.start()
    web.gate.clear()
    wanted = draft(1, web)
    wanted["endpoints"][0]["timeout"] = 60_000
    made = await ward.ask("POST", "/integrations?wait=0", json=wanted)
    assert made["status"] == "testing"
    await web.until(1)
    assert await ward.hub.stop(60) == 0
    ((state,),) = ward.hub.rows("SELECT lifecycle FROM integration")
    assert (state, ward.hub.rows("SELECT succeeded FROM initialization")) == ("error", [(0,)])
