"""An authorization server of our own, a process's tokens, and a dialer that goes to it."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from hilum.outbound.dialer import Dialer
from hilum.outbound.tokens import Tokens
from hilum.sdk.testing.oauth2 import AuthorizationServer, Client, authorization_server
from hilum.security.egress import LOOPBACK, Policy

Open = Callable[..., Awaitable[AuthorizationServer]]


@pytest.fixture
async def open_server() -> AsyncIterator[Open]:
    """Opens one on the loopback; `tls` is its context."""
    async with contextlib.AsyncExitStack() as stack:

        async def open_one(tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> AuthorizationServer:
            return await stack.enter_async_context(authorization_server(tls, host))

        yield open_one


@pytest.fixture
async def server(open_server: Open) -> AuthorizationServer:
    """One without TLS."""
    return await open_server()


@pytest.fixture
async def tokens() -> AsyncIterator[Tokens]:
    """A process's tokens."""
    found = Tokens()
    yield found
    await found.close()


@pytest.fixture
def dialer(tokens: Tokens) -> Dialer:
    """An organization's, which may connect to this machine."""
    return Dialer([], Policy(allowed=LOOPBACK), organization="demo", tokens=tokens)


@pytest.fixture
def client() -> type[Client]:
    """Makes one that a server knows."""
    return Client
