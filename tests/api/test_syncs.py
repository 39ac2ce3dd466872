"""Synchronization of what has no streams."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable

import httpx
import pytest

pytestmark = pytest.mark.anyio


@pytest.mark.ledger_part("S0-18", "409 INT004 while no stream is configured; streams are to come")
async def test_nothing_is_synchronized_and_the_answer_says_so(
    signed_in: Callable[..., Awaitable[httpx.AsyncClient]],
) -> None:
    http = await signed_in("operator")
    found = (await http.get("/integrations")).json()["items"]
    assert found, "the hub's own file has one"
    response = await http.post(f"/integrations/{found[0]['id']}/sync")
    assert (response.status_code, response.json()["error"]["code"]) == (409, "INT004")
    assert response.json()["error"]["message"] == "no stream configured"
    unknown = await http.post(f"/integrations/{uuid.uuid4()}/sync")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "INT001")
