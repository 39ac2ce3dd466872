"""What a message is known by: its type, its control id, and the keyed hashes under which it is found again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from hilum.errors import FormatError
from hilum.formats import hl7v2
from hilum.model.message import Message
from hilum.security.seal import KeyedHash

DEFAULT_SEARCH = {"hl7v2": {"patient": "PID-3[*].1"}}


@dataclasses.dataclass(frozen=True, slots=True)
class Identity:
    """`dedupe` is 0 where the message cannot be recognised again (no MSH-10, or switched off)."""

    type: str
    control_id: str
    keys: tuple[int, ...]
    dedupe: int = 0
    message: hl7v2.Message | None = None  # as it was read for this, so that nobody reads it again


def search_key(hash: KeyedHash, organization: int, kind: str, value: str) -> int:
    """The key under which `value` of `kind` is found. The lowest bit is clear: it is not for de-duplication."""
    return hash("search", f"{organization}|{kind}|{value}".encode(errors="surrogateescape")) & ~1


def file_key(hash: KeyedHash, endpoint: int, identity: str) -> int:
    """The key of a file's name, size and hash."""
    return hash("file", f"{endpoint}|{identity}".encode(errors="surrogateescape")) & ~1


class Identify:
    """Reads what the messages of one endpoint are known by."""

    def __init__(
        self, hash: KeyedHash, organization: int, endpoint: int, format: str, search: Mapping[str, str], dedupe: bool
    ) -> None:
        self._hash = hash
        self._organization = organization
        self._endpoint = endpoint
        self.format = format
        paths = DEFAULT_SEARCH.get(format, {}) | dict(search)
        self._search = [(name, hl7v2.Path.parse(path)) for name, path in paths.items()] if format == "hl7v2" else []
        self._dedupe = dedupe
        self._read: Callable[[bytes], Identity] = self._hl7v2 if format == "hl7v2" else _nothing

    def __call__(self, body: bytes, attributes: Mapping[str, str] | None = None) -> Identity:
        """Raises FormatError where the body cannot be read as what the endpoint receives."""
        found = self._read(body)
        if attributes and (identity := attributes.get("identity")):
            key = file_key(self._hash, self._endpoint, identity)
            return dataclasses.replace(found, keys=(*found.keys, key))
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
        for name, path in self._search:
            for value in {one for one in message.get_all(path) if isinstance(one, str) and one}:
                keys.append(search_key(self._hash, self._organization, name, value))
        dedupe = 0
        control = header[10]
        if control:
            text = control.decode("utf-8", "replace")
            keys.append(search_key(self._hash, self._organization, "control", text))
            if self._dedupe:
                sender = b"%d|%s|%s|%s" % (self._endpoint, header[3], header[4], control)
                dedupe = self._hash("dedupe", sender) | 1
                keys.append(dedupe)
        kind = header[9].decode("utf-8", "replace")
        if message.delimiters.component != b"^":
            kind = kind.replace(message.delimiters.component.decode("latin-1"), "^")
        return Identity(kind, control.decode("utf-8", "replace"), tuple(keys), dedupe, message)


def _nothing(body: bytes) -> Identity:
    return Identity("", "", ())
