"""What was changed of an integration stands in the trail field by field, whoever changed it in whatever way."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.anyio
LAB: dict[str, Any] = {
    "name": "Lab results", "type": "LAB_SYSTEM", "environment": "development",
    "authentication": {"type": "api_key", "key": "kanarienvogel-gelb"},
    "endpoints": [{"name": "orders", "url": "https://lab.example.org/orders", "method": "POST"}],
}  # fmt: skip


@pytest.mark.ledger("S2-66")
async def test_every_change_of_an_integration_is_there_field_by_field(
    running: Any, signed_in: Callable[..., Awaitable[httpx.AsyncClient]]
) -> None:
    admin = await signed_in("tenant_admin", email="ada@demo.example")
    tag = ""

    async def ask(method: str, path: str, body: Any = None) -> Any:
        nonlocal tag
        answer = await admin.request(method, path, json=body, headers={"if-match": tag, "x-reason": "ticket 17"})
        assert answer.is_success, answer.text
        tag = answer.headers.get("etag", tag)
        return answer.json() if answer.content else None

    async def last(action: str) -> dict[str, Any]:
        """The newest event of an action, with who, when and why."""
        found = await admin.get("/audit", params={"action": action})
        event: dict[str, Any] = found.json()["items"][0]["event"]
        assert event["outcome"] == "success"
        if event["actor"]["kind"] == "user":
            assert (event["actor"]["name"], event["reason"]) == ("ada", "ticket 17")
        return event

    made = await ask("POST", "/integrations?initialize=false", LAB)
    event = await last("integration.create")
    assert (event["before"], event["entity"]) == (None, f"integration/{made['id']}")
    assert event["after"]["endpoints"][0]["url"] == "https://lab.example.org/orders"
    await ask("PATCH", f"/integrations/{made['id']}", {"provider": "New", "timeout": 9_000})
    assert differing(await last("integration.change")) == {"provider": (None, "New"), "timeout": (None, 9_000)}
    endpoints = [{**LAB["endpoints"][0], "url": "https://lab.example.org/v2"}]
    whole = {**LAB, "endpoints": endpoints, "provider": "New", "timeout": 9_000}
    await ask("PUT", f"/integrations/{made['id']}", whole)
    changes = differing(await last("integration.change"))
    assert changes.pop("secrets") == (None, ["authentication_key"])  # that there is another secret, not which
    ((before, after),) = changes.values()
    assert (before[0]["url"], after[0]["url"]) == ("https://lab.example.org/orders", "https://lab.example.org/v2")
    await ask("DELETE", f"/integrations/{made['id']}")
    event = await last("integration.archive")
    assert (event["before"]["status"], event["after"]["status"]) == ("initializing", "archived")

    text = running.config.read_text(encoding="utf-8").replace("type: OTHER", "type: API")
    text = text.replace("retries: 0, on_dead: block", "retries: 3, on_dead: block")
    document, folder = {"name": "hub.yaml", "text": text}, str(running.config.parent)
    await running.post("/configuration/apply", documents=[document], folder=folder)
    event = await last("configuration.apply")
    assert event["actor"]["kind"] == "local"
    lab, registry = "integration/lab", "integration/registry"
    assert event["before"] == {lab: {"endpoints[out].retries": 0}, registry: {"type": "OTHER"}}
    assert [event["after"][one] for one in (lab, registry)] == [{"endpoints[out].retries": 3}, {"type": "API"}]
    assert "kanarienvogel" not in json.dumps((await admin.get("/audit", params={"size": 100})).json())


def differing(event: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Fields that are not the same before and after; `active` is what the lifecycle says, not what somebody set."""
    before, after = event["before"], event["after"]
    names = (before.keys() | after.keys()) - {"active"}
    return {one: (before.get(one), after.get(one)) for one in names if before.get(one) != after.get(one)}
