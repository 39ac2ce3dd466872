"""Writes audit events to a collector: syslog (RFC 5424) over TLS (RFC 5425).

A collector does not confirm what it took, so after a lost connection the last batches (two at the most) come again.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import fcntl
import ssl
import termios
from typing import cast
from urllib.parse import urlsplit

from hilum import __version__
from hilum.engine.audit_form import Sealed, written
from hilum.formats import syslog
from hilum.model.organization import AuditFeed
from hilum.sdk.contracts import Dialer
from hilum.store import Store, audit, feeds

BATCH = 200
_DRAIN = 30.0  # seconds that a collector may take to read a batch
_SEQUENCE = 2_147_483_648  # sequenceId begins anew here, RFC 5424 7.3.1


class SyslogCarrier:
    """One feed's. `host` names this hub to the collector."""

    def __init__(self, store: Store, dialer: Dialer, host: str, organization: int, wanted: AuditFeed) -> None:
        self._store = store
        self._dialer = dialer
        self._host = host
        self._organization = organization
        self._wanted = wanted
        self._writer: _Line | None = None

    async def send(self) -> None:
        """Everything that is there. What was written before a connection broke is written again on the next one."""
        place = self._organization, self._wanted.name
        sent, confirmed = await self._store.read(feeds.position, *place)
        if self._writer is None or self._writer.is_closed:
            await self.close()
            sent = confirmed
        while rows := await self._store.read(audit.after, self._organization, sent, BATCH):
            if self._writer is None:
                self._writer = await self._connect()
            await self._writer.write(b"".join(map(self._frame, rows)))
            confirmed, sent = sent, rows[-1][0]
            await self._store.write(feeds.advance, *place, sent, confirmed)

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    async def _connect(self) -> _Line:
        address = urlsplit(self._wanted.url)
        try:
            context = ssl.create_default_context(cadata=self._wanted.authority or None)
        except ssl.SSLError:
            raise OSError("the authority's certificates cannot be read") from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        _, protocol = await self._dialer.connect(_Line, address.hostname or "", address.port or 6514, tls=context)
        assert isinstance(protocol, _Line)  # noqa: S101 - what was asked for
        return protocol

    def _frame(self, one: Sealed) -> bytes:
        position, event = one
        severity = syslog.NOTICE if event["outcome"] == "success" else syslog.WARNING
        data = {
            "meta": {"sequenceId": str(position % _SEQUENCE)},
            "origin": {"software": "Hilum", "swVersion": __version__},
        }
        form = self._wanted.format
        message = syslog.Message(
            severity, str(event["time"]), self._host, "hilum", str(event["action"]), written(form, one), data,
            marked=form != "cef",
        )  # fmt: skip
        return syslog.frame(message.encode())


class _Line(asyncio.Protocol):
    """A connection that is only written to, and waits where the collector reads slowly."""

    def __init__(self) -> None:
        self._room = asyncio.Event()
        self._room.set()
        self._transport: asyncio.Transport | None = None
        self.is_closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        # so that room means: all of it is the kernel's; with a limit of 0 uvloop's TLS may stay paused for ever
        self._transport.set_write_buffer_limits(high=1, low=0)

    def connection_lost(self, error: Exception | None) -> None:
        self.is_closed = True
        self._room.set()

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    async def write(self, content: bytes) -> None:
        """Raises ConnectionError, TimeoutError."""
        self._open().write(content)
        async with asyncio.timeout(_DRAIN):
            await self._room.wait()
            while self._unread():  # noqa: ASYNC110 - the kernel tells nobody
                await asyncio.sleep(0.01)
        self._open()

    def _open(self) -> asyncio.Transport:
        if self.is_closed or self._transport is None:
            raise ConnectionResetError("the collector closed the connection")
        return self._transport

    def _unread(self) -> int:
        """Bytes that the collector's machine has not taken yet; 0 where the system does not tell."""
        socket, left = self._open().get_extra_info("socket"), array.array("i", [0])
        if socket is None:  # it broke, and the loop has not told yet
            raise ConnectionResetError("the connection broke")
        with contextlib.suppress(OSError):
            fcntl.ioctl(socket.fileno(), termios.TIOCOUTQ, left)
        return left[0]

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
