"""What a data set's variables are in a transport file, and the other way round.

| in the file | in the data set |
|---|---|
| text | string; of what is decoded with another encoding than UTF-8, `xpt.encoding` says which |
| number | double, with its length in bytes |
| number with a date, datetime or time format | date, datetime or time with target integer: SAS's count |

`extra` of a data set: `xpt.encoding`, `xpt.type`, `xpt.sas`, `xpt.platform`, `xpt.created`, `xpt.modified`; of a
variable: `xpt.justify`, `right` where it is shown so. Encoding, type and justification are written again, the others
are the writer's own.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Callable

from hilum.errors import DataError, FormatError
from hilum.formats.xpt import header, sas_format, text
from hilum.formats.xpt.header import NUMBER, TEXT, Member, Namestr, Version
from hilum.formats.xpt.sas_format import SasFormat
from hilum.model.dataset import Dataset, DataType, Variable

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def dataset(member: Member, encoding: str) -> Dataset:
    """Raises UnicodeDecodeError, and FormatError where two variables have one name."""
    variables = tuple(_variable(one, encoding) for one in member.variables)
    if len({one.name for one in variables}) < len(variables):
        raise FormatError("two variables have the same name", segment="NAMESTR")
    words = {
        "type": member.type,
        "sas": member.sas,
        "platform": member.platform,
        "created": member.created,
        "modified": member.modified,
    }
    extra = {f"xpt.{word}": value.rstrip(b" \0").decode("latin-1") for word, value in words.items() if value.strip()}
    name, label = (of.decode(encoding) for of in (member.name, member.label))
    return Dataset(name, variables, label, extra | {"xpt.encoding": encoding})


def _variable(one: Namestr, encoding: str) -> Variable:
    kind = sas_format.calendar(one.format.name) if one.kind == NUMBER else DataType.STRING
    return Variable(
        one.name.decode(encoding),
        kind or DataType.DOUBLE,
        one.label.decode(encoding),
        one.length,
        str(one.format),
        str(one.informat),
        DataType.INTEGER if kind in sas_format.DEFAULT else None,
        extra={"xpt.justify": "right"} if one.justify else {},
    )


def encoding(of: Dataset, wanted: str | None) -> str:
    """The encoding to write in: the one that is wanted, else what the data set was read in, else UTF-8."""
    try:
        return text.codec(wanted or of.extra.get("xpt.encoding", "utf-8"))
    except ValueError as error:
        raise DataError(str(error)) from None


@dataclasses.dataclass(frozen=True, slots=True)
class Layout:
    """How a data set is to be written. `text_length`: bytes of a text that declares none. `sas`, `platform`: ASCII."""

    version: Version
    encoding: str = "utf-8"
    text_length: int = 200
    sas: str = "9.4"
    platform: str = "HILUM"

    def member(self, of: Dataset, rows: int, created: datetime.datetime, warn: Callable[[str], None]) -> Member:
        """The header; `warn` hears of what is left out or cut. Raises DataError where a name or label does not fit."""
        if not _NAME.fullmatch(of.name):
            raise DataError(
                f"the data set's name {of.name!r} is not one of SAS: a letter or _, then letters, digits, _"
            )
        variables = []
        position = 0
        for place, one in enumerate(of.variables, 1):
            variables.append(self._namestr(one, place, position, warn))
            position += variables[-1].length
        if len({one.name.upper() for one in variables}) < max(1, len(variables)):
            raise DataError("two variables have the same name, as SAS reads it, or there is none")
        moment = header.stamp(created)
        return Member(
            self.version, self._name(of.name), self._label(of.label, header.LABEL, "the data set", warn),
            of.extra.get("xpt.type", "").encode("ascii", "replace")[:8], self.sas.encode("ascii"),
            self.platform.encode("ascii"), moment, moment, tuple(variables), rows,
        )  # fmt: skip

    def _namestr(self, one: Variable, place: int, position: int, warn: Callable[[str], None]) -> Namestr:
        length = self._length(one, warn)
        if not _NAME.fullmatch(one.name):
            warn(f"{one.name}: is no name in SAS, unless its option VALIDVARNAME allows any")
        shown = one.format or (sas_format.DEFAULT[one.type] if one.counted else "")
        return Namestr(
            NUMBER if one.numeric else TEXT, length, place,
            self._name(one.name), self._label(one.label, self.version.label, one.name, warn),
            self._format(one, shown, warn), self._format(one, one.informat, warn),
            int(one.extra.get("xpt.justify") == "right"), position,
        )  # fmt: skip

    def _name(self, name: str) -> bytes:
        data = self._encoded(name, name)
        if not 0 < len(data) <= self.version.name:
            raise DataError(
                f"a name of version {self.version.number} has 1 to {self.version.name} bytes", variable=name
            )
        return data

    def _label(self, label: str, size: int, name: str, warn: Callable[[str], None]) -> bytes:
        if len(self._encoded(label, name)) > size:
            warn(f"{name}: its label was cut to {size} bytes")
        return text.cut(label, self.encoding, size)

    def _encoded(self, value: str, name: str) -> bytes:
        try:
            return value.encode(self.encoding)
        except UnicodeEncodeError as error:
            raise DataError(f"{self.encoding} has no {error.object[error.start]!r}", variable=name) from None

    def _length(self, one: Variable, warn: Callable[[str], None]) -> int:
        if one.numeric:
            return one.length if one.length is not None and 2 <= one.length <= 8 else 8
        if one.length is None:
            warn(f"{one.name}: declares no length, and was given {self.text_length} bytes")
            return self.text_length
        if not 0 < one.length <= header.V8.text:
            raise DataError(f"a text has 1 to {header.V8.text} bytes, not {one.length}", variable=one.name)
        if one.length > self.version.text:
            warn(f"{one.name}: has {one.length} bytes, but version {self.version.number} ends at {self.version.text}")
        return one.length

    def _format(self, one: Variable, shown: str, warn: Callable[[str], None]) -> SasFormat:
        """A text's format begins with `$`; a number's does not. What SAS cannot have is left out."""
        found = sas_format.parse(shown)
        if not one.numeric and not found.name and found.width:
            found = found._replace(name="$")
        fits = len(found.name) <= header.FORMAT if self.version is header.V5 else len(found.name) <= 32
        known = not any(found) or found.name.startswith("$") is not one.numeric
        if fits and known and found.name.isascii() and max(found[1:]) < 1 << 16:
            return found
        warn(f"{one.name}: its format {shown} was left out")
        return SasFormat()
