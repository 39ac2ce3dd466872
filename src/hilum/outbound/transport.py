"""An httpx transport whose connections go to addresses that the egress decision has seen."""

from __future__ import annotations

import asyncio
import importlib.util
import ssl
import sys
from collections.abc import Iterable
from typing import Any

import httpcore
import httpx

from hilum.errors import Refused
from hilum.outbound.guard import Guard
from hilum.sdk import stopwatch

if importlib.util.find_spec("sniffio") is None:  # else httpcore looks for it on the disk at every lock: 0.2 ms each
    sys.modules["sniffio"] = None  # type: ignore[assignment]  # how Python remembers that a module is not there


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Connects to the first address of the guard's that answers."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            with stopwatch.lap("dns"):
                addresses = await self._guard.addresses(host, port)
        except (Refused, OSError) as error:
            raise httpcore.ConnectError(str(error)) from error
        last: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in addresses:
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last = error
        raise last

    async def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        raise httpcore.ConnectError("local sockets are not partners")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class GuardedTransport(httpx.AsyncHTTPTransport):
    """httpx's own transport over a pool that connects through the guard. Environment proxies are not used."""

    def __init__(self, guard: Guard, tls: ssl.SSLContext | None = None) -> None:
        context = tls or ssl.create_default_context()
        super().__init__(verify=context, retries=0, trust_env=False)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=100,
            max_keepalive_connections=20,
            keepalive_expiry=30,
            http1=True,
            retries=0,
            network_backend=GuardedBackend(guard),
        )
