"""Serves an app inside the running loop, on TCP, plain or TLS, or on a unix socket that only its owner may open."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import socket
import ssl
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.auto import AutoHTTPProtocol
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from hilum import telemetry
from hilum.api.joined import Joined
from hilum.api.services import local_name
from hilum.errors import ConfigError

GRACE = 30  # seconds that requests in flight get to finish
BEAT = 20.0
LONGEST = 16 << 10  # bytes of what a client says on a WebSocket; a longer one is closed with 1009
FAREWELL = 5.0  # seconds that it has for the closing handshake
TOO_SLOW = 4_408  # its close code
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid (unix(7), SO_PEERCRED)
log = telemetry.logger("api")


class Handshake:
    """What asks for a WebSocket in a way that is none is a request like any other: its route says what is wrong."""

    scope: Any
    headers: Any

    def _should_upgrade_to_ws(self) -> bool:
        given = dict(self.headers)
        key, version = given.get(b"sec-websocket-key", b""), given.get(b"sec-websocket-version")
        with contextlib.suppress(ValueError):
            sound = len(base64.b64decode(key, validate=True)) == 16
            return sound and version == b"13" and self.scope["method"] == "GET"
        return False

    def _unsupported_upgrade_warning(self) -> None:
        """Nothing that an operator could do anything about."""


class Protocol(Handshake, AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # whichever uvicorn found
    """HTTP on TCP."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self.transport = Joined(transport, self.loop)


class LocalProtocol(Handshake, H11Protocol):
    """On a unix socket the peer's user stands where TCP has its address."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self.client = (local_name(_peer(transport)), 0)


class SocketProtocol(WebSocketsSansIOProtocol):
    """WebSocket on TCP. What a peer does not read waits in the transport (64 KiB), then in `send`; not for ever."""

    async def send(self, message: Any) -> None:
        try:
            async with asyncio.timeout(self.ping_timeout):
                await self.writable.wait()
        except TimeoutError:
            self.conn.send_close(TOO_SLOW, "nothing was read")
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
            self._cut()
            raise ClientDisconnected from None
        await super().send(message)
        if message["type"] == "websocket.close":
            self._cut()
        elif message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True  # it ended, with an answer: nothing that uvicorn need complain of

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self._cut()

    def shutdown(self) -> None:
        super().shutdown()
        self._cut()

    def _cut(self) -> None:
        """Once there was time to say goodbye."""
        self.loop.call_later(FAREWELL, self.transport.abort)


class LocalSocketProtocol(SocketProtocol):
    """WebSocket on a unix socket."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.client = (local_name(_peer(transport)), 0)


class Server:
    """`address` is host:port (port 0: any free one) or the path of a unix socket. `tls`: nothing else is spoken.

    `beat`: seconds between a WebSocket's pings, until each must be answered, and that its peer may read nothing.
    """

    def __init__(
        self, app: FastAPI, address: str | Path, tls: ssl.SSLContext | None = None, *, beat: float = BEAT
    ) -> None:  # fmt: skip
        self._app = app
        self._beat = beat
        self._address = address
        self._tls = tls
        self._server: _Quiet | None = None
        self._serving: asyncio.Task[None] | None = None
        self.port = 0  # the TCP port, once started

    async def start(self) -> None:
        """Listen. Raises OSError where the address is taken, ConfigError where it is none."""
        local = isinstance(self._address, Path)
        listening = _unix(self._address) if isinstance(self._address, Path) else _tcp(self._address)
        self.port = 0 if local else listening.getsockname()[1]
        config = uvicorn.Config(
            self._app,
            http=LocalProtocol if local else Protocol,
            ws=LocalSocketProtocol if local else SocketProtocol,
            ws_max_size=LONGEST,
            ws_ping_interval=self._beat,
            ws_ping_timeout=self._beat,
            ws_per_message_deflate=False,  # what is told is short, and memory for each connection is not
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE,
        )
        config.load()
        config.ssl = self._tls  # a context of our own: uvicorn's takes files alone, once
        self._server = _Quiet(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listening]))
        while not self._server.started:
            if self._serving.done():
                listening.close()
                await self._serving
                raise OSError(f"cannot serve on {self._address}")
            await asyncio.sleep(0)
        log.info("http listens", address=str(self._address), port=self.port or None)

    async def stop(self) -> None:
        """Take nothing new, finish what is in flight. Safe to call when it does not run."""
        if self._server is None or self._serving is None:
            return
        self._server.should_exit = True
        await self._serving
        self._server = self._serving = None
        if isinstance(self._address, Path):
            self._address.unlink(missing_ok=True)


class _Quiet(uvicorn.Server):
    """Signals belong to the hub."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _tcp(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise ConfigError(f"{address!r} is no host:port", where="http")
    found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, bound = found[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(bound)
    except OSError as error:
        listening.close()
        raise OSError(f"cannot listen on {address}: {error.strerror}") from None
    return listening


def _unix(path: Path) -> socket.socket:
    """The folder's lock is ours, so a socket that is there was left by a hub that is gone."""
    if path.is_socket():
        path.unlink()
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _private():
            listening.bind(str(path))
    except OSError as error:
        listening.close()
        raise OSError(f"cannot listen on {path}: {error.strerror or error}") from None
    return listening


@contextlib.contextmanager
def _private() -> Iterator[None]:
    """Files made meanwhile have mode 0600 from the first moment."""
    before = os.umask(0o177)
    try:
        yield
    finally:
        os.umask(before)


def _peer(transport: Any) -> int:
    """The user at the other end where the kernel tells, else our own: the socket lets nobody else in."""
    if not hasattr(socket, "SO_PEERCRED"):
        return os.geteuid()
    told = transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(told)
    return int(uid)
