"""The general acknowledgment (HL7 v2 chapter 2, "ACK"), joined from the fields of the message it answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache, partial

from hilum.formats.hl7v2.delimiters import Delimiters, read_delimiters
from hilum.formats.hl7v2.escape import escape
from hilum.formats.hl7v2.path import parse_path

CONDITIONS = {
    "0": "Message accepted",
    "100": "Segment sequence error",
    "101": "Required field missing",
    "102": "Data type error",
    "103": "Table value not found",
    "104": "Value too long",
    "198": "Non-conformant cardinality",
    "199": "Other HL7 error",
    "200": "Unsupported message type",
    "201": "Unsupported event code",
    "202": "Unsupported processing id",
    "203": "Unsupported version id",
    "204": "Unknown key identifier",
    "205": "Duplicate key identifier",
    "206": "Application record locked",
    "207": "Application internal error",
}
"""Table 0357, message error condition codes."""


@dataclasses.dataclass(frozen=True, slots=True)
class AckError:
    """What one ERR says: a `code` of table 0357, a `severity` of table 0516 (E, W, I, F), a path, a text."""

    code: str
    severity: str = "E"
    location: str | None = None
    text: str = ""


def build_ack(
    header: Sequence[bytes],
    delimiters: Delimiters,
    codec: str,
    code: str,
    text: str | None,
    errors: Iterable[AckError],
    control_id: str,
    timestamp: str,
) -> bytes:
    """The acknowledgment of the message whose MSH fields are `header`, by number and at least up to MSH-18.

    It goes back to where the message came from, in its delimiters, character set, version and processing
    id; MSA-2 is MSH-10 byte for byte. Errors are ERR segments since 2.5, repetitions of ERR-1 before.
    A character that the character set lacks becomes `?`, a delimiter that cannot be escaped a space.
    Raises ValueError for a location that is no path.
    """
    separator = delimiters.field
    before, after = _around(separator, *header[2:7], header[9], *header[11:13], header[18], codec, timestamp)
    msa = [b"MSA", _put(code, delimiters, codec), header[10]]
    if text:
        msa.append(_put(text, delimiters, codec))
    segments = [b"%b%b%b" % (before, _put(control_id, delimiters, codec), after), separator.join(msa)]
    if errors:
        put = partial(_put, delimiters=delimiters, codec=codec)
        version = header[12].partition(delimiters.component)[0]
        old = b"2.1" <= version < b"2.5"
        segments += _old_errors(errors, version, delimiters, put) if old else _errors(errors, delimiters, put)
    segments.append(b"")
    return b"\r".join(segments)


@lru_cache(maxsize=256)
def _around(
    separator: bytes, encoding: bytes, application: bytes, facility: bytes, receiver: bytes, place: bytes,
    kind: bytes, processing: bytes, version: bytes, charset: bytes, codec: str, timestamp: str,
) -> tuple[bytes, bytes]:  # fmt: skip
    """MSH before and after MSH-10: the same for all that a sender sends within a second."""
    delimiters = read_delimiters(separator, encoding)
    answer = _type(kind, version.partition(delimiters.component)[0], delimiters)
    stamp = _put(timestamp, delimiters, codec)
    before = [b"MSH", encoding, receiver, place, application, facility, stamp, b"", answer, b""]
    after = [b"", processing, version]
    if charset:
        after += [b"", b"", b"", b"", b"", charset]
    return separator.join(before), separator.join(after)


def _put(value: str, delimiters: Delimiters, codec: str) -> bytes:
    raw = value.encode(codec, "replace")
    if delimiters.escape:
        return escape(raw, delimiters)
    return delimiters.special.sub(b" ", raw)


def _type(received: bytes, version: bytes, delimiters: Delimiters) -> bytes:
    """MSH-9: `ACK^A01^ACK`, whose third component came with 2.3.1 and whose second with 2.3."""
    parts = received.split(delimiters.component)
    trigger = parts[1] if len(parts) > 1 else b""
    if not trigger or b"2.1" <= version < b"2.3":
        return b"ACK"
    return delimiters.component.join((b"ACK", trigger) if version == b"2.3" else (b"ACK", trigger, b"ACK"))


def _errors(errors: Iterable[AckError], delimiters: Delimiters, put: Callable[[str], bytes]) -> Iterator[bytes]:
    """ERR since 2.5: ERR-2 location, ERR-3 code, ERR-4 severity, ERR-8 user message."""
    for error in errors:
        location = delimiters.component.join(map(str.encode, _location(error.location)))
        meaning = (error.code, CONDITIONS.get(error.code, ""), "HL70357")
        code = delimiters.component.join(map(put, meaning))
        fields = [b"ERR", b"", location, code, put(error.severity)]
        if error.text:
            fields += [b"", b"", b"", put(error.text)]
        yield delimiters.field.join(fields)


def _old_errors(
    errors: Iterable[AckError], version: bytes, delimiters: Delimiters, put: Callable[[str], bytes]
) -> Iterator[bytes]:
    """ERR before 2.5: ERR-1 repeats segment^sequence^field^code; the code has subcomponents since 2.3."""
    found = []
    for error in errors:
        meaning = [error.code, CONDITIONS.get(error.code, ""), "HL70357"]
        parts = meaning[:1] if version < b"2.3" or not delimiters.subcomponent else meaning
        code = delimiters.subcomponent.join(map(put, parts))
        place = [*_location(error.location)[:3], "", "", ""][:3]
        found.append(delimiters.component.join([*map(str.encode, place), code]))
    if not delimiters.repetition:
        del found[1:]
    if found:
        yield delimiters.field.join((b"ERR", delimiters.repetition.join(found)))


def _location(location: str | None) -> list[str]:
    """ERL of a path: segment, its index, field, repetition, component, subcomponent, as far as given."""
    if not location:
        return []
    path = parse_path(location)
    index = 1 if path.index == "*" else path.index
    found: list[int | None] = [index, path.field]
    if not path.whole:
        found += [path.nth or 1, path.component, path.subcomponent]
    return [path.segment, *(str(number) for number in found if number is not None)]
