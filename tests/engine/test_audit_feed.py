"""A collector gets every sealed event, in order, over TLS that it proves; after an outage nothing is missing.

Syslog first, then webhooks: these are signed, and a batch that was not taken comes again with the same id and bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import trustme

from hilum.engine import audit_feed, audit_syslog
from hilum.engine.audit_feed import AuditFeeds
from hilum.engine.evidence import Evidence
from hilum.formats import ocsf
from hilum.model.access import HUB, Scope
from hilum.model.audit import Act
from hilum.outbound.dialer import Dialers
from hilum.sdk.testing import free_port
from hilum.sdk.testing.web import Heard, HttpPartner, Said
from hilum.security.egress import LOOPBACK, Allowed
from hilum.security.keyring import Keyring
from hilum.security.webhooks import Standard, new_private, new_secret, public_of, verify
from hilum.store import Connection, Store, audit, organizations
from hilum.store.schema import organization

pytestmark = pytest.mark.anyio


class Collector:
    """A syslog server over TLS that counts bytes as RFC 5425 says. `lines` are its messages."""

    def __init__(self, authority: trustme.CA) -> None:
        self.port = free_port()
        self.lines: list[bytes] = []
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost").configure_cert(self._context)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def up(self) -> None:
        self._server = await asyncio.start_server(self._read, "127.0.0.1", self.port, ssl=self._context)

    async def down(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in list(self._open):
                writer.transport.abort()
            await self._server.wait_closed()
            self._server = None

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            while True:
                size = int(await reader.readuntil(b" "))
                self.lines.append(await reader.readexactly(size))
        self._open.discard(writer)
        writer.close()

    @property
    def numbers(self) -> list[int]:
        """Of what came, in whatever form: its place in the chain, which begins at 1."""
        return [int(re.findall(rb'sequenceId="(\d+)"', line)[0]) for line in self.lines]

    async def reached(self, last: int) -> None:
        async with asyncio.timeout(30):
            while last not in self.numbers:  # noqa: ASYNC110 - what is waited for comes over a socket
                await asyncio.sleep(0.02)


class Vault:
    """What an organization's credentials stand for."""

    def __init__(self) -> None:
        self.known = {"siem": new_secret(), "hec.token": "Splunk 0123456789"}

    async def values(self, organization: int, study: int | None, wanted: set[str]) -> dict[str, str]:
        return {name: value for name, value in self.known.items() if name in wanted}


@pytest.fixture
async def store(url: str | None, tmp_path: Path, anyio_backend: object) -> AsyncIterator[Store]:
    keys, _ = Keyring.create(tmp_path / "hub.key")
    store = await Store(tmp_path, keys, url).open(lambda message: ())
    await store.write(organizations.create, "ward", "")
    yield store
    await store.close()


@pytest.fixture
def vault() -> Vault:
    return Vault()


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def collector(authority: trustme.CA) -> AsyncIterator[Collector]:
    made = Collector(authority)
    await made.up()
    yield made
    await made.down()


@pytest.fixture
async def wanted(store: Store, authority: trustme.CA) -> Callable[..., Awaitable[None]]:
    """Names collectors in the organization's settings, each (syslog's port or an address, what is special about it)."""

    async def work(*several: tuple[int | str, dict[str, Any]], believed: trustme.CA | None = None) -> None:
        pem = (believed or authority).cert_pem.bytes().decode()
        feeds = [
            {"url": f"syslog+tls://localhost:{where}" if isinstance(where, int) else where, "authority": pem, **options}
            for where, options in several
        ]

        def write(connection: Connection) -> None:
            connection.execute(sa.update(organization).values(settings={"audit_feeds": feeds}))

        await store.within(1).write(write)

    return work


@pytest.fixture
async def begun(store: Store, tmp_path: Path, vault: Vault, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """Makes the feeds of a hub and starts them."""
    monkeypatch.setattr(audit_feed, "LOOK", 0.02)
    monkeypatch.setattr(audit_feed, "_AGAIN", (0.02, 0.1))
    every: list[AuditFeeds] = []

    async def work(allowed: Any = LOOPBACK) -> AuditFeeds:
        every.append(AuditFeeds(store, Dialers(tmp_path, allowed=allowed), vault, "hub.example", lambda: True))
        await every[-1].start()
        return every[-1]

    yield work
    for one in every:
        await one.stop()


@pytest.fixture
async def feeds(begun: Any) -> AuditFeeds:
    made: AuditFeeds = await begun()
    return made


@pytest.fixture
async def record(store: Store, tmp_path: Path) -> Callable[[int], Awaitable[None]]:
    """Records and seals events, which are numbered from 1."""
    evidence = Evidence(store, tmp_path / "checkpoints")
    await evidence.prepare()
    count = 0

    async def work(more: int) -> None:
        nonlocal count
        for _ in range(more):
            count += 1
            act = Act(HUB, Scope(1), "message.show", request_id=str(count), entity="message/1")
            await store.journal.record(audit.event(act))
        await evidence.look()

    return work


async def test_events_come_in_order_as_syslog(
    collector: Collector, wanted: Any, record: Any, feeds: AuditFeeds
) -> None:
    await record(3)
    await wanted((collector.port, {}))
    await collector.reached(3)
    await record(2)
    await collector.reached(5)
    assert collector.numbers == [1, 2, 3, 4, 5]
    head = collector.lines[0].partition(b"\xef\xbb\xbf")[0].decode()
    assert head.startswith("<109>1 20")
    assert ' hub.example hilum - message.show [meta sequenceId="1"][origin software="Hilum" swVersion=' in head


async def test_after_an_outage_nothing_is_missing(
    collector: Collector, wanted: Any, record: Any, feeds: AuditFeeds
) -> None:
    await wanted((collector.port, {}))
    await record(250)
    await collector.reached(250)
    await collector.down()
    await record(30)
    await collector.up()
    await record(1)
    await collector.reached(281)
    assert sorted(set(collector.numbers)) == list(range(1, 282))
    repeats = len(collector.numbers) - 281
    assert repeats <= 2 * audit_syslog.BATCH, "the one that was being written, and the one before"
    last = 0
    for number in collector.numbers:  # a new connection goes back, and from there on in order
        assert number <= last + 1
        last = number


async def test_a_hub_that_starts_again_goes_on(
    collector: Collector, wanted: Any, record: Any, feeds: AuditFeeds, begun: Any
) -> None:
    await wanted((collector.port, {}))
    await record(3)
    await collector.reached(3)
    await feeds.stop()
    await record(2)
    await begun()
    await collector.reached(5)
    assert sorted(set(collector.numbers)) == [1, 2, 3, 4, 5]


async def test_a_collector_that_nobody_vouches_for_gets_nothing(
    collector: Collector, wanted: Any, record: Any, feeds: AuditFeeds
) -> None:
    await wanted((collector.port, {}), believed=trustme.CA())
    await record(2)
    for _ in range(10):
        await asyncio.sleep(0.05)
    assert collector.lines == []
    await wanted((collector.port, {}))  # another setting takes the place of the one before
    await collector.reached(2)


async def test_who_does_not_seal_sends_nothing(
    store: Store, tmp_path: Path, vault: Vault, collector: Collector, wanted: Any, record: Any
) -> None:
    mine = False
    made = AuditFeeds(store, Dialers(tmp_path, allowed=LOOPBACK), vault, "hub.example", lambda: mine)
    await wanted((collector.port, {}))
    await record(1)
    await made._arrange()
    assert made._feeds == {}
    mine = True
    await made._arrange()
    await collector.reached(1)
    await made.stop()


async def test_a_collector_is_where_people_may_go(
    collector: Collector, partner: HttpPartner, wanted: Any, record: Any, begun: Any
) -> None:
    """It is set through the API: what only the operator can allow is not connected to."""
    await wanted((collector.port, {}), (partner.url(), {"name": "web", "credential": "siem"}))
    await record(1)
    for entry, reached in (("other=127.0.0.0/8", False), ("ward=127.0.0.0/8", True)):
        made = await begun([Allowed.read(entry), LOOPBACK[1]] if reached else [Allowed.read(entry)])
        if reached:
            await collector.reached(1)
            await partner.until(1)
        else:
            await gone_wrong(made, 2)
            assert (collector.lines, partner.accepted) == ([], 0)
        await made.stop()


async def gone_wrong(feeds: AuditFeeds, count: int) -> None:
    """Until so many feeds say that they wait."""
    async with asyncio.timeout(30):
        while sum(one.is_away for one in feeds._feeds.values()) < count:  # noqa: ASYNC110 - retries have no event
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("form", ["event", "fhir", "ocsf", "cef"])
async def test_each_form_goes_over_syslog(
    collector: Collector, wanted: Any, record: Any, feeds: AuditFeeds, form: str
) -> None:
    await wanted((collector.port, {"format": form}))
    await record(2)
    await collector.reached(2)
    assert collector.numbers == [1, 2]
    head, text = collector.lines[0].split(b"] ", 1)
    assert head.startswith(b"<109>1 ")
    if form == "cef":
        assert text.startswith(b"CEF:0|Hilum|Hilum|")
        assert b" cs1=1 cs1Label=request_id" in text
        return
    found = json.loads(text.removeprefix(b"\xef\xbb\xbf"))
    if form == "event":
        assert (found["action"], found["request_id"]) == ("message.show", "1")
    elif form == "fhir":
        assert (found["resourceType"], found["action"]) == ("AuditEvent", "R")
    else:
        assert (found["class_uid"], found["metadata"]["correlation_uid"]) == (ocsf.API_ACTIVITY, "1")


# Webhooks


@pytest.fixture
def tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
async def partner(tls: ssl.SSLContext) -> AsyncIterator[HttpPartner]:
    made = HttpPartner()
    made.port = free_port()
    await made.start(tls=tls)
    try:
        yield made
    finally:
        await made.stop()


def ids(one: Heard, key: str) -> list[int]:
    """The numbers of the events of a request, whose signature is checked: in the hub's own form."""
    signed = int(one.headers["webhook-timestamp"])
    verify(Standard(), [key], one.headers, one.body, signed)  # raises where it is not ours
    body = json.loads(one.body)
    assert (body["type"], body["timestamp"]) == ("audit.events", body["data"][-1]["time"])
    return [int(event["request_id"]) for event in body["data"]]


async def heard(partner: HttpPartner, key: str, last: int) -> list[list[int]]:
    """The numbers that each request brought, once `last` was among them."""
    async with asyncio.timeout(30):
        while not any(last in ids(one, key) for one in partner.heard):  # noqa: ASYNC110 - it comes over a socket
            await asyncio.sleep(0.02)
    return [ids(one, key) for one in partner.heard]


async def test_events_come_in_signed_batches(
    partner: HttpPartner, vault: Vault, wanted: Any, record: Any, feeds: AuditFeeds
) -> None:
    await record(5)
    await wanted((partner.url("/audit"), {"credential": "siem", "batch": 2}))
    assert await heard(partner, vault.known["siem"], 5) == [[1, 2], [3, 4], [5]]
    first = partner.heard[0]
    assert (first.method, first.target) == ("POST", "/audit")
    assert first.headers["content-type"] == "application/json"
    assert first.headers["webhook-id"] == f"{json.loads(first.body)['data'][0]['id']}-2"
    assert "authorization" not in first.headers


async def test_the_secret_is_the_one_of_now_and_a_header_admits_us(
    partner: HttpPartner, vault: Vault, wanted: Any, record: Any, feeds: AuditFeeds
) -> None:
    await wanted((partner.url(), {"credential": "siem", "authorization": "hec.token"}))
    await record(1)
    assert await heard(partner, vault.known["siem"], 1) == [[1]]
    private = vault.known["siem"] = new_private()
    partner.heard.clear()
    await record(1)
    await partner.until(1)
    assert ids(partner.heard[0], public_of(private)) == [2]
    assert partner.heard[0].headers["authorization"] == "Splunk 0123456789"


async def test_without_its_secret_nothing_is_sent_until_there_is_one(
    partner: HttpPartner, vault: Vault, wanted: Any, record: Any, feeds: AuditFeeds
) -> None:
    key = vault.known.pop("siem")
    await wanted((partner.url(), {"name": "siem", "credential": "siem"}))
    await record(1)
    await gone_wrong(feeds, 1)
    assert partner.accepted == 0
    assert feeds.trouble == "waiting for the collector of the audit feed ward/siem"
    vault.known["siem"] = key
    assert await heard(partner, key, 1) == [[1]]
    async with asyncio.timeout(30):
        while feeds.trouble:  # noqa: ASYNC110 - the answer is on its way
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("refusal", [Said(500), Said(404), Said(302, headers={"location": "/else"}), Said(0)])
async def test_what_was_not_taken_comes_again_as_it_was(
    partner: HttpPartner, vault: Vault, wanted: Any, record: Any, feeds: AuditFeeds, refusal: Said
) -> None:
    partner.next.extend([refusal, refusal, Said(429, headers={"retry-after": "0"})])
    await wanted((partner.url(), {"credential": "siem"}))
    await record(2)
    await partner.until(4)
    await record(1)
    assert await heard(partner, vault.known["siem"], 3) == [[1, 2]] * 4 + [[3]]
    assert len({one.headers["webhook-id"] for one in partner.heard[:4]}) == 1
    assert len({one.body for one in partner.heard[:4]}) == 1, "the same bytes"


async def test_a_hub_that_dies_while_sending_sends_the_same_again(
    partner: HttpPartner, vault: Vault, wanted: Any, record: Any, feeds: AuditFeeds, begun: Any
) -> None:
    partner.gate.clear()
    await wanted((partner.url(), {"credential": "siem"}))
    await record(3)
    await partner.until(1)
    await feeds.stop()  # it never hears whether they were taken
    await record(2)
    partner.gate.set()
    await begun()
    assert await heard(partner, vault.known["siem"], 5) == [[1, 2, 3], [1, 2, 3], [4, 5]]
    assert partner.heard[0].headers["webhook-id"] == partner.heard[1].headers["webhook-id"]
    assert partner.heard[0].body == partner.heard[1].body


async def test_one_that_is_away_catches_up_in_order_and_holds_up_nobody(
    partner: HttpPartner, tls: ssl.SSLContext, collector: Collector, vault: Vault, wanted: Any, record: Any,
    feeds: AuditFeeds,
) -> None:  # fmt: skip
    await partner.stop()
    web = {"name": "web", "credential": "siem", "batch": 100}
    await wanted((collector.port, {"name": "log"}), (partner.url(), web))
    for _ in range(5):
        await record(70)
    await collector.reached(350)
    await gone_wrong(feeds, 1)
    assert partner.heard == []
    await partner.start(tls=tls)
    await record(1)
    found = await heard(partner, vault.known["siem"], 351)
    assert [number for batch in found for number in batch] == list(range(1, 352))
    assert max(map(len, found)) == 100


async def test_ocsf_goes_as_a_list(partner: HttpPartner, wanted: Any, record: Any, feeds: AuditFeeds) -> None:
    await wanted((partner.url(), {"credential": "siem", "format": "ocsf"}))
    await record(2)
    await partner.until(1)
    found = json.loads(partner.heard[0].body)
    assert [one["metadata"]["sequence"] for one in found] == [1, 2]
    assert {one["metadata"]["version"] for one in found} == {ocsf.SCHEMA}


def repository(broken: set[str]) -> Callable[[Heard], Said]:
    """Answers a batch as a FHIR server does; `broken` are request ids that it refuses."""

    def answer(one: Heard) -> Said:
        assert one.headers["content-type"] == "application/fhir+json"
        entries = []
        for entry in json.loads(one.body)["entry"]:
            identifier = entry["resource"]["entity"][0]["what"]["identifier"]["value"]
            status = "422 Unprocessable Entity" if identifier in broken else "201 Created"
            entries.append({"response": {"status": status}})
        return Said(body=json.dumps({"resourceType": "Bundle", "type": "batch-response", "entry": entries}).encode())

    return answer


async def test_a_repository_that_refuses_one_event_gets_it_and_those_behind_it_again(
    partner: HttpPartner, wanted: Any, record: Any, feeds: AuditFeeds
) -> None:
    broken = {"3"}
    partner.react = repository(broken)
    await wanted((partner.url("/fhir"), {"credential": "siem", "format": "fhir"}))
    await record(4)
    await partner.until(2)
    broken.clear()
    await record(1)
    first = [entry["resource"]["id"] for entry in json.loads(partner.heard[0].body)["entry"]]

    def sent() -> list[list[str]]:
        return [[entry["resource"]["id"] for entry in json.loads(one.body)["entry"]] for one in partner.heard]

    async with asyncio.timeout(30):
        while len({one for batch in sent() for one in batch}) < 5:  # noqa: ASYNC110 - it comes over a socket
            await asyncio.sleep(0.02)
    assert (len(first), sent()[0]) == (4, first)
    assert all(batch == first[2:] for batch in sent()[1:-1]), "what was taken stays taken"
    assert len(sent()[-1]) == 1
