"""Events: told as they happen, from wherever a client left off, of one's own organization alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from hilum.api.sockets import LOOK

pytestmark = pytest.mark.anyio
Sign = Callable[..., Awaitable[httpx.AsyncClient]]
STREAM = {"accept": "text/event-stream"}


async def told(response: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    """Each event of a stream."""
    event: dict[str, str] = {}
    async for line in response.aiter_lines():
        if not line and "data" in event:
            yield {**json.loads(event["data"]), "told": (int(event["id"]), event["event"])}
            event = {}
        elif line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            event[name] = value


async def study(client: httpx.AsyncClient, name: str) -> str:
    response = await client.post("/studies", json={"name": name})
    assert response.status_code == 201, response.text
    return f"study/{response.json()['id']}"


@pytest.mark.ledger_part("S2-43", "a change is visible within two seconds")
async def test_what_happens_is_told_at_once(signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin")
    async with admin.stream("GET", "/events/stream", params={"type": "study.*"}, headers=STREAM) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        events = told(response)
        made = await study(admin, "trial")
        async with asyncio.timeout(2):
            one = await anext(events)
        assert (one["type"], one["entity"]) == ("study.create", made)
        assert one["told"] == (one["id"], "study.create")
        await events.aclose()  # type: ignore[attr-defined]  # it is a generator


async def test_who_lost_the_line_goes_on_from_there(signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin")
    first = (await admin.get("/events", params={"type": "study.*"})).json()["next"]
    made = [await study(admin, f"trial-{number}") for number in range(3)]
    page = (await admin.get("/events", params={"type": "study.create", "after": first, "size": 2})).json()
    assert [one["entity"] for one in page["items"]] == made[:2]
    headers = {"last-event-id": str(page["items"][0]["id"]), **STREAM}
    async with admin.stream("GET", "/events/stream", params={"type": "study.*"}, headers=headers) as response:
        events = told(response)
        async with asyncio.timeout(5):
            assert [(await anext(events))["entity"] for _ in range(2)] == made[1:]
        await events.aclose()  # type: ignore[attr-defined]  # it is a generator
    rest = (await admin.get("/events", params={"type": "study.*", "after": page["next"]})).json()
    assert [one["entity"] for one in rest["items"]] == made[2:]
    again = (await admin.get("/events", params={"type": "study.*", "after": rest["next"]})).json()
    assert again == {"items": [], "next": rest["next"]}


async def test_another_organization_hears_nothing(running: Any, signed_in: Sign) -> None:
    await running.post("/organizations", 201, name="clinic", administrator={"email": "c@clinic.example", "name": "C"})
    cleo, admin = await signed_in("tenant_admin", organization="clinic"), await signed_in("tenant_admin")
    await study(admin, "ours")
    theirs = await study(cleo, "theirs")
    found = (await cleo.get("/events", params={"type": "study.*"})).json()["items"]
    assert [one["entity"] for one in found] == [theirs]
    operator = await signed_in({"role": "operator", "study": "ours"})
    assert (await operator.get("/events")).status_code == 403, "who may see one study alone hears of none"


async def test_an_answer_ends_when_it_is_to(signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin")
    await study(admin, "trial")
    response = await admin.get("/events/stream", params={"type": "study.*"}, headers={"last-event-id": "0"})
    assert response.text.count("event: study.create") == 1


async def test_a_hub_that_ends_ends_its_streams(running: Any, signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin")
    async with admin.stream("GET", "/events/stream", headers=STREAM) as response:
        lines = response.aiter_lines()
        assert await anext(lines) == ": hilum"
        async with asyncio.timeout(10):
            await running.stop()
            async for _ in lines:
                pass


async def test_who_may_no_more_hears_no_more(signed_in: Sign) -> None:
    """Also over an answer that was begun before: an API key is revoked while it listens."""
    admin = await signed_in("tenant_admin")
    made = (await admin.post("/api-keys", json={"name": "listener", "scopes": ["events:read"]})).json()
    holder = {"authorization": f"Bearer {made['key']}"}
    async with (
        httpx.AsyncClient(base_url=admin.base_url, headers=holder, timeout=30) as machine,
        machine.stream("GET", "/events/stream", params={"wait": 60, "type": "study.*"}) as response,
    ):
        listening = told(response)
        await study(admin, "before")
        assert (await anext(listening))["type"] == "study.create"
        assert (await admin.delete(f"/api-keys/{made['api_key']['id']}")).status_code == 204
        await asyncio.sleep(LOOK + 0.1)  # what is told earlier than that may still be heard
        await study(admin, "after")
        assert [one async for one in listening] == []
        assert (await machine.get("/events")).status_code == 401
