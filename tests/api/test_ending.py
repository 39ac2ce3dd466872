"""What is deprecated says so in every answer and in the OpenAPI document."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from hilum.api.ending import Ending
from hilum.api.surface import Acting, Surface, allow
from hilum.errors import NotFound

pytestmark = pytest.mark.anyio
Serving = Callable[..., httpx.AsyncClient]
ENDING = Ending(datetime.date(2027, 1, 31), datetime.date(2028, 2, 29), "/api/v1/studies")


@pytest.fixture
def things() -> Surface:
    router = Surface("/things")

    @router.get("")
    @allow("users:read", audits="thing.list")
    async def list_things(act: Acting) -> dict[str, str]:
        """What stays."""
        return {}

    @router.get("/{thing}")
    @allow("users:read", audits="thing.read", ending=ENDING)
    async def read_thing(act: Acting, thing: int) -> dict[str, str]:
        """What goes."""
        if not thing:
            raise NotFound("there is no thing 0")
        return {}

    return router


@pytest.mark.ledger_part("S0-67", "Deprecation and Sunset headers of what is deprecated, of nothing else")
async def test_what_is_deprecated_says_until_when(serving: Serving, things: Surface) -> None:
    async with serving(things) as client:
        for path, status in (("/things/1", 200), ("/things/0", 404), ("/things/x", 400)):
            answer = await client.get(path)
            assert answer.status_code == status, answer.text
            assert answer.headers["deprecation"] == "@1801353600", "2027-01-31T00:00:00Z, as RFC 9745 writes it"
            assert answer.headers["sunset"] == "Tue, 29 Feb 2028 00:00:00 GMT"
            assert parsedate_to_datetime(answer.headers["sunset"]).date() == ENDING.until
            assert answer.headers["link"] == '</api/v1/studies>; rel="successor-version"'
        kept = await client.get("/things")
        assert not {"deprecation", "sunset"} & set(kept.headers)
        transport: Any = client._transport
        found = transport.app.openapi()["paths"]
    gone, stays = found["/api/v1/things/{thing}"]["get"], found["/api/v1/things"]["get"]
    assert (gone["deprecated"], "deprecated" in stays) == (True, False)
    assert {"Deprecation", "Sunset"} <= gone["responses"]["200"]["headers"].keys()
    assert "Sunset" not in stays["responses"]["200"]["headers"]


def test_nothing_is_gone_before_it_is_deprecated() -> None:
    with pytest.raises(ValueError, match="before it is deprecated"):
        Ending(ENDING.until, ENDING.since)
