"""A partner that speaks HTTP: it keeps what it was asked and answers as it is told."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import trustme

from hilum.outbound.dialer import Dialer
from hilum.sdk.http import Answer, Limits, Listener, Refusal, Request
from hilum.sdk.testing import free_port
from hilum.security.egress import LOOPBACK, Policy


class Web:
    """Answers every request alike, or as `answers` says for its method."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[Request] = []
        self.answer: Callable[[Request], Answer] = lambda _: Answer(200, b'{"ok": true}')
        self.answers: dict[str, Answer] = {}

    @property
    def methods(self) -> list[str]:
        return [request.method for request in self.requests]

    def check(self, request: Request) -> None:
        pass

    async def refused(self, peer: str, refusal: Refusal) -> None:
        pass

    async def take(self, request: Request) -> Answer:
        self.requests.append(request)
        return self.answers.get(request.method) or self.answer(request)


Open = Callable[..., Awaitable[Web]]


@pytest.fixture
async def open_web() -> AsyncIterator[Open]:
    """Opens one on the loopback; `tls` is its context, `host` what its URL calls it."""
    opened: list[Listener] = []

    async def open_one(tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Web:
        port = free_port()
        found = Web(f"{'https' if tls else 'http'}://{host}:{port}")
        listener = Listener(found, Limits())
        await listener.start("127.0.0.1", port, tls)
        opened.append(listener)
        return found

    yield open_one
    for listener in opened:
        await listener.stop()


@pytest.fixture
async def web(open_web: Open) -> Web:
    """One without TLS."""
    return await open_web()


@pytest.fixture
def dialer() -> Dialer:
    """An organization's, which may connect to this machine."""
    return Dialer([], Policy(allowed=LOOPBACK))


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def listening(authority: trustme.CA) -> ssl.SSLContext:
    """The context of a server that is called localhost."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    return context


@pytest.fixture
def ca(authority: trustme.CA) -> str:
    """The authority's certificate, as PEM."""
    return authority.cert_pem.bytes().decode()
