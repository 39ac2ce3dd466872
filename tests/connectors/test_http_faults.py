"""Every class of fault from a real cause, told alike by a probe and by an execution, each with its advice."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import trustme

from hilum import clock
from hilum.connectors import http
from hilum.outbound.dialer import Dialer
from hilum.sdk.config import read
from hilum.sdk.contracts import Call, ProbeResult
from hilum.sdk.faults import ADVICE, Failed, Fault, fault_of_status
from hilum.sdk.http import Answer
from hilum.sdk.testing import free_port
from hilum.security.egress import Policy

pytestmark = pytest.mark.anyio

OURS = {Fault.CONFIGURATION, Fault.TOO_LARGE, Fault.INTERRUPTED, Fault.CANCELLED, Fault.HOST_KEY}
"""Those that no HTTP partner causes: tests of endpoints, executions and SFTP have them."""
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
STATUSES = {Fault.AUTH: 401, Fault.FORBIDDEN: 403, Fault.NOT_FOUND: 404, Fault.RATE_LIMITED: 429, Fault.HTTP_5XX: 503}
SECRETS: dict[str, Any] = {
    "headers": {"X-API-Key": "canary-header"},
    "authentication": {"type": "api_key", "key": "canary-key", "location": "query"},
}


@contextlib.asynccontextmanager
async def talking(talk: Talk, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A port where everybody who connects is talked to so."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError), contextlib.closing(writer):
            await talk(reader, writer)
        tasks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


async def asked(dialer: Dialer, url: str, **values: Any) -> tuple[ProbeResult, Failed | int]:
    """What a probe says, and an execution: the status of its answer, or why there is none."""
    config = read(http.Config, {"url": url, "timeout": 1_000, **SECRETS, **values}, "")
    result = await http.Probe(config, dialer).probe()
    asking = http.Exchange(config, dialer)
    try:
        return result, (await asking.exchange(Call(b"{}"))).status
    except Failed as error:
        return result, error
    finally:
        await asking.close()


def told(result: ProbeResult, answer: Failed | int, fault: Fault, detail: str) -> None:
    """Both say the same, with advice, without a secret."""
    assert (result.reachable, result.fault) == (False, fault)
    assert result.advice.startswith(ADVICE[fault])
    assert detail in result.detail
    assert result.timings is not None
    if isinstance(answer, Failed):
        assert (answer.fault, result.status) == (fault, None)
        assert detail in str(answer)
    else:
        assert (fault_of_status(answer), result.status) == (fault, answer)
    assert "canary" not in f"{result}{answer!r}"


# What keeps us from asking


@pytest.mark.ledger("S2-42")
@pytest.mark.parametrize("fault", [one for one in Fault if one not in OURS])
async def test_every_class_has_a_real_cause(
    fault: Fault, open_web: Any, dialer: Dialer, authority: trustme.CA, ca: str, served_log: Callable[[], str]
) -> None:
    causes: dict[Fault, Callable[[], Awaitable[None]]] = {
        Fault.DNS: lambda: _dead_name(dialer),
        Fault.REFUSED: lambda: _refused_port(dialer),
        Fault.TIMEOUT: lambda: _slow_server(dialer),
        Fault.TLS_UNTRUSTED: lambda: _untrusted(dialer, authority, ca),
        Fault.TLS_EXPIRED: lambda: _expired(dialer, authority, ca),
        Fault.CONSENT: lambda: _nobody_consented(dialer),
        Fault.PROTOCOL: lambda: _garbage(dialer),
        Fault.BLOCKED_BY_POLICY: _blocked,
        **{
            known: lambda status=status, known=known: _answered(open_web, dialer, status, known)
            for known, status in STATUSES.items()
        },
    }
    await causes[fault]()
    assert "canary" not in served_log()


async def _dead_name(dialer: Dialer) -> None:
    result, answer = await asked(dialer, "http://no-such-host.invalid/")
    told(result, answer, Fault.DNS, "")
    assert result.timings is not None
    assert result.timings.dns is not None


async def _refused_port(dialer: Dialer) -> None:
    told(*await asked(dialer, f"http://127.0.0.1:{free_port()}/"), Fault.REFUSED, "Connection refused")


async def _slow_server(dialer: Dialer) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)

    async with talking(silent) as port:
        result, answer = await asked(dialer, f"http://127.0.0.1:{port}/")
    told(result, answer, Fault.TIMEOUT, "no answer in time")
    assert isinstance(answer, Failed)
    assert answer.sent


async def _expired(dialer: Dialer, authority: trustme.CA, ca: str) -> None:
    now = clock.now()
    leaf = authority.issue_cert(
        "localhost", not_before=now - datetime.timedelta(days=9), not_after=now - datetime.timedelta(days=1)
    )
    await _shown(dialer, leaf, ca, Fault.TLS_EXPIRED, "certificate has expired")


async def _untrusted(dialer: Dialer, authority: trustme.CA, ca: str) -> None:
    """By somebody else's authority, and with somebody else's name."""
    await _shown(dialer, trustme.CA().issue_cert("localhost"), ca, Fault.TLS_UNTRUSTED, "certificate: ")
    await _shown(dialer, authority.issue_cert("other.example"), ca, Fault.TLS_UNTRUSTED, "Hostname mismatch")


async def _shown(dialer: Dialer, leaf: trustme.LeafCert, ca: str, fault: Fault, detail: str) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    leaf.configure_cert(context)

    async def nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise AssertionError("somebody got through")

    async with talking(nothing, context) as port:
        told(*await asked(dialer, f"https://localhost:{port}/", tls={"ca": ca}), fault, detail)


async def _garbage(dialer: Dialer) -> None:
    """What is no HTTP, what ends before it begins, and plain text where TLS is spoken."""

    async def odd(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1_000)
        writer.write(b"MSH|^~\\&|canary|\r\n\r\n")
        await writer.drain()

    async def gone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1_000)

    async with talking(odd) as port:
        told(*await asked(dialer, f"http://127.0.0.1:{port}/"), Fault.PROTOCOL, "the answer is not HTTP/1.1")
        told(*await asked(dialer, f"https://127.0.0.1:{port}/"), Fault.PROTOCOL, "TLS: ")
    async with talking(gone) as port:
        told(*await asked(dialer, f"http://127.0.0.1:{port}/"), Fault.PROTOCOL, "")


async def _nobody_consented(dialer: Dialer) -> None:
    authentication = {
        "type": "oauth2", "grant_type": "authorization_code", "client_id": "hub", "client_secret": "canary-of-ours",
        "authorization_url": "http://127.0.0.1:9/authorize", "token_url": "http://127.0.0.1:9/token",
    }  # fmt: skip
    async with talking(_unheard) as port:
        told(*await asked(dialer, f"http://127.0.0.1:{port}/", authentication=authentication), Fault.CONSENT, "consent")


async def _unheard(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    assert await reader.read(1) == b"", "nothing is sent before somebody consents"


async def _blocked() -> None:
    for host in ("127.0.0.1", "localhost", "10.0.0.1", "169.254.169.254"):
        result, answer = await asked(Dialer([], Policy()), f"http://{host}:8080/")
        told(result, answer, Fault.BLOCKED_BY_POLICY, "")
        assert isinstance(answer, Failed)
        assert not answer.sent


async def _answered(open_web: Any, dialer: Dialer, status: int, fault: Fault) -> None:
    web = await open_web()
    said = {"retry-after": "7"} if status in (429, 503) else {}
    web.answer = lambda _: Answer(status, b"canary", headers=said)
    result, answer = await asked(dialer, web.url)
    told(result, answer, fault, f"HTTP {status}: ")
    assert result.detail.endswith("; it asks to wait 7 seconds") is (status in (429, 503))


@pytest.mark.ledger_part("S2-44", "each class has a cause and a next step in plain words")
def test_each_class_has_an_advice_of_its_own() -> None:
    assert ADVICE.keys() == set(Fault)
    assert len(set(ADVICE.values())) == len(ADVICE)
    assert all(text.count(". ") >= 1 and text.endswith(".") for text in ADVICE.values()), "what it is, then what to do"


@pytest.mark.parametrize(
    "said",
    [b"HTTP/1.1 200 \x1b[31mcanary", b"HTTP/1.1 599 ", b"HTTP/1.1 404 " + b"x" * 200],
    ids=["odd", "none", "long"],
)
async def test_a_partners_reason_is_not_shown_blindly(dialer: Dialer, said: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1_000)
        writer.write(said + b"\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with talking(answer) as port:
        result, _ = await asked(dialer, f"http://127.0.0.1:{port}/")
    assert len(result.detail) < 60
    assert result.detail.isprintable()
    assert "canary" not in result.detail
