"""The cards of a transport file: headers of 80 bytes, and a NAMESTR for each variable.

All integers are big-endian. Source: SAS TS-140 and TS-140-2, "Record layout".
"""

from __future__ import annotations

import dataclasses
import datetime
import struct
from collections.abc import Iterable, Sequence
from typing import BinaryIO

from hilum.errors import FormatError
from hilum.formats.xpt import sas_format
from hilum.formats.xpt.sas_format import SasFormat

CARD = 80
LABEL = 40  # bytes of a label in a NAMESTR and of a data set's label
FORMAT = 8  # bytes of a format's name in a NAMESTR
NUMBER, TEXT = 1, 2

_HEAD = b"HEADER RECORD*******%-8sHEADER RECORD!!!!!!!"
_ZEROS = b"0" * 30
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_NAMESTR = struct.Struct(">hhHH8s40s8sHHH2x8sHHI")  # what both versions have
_LONG = struct.Struct(">32sHHH14x")  # what version 8 has in the rest of it
_SIZES = {b"0140": 140, b"0136": 136}
_ANNOUNCED = {b"LABELV8": struct.Struct(">HHH"), b"LABELV9": struct.Struct(">HHHHH")}


@dataclasses.dataclass(frozen=True, slots=True)
class Version:
    """What differs: the words of the headers, how long a name, a label and a text may be, in bytes."""

    number: int
    library: bytes
    member: bytes
    descriptor: bytes
    namestr: bytes
    rows: bytes
    name: int
    label: int
    text: int

    def starts(self, word: bytes) -> bytes:
        return _HEAD % word


V5 = Version(5, b"LIBRARY", b"MEMBER", b"DSCRPTR", b"NAMESTR", b"OBS", 8, 40, 200)
V8 = Version(8, b"LIBV8", b"MEMBV8", b"DSCPTV8", b"NAMSTV8", b"OBSV8", 32, 256, 32_767)


@dataclasses.dataclass(frozen=True, slots=True)
class Namestr:
    """One variable. `kind` is NUMBER or TEXT, `justify` 1 where it is shown on the right."""

    kind: int
    length: int
    number: int
    name: bytes
    label: bytes
    format: SasFormat
    informat: SasFormat
    justify: int
    position: int


@dataclasses.dataclass(frozen=True, slots=True)
class Member:
    """One data set: its header. `rows` is their count where version 8 tells it; `start` is the first one's place."""

    version: Version
    name: bytes
    label: bytes
    type: bytes
    sas: bytes
    platform: bytes
    created: bytes
    modified: bytes
    variables: tuple[Namestr, ...]
    rows: int | None = None
    start: int = 0

    @property
    def width(self) -> int:
        """Bytes of a row."""
        return sum(one.length for one in self.variables)


def stamp(moment: datetime.datetime) -> bytes:
    """As SAS's DATETIME16. shows it, in English whatever the locale is."""
    return f"{moment.day:02}{_MONTHS[moment.month - 1]}{moment:%y:%H:%M:%S}".encode("ascii")


def read_library(file: BinaryIO) -> Version:
    """The version of the file. Raises FormatError where it is no transport file."""
    first = file.read(CARD)
    for version in (V5, V8):
        if first.startswith(version.starts(version.library)):
            _cards(file, 2)
            return version
    if first.startswith(b"**COMPRESSED**"):
        raise FormatError("a transport file of PROC CPORT, which only SAS reads; make one with the XPORT engine")
    raise FormatError("no SAS transport file: it does not begin with a LIBRARY header record")


def read_member(file: BinaryIO, version: Version) -> Member | None:
    """The next data set's header, None at the end. Raises FormatError."""
    first = file.read(CARD)
    if not first.strip(b" \0"):
        return None
    size = _SIZES.get(_expect(first, version, version.member)[26:30])
    if size is None:
        raise FormatError("NAMESTRs have 140 bytes, or 136", segment="MEMBER")
    _expect(file.read(CARD), version, version.descriptor)
    about, more = _cards(file, 1), _cards(file, 1)
    place = 8 + version.name
    names = _expect(file.read(CARD), version, version.namestr)
    count = _digits(names[4:10], "NAMESTR")
    block = _block(file, count * size)
    variables = [_namestr(block[at : at + size], version) for at in range(0, count * size, size)]
    card = file.read(CARD)
    while version is V8 and card[20:28].rstrip() in _ANNOUNCED:
        card = _read_long(file, card, variables)
    tail = _expect(card, version, version.rows)
    return Member(
        version, _text(about[8:place]), _text(more[32:72]), _text(more[72:80]), _text(about[place + 8 : place + 16]),
        _text(about[place + 16 : place + 24]), about[64:80], more[:16], tuple(variables),
        _rows(tail) if version is V8 else None, file.tell(),
    )  # fmt: skip


def library(version: Version, sas: bytes, platform: bytes, created: bytes) -> bytes:
    """The cards that a file begins with."""
    real = b"SAS     SAS     SASLIB  %-8s%-8s%24s%16s" % (sas, platform, b"", created)
    return _HEAD % version.library + _ZEROS + b"  " + real + b"%-80s" % created


def member(of: Member) -> bytes:
    """The cards before the rows."""
    version = of.version
    names = b"".join(_packed(one, version) for one in of.variables)
    filling = b"" if version is V8 else b" " * 24
    parts = [
        _HEAD % version.member + b"000000000000000001600000000140  ",
        _HEAD % version.descriptor + _ZEROS + b"  ",
        b"SAS     %-*sSASDATA %-8s%-8s%s%16s" % (version.name, of.name, of.sas, of.platform, filling, of.created),
        b"%16s%16s%-40s%-8s" % (of.modified, b"", of.label, of.type),
        _HEAD % version.namestr + b"0000%06d" % len(of.variables) + b"0" * 20 + b"  ",
        names + padding(len(names)),
    ]
    if version is V8:
        parts.append(_long(of.variables))
    count = b"%15d%17s" % (of.rows, b"") if of.rows is not None and version is V8 else _ZEROS + b"  "
    return b"".join([*parts, _HEAD % version.rows + count])


def size(of: Member, rows: int) -> int:
    """Bytes of a file with this data set alone."""
    before = len(library(of.version, b"", b"", b"")) + len(member(of))
    return before + rows * of.width + len(padding(rows * of.width))


def padding(size: int) -> bytes:
    """The blanks that fill up the last card."""
    return b" " * (-size % CARD)


def _cards(file: BinaryIO, count: int) -> bytes:
    data = file.read(count * CARD)
    if len(data) < count * CARD:
        raise FormatError("the file ends within its header")
    return data


def _block(file: BinaryIO, size: int) -> bytes:
    return _cards(file, -(-size // CARD))


def _expect(card: bytes, version: Version, word: bytes) -> bytes:
    """What a header says after its word."""
    head = version.starts(word)
    if len(card) < CARD or not card.startswith(head):
        raise FormatError("this header record is missing", segment=word.decode())
    return card[len(head) :]


def _digits(data: bytes, segment: str) -> int:
    if not data.isdigit():
        raise FormatError("a count is not in digits", segment=segment)
    return int(data)


def _text(data: bytes) -> bytes:
    return data.rstrip(b" \0")


def _rows(tail: bytes) -> int | None:
    """SAS right-adjusts the count; other writers leave zeros, which say nothing."""
    count = tail[:15].strip()
    return int(count) if count.isdigit() and int(count) else None


def _namestr(data: bytes, version: Version) -> Namestr:
    kind, _, length, number, name, label, shape, width, decimals, justify, inshape, inwidth, indecimals, position = (
        _NAMESTR.unpack_from(data)
    )
    if kind not in (NUMBER, TEXT):
        raise FormatError("a variable is neither a number nor text", segment="NAMESTR")
    if not length or (kind == NUMBER and not 2 <= length <= 8):
        raise FormatError(f"a variable has {length} bytes", segment="NAMESTR")
    if version is V8 and len(data) == 140:
        long, *_ = _LONG.unpack_from(data, _NAMESTR.size)
        name = _text(long) or name
    if not _text(name):
        raise FormatError("a variable has no name", segment="NAMESTR")
    return Namestr(
        kind, length, number, _text(name), _text(label), _format(kind, shape, width, decimals),
        _format(kind, inshape, inwidth, indecimals), justify, position,
    )  # fmt: skip


def _format(kind: int, name: bytes, width: int, decimals: int) -> SasFormat:
    """Of a text, a format's name begins with `$`, which some writers leave out."""
    text = _text(name).decode("latin-1")
    if kind == TEXT and not text.startswith("$") and (text or width):
        text = f"${text}"
    return SasFormat(text, width, decimals)


def _packed(one: Namestr, version: Version) -> bytes:
    shape, inshape = (of.name.encode("latin-1")[:FORMAT].ljust(FORMAT) for of in (one.format, one.informat))
    head = _NAMESTR.pack(
        one.kind, 0, one.length, one.number, one.name[:8].ljust(8), one.label[:LABEL].ljust(LABEL), shape,
        one.format.width, one.format.decimals, one.justify, inshape, one.informat.width, one.informat.decimals,
        one.position,
    )  # fmt: skip
    if version is V5:
        return head + bytes(_LONG.size)
    lengths = len(one.label), len(one.format.name), len(one.informat.name)
    return head + _LONG.pack(one.name.ljust(version.name), *lengths)


def _long(variables: Sequence[Namestr]) -> bytes:
    """The section of labels beyond 40 bytes; where a format's name has more than 8, the one that has formats too."""
    formats = any(len(of.name) > FORMAT for one in variables for of in (one.format, one.informat))
    entries = list(_long_entries(variables, formats))
    if not entries:
        return b""
    body = b"".join(entries)
    head = b"%-80s" % (_HEAD % (b"LABELV9" if formats else b"LABELV8") + b"%d" % len(entries))
    return head + body + padding(len(body))


def _long_entries(variables: Sequence[Namestr], formats: bool) -> Iterable[bytes]:
    for one in variables:
        shapes = [str(of) if len(of.name) > FORMAT else of.name for of in (one.format, one.informat)]
        if len(one.label) <= LABEL and all(len(shape) <= FORMAT for shape in shapes):
            continue
        texts = [one.name, one.label, *(shape.encode("latin-1") for shape in shapes if formats)]
        yield struct.pack(f">H{len(texts)}H", one.number, *map(len, texts)) + b"".join(texts)


def _read_long(file: BinaryIO, card: bytes, variables: list[Namestr]) -> bytes:
    """Give the variables their long labels and formats; the card after the section."""
    word = card[20:28].rstrip()
    data = bytearray()
    while not (card_after := _cards(file, 1)).startswith(b"HEADER RECORD*******"):
        data += card_after
    entry, places = _ANNOUNCED[word], {one.number: place for place, one in enumerate(variables)}
    at, end = 0, len(data.rstrip(b" \0"))
    while at + entry.size <= end:
        number, *sizes = entry.unpack_from(data, at)
        at += entry.size
        texts = []
        for size in sizes:
            texts.append(bytes(data[at : at + size]))
            at += size
        if at > len(data) or number not in places:
            raise FormatError("a label belongs to no variable, or is cut off", segment=word.decode())
        place = places[number]
        variables[place] = _lengthened(variables[place], texts)
    return card_after


def _lengthened(one: Namestr, texts: Sequence[bytes]) -> Namestr:
    _, label, *shapes = texts
    formats = [
        sas_format.parse(_text(shape).decode("latin-1")) if len(shape) > FORMAT else before
        for shape, before in zip(shapes, (one.format, one.informat), strict=False)
    ]
    form, informat = formats or (one.format, one.informat)
    return dataclasses.replace(one, label=_text(label) or one.label, format=form, informat=informat)
