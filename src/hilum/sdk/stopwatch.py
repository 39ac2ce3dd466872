"""Measures where the time of a call goes, and keeps what went over the wire, without secrets.

httpcore tells most of it (its trace extension), `outbound` and the connector the rest.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hilum import clock
from hilum.sdk import trace
from hilum.sdk.faults import Timings
from hilum.sdk.trace import Trace

_PARTS = {
    "connection.connect_tcp": "connect",
    "connection.start_tls": "tls",
    "http11.receive_response_headers": "first_byte",
}
_NO_ANSWER: tuple[None, bytes, tuple[()]] = (None, b"", ())
_current: contextvars.ContextVar[Stopwatch | None] = contextvars.ContextVar("stopwatch", default=None)


class Stopwatch:
    """One call. `sent`: its body was begun, so that the partner may have taken it."""

    def __init__(self) -> None:
        self.sent = False
        self._from = clock.monotonic()
        self._begun: dict[str, float] = {}
        self._took: dict[str, float] = {}
        self._asked: tuple[str, str, Iterable[tuple[str, str]]] | None = None
        self._answered: tuple[int | None, bytes, Iterable[tuple[bytes, bytes]]] = _NO_ANSWER

    def asks(self, method: str, url: str, said: Mapping[str, str]) -> None:
        """What is about to be sent; what shows who we are comes to it on the way."""
        self._asked, self._answered = (method, url, said.items()), _NO_ANSWER

    def told(self, body: bytes = b"") -> Trace | None:
        """What was asked and answered so far. `body`: of the answer, whose beginning is shown."""
        if self._asked is None:
            return None
        method, url, said = self._asked
        status, reason, answered = self._answered
        return Trace(
            method, trace.of_url(url), trace.of_headers(said), status, trace.beginning(reason),
            trace.of_headers(_read(answered)), trace.beginning(body),
        )  # fmt: skip

    def begin(self, part: str) -> None:
        self._begun[part] = clock.monotonic()
        self._took.pop(part, None)

    def end(self, part: str) -> None:
        if part in self._begun:
            self._took[part] = (clock.monotonic() - self._begun[part]) * 1000

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """For a request's extension `trace`."""
        name, _, state = event.rpartition(".")
        if name == "http11.send_request_body" and state == "started":
            self.sent = True
        elif (part := _PARTS.get(name)) is not None and state in ("started", "complete"):
            (self.begin if state == "started" else self.end)(part)
        if self._asked is not None and event == "http11.send_request_headers.started":
            self._asked, self._answered = (*self._asked[:2], _read(info["request"].headers)), _NO_ANSWER
        elif event == "http11.receive_response_headers.complete":
            _, status, reason, answered = info["return_value"][:4]
            self._answered = (status, reason, answered)

    def timings(self) -> Timings:
        """Up to now. Looking up the name is no part of connecting."""
        dns, connect = self._took.get("dns"), self._took.get("connect")
        if connect is not None and dns is not None:
            connect = max(0.0, connect - dns)
        total = (clock.monotonic() - self._from) * 1000
        return Timings(total, dns, connect, self._took.get("tls"), self._took.get("first_byte"))

    @contextlib.contextmanager
    def running(self) -> Iterator[Stopwatch]:
        """What this task does inside is measured by this one."""
        token = _current.set(self)
        try:
            yield self
        finally:
            _current.reset(token)


@contextlib.contextmanager
def lap(part: str) -> Iterator[None]:
    """A part of the call that is being measured, if one is."""
    watch = _current.get()
    if watch is None:
        yield
        return
    watch.begin(part)
    try:
        yield
    finally:
        watch.end(part)


def stopped() -> None:
    """What this task does from here on is part of nobody's call."""
    _current.set(None)


def _read(given: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    return [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in given]
