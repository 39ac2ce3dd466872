"""Optimistic locking: of all who change what they read, one wins a version."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import httpx
import pytest

from hilum.api import create_app

pytestmark = pytest.mark.anyio


@pytest.mark.ledger_part("S0-46", "409 for a duplicate, 412 for a stale If-Match")
@pytest.mark.ledger_part("S0-64", "a hundred concurrent changes of one version have one winner")
async def test_one_of_a_hundred_wins(running: Any) -> None:
    transport = httpx.ASGITransport(create_app(running.hub.services(), local=True))
    async with httpx.AsyncClient(transport=transport, base_url="http://hub/api/v1") as client:
        made = await client.post("/studies", json={"name": "s-1", "title": "first"})
        assert (made.status_code, made.headers.get("etag")) == (201, '"v1"'), made.text
        again = await client.post("/studies", json={"name": "s-1", "title": "first"})
        assert (again.status_code, again.json()["error"]["code"]) == (409, "INT004")
        path = f"/studies/{made.json()['id']}"
        for version in (1, 2):
            changes = [
                client.patch(path, json={"title": f"{version}.{number}"}, headers={"if-match": f'"v{version}"'})
                for number in range(100)
            ]
            answers = await asyncio.gather(*changes)
            assert Counter(one.status_code for one in answers) == {200: 1, 412: 99}
            (winner,) = (one for one in answers if one.status_code == 200)
            assert winner.headers["etag"] == f'"v{version + 1}"'
            current = await client.get(path)
            assert (current.json()["title"], current.headers["etag"]) == (
                winner.json()["title"], winner.headers["etag"],
            )  # fmt: skip
        assert (await client.get(path, headers={"if-none-match": '"v3"'})).status_code == 304
