"""The HTTP partner that tests speak to."""

from __future__ import annotations

import httpx
import pytest

from hilum.sdk.testing.web import Said, http_partner

pytestmark = pytest.mark.anyio


async def test_it_answers_as_told_and_remembers() -> None:
    async with http_partner(lambda heard: Said(200, heard.body)) as partner, httpx.AsyncClient() as client:
        partner.next.append(Said(418, b"no", {"x-a": "b"}, "Teapot"))
        first = await client.post(partner.url("/x?y=1"), content=b"1")
        assert (first.status_code, first.reason_phrase, first.text, first.headers["x-a"]) == (418, "Teapot", "no", "b")
        assert (await client.put(partner.url(), content=b"2")).text == "2"
        head = await client.head(partner.url())
        assert (head.status_code, head.content) == (200, b"")
        assert partner.methods == ["POST", "PUT", "HEAD"]
        assert (partner.heard[0].target, partner.heard[0].body, partner.accepted) == ("/x?y=1", b"1", 1)
        await partner.until(3)


async def test_it_hangs_up_and_comes_back() -> None:
    async with http_partner() as partner, httpx.AsyncClient() as client:
        partner.next.append(Said(0))
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(partner.url())
        await partner.stop()
        with pytest.raises(httpx.ConnectError):
            await client.get(partner.url())
        await partner.start()
        assert (await client.get(partner.url())).status_code == 200


async def test_it_holds_its_answers() -> None:
    async with http_partner() as partner, httpx.AsyncClient(timeout=0.2) as client:
        partner.gate.clear()
        with pytest.raises(httpx.ReadTimeout):
            await client.get(partner.url())
        partner.gate.set()
        assert (await client.get(partner.url())).status_code == 200
        with pytest.raises(TimeoutError):
            await partner.until(9, seconds=0.05)
