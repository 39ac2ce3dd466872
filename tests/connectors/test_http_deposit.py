"""Files of any size, pushed over HTTP."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import re
import urllib.parse
from collections.abc import AsyncIterator
from types import ModuleType
from typing import Any, ClassVar

import pytest

from hilum.connectors import http
from hilum.sdk import testing
from hilum.sdk.config import read
from hilum.sdk.contracts import Deposit
from hilum.sdk.outcome import Ambiguous, Deposited, Permanent, Placed, Transient
from hilum.sdk.testing import DirectDialer
from hilum.sdk.testing.web import Heard, HttpPartner, Said, http_partner

pytestmark = pytest.mark.anyio

BODY = b"STUDYID,USUBJID\nCDISC01,001\n"


def keeping(found: dict[str, bytes]) -> Any:
    """Keeps each body under the last part of its path, once its digest is right."""

    def react(heard: Heard) -> Said:
        digest = f"sha-256=:{base64.b64encode(hashlib.sha256(heard.body).digest()).decode()}:"
        if heard.headers["repr-digest"] != digest:
            return Said(400)
        found[urllib.parse.unquote(heard.target.rpartition("/")[2])] = heard.body
        return Said(201)

    return react


@pytest.mark.ledger_part("S1-22", "HTTP push")
class TestDepositor(testing.DepositorSuite):
    module: ClassVar[ModuleType] = http
    kept: ClassVar[dict[int, dict[str, bytes]]] = {}

    def values(self, place: int) -> dict[str, Any]:
        return {"url": f"http://127.0.0.1:{place}/in/{{name}}", "method": "PUT", "timeout": 5_000}

    def partner(self, place: int, mood: testing.Mood) -> Any:
        return self.listening(place) if mood == "takes" else None

    @contextlib.asynccontextmanager
    async def listening(self, place: int) -> AsyncIterator[TestDepositor.Partner]:
        partner = HttpPartner(keeping(self.kept.setdefault(place, {})))
        await partner.start(place)
        try:
            yield TestDepositor.Partner(partner)
        finally:
            await partner.stop()

    async def held(self, place: int) -> dict[str, bytes]:
        return dict(self.kept.get(place, {}))

    class Partner:
        def __init__(self, partner: HttpPartner) -> None:
            self.partner = partner

        @property
        def received(self) -> list[bytes]:
            return [one.body for one in self.partner.heard]


async def pieces(body: bytes = BODY) -> AsyncIterator[bytes]:
    for at in range(0, len(body), 10):
        yield body[at : at + 10]


async def push(partner: HttpPartner, path: str = "/in", name: str = "dm.csv", **values: Any) -> Deposited:
    config = read(http.Config, {"url": partner.url(path), "timeout": 2_000, **values}, "")
    depositor = http.Depositor(config, DirectDialer())
    try:
        deposit = Deposit("0192-id", name, len(BODY), hashlib.sha256(BODY).digest(), "text/csv")
        return await depositor.deposit(deposit, pieces())
    finally:
        await depositor.close()


async def test_a_push_says_what_it_brings() -> None:
    async with http_partner() as partner:
        outcome = await push(partner, authentication={"type": "basic", "username": "a", "password": "canary-1"})
        (heard,) = partner.heard
    assert outcome == Placed(partner.url("/in"), "200")
    assert (heard.method, heard.target, heard.body) == ("POST", "/in", BODY)
    said = {name: heard.headers[name] for name in ("content-type", "content-length", "idempotency-key")}
    assert said == {"content-type": "text/csv", "content-length": str(len(BODY)), "idempotency-key": "0192-id"}
    assert heard.headers["repr-digest"] == f"sha-256=:{base64.b64encode(hashlib.sha256(BODY).digest()).decode()}:"
    assert heard.headers["content-disposition"] == "attachment; filename*=UTF-8''dm.csv"
    assert heard.headers["authorization"].startswith("Basic ")
    assert "transfer-encoding" not in heard.headers


@pytest.mark.parametrize(
    ("path", "values", "target"),
    [
        ("/in/{name}", {}, "/in/a%20%C3%A4.csv"),
        ("/in/{name:string}?x=1", {}, "/in/a%20%C3%A4.csv?x=1"),
        ("/in", {"parameters": {"query": {"file": "{name}"}}}, "/in?file=a%20%C3%A4.csv"),
        ("/in/{file}", {"parameters": {"path": {"file": "x-{name}"}}}, "/in/x-a%20%C3%A4.csv"),
        ("/in", {}, "/in"),
    ],
)
async def test_the_name_goes_where_the_endpoint_wants_it(path: str, values: dict[str, Any], target: str) -> None:
    async with http_partner() as partner:
        outcome = await push(partner, path, "a ä.csv", method="PUT", **values)
        assert [one.target for one in partner.heard] == [target]
    assert isinstance(outcome, Placed)
    assert "?" not in outcome.place, "a query may hold secrets"


async def test_the_place_is_where_the_partner_says() -> None:
    async with http_partner(lambda _: Said(201, headers={"location": "/kept/77?sig=canary"})) as partner:
        assert await push(partner) == Placed(partner.url("/kept/77"), "201")


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        (Said(503, headers={"retry-after": "7"}), Transient("503", answered=True, retry_after=7.0)),
        (Said(401), Transient("401: the partner does not accept our credentials")),
        (Said(413), Permanent("413")),
        (Said(302, headers={"location": "/x"}), Permanent("302: redirects are not followed")),
        (Said(0), Ambiguous("no answer: Server disconnected without sending a response.")),
    ],
)
async def test_what_an_answer_means(said: Said, outcome: Deposited) -> None:
    async with http_partner(lambda _: said) as partner:
        assert await push(partner) == outcome


async def test_silence_after_the_whole_file_is_ambiguous() -> None:
    async with http_partner() as partner:
        partner.gate.clear()
        assert await push(partner, timeout=200) == Ambiguous("no answer in time")
        partner.gate.set()


async def test_what_cannot_be_pushed_is_not_sent() -> None:
    async with http_partner() as partner:
        assert await push(partner, method="PATCH") == Permanent("files are pushed by PUT or POST, not by PATCH")
        outcome = await push(partner, "/in/{id}")
        assert not partner.heard
    assert isinstance(outcome, Transient)
    assert re.search("id is missing", outcome.detail)


async def test_a_partner_that_refuses_early_is_heard() -> None:
    """Its answer comes before the file's end, and then it reads no more."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.close()

    async def large() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield bytes(100_000)

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    config = read(http.Config, {"url": f"http://127.0.0.1:{port}/in", "timeout": 5_000}, "")
    depositor = http.Depositor(config, DirectDialer())
    size = 20_000_000
    outcome = await depositor.deposit(Deposit("1", "x", size, hashlib.sha256(bytes(size)).digest()), large())
    await depositor.close()
    server.close()
    await server.wait_closed()
    assert isinstance(outcome, Permanent | Transient)
