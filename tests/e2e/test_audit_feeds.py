"""Audit feeds of a hub that is killed: each collector gets all of the trail, in order, whatever comes twice."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from hilum.sdk.testing import free_port
from hilum.sdk.testing.web import Heard, HttpPartner
from hilum.security.webhooks import Standard, new_secret, verify

pytestmark = pytest.mark.anyio
ALLOWED = {"HILUM_EGRESS_ALLOW": "127.0.0.0/8"}
POSTED = ("event", "fhir", "ocsf")
WRITTEN = ("event", "fhir", "ocsf", "cef")


class Collectors:
    """An https server and, for each form, a syslog server over TLS: what they were told, by the ids of events."""

    def __init__(self) -> None:
        self.authority = trustme.CA()
        self.secret = new_secret()
        self.web = HttpPartner()
        self.lines: dict[str, list[bytes]] = {form: [] for form in WRITTEN}
        self._ports: dict[str, int] = {}
        self._servers: list[asyncio.Server] = []
        self._open: set[asyncio.StreamWriter] = set()

    async def up(self) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
        await self.web.start(free_port(), tls=context)
        for form in WRITTEN:
            self._ports[form] = free_port()

            async def read(reader: Any, writer: Any, lines: list[bytes] = self.lines[form]) -> None:
                await self._read(reader, writer, lines)

            self._servers.append(await asyncio.start_server(read, "127.0.0.1", self._ports[form], ssl=context))

    async def down(self) -> None:
        await self.web.stop()
        for writer in list(self._open):
            writer.transport.abort()
        for server in self._servers:
            server.close()
            await server.wait_closed()

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lines: list[bytes]) -> None:
        self._open.add(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            while True:
                lines.append(await reader.readexactly(int(await reader.readuntil(b" "))))
        self._open.discard(writer)
        writer.transport.abort()

    @property
    def feeds(self) -> list[dict[str, Any]]:
        """As the organization's settings name them."""
        believed = {"authority": self.authority.cert_pem.bytes().decode()}
        posted = [
            {"name": f"web-{form}", "url": self.web.url(f"/{form}"), "credential": "siem.secret", "batch": 3}
            | {"format": form, **believed}
            for form in POSTED
        ]
        return posted + [
            {"name": f"log-{form}", "url": f"syslog+tls://localhost:{self._ports[form]}", "format": form, **believed}
            for form in WRITTEN
        ]

    def posts(self, form: str) -> list[Heard]:
        return [one for one in self.web.heard if one.target == f"/{form}"]

    def posted(self, form: str) -> list[str]:
        found: list[str] = []
        for one in self.posts(form):
            verify(Standard(), [self.secret], one.headers, one.body, int(one.headers["webhook-timestamp"]))
            body = json.loads(one.body)
            documents = {"event": "data", "fhir": "entry"}
            found += [_id(form, event) for event in (body[documents[form]] if form in documents else body)]
        return found

    def written(self, form: str) -> list[str]:
        if form == "cef":
            return [re.findall(rb" externalId=(\S+) ", line)[0].decode() for line in self.lines[form]]
        texts = [line.partition(b"\xef\xbb\xbf")[2] for line in self.lines[form]]
        return [_id(form, json.loads(text)) for text in texts]


def _id(form: str, event: dict[str, Any]) -> str:
    event = event.get("resource", event)
    return str(event["metadata"]["uid"] if form == "ocsf" else event["id"])


@pytest.fixture
async def collectors() -> AsyncIterator[Collectors]:
    made = Collectors()
    try:
        await made.up()
        yield made
    finally:
        await made.down()


async def ask(hub: Any, method: str, path: str, **options: Any) -> Any:
    """What somebody at the hub's own machine asks it."""
    transport = httpx.AsyncHTTPTransport(uds=str(hub.data / "hub.sock"))
    async with httpx.AsyncClient(transport=transport, base_url="http://hub/api/v1", timeout=30) as client:
        response = await client.request(method, path, **options)
    assert response.is_success, response.text
    return response.json()


async def told(hub: Any, collectors: Collectors) -> None:
    """Name them all in the organization's settings."""
    credential = {"name": "siem", "kind": "generic", "secrets": {"secret": collectors.secret}}
    await ask(hub, "POST", "/credentials", json=credential)
    every = (await ask(hub, "GET", "/organizations"))["items"]
    own = next(one for one in every if one["name"] == "ward")
    match = {"if-match": f'"v{own["version"]}"'}
    settings = {"settings": {"audit_feeds": collectors.feeds}}
    await ask(hub, "PATCH", f"/organizations/{own['id']}", json=settings, headers=match)


def trail(hub: Any) -> list[str]:
    """The ids of what was sealed, in its order."""
    rows = hub.rows(
        "SELECT document FROM audit_event JOIN audit_seal ON audit_seal.event = audit_event.id "
        "WHERE audit_seal.organization <> 0 ORDER BY audit_seal.position"
    )
    return [json.loads(one[0])["id"] for one in rows]


@pytest.mark.ledger("S4-114")
async def test_kills_lose_no_event_of_any_feed(e2e: Any, tmp_path: Path, collectors: Collectors) -> None:
    """Syslog over TLS and signed webhooks, as the hub's documents, FHIR AuditEvent, OCSF and CEF."""
    config = e2e.layout({"feed": {"url": f"mllp://127.0.0.1:{e2e.free_port()}"}}, {}, [])
    hub = e2e.hub(tmp_path, config, environ=ALLOWED)
    await hub.start()
    await told(hub, collectors)
    for life in range(3):
        for number in range(4):
            await ask(hub, "POST", "/studies", json={"name": f"study-{life}-{number}", "title": "x"})
        hub.kill()
        await hub.start()
    collectors.web.gate.clear()  # it takes what comes and says nothing
    before = {form: len(collectors.posts(form)) for form in POSTED}
    await ask(hub, "POST", "/studies", json={"name": "while-sending", "title": "x"})
    await e2e.until(lambda: all(len(collectors.posts(form)) > before[form] for form in POSTED))
    hub.kill()
    collectors.web.gate.set()
    await hub.start()
    await ask(hub, "POST", "/studies", json={"name": "at-last", "title": "x"})
    await e2e.until(lambda: len(trail(hub)) == len(hub.rows("SELECT 1 FROM audit_event WHERE organization <> 0")))
    last = trail(hub)[-1]
    ways = [(collectors.posted, form) for form in POSTED] + [(collectors.written, form) for form in WRITTEN]
    for way, form in ways:
        await e2e.until(lambda way=way, form=form: last in way(form))
        assert list(dict.fromkeys(way(form))) == trail(hub), f"{way.__name__} {form}: in order, each for the first time"
    for form in POSTED:
        batches = [(one.headers["webhook-id"], one.body) for one in collectors.posts(form)]
        assert len(set(batches)) == len(dict(batches)) < len(batches), "what was under way came again as it was"
    assert await hub.stop() == 0
