"""Serves an app inside the running loop, on TCP or on a unix socket that only its owner may open."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from hilum import telemetry
from hilum.api.services import local_name
from hilum.errors import ConfigError

GRACE = 30  # seconds that requests in flight get to finish
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid (unix(7), SO_PEERCRED)
log = telemetry.logger("api")


class LocalProtocol(H11Protocol):
    """On a unix socket the peer's user stands where TCP has its address."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self.client = (local_name(_peer(transport)), 0)


class Server:
    """`address` is host:port (port 0: any free one) or the path of a unix socket."""

    def __init__(self, app: FastAPI, address: str | Path) -> None:
        self._app = app
        self._address = address
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
            http=LocalProtocol if local else "auto",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE,
        )
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
