"""No connector takes a person who configures it through the API to where the operator does not allow it.

Every form of an address, with every connector that dials, of today and tomorrow: they are found by the registry. A
listener on this machine stands for what must not be reached.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from hilum.errors import ConfigError
from hilum.outbound.dialer import Dialer, Dialers
from hilum.sdk.config import read
from hilum.sdk.contracts import Call, Connector, Outbound
from hilum.sdk.faults import Failed, Fault
from hilum.sdk.outcome import Delivered, Permanent, Transient
from hilum.sdk.registry import discover
from hilum.sdk.testing import free_port
from hilum.security.egress import LOOPBACK, Allowed

pytestmark = pytest.mark.anyio
CONNECTORS = discover().connectors
DIALLING = sorted(scheme for scheme, one in CONNECTORS.items() if one.destination and scheme != "file")
ADT = b"MSH|^~\\&|A|B|C|D|20260101||ADT^A01^ADT_A01|M1|P|2.5\rPID|1||4711\r"

WANTED: dict[str, dict[str, Any]] = {
    "sftp": {"authentication": {"type": "basic", "username": "hub", "password": "canary-word"}},
    "s3": {"authentication": {"type": "access_key", "access_key_id": "AKID", "secret_access_key": "canary-word"}},
}
"""What a connector cannot do without."""

WRITTEN = [
    # loopback, and the spellings that some resolvers take for it
    "127.0.0.1", "127.0.0.53", "127.255.255.254", "localhost", "LOCALHOST", "localhost.", "127.0.0.1.", "0.0.0.0", "0",
    "2130706433", "017700000001", "0x7f000001", "0x7F.0x0.0x0.0x1", "0x7f.1", "0177.0.0.1", "0177.0.0.01", "127.1",
    "127.0.1", "127.0.0.0001", "１２７.０.０.１", "127。0。0。1", "①②⑦.⓪.⓪.①", "%31%32%37.0.0.1", "127.0.0.1%2e",
    "127.0.0.1%00", "good.example@127.0.0.1", "127.0.0.1%25lo",
    # private, carrier-grade, link-local
    "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.254", "192.168.0.1", "100.64.0.1", "100.127.255.254",
    "169.254.0.1", "169.254.255.254",
    # metadata services
    "169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "192.0.0.192", "2852039166", "0xa9fea9fe",
    "0251.0376.0251.0376", "metadata.google.internal", "Metadata.Goog", "metadata", "instance-data",
    # nobody's
    "192.0.0.8", "192.0.2.1", "198.18.0.1", "198.51.100.7", "203.0.113.9", "192.88.99.1", "224.0.0.1", "239.1.2.3",
    "240.0.0.1", "255.255.255.255",
    # IPv6
    "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::FFFF:10.0.0.1]", "[::127.0.0.1]",
    "[::ffff:0:127.0.0.1]", "[64:ff9b::127.0.0.1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::10.0.0.1]",
    "[64:ff9b:1:a9fe:a9:fe00::]", "[2002:7f00:1::]", "[2002:a9fe:a9fe::1]", "[2001:0:7f00:1::1]",
    "[2001:0:808:808:0:0:80ff:fffe]", "[2606:4700::5efe:127.0.0.1]", "[2606:4700::200:5efe:10.0.0.1]", "[fe80::1]",
    "[fe80::1%25eth0]", "[fec0::1]", "[fc00::1]", "[fd00:ec2::254]", "[fd20:ce::254]", "[ff02::1]", "[2001:db8::1]",
    "[3fff::1]", "[100::1]", "[5f00::1]", "[::1%25lo]", "[2606:4700::a9fe:a9fe]",
]  # fmt: skip
ANSWERED: list[list[str]] = [
    ["127.0.0.1"], ["10.0.0.1"], ["169.254.169.254"], ["fd00:ec2::254"], ["::1"], ["::ffff:127.0.0.1"],
    ["64:ff9b::7f00:1"], ["2002:7f00:1::"], ["8.8.8.8", "127.0.0.1"], ["2606:4700::1", "::1"], ["fe80::1%eth0"],
    ["0.0.0.0"], ["100.64.0.1"], ["::"],
]  # fmt: skip
"""What a name server says of partner.example."""
FORMS = [(one, None) for one in WRITTEN] + [("partner.example", one) for one in ANSWERED]


class Names:
    """A name server that says the same of every name but `localhost`."""

    def __init__(self, answer: list[str] | None) -> None:
        self.answer = answer
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        return self.answer or ["127.0.0.1", "::1"]


class Inside:
    """What must not be reached: listens on the loopback, of both kinds where there are both."""

    def __init__(self) -> None:
        self.port = free_port()
        self.visits = 0

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[Inside]:
        async with contextlib.AsyncExitStack() as stack:
            for place in ("127.0.0.1", "::1"):
                with contextlib.suppress(OSError):
                    await stack.enter_async_context(await asyncio.start_server(self._count, place, self.port))
            yield self

    async def _count(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visits += 1
        writer.transport.abort()


@pytest.fixture
async def inside(anyio_backend: object) -> AsyncIterator[Inside]:
    async with Inside().listening() as made:
        yield made


def configured(url: str) -> tuple[Connector, Any] | None:
    """None: the connector's own Config refuses it, before anybody dials."""
    scheme = url.partition(":")[0]
    connector, values = CONNECTORS[scheme], {"url": url, **WANTED.get(scheme, {})}
    if scheme == "s3":  # its URL names a bucket
        values |= {"url": "s3://exchange/x", "endpoint": url.removesuffix("/x").replace("s3:", "http:")}
    try:
        return connector, read(connector.config, {**values, "timeout": 2_000}, "out")
    except ConfigError:
        return None


async def tried(connector: Connector, config: Any, dialer: Dialer) -> AsyncIterator[str]:
    """What each part says that a person may use; an empty text where it got through."""
    if connector.destination is not None:
        destination = connector.destination(config, dialer)
        outcome = await destination.send(Outbound("1", ADT))
        await destination.close()
        yield "" if isinstance(outcome, Delivered) else refusal(outcome)
    if connector.probe is not None:
        found = await connector.probe(config, dialer).probe()
        assert found.fault in (None, Fault.BLOCKED_BY_POLICY, Fault.CONFIGURATION) or found.reachable
        yield "" if found.reachable else found.detail
    if connector.exchange is not None:
        exchange = connector.exchange(config, dialer)
        with pytest.raises(Failed) as failed:
            await exchange.exchange(Call(ADT))
        await exchange.close()
        assert failed.value.fault in (Fault.BLOCKED_BY_POLICY, Fault.CONFIGURATION)
        assert not failed.value.sent
        yield str(failed.value)


def refusal(outcome: Any) -> str:
    assert isinstance(outcome, Transient | Permanent), outcome
    return str(getattr(outcome, "detail", ""))


@pytest.mark.ledger_part(
    "S2-34", "an endpoint that people configure reaches no address that the operator keeps to itself"
)
@pytest.mark.parametrize(("host", "answer"), FORMS, ids=str)
async def test_no_form_of_an_address_gets_through(
    host: str, answer: list[str] | None, inside: Inside, tmp_path: Path
) -> None:
    names = Names(answer)
    dialer = Dialers(tmp_path, resolve=names).endpoint("demo", "api", {})
    refused = 0
    for scheme in DIALLING:
        found = configured(f"{scheme}://{host}:{inside.port}/x")
        if found is None:
            refused += 1
            continue
        async for reason in tried(*found, dialer):
            assert reason, scheme
            assert not any(one in reason for one in answer or ()), (scheme, reason)
            refused += 1
    assert refused >= len(DIALLING) > 3
    assert inside.visits == 0
    assert set(names.asked) <= {"partner.example", "localhost"}, "asked for what is no name"


def test_there_are_sixty_forms_or_more() -> None:
    assert len({(host, str(answer)) for host, answer in FORMS}) == len(FORMS) >= 60


@pytest.mark.ledger_part("S4-15", "the operator's allow-list is the exception for internal services")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "partner.example", "[::ffff:127.0.0.1]"])
async def test_what_the_operator_allows_is_reached(host: str, inside: Inside, tmp_path: Path) -> None:
    """The same parts do get there then: it was the decision that held them back."""
    dialer = Dialers(tmp_path, allowed=LOOPBACK, resolve=Names(["127.0.0.1"])).endpoint("demo", "api", {})
    for scheme in DIALLING:
        before = inside.visits
        found = configured(f"{scheme}://{host}:{inside.port}/x")
        assert found is not None
        connector, config = found
        assert connector.destination is not None
        destination = connector.destination(config, dialer)
        await destination.send(Outbound("1", ADT))
        await destination.close()
        assert inside.visits > before, scheme


@pytest.mark.parametrize(("host", "answer"), FORMS, ids=str)
async def test_nor_by_the_address_of_an_authorization_server(
    host: str, answer: list[str] | None, inside: Inside, tmp_path: Path
) -> None:
    """The partner itself may be asked; that where its tokens come from may not, and so nobody is."""
    authentication = {
        "type": "oauth2", "token_url": f"http://{host}:{inside.port}/token", "client_id": "c", "client_secret": "s",
    }  # fmt: skip
    partner = Inside()
    allowed = [Allowed.read(f"127.0.0.1:{partner.port}")]
    async with partner.listening():
        dialer = Dialers(tmp_path, (), allowed, Names(answer)).endpoint("demo", "api", {})
        try:
            config = read(
                CONNECTORS["http"].config,
                {"url": f"http://127.0.0.1:{partner.port}/", "authentication": authentication, "timeout": 2_000},
                "out",
            )
        except ConfigError:
            return
        reasons = [one async for one in tried(CONNECTORS["http"], config, dialer)]
    assert all(reasons)
    assert len(reasons) == 3
    assert (inside.visits, partner.visits) == (0, 0)


def redirects(to: str) -> Iterator[bytes]:
    for status in (301, 302, 303, 307, 308):
        head = f"HTTP/1.1 {status} Elsewhere\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        yield head.encode()


@pytest.mark.ledger_part("S2-34", "a partner's redirect leads nowhere")
@pytest.mark.parametrize(
    "place", ["http://127.0.0.1:{port}/", "http://localhost:{port}/", "http://169.254.169.254/", "file:///etc/passwd"]
)
async def test_a_partner_sends_nobody_elsewhere(place: str, inside: Inside, tmp_path: Path) -> None:
    answers = list(redirects(place.format(port=inside.port))) * 2

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError), contextlib.closing(writer):
            await reader.read(2_000)
            writer.write(answers.pop())
            await writer.drain()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        names = Names(["127.0.0.1"])
        dialer = Dialers(tmp_path, allowed=LOOPBACK, resolve=names).endpoint("demo", "api", {})
        found = configured(f"http://partner.example:{port}/x")
        assert found is not None
        connector, config = found
        assert connector.destination is not None
        assert connector.exchange is not None
        destination, exchange = connector.destination(config, dialer), connector.exchange(config, dialer)
        while answers:
            assert isinstance(await destination.send(Outbound("1", ADT)), Permanent)
            assert 300 < (await exchange.exchange(Call(ADT))).status < 309
        await destination.close()
        await exchange.close()
    assert (answers, inside.visits) == ([], 0)
    assert set(names.asked) == {"partner.example"}
