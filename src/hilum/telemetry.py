"""Logs, metrics and the mask. Logs are JSON lines on stdout and hold ids and reasons, never payloads.

Secrets do not get there on purpose. Should one all the same, in an exception's text or a URL, the mask takes it out:
by the name of its field, by how it looks, and by its value while it is in use (`secrets`).
"""

from __future__ import annotations

import base64
import bisect
import contextlib
import functools
import json
import logging
import logging.handlers
import sys
import threading
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any
from urllib.parse import quote, quote_plus

import re2  # type: ignore[import-untyped]  # it ships no types
import structlog

MASK = "***"
SHORTEST = 6
"""Characters that a value must have to be looked for: a shorter one would take half of every text with it."""


class Latency:
    """Counts by bucket (upper bounds in seconds), cheap enough for every message."""

    BOUNDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)

    def __init__(self) -> None:
        self.counts = [0] * (len(self.BOUNDS) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect.bisect_left(self.BOUNDS, seconds)] += 1
        self.sum += seconds


class Secrets:
    """Values that may stand in no text that leaves the hub. Bounded: the oldest go when there are too many."""

    MOST = 2_048
    FEW = 64  # forms that are looked for one by one: what finds thousands at once takes a tenth of a second to make

    def __init__(self) -> None:
        self._values: dict[str, tuple[str, ...]] = {}
        self._forms: tuple[str, ...] = ()  # of all of them, the longest first
        self._finder: tuple[Any, tuple[str, ...]] = None, ()  # what finds most of them in one go, and the others
        self._lock = threading.Lock()

    def add(self, value: str | bytes) -> None:
        """Look for a value from now on, as it is and encoded. One of less than SHORTEST characters is not."""
        text = _text(value)
        if len(text) < SHORTEST or (text in self._values and len(self._values) < self.MOST // 2):
            return
        with self._lock:
            known = self._values.pop(text, ())  # put last again: it is in use
            self._values[text] = known or tuple(dict.fromkeys(_forms(text)))
            while len(self._values) > self.MOST:
                del self._values[next(iter(self._values))]
            if not known:
                self._collect()
                several, others = self._finder
                others += self._values[text]
                self._finder = (several, others) if several and len(others) <= self.FEW else (None, ())

    def remove(self, value: str | bytes) -> None:
        """It is nobody's secret any more."""
        with self._lock:
            if self._values.pop(_text(value), None):
                self._collect()

    def mask(self, text: str) -> str:
        """`text` without any of them. One that holds none costs microseconds, however many there are."""
        forms = self._forms
        if not forms or not self._found(text):
            return text
        for form in forms:
            if form in text:
                text = text.replace(form, MASK)
        return text

    def _found(self, text: str) -> bool:
        several, others = self._finder
        if several is None:
            with self._lock:
                options = re2.Options()
                options.max_mem, options.log_errors = 256 << 20, False  # a bound; thousands take some 50 MB
                several, others = re2.compile("|".join(map(re2.escape, self._forms)) or "a^", options), ()
                self._finder = several, others
                re2.purge()  # it keeps the last 128 that were made, and each of these is as large
        return any(one in text for one in others) or several.search(text) is not None

    def _collect(self) -> None:
        every = {form for forms in self._values.values() for form in forms}
        self._forms = tuple(sorted(every, key=len, reverse=True))

    @contextlib.contextmanager
    def forgotten(self) -> Iterator[None]:
        """What is added within is nobody's secret afterwards: for tests, whose words would be masked by others'."""
        before = dict(self._values)
        try:
            yield
        finally:
            with self._lock:
                if self._values != before:
                    self._values, self._finder = before, (None, ())
                    self._collect()


secrets = Secrets()
"""The process's own. Whoever opens a secret adds it."""


def _text(value: str | bytes) -> str:
    """Without halves of characters, which cannot be encoded."""
    raw = value if isinstance(value, bytes) else value.encode("utf-8", "replace")
    return raw.decode("utf-8", "replace")


def _forms(text: str) -> Iterator[str]:
    """A secret as it may stand in a text: plain, in a URL, in JSON, inside of base64 whatever stands around it."""
    yield text
    yield from (quote(text), quote(text, safe=""), quote_plus(text), json.dumps(text)[1:-1], repr(text)[1:-1])
    raw = text.encode()
    for before, skipped in ((0, 0), (1, 2), (2, 3)):  # its bytes may begin anywhere in a group of three
        encoded = base64.b64encode(b"\0" * before + raw).decode().rstrip("=")
        whole = encoded[skipped : (before + len(raw)) * 8 // 6]
        if len(whole) >= SHORTEST:
            yield whole
            yield whole.replace("+", "-").replace("/", "_")
    if "\n" in text:  # a key in PEM: each of its lines
        yield from (line for line in text.splitlines() if len(line) >= 24 and not line.startswith("-----"))


_NAMED = (
    "password", "passwd", "passphrase", "pwd", "secret", "secrets", "token", "tokens", "authorization", "apikey",
    "cookie", "privatekey", "signingkey", "recoverykey", "secretkey", "accesskey", "credentials", "assertion", "totp",
)  # fmt: skip
_LOOKS = tuple(
    (re2.compile(pattern), instead)  # linear in the text, whatever somebody writes: Python's own are not
    for pattern, instead in (
        (r"(?i)\b(bearer|basic|digest|negotiate)(\s+)(?:[\w.~+/=:-]{16,}|\S*\*{3}\S*)", rf"\1\2{MASK}"),
        (r"(?i)(://)[^/\s?#\"'@]*@", rf"\1{MASK}@"),
        (r"(?i)\b((?:set-)?cookie|(?:proxy-)?authorization)(\"?\s*[:=]\s*\"?)[^\r\n\"]+", rf"\1\2{MASK}"),
        (
            r"(?i)([\w-]*(?:password|passwd|passphrase|pwd|secret|token|api[_-]?key|private[_-]?key|signature|sig))"
            r"(=|\"\s*:\s*\"|'\s*:\s*')[^\s&\"',;#)]+",
            rf"\1\2{MASK}",
        ),
        (r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)", MASK),
        (r"\beyJ[\w-]{8,}\.[\w-]{4,}\.[\w-]*", MASK),
    )
)
_WORTH_LOOKING = re2.compile(
    r"(?i)://|bearer|basic|digest|negotiate|cookie|authorization|passw|passphrase|pwd|secret|token|api.?key"
    r"|private.?key|sig|eyJ"
)


def mask(text: str) -> str:
    """`text` without secrets: those that are known by value, and what looks like one."""
    text = secrets.mask(text if text.isascii() else _text(text))
    if _WORTH_LOOKING.search(text):
        for pattern, instead in _LOOKS:
            if pattern.search(text):  # many times cheaper than to replace nothing
                text = pattern.sub(instead, text)
    return text


@functools.lru_cache(maxsize=4_096)
def names_secret(field: str) -> bool:
    """Whether a field of this name holds a secret: password, x-api-key, clientSecret."""
    return "".join(filter(str.isalnum, field)).lower().endswith(_NAMED)


def masked(value: Any, field: str = "", depth: int = 8) -> Any:
    """`value` without secrets, at any depth down to a bound, beyond which nothing is shown."""
    if value is None or isinstance(value, bool):
        return value
    if names_secret(field):
        return MASK
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, int | float):
        return value
    if depth == 0:
        return MASK
    if isinstance(value, Mapping):
        return {key: masked(one, str(key), depth - 1) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [masked(one, "", depth - 1) for one in value]
    return mask(_text(value) if isinstance(value, bytes) else str(value))


def _masking(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The last of structlog's processors before a line is written."""
    for name, value in event.items():
        if not name.startswith("_"):  # structlog's own: the record that is about to be formatted
            event[name] = masked(value, name)
    return event


def logger(room: str) -> structlog.stdlib.BoundLogger:
    """The logger of a room."""
    found: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(room)
    return found


class Lines(structlog.stdlib.ProcessorFormatter):
    """JSON lines. A record that brings its `line` is one already: there are as many of the access log as requests."""

    def format(self, record: logging.LogRecord) -> str:
        ready: str | None = getattr(record, "line", None)
        return super().format(record) if ready is None else ready


def configure(*, level: str = "info", file: str | None = None, pretty: bool = False) -> None:
    """Log to stdout (JSON lines, or for people where `pretty`), and to a rotating `file` as well if given."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _masking,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    lines = Lines(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer()],
    )
    people = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty()),
        ],
    )
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stdout)]
    handlers[0].setFormatter(people if pretty else lines)
    if file:
        handlers.append(logging.handlers.RotatingFileHandler(file, maxBytes=50_000_000, backupCount=10))
        handlers[-1].setFormatter(lines)
    logging.basicConfig(level=level.upper(), handlers=handlers, force=True)
    for noisy in ("httpx", "httpcore", "uvicorn.access", "asyncio", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
