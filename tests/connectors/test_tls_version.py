"""What was negotiated is part of what a test or an execution found."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from hilum.connectors import http, mllp
from hilum.outbound.dialer import Dialer
from hilum.sdk.config import read
from hilum.sdk.contracts import Call, Reply
from hilum.sdk.testing.mllp import MllpPartner

pytestmark = pytest.mark.anyio
VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest, listening: ssl.SSLContext) -> str:
    """What the partner speaks at most."""
    listening.maximum_version = VERSIONS[request.param]
    return str(request.param)


async def asked(config: http.Config, dialer: Dialer) -> list[Reply]:
    exchange = http.Exchange(config, dialer)
    try:
        return [await exchange.exchange(Call(b"{}")) for _ in range(2)]
    finally:
        await exchange.close()


async def test_http(open_web: Any, listening: ssl.SSLContext, ca: str, dialer: Dialer, version: str) -> None:
    web = await open_web(listening, "localhost")
    config = read(http.Config, {"url": web.url, "tls": {"ca": ca}}, "")
    assert (await http.Probe(config, dialer).probe()).tls == version
    replies = await asked(config, dialer)
    assert [one.tls for one in replies] == [version, version]
    assert replies[1].timings.tls is None, "over the connection that was kept"


async def test_mllp(listening: ssl.SSLContext, ca: str, dialer: Dialer, version: str) -> None:
    partner = MllpPartner()
    await partner.start(tls=listening)
    try:
        config = read(mllp.Config, {"url": f"mllps://localhost:{partner.port}", "tls": {"ca": ca}}, "")
        found = await mllp.MllpProbe(config, dialer).probe()
    finally:
        await partner.stop()
    assert (found.reachable, found.tls) == (True, version)


async def test_without_tls_there_is_none(web: Any, dialer: Dialer) -> None:
    config = read(http.Config, {"url": web.url}, "")
    assert (await http.Probe(config, dialer).probe()).tls is None
    assert {one.tls for one in await asked(config, dialer)} == {None}
    partner = MllpPartner()
    await partner.start()
    try:
        config = read(mllp.Config, {"url": f"mllp://127.0.0.1:{partner.port}"}, "")
        assert (await mllp.MllpProbe(config, dialer).probe()).tls is None
    finally:
        await partner.stop()
