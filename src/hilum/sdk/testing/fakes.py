"""Fakes of what the hub gives to a plug-in: an inbox in memory, and dialers that allow all or nothing."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import random
import socket
import ssl
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import httpx

from hilum.errors import ConfigError, Refused, StoreError
from hilum.model.message import Ack, Disposition
from hilum.sdk.authentication import Kind, OAuth2
from hilum.sdk.contracts import Receipt


@dataclasses.dataclass(frozen=True, slots=True)
class Received:
    """What a source handed over; `reason` is set where it was a reject."""

    body: bytes
    attributes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    reason: str = ""


class MemoryInbox:
    """An Inbox that keeps everything and does as it is told: holds its commits, fails, judges differently."""

    def __init__(self) -> None:
        self.offered: list[Received] = []  # every call, at once
        self.stored: list[Received] = []  # what was committed
        self.disposition = Disposition.DELIVERING  # of whatever is received next
        self.code = Ack.AA
        self._offer = asyncio.Event()
        self._failures = 0
        self._held: list[Callable[[], None]] | None = None
        self._identities: set[str] = set()

    @property
    def bodies(self) -> list[bytes]:
        """The committed bodies that were received, without rejects."""
        return [item.body for item in self.stored if not item.reason]

    def hold(self) -> None:
        """Commit nothing until `release`: futures stay unresolved."""
        self._held = []

    def release(self) -> None:
        held, self._held = self._held, None
        for settle in held or ():
            settle()

    def fail(self, times: int = 1) -> None:
        """The next `times` calls store nothing: their futures raise StoreError."""
        self._failures = times

    def receive(
        self, body: bytes, attributes: Mapping[str, str] | None = None, *, wait: float | None = None
    ) -> asyncio.Future[Receipt]:
        return self._take(Received(body, dict(attributes or {})), self.disposition, self.code)

    def reject(self, body: bytes, reason: str, attributes: Mapping[str, str] | None = None) -> asyncio.Future[Receipt]:
        return self._take(Received(body, dict(attributes or {}), reason), Disposition.ERROR, Ack.AR)

    async def seen(self, identity: str) -> bool:
        return identity in self._identities

    async def until(self, count: int, *, seconds: float = 10.0) -> None:
        """Wait until `count` calls were made. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while len(self.offered) < count:
                self._offer.clear()
                await self._offer.wait()

    def _take(self, item: Received, disposition: Disposition, code: Ack) -> asyncio.Future[Receipt]:
        future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self.offered.append(item)
        self._offer.set()
        number = len(self.offered)
        failing = self._failures > 0
        self._failures -= failing

        def settle() -> None:
            if not failing:
                self.stored.append(item)
                self._identities |= {item.attributes[one] for one in ("identity", "digest") if one in item.attributes}
            if future.done():  # whoever waited was cancelled
                return
            if failing:
                future.set_exception(StoreError("the test said so"))
            else:
                receipt = Receipt(str(uuid.UUID(int=number)), code, disposition, note=item.reason)
                future.set_result(receipt)

        if self._held is None:
            settle()
        else:
            self._held.append(settle)
        return future


class DirectDialer:
    """A Dialer that allows every address, and every folder inside `roots`."""

    def __init__(self, *roots: Path) -> None:
        self.roots = [root.resolve() for root in roots]

    async def connect(
        self,
        protocol: Callable[[], asyncio.Protocol],
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        timeout: float = 10.0,  # noqa: ASYNC109 - part of the contract: connecting has its own limit
        server_name: str | None = None,
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        async with asyncio.timeout(timeout):
            return await asyncio.get_running_loop().create_connection(
                protocol, host, port, ssl=tls, server_hostname=(server_name or host) if tls else None
            )

    def transport(self, *, tls: ssl.SSLContext | None = None, authentication: Kind | None = None) -> Any:
        """Everything but OAuth 2, whose tokens take the hub's own dialer."""
        if authentication is None:
            return httpx.AsyncHTTPTransport(verify=tls or False, trust_env=False)
        if isinstance(authentication, OAuth2):
            raise ConfigError("this dialer has no tokens", where="authentication")
        authentication.check()
        context = tls or ssl.create_default_context()
        authentication.present(context)
        return _SigningTransport(httpx.AsyncHTTPTransport(verify=context, trust_env=False), authentication)

    def directory(self, path: str) -> Path:
        found = Path(path).resolve()
        if not any(found.is_relative_to(root) for root in self.roots):
            raise Refused(f"{path} is in no allowed folder")
        return found


class RefusingDialer(DirectDialer):
    """A Dialer whose policy forbids everything."""

    async def connect(self, *_: Any, **__: Any) -> NoReturn:
        raise Refused("the test's policy forbids every address")

    def transport(self, **_: Any) -> Any:
        return _RefusingTransport()

    def directory(self, path: str) -> NoReturn:
        raise Refused("the test's policy forbids every folder")


class _SigningTransport(httpx.AsyncBaseTransport):
    def __init__(self, inner: httpx.AsyncBaseTransport, authentication: Kind) -> None:
        self._inner, self._authentication = inner, authentication

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._authentication.sign(request)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


class _RefusingTransport(httpx.AsyncBaseTransport):
    async def handle_async_request(self, request: httpx.Request) -> NoReturn:
        raise Refused("the test's policy forbids every address")


def free_port() -> int:
    """A port of the loopback that nobody listens on just now, and that nobody else here is given.

    Below the ephemeral range: up there a client that knocks at a closed port may meet itself, or somebody's
    server on port 0. Workers have ranges of their own, and so, mostly, have test runs beside each other.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    first = 20_000 + (int(worker) if worker else os.getpid()) % 10 * 1_000
    if len(_GIVEN) > 900:
        _GIVEN.clear()
    while True:
        port = _CHANCE.randrange(first, first + 1_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if port not in _GIVEN:
                _GIVEN.add(port)
                return port


_GIVEN: set[int] = set()  # one that was given is not always bound yet
_CHANCE = random.SystemRandom()  # not pytest-randomly's, which is the same in every worker
