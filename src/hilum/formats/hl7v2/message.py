"""An HL7 v2 message as bytes that are split only where they are touched.

Reading a field splits its segment once; writing replaces one line. What nobody touched leaves byte for
byte as it came, whatever its delimiters, line ends or character set.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hilum.errors import FormatError
from hilum.formats.hl7v2.ack import AckError, build_ack
from hilum.formats.hl7v2.charset import ASCII, UTF8, codec_of, known_codec
from hilum.formats.hl7v2.delimiters import Delimiters, read_delimiters
from hilum.formats.hl7v2.escape import Null, escape, read_text
from hilum.formats.hl7v2.fields import check_reach, drop, part, pick, pick_all, put
from hilum.formats.hl7v2.issues import Issue, find_issues
from hilum.formats.hl7v2.lines import join_lines, split_lines
from hilum.formats.hl7v2.path import Path, parse_path
from hilum.formats.hl7v2.segment import Segment, check_segment

_HEADER = "MSH[1]"
_LF = 10  # a number is found several times faster than bytes
_LEADING = b"\xef\xbb\xbf \t\r\n\x0b"
_PADDING = (b"",) * 25  # MSH-25 is the last one of 2.8
_CHARSET = 17  # where MSH-18 stands after a split: MSH-1 is the separator itself


class Message:
    r"""One message: `message["PID-3.1"]`, `message.set("MSH-5", "LAB")`, `bytes(message)`.

    A path without repetition means the first one for `get` and `set`, and the whole field for `raw`,
    `set_raw`, `copy_value` and `remove`. A value without parts is its own first component and subcomponent.

    >>> message = Message.parse(b"MSH|^~\\&|LAB||HIS\rPID|1||4711^^^MRN~0815||Doe^Jane|\"\"")
    >>> message["PID-3.1"], message["PID-3[2].1.1"], message["PID-4"], message["PID-9"], message["PID-6"]
    ('4711', '0815', '', None, NULL)
    >>> message["PID-3[*].1"]
    ['4711', '0815']
    >>> message.set("PID-5.2", "J & J")
    >>> bytes(message)
    b'MSH|^~\\&|LAB||HIS\rPID|1||4711^^^MRN~0815||Doe^J \\T\\ J|""'
    """

    delimiters: Delimiters
    _data: bytes | None  # the bytes as they came, while nothing has changed
    _lines: list[bytes]  # segments and empty lines, without their ends
    _fields: dict[str, list[bytes]]  # "PID[1]" -> its fields, of segments that were touched
    _places: dict[str, int]  # "PID[1]" -> its line
    # Class attributes, since most messages have no other value and parsing is the hot path.
    _prefix = b""
    _terminator = b"\r"
    _ends: list[bytes] | None = None  # one per line but the last, where they differ
    _codec = ""  # found when text is asked for
    _told = ""  # the character set that the caller gave

    @classmethod
    def parse(cls, data: bytes, *, charset: str | None = None) -> Message:
        """The message in `data`, one or more segments ended by CR, LF or CRLF.

        `charset`, a name of table 0211, goes before MSH-18. What is odd is found in `issues`.
        Raises FormatError where there is no MSH or its delimiters cannot be read, and ValueError where
        `charset` is unknown.
        """
        self = cls.__new__(cls)
        self._data = data
        if not data.startswith(b"MSH"):
            data = self._skip(data)
        separator = data[3:4]
        if not separator.strip():
            raise FormatError("no field separator", segment="MSH", field=1)
        if _LF in data:
            self._lines, self._terminator, self._ends = split_lines(data, separator)
        else:
            self._lines = data.split(b"\r")
        fields = self._lines[0].split(separator)
        self.delimiters = read_delimiters(separator, fields[1])
        self._fields = {_HEADER: fields}
        self._places = {_HEADER: 0}
        if charset is not None:
            self._told = self._codec = known_codec(charset)
        return self

    def copy(self) -> Message:
        """A message that can be changed without changing this one."""
        new = Message.__new__(Message)
        new.delimiters = self.delimiters
        new._data = self._data
        new._lines = self._lines.copy()
        new._fields = {}
        new._places = self._places.copy()
        new._prefix = self._prefix
        new._terminator = self._terminator
        new._ends = self._ends and self._ends.copy()
        new._codec = self._codec
        new._told = self._told
        return new

    def __bytes__(self) -> bytes:
        if self._data is None:
            self._data = self._prefix + join_lines(self._lines, self._terminator, self._ends)
        return self._data

    def __eq__(self, other: object) -> bool:
        return bytes(self) == bytes(other) if isinstance(other, Message) else NotImplemented

    __hash__ = None  # type: ignore[assignment] # it can be changed

    def __repr__(self) -> str:
        return f"<Message {self.type}^{self.trigger} {self.version}, {len(self.segments())} segments>"

    # Reading

    def __getitem__(self, path: str | Path) -> str | Null | list[str | Null] | None:
        """The text at `path`: None where absent, "" where empty, NULL for `""`; of all with `*`.

        Decoded, and unescaped unless the value still has parts. Raises ValueError for what is no path.
        """
        p = parse_path(path) if isinstance(path, str) else path
        if not p.plain:
            return self.get_all(p) if p.many else next(iter(self.get_all(p)), None)
        fields = self._fields.get(p.place) or self._split(p)
        if p.position >= len(fields):
            return None
        raw: bytes | None = fields[p.position]
        delimiters = self.delimiters
        if p.nth != 1 or delimiters.repetition_byte in fields[p.position]:
            raw = pick(fields[p.position], p, delimiters)
        elif p.component is not None:
            raw = part(fields[p.position], p, delimiters)
        if raw is None:
            return None
        return self._text(raw)

    def get(self, path: str | Path, default: str | None = None) -> str | Null | None:
        """The text at `path`, or `default` where it is absent; with `*`, the first there is."""
        p = parse_path(path) if isinstance(path, str) else path
        found = next(iter(self.get_all(p)), None) if p.many else self[p]
        return default if found is None or isinstance(found, list) else found

    def get_all(self, path: str | Path) -> list[str | Null]:
        """The text of every place that `path` names; absent places have none."""
        p = parse_path(path) if isinstance(path, str) else path
        if p.index == "*" or p.field is None or p.literal:
            return [self._text(raw) for raw in self._every(p)]
        fields = self._fields.get(p.place) or self._split(p)
        found = pick_all(fields[p.position], p, self.delimiters) if p.position < len(fields) else []
        return [self._text(raw) for raw in found]

    def raw(self, path: str | Path) -> bytes | None:
        """The bytes at `path` as they stand; of a segment its line, of a field all its repetitions."""
        p = parse_path(path) if isinstance(path, str) else path
        if p.field is None or not p.whole or p.literal or p.index == "*":
            return next(self._every(p), None)
        fields = self._fields.get(p.place) or self._split(p)
        return fields[p.position] if p.position < len(fields) else None

    @property
    def header(self) -> list[bytes]:
        """The raw fields of MSH by their number, padded: `header[10]` is MSH-10. Keep it in a local."""
        fields = self._open(_HEADER)
        return [b"MSH", self.delimiters.field, *fields[1:], *_PADDING[len(fields) :]]

    def segments(self, name: str | None = None) -> list[Segment]:
        """The segments, or those of one `name`, as they are now."""
        codec = self._codec or self._find_codec()
        counts: dict[bytes, int] = {}
        found = []
        for line in self._lines:
            if line:
                word = line.partition(self.delimiters.field)[0]
                counts[word] = counts.get(word, 0) + 1
                text = word.decode(codec, "surrogateescape")
                if name is None or text == name:
                    found.append(Segment(text, counts[word], line, self.delimiters, codec))
        return found

    @property
    def issues(self) -> list[Issue]:
        """What is odd about the message as it is now; worked out at each call."""
        codec = self._codec or self._find_codec()
        found = list(find_issues(self._lines, self.delimiters, codec))
        if self._prefix:
            found.insert(0, Issue("MSH", None, f"{len(self._prefix)} bytes before the message header"))
        declared = self.header[_CHARSET + 1]
        if not self._told and declared and self._declared() is None:
            name = declared.decode(ASCII, "backslashreplace")
            found.append(Issue("MSH", 18, f"character set {name} is not supported; read as UTF-8"))
        if not self._told and not declared and not self._plain():
            found.append(Issue("MSH", 18, "no character set is given, which means ASCII; read as UTF-8"))
        return found

    @property
    def charset(self) -> str:
        """The Python codec that text is read and written with."""
        return self._codec or self._find_codec()

    @property
    def type(self) -> str:
        """MSH-9.1, such as `ADT`; empty where absent, as with the next ones."""
        return str(self.get("MSH-9.1") or "")

    @property
    def trigger(self) -> str:
        """MSH-9.2, such as `A01`."""
        return str(self.get("MSH-9.2") or "")

    @property
    def structure(self) -> str:
        """MSH-9.3, such as `ADT_A01`."""
        return str(self.get("MSH-9.3") or "")

    @property
    def control_id(self) -> str:
        """MSH-10."""
        return str(self.get("MSH-10") or "")

    @property
    def version(self) -> str:
        """MSH-12.1, such as `2.5.1`."""
        return str(self.get("MSH-12.1") or "")

    # Writing

    def set(self, path: str | Path, value: str | Null | None) -> None:
        """Put a value at `path`, escaped; None makes it empty, NULL makes it `""`.

        Fields, repetitions and components are made up to the path, a missing segment at the end; an index
        one past the last appends. `*` sets all there are. Raises ValueError for MSH-1 and MSH-2, for a
        segment alone or out of reach, and for a character that the message's character set lacks.
        """
        p = parse_path(path) if isinstance(path, str) else path
        if p.field is None:
            raise ValueError(f"{p} names a segment, not a field")
        if value is None:
            raw = b""
        elif isinstance(value, Null):
            raw = b'""'
        else:
            raw = self._encode(value, p)
            if self.delimiters.special.search(raw):
                raw = self._escape(raw, p)
        self._put(p, raw)

    def set_raw(self, path: str | Path, raw: bytes | str) -> None:
        """Put structure at `path` as it is, unescaped: a field with its repetitions, or a whole segment.

        Raises ValueError as `set` does, and where `raw` has a delimiter that would reach beyond the path.
        """
        p = parse_path(path) if isinstance(path, str) else path
        if isinstance(raw, str):
            raw = self._encode(raw, p)
        if p.field is None:
            check_segment(raw, self.delimiters.field)
            if not raw.startswith(p.name):
                raise ValueError(f"{p}: the segment must begin with its name")
            for place in self._targets(p):
                self._lines[self._places[place]] = raw
                self._fields.pop(place, None)
                self._data = None
            return
        check_reach(raw, p, self.delimiters)
        self._put(p, raw, whole=p.whole)

    def copy_value(self, source: str | Path, target: str | Path) -> None:
        """Copy what stands at `source` to `target` with its structure; nothing makes `target` empty."""
        self.set_raw(target, self.raw(source) or b"")

    def remove(self, path: str | Path) -> None:
        """Take away segments, a field with all its repetitions, a repetition, or the value of a component.

        What is absent is no error. Raises ValueError for MSH, MSH-1 and MSH-2.
        """
        p = parse_path(path) if isinstance(path, str) else path
        if p.literal or (p.field is None and p.segment == "MSH"):
            raise ValueError(f"{p} cannot be removed")
        if p.field is None:
            for number in [self._places[place] for place in reversed(self._existing(p))]:
                self._remove_line(number)
            return
        for place in self._existing(p):
            fields = self._open(place)
            if p.position < len(fields):
                fields[p.position] = drop(fields[p.position], p, self.delimiters)
                if p.whole and p.position == len(fields) - 1:
                    fields.pop()
                self._write(place, fields)

    def append_segment(self, raw: bytes) -> None:
        """Add a segment at the end; its line end is the message's own. Raises ValueError if `raw` is none."""
        check_segment(raw, self.delimiters.field)
        self._insert_line(self._end(), raw)

    def insert_segment(self, index: int, raw: bytes) -> None:
        """Put a segment before number `index` of `segments()`; IndexError before MSH or past the end."""
        check_segment(raw, self.delimiters.field)
        numbers = [number for number, line in enumerate(self._lines) if line]
        if not 0 < index <= len(numbers):
            raise IndexError(f"no place {index} for a segment among {len(numbers)}")
        self._insert_line(numbers[index] if index < len(numbers) else self._end(), raw)

    def remove_segment(self, index: int) -> None:
        """Take away number `index` of `segments()`; raises IndexError for MSH and where there is none."""
        numbers = [number for number, line in enumerate(self._lines) if line]
        if not 0 < index < len(numbers):
            raise IndexError(f"no segment {index} to remove among {len(numbers)}")
        self._remove_line(numbers[index])

    def ack(
        self,
        code: str = "AA",
        text: str | None = None,
        errors: Iterable[AckError] = (),
        *,
        control_id: str,
        timestamp: str,
    ) -> bytes:
        """The acknowledgment of this message, ready to be framed, with its own MSH-7 and MSH-10.

        `code` is of table 0008: AA, AE, AR, or CA, CE, CR. See `build_ack`.
        """
        codec = self._told or self._declared() or ASCII
        return build_ack(self.header, self.delimiters, codec, code, text, errors, control_id, timestamp)

    # Lines and fields

    def _skip(self, data: bytes) -> bytes:
        found = data.lstrip(_LEADING)
        if not found.startswith(b"MSH"):
            batch = found.startswith((b"FHS", b"BHS"))
            reason = "a batch, which Batch.parse reads" if batch else "no message header"
            raise FormatError(reason, segment="MSH")
        self._prefix = data[: len(data) - len(found)]
        return found

    def _every(self, p: Path) -> Iterator[bytes]:
        """The raw values of a path of any kind."""
        delimiters = self.delimiters
        for place in self._existing(p):
            if p.field is None:
                yield self._lines[self._places[place]]
                continue
            fields = self._open(place)
            if p.position >= len(fields):
                continue
            if p.literal:
                yield delimiters.field if p.field == 1 else fields[p.position]
            else:
                yield from pick_all(fields[p.position], p, delimiters)

    def _text(self, raw: bytes) -> str | Null:
        if raw.isascii() and self.delimiters.escape_byte not in raw and raw != b'""':
            return raw.decode()
        return read_text(raw, self.delimiters, self._codec or self._find_codec())

    def _split(self, p: Path) -> list[bytes]:
        """The fields of the one segment that `p` names, as they are kept; none where it is absent."""
        return [] if self._find(p) is None else self._open(p.place)

    def _open(self, place: str) -> list[bytes]:
        """The fields of a segment that exists."""
        fields = self._fields.get(place)
        if fields is None:
            line = self._lines[self._places[place]]
            fields = self._fields[place] = line.split(self.delimiters.field)
        return fields

    def _find(self, p: Path) -> int | None:
        """The line of the one segment that `p` names."""
        known = self._places.get(p.place)
        if known is not None or p.index != 1:
            return known if known is not None else self._index(p).get(p.place)
        name, after = p.name, (self.delimiters.field, b"")
        for number, line in enumerate(self._lines):
            if line.startswith(name) and line[3:4] in after:
                self._places[p.place] = number
                return number
        return None

    def _named(self, p: Path) -> Iterator[int]:
        """The lines of all segments of the name."""
        name, separator = p.name, self.delimiters.field
        for number, line in enumerate(self._lines):
            if line.startswith(name) and line[3:4] in (separator, b""):
                yield number

    def _index(self, p: Path) -> dict[str, int]:
        """The places of all segments of the name, and their lines."""
        places = {f"{p.segment}[{index}]": number for index, number in enumerate(self._named(p), start=1)}
        self._places |= places
        return places

    def _existing(self, p: Path) -> list[str]:
        """The places of the segments that `p` names and that exist."""
        if p.index == "*":
            return list(self._index(p))
        return [] if self._find(p) is None else [p.place]

    def _targets(self, p: Path) -> list[str]:
        """The places of the segments to be changed; one that does not exist yet is appended."""
        found = self._existing(p)
        if not found and p.index != "*":
            number = len(self._index(p))
            if p.index != number + 1 or p.segment == "MSH":
                raise ValueError(f"{p}: the message has {number} {p.segment} segments")
            end = self._end()
            self._insert_line(end, p.name)
            self._places[p.place] = end
            found = [p.place]
        return found

    def _put(self, p: Path, raw: bytes, *, whole: bool = False) -> None:
        if p.literal:
            raise ValueError(f"{p} declares the delimiters and cannot be set")
        fields = self._fields.get(p.place) or self._split(p)
        if p.plain and p.position < len(fields):  # nothing has to be made
            fields[p.position] = raw if whole else put(fields[p.position], p, raw, self.delimiters)
            self._write(p.place, fields)
            return
        for place in self._targets(p):
            fields = self._open(place)
            missing = p.position + 1 - len(fields)
            field = b"" if missing > 0 else fields[p.position]
            if whole:
                field = raw
            elif field or p.repetition != "*":
                field = put(field, p, raw, self.delimiters)
            else:
                continue
            fields += [b""] * missing
            fields[p.position] = field
            self._write(place, fields)

    def _write(self, place: str, fields: list[bytes]) -> None:
        self._lines[self._places[place]] = self.delimiters.field.join(fields)
        self._data = None
        if place == _HEADER:
            self._codec = self._told  # MSH-18 may have changed

    def _end(self) -> int:
        number = len(self._lines)
        while not self._lines[number - 1]:
            number -= 1
        return number

    def _insert_line(self, number: int, line: bytes) -> None:
        self._lines.insert(number, line)
        if self._ends is not None:
            self._ends.insert(number, self._terminator)
        self._moved()

    def _remove_line(self, number: int) -> None:
        del self._lines[number]
        if self._ends is not None:
            del self._ends[min(number, len(self._ends) - 1)]
        self._moved()

    def _moved(self) -> None:
        self._data = None
        self._fields = {}
        self._places = {_HEADER: 0}

    # Character set

    def _declared(self) -> str | None:
        fields = self._open(_HEADER)
        name = fields[_CHARSET] if len(fields) > _CHARSET else b""
        if self.delimiters.repetition:
            name = name.partition(self.delimiters.repetition)[0]
        return codec_of(name.decode(ASCII, "replace"))

    def _find_codec(self) -> str:
        fields = self._open(_HEADER)
        named = len(fields) > _CHARSET and fields[_CHARSET]
        self._codec = (self._declared() if named else None) or UTF8
        return self._codec

    def _plain(self) -> bool:
        return all(line.isascii() for line in self._lines)

    def _encode(self, text: str, p: Path) -> bytes:
        if text.isascii():
            return text.encode()
        codec = self._codec or self._find_codec()
        if not self._told and self._declared() is None and self._plain():
            codec = ASCII  # the standard's default; only bytes that came otherwise are read as UTF-8
        try:
            return text.encode(codec, "surrogateescape")
        except UnicodeEncodeError as error:
            char = text[error.start]
            raise ValueError(f"{p}: {char!r} is not in the message's character set, {codec}") from None

    def _escape(self, raw: bytes, p: Path) -> bytes:
        try:
            return escape(raw, self.delimiters)
        except ValueError as error:
            raise ValueError(f"{p}: {error}") from None
