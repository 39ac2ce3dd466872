"""What may take long: nobody waits for it longer than they want, and it goes on by itself (ledger S0-52)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.anyio
Sign = Callable[..., Awaitable[httpx.AsyncClient]]
SNAPSHOT = Path(__file__).parents[1] / "architecture" / "openapi.json"
LONGEST = 5  # seconds


def draft(url: str, name: str) -> dict[str, Any]:
    endpoints = [{"name": "orders", "url": url, "method": "GET", "timeout": 60_000, "retries": 0}]
    return {"name": name, "type": "API", "environment": "development", "endpoints": endpoints}


@pytest.mark.ledger_part("S0-52", "make, initialize, test, check, execute: 202 and its place, and it ends all the same")
async def test_whoever_dials_answers_202_and_goes_on(signed_in: Sign, web: Any, until: Any) -> None:
    """Of a partner that does not answer; asked for the shortest wait that there is."""
    http = await signed_in("integration_specialist")
    ready = (await http.post("/integrations", json=draft(web.url("/ready"), "Ready"))).json()
    path, endpoint = f"/integrations/{ready['id']}", ready["endpoints"][0]["id"]
    facade = str(http.base_url).replace("/api/v1", "")
    web.gate.clear()
    places: dict[str, str] = {}
    try:
        for verb, where, body in (
            ("create", "/integrations?wait=0", draft(web.url("/new"), "New")),
            ("initialize", f"{path}/initialize?wait=0", None), ("test", f"{path}/test?wait=0", None),
            ("check", f"{path}/health/check?wait=0.1", None),
            ("execute", f"{path}/endpoints/{endpoint}/execute", {"wait": 0}),
            ("configs", f"{facade}integration/configs/{ready['id']}/test?wait=0", None),
        ):  # fmt: skip
            response = await http.post(where, json=body)
            assert response.status_code == 202, (verb, response.text)
            places[verb] = response.headers["location"].removeprefix("/api/v1")
            assert (await http.get(places[verb])).status_code == 200, verb
        again = await http.post(f"{path}/initialize")
        assert (again.status_code, again.json()["error"]["code"]) == (409, "INT004"), "one at a time"
        assert (await http.get(places["create"])).json()["status"] == "testing"
        ((tried,),) = [(await http.get(places["initialize"])).json()["items"][:1]]
        assert (tried["status"], tried["steps"][-1]["step"]) == ("running", "connectivity")
        assert (tried["success"], tried["steps"][-1]["endedAt"]) == (False, None)
    finally:
        web.gate.set()

    async def ended() -> bool:
        states = [(await http.get(places[one])).json() for one in ("test", "check", "configs")]
        tries = (await http.get(places["initialize"])).json()["items"]
        return (
            {one["state"] for one in states} == {"done"}
            and tries[0]["status"] == "succeeded"
            and (await http.get(places["create"])).json()["status"] == "active"
            and (await http.get(places["execute"])).json()["status"] == "completed"
        )

    await until(ended, 60)
    health = (await http.get(f"{path}/health")).json()
    assert (health["status"], health["endpoints"][0]["success"]) == ("healthy", True)


@pytest.mark.ledger_part("S0-52", "nobody waits longer than five seconds for a job who does not say so")
async def test_nobody_waits_long_who_does_not_say_so() -> None:
    """Of what the hub itself says that it serves."""
    served = await asyncio.to_thread(SNAPSHOT.read_text, encoding="utf-8")
    document = json.loads(served)
    waits = {}
    for path, methods in document["paths"].items():
        for method, one in methods.items():
            for parameter in one.get("parameters", ()):
                if parameter["name"] == "wait" and method == "post":  # how long a stream lasts is another matter
                    waits[f"{method} {path}"] = parameter["schema"]["default"]
                    assert "202" in one["responses"], path
    fields = document["components"]["schemas"]["ExecuteOptions"]["properties"]
    waits["execute"] = fields["wait"]["default"]
    assert len(waits) == 6
    assert max(waits.values()) <= LONGEST
