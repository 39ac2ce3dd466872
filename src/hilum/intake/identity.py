"""What a message is known by: its type, its control id, and the keyed hashes under which it is found again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from hilum.errors import FormatError
from hilum.formats import hl7v2
from hilum.formats.synthetic import PROCESSING
from hilum.model.message import Message
from hilum.security.seal import KeyedHash

DEFAULT_SEARCH = {"hl7v2": {"patient": "PID-3[*].1"}}
_NAMED = ("identity", "digest")
"""Attributes by which `Inbox.seen` knows a message again."""


@dataclasses.dataclass(slots=True, eq=False)  # not frozen: made for each message
class Identity:
    """`dedupe` is 0 where the message cannot be recognised again (no MSH-10, or switched off)."""

    type: str
    control_id: str
    keys: tuple[int, ...]
    dedupe: int = 0
    message: hl7v2.Message | None = None  # as it was read for this, so that nobody reads it again
    synthetic: bool = False  # it says that it is a test's


def search_key(hash: KeyedHash, organization: int, kind: str, value: str) -> int:
    """The key under which `value` of `kind` is found. The lowest bit is clear: it is not for de-duplication."""
    return hash("search", _prefix(organization, kind) + value.encode(errors="surrogateescape")) & ~1


def _prefix(organization: int, kind: str) -> bytes:
    return f"{organization}|{kind}|".encode(errors="surrogateescape")


def file_key(hash: KeyedHash, endpoint: int, identity: str) -> int:
    """The key of a file's name, size and hash."""
    return hash("file", f"{endpoint}|{identity}".encode(errors="surrogateescape")) & ~1


class Identify:
    """Reads what the messages of one endpoint are known by."""

    def __init__(
        self, hash: KeyedHash, organization: int, endpoint: int, format: str, search: Mapping[str, str], dedupe: bool
    ) -> None:
        self._hash = hash
        self._endpoint = endpoint
        self.format = format
        paths = DEFAULT_SEARCH.get(format, {}) | dict(search)
        self._search = [
            (hash.prefixed("search", _prefix(organization, name)), hl7v2.Path.parse(path))
            for name, path in (paths.items() if format == "hl7v2" else ())
        ]
        self._control = hash.prefixed("search", _prefix(organization, "control"))
        self._sender = hash.prefixed("dedupe", b"%d|" % endpoint) if dedupe else None
        self._read: Callable[[bytes], Identity] = self._hl7v2 if format == "hl7v2" else _nothing

    def __call__(self, body: bytes, attributes: Mapping[str, str] | None = None) -> Identity:
        """Raises FormatError where the body cannot be read as what the endpoint receives."""
        found = self._read(body)
        named = [attributes[one] for one in _NAMED if attributes.get(one)] if attributes else []
        if named:
            keys = (file_key(self._hash, self._endpoint, one) for one in named)
            return dataclasses.replace(found, keys=(*found.keys, *keys))
        return found

    def again(self, message: Message) -> tuple[int, ...]:
        """The keys of a stored message, made anew after a crash of the index."""
        try:
            return self(message.body or b"", message.attributes).keys
        except FormatError:
            return ()

    def _hl7v2(self, body: bytes) -> Identity:
        message = hl7v2.Message.parse(body)
        header = message.header
        keys = []
        for hashed, path in self._search:
            for value in set(message.get_all(path)):
                if value and isinstance(value, str):
                    keys.append(hashed(value.encode(errors="surrogateescape")) & ~1)
        dedupe = 0
        text = header[10].decode("utf-8", "replace")
        if text:
            keys.append(self._control(text.encode()) & ~1)
            if self._sender is not None:
                dedupe = self._sender(b"%b|%b|%b" % (header[3], header[4], header[10])) | 1
                keys.append(dedupe)
        kind = header[9].decode("utf-8", "replace")
        if message.delimiters.component != b"^":
            kind = kind.replace(message.delimiters.component.decode("latin-1"), "^")
        processing = header[11]
        synthetic = processing != b"P" and processing.partition(message.delimiters.component)[0] in PROCESSING
        return Identity(kind, text, tuple(keys), dedupe, message, synthetic)


def _nothing(body: bytes) -> Identity:
    return Identity("", "", ())
