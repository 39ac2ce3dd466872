"""Trusted proxies: whose word counts for who the client is."""

from __future__ import annotations

from typing import Any

import pytest

from hilum.api import Edge
from hilum.api.forwarded import Forwarded

pytestmark = pytest.mark.anyio
PROXIES = Edge.read(proxies=["10.0.0.0/8", "2001:db8::/32", "127.0.0.1"]).proxies


async def seen(peer: str, *headers: tuple[str, str], proxies: Any = PROXIES) -> tuple[str, str, str]:
    """The client, the scheme and the host that the app is told."""
    found: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found.update(scope)

    raw = [(b"host", b"inner"), *((name.lower().encode(), value.encode("latin-1")) for name, value in headers)]
    scope = {"type": "http", "client": (peer, 1), "scheme": "http", "headers": raw}
    await Forwarded(app, proxies)(scope, None, None)  # type: ignore[arg-type]  # neither is used
    hosts = [value.decode("latin-1") for name, value in found["headers"] if name == b"host"]
    assert len(hosts) == 1
    return found["client"][0], found["scheme"], hosts[0]


@pytest.mark.ledger_part("S0-55", "X-Forwarded-… is believed from configured proxies alone")
@pytest.mark.parametrize(
    ("peer", "chain", "client"),
    [
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.7", "198.51.100.7"),  # what stands left of the client it made up
        ("10.0.0.1", "198.51.100.7, 10.2.3.4, 10.9.9.9", "198.51.100.7"),
        ("10.0.0.1", "10.2.3.4", "10.2.3.4"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7, nonsense, 10.2.3.4", "10.2.3.4"),
        ("10.0.0.1", "198.51.100.7:4711", "198.51.100.7"),
        ("10.0.0.1", '"[2001:db9::7]:4711"', "2001:db9::7"),
        ("10.0.0.1", "::ffff:198.51.100.7", "198.51.100.7"),
        ("::ffff:10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("2001:db8::1", "198.51.100.7", "198.51.100.7"),
        ("198.51.100.9", "198.51.100.7", "198.51.100.9"),
        ("local:ann", "198.51.100.7", "local:ann"),
    ],
)
async def test_the_client_is_the_right_most_address_that_no_proxy_has(peer: str, chain: str, client: str) -> None:
    assert (await seen(peer, ("X-Forwarded-For", chain)))[0] == client


async def test_several_headers_are_one_list() -> None:
    chain = [("X-Forwarded-For", "1.1.1.1"), ("X-Forwarded-For", "198.51.100.7"), ("X-Forwarded-For", "10.1.1.1")]
    assert (await seen("10.0.0.1", *chain))[0] == "198.51.100.7"


async def test_scheme_and_host_come_from_the_nearest_proxy() -> None:
    told = [("X-Forwarded-Proto", "http, https"), ("X-Forwarded-Host", "spoofed, hub.example.org")]
    assert await seen("10.0.0.1", *told) == ("10.0.0.1", "https", "hub.example.org")
    assert await seen("198.51.100.9", *told) == ("198.51.100.9", "http", "inner")
    assert await seen("10.0.0.1", ("X-Forwarded-Proto", "gopher")) == ("10.0.0.1", "http", "inner")


async def test_by_default_nobody_is_believed() -> None:
    assert await seen("127.0.0.1", ("X-Forwarded-For", "1.1.1.1"), proxies=Edge().proxies) == (
        "127.0.0.1", "http", "inner",
    )  # fmt: skip
