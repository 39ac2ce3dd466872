"""A site's own word on the standard: YAML that tightens or relaxes what validation asks of a message.

It is applied to the findings of the standard: a field's own demand replaces the standard's at the same path.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Annotated, Any, Literal

import re2  # type: ignore[import-untyped]  # it ships no types
import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from hilum.errors import ConfigError
from hilum.formats.hl7v2.content import NULL, Content, Marks, Row, parts
from hilum.formats.hl7v2.definitions import nearest
from hilum.formats.hl7v2.findings import RULES, Finding, Severity, finding
from hilum.formats.hl7v2.path import Path, parse_path

_INDEX = re.compile(r"\[[0-9]+\]")
Level = Literal["error", "warning", "info", "off"]


def _known_rule(rule: str) -> str:
    if rule not in RULES:
        raise ValueError(f"{rule!r} is not a rule")
    return rule


def _field_path(text: str) -> str:
    path = parse_path(text)
    if path.field is None or path.index != 1 or path.repetition != 1:
        raise ValueError("name a field or component without an index, such as PID-8 or PID-3.4")
    return str(path)


def _any_path(text: str) -> str:
    if _INDEX.search(text) or parse_path(text).many:
        raise ValueError("name a segment, field or component without an index, such as PD1 or PID-3.4")
    return text


def _segment_pattern(text: str) -> str:
    if not re.fullmatch(r"[A-Z][A-Z0-9]{2}|[A-Z][A-Z0-9]?\*", text):
        raise ValueError("name a segment, such as PV2, or its beginning, such as Z*")
    return text


def _known_version(version: str) -> str:
    if nearest(version) is None:
        raise ValueError("not a version of HL7 v2")
    return version


@lru_cache(maxsize=1024)
def _compile(pattern: str) -> Any:
    """An RE2 expression, which takes linear time; ValueError where `pattern` is none."""
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except (re2.error, UnicodeEncodeError):
        raise ValueError("not a regular expression of RE2") from None


def _known_pattern(pattern: str) -> str:
    _compile(pattern)
    return pattern


Rules = dict[Annotated[str, AfterValidator(_known_rule)], Level]
FieldPath = Annotated[str, AfterValidator(_field_path)]
AnyPath = Annotated[str, AfterValidator(_any_path)]
SegmentPattern = Annotated[str, AfterValidator(_segment_pattern)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class FieldProfile(_Part):
    """What the site asks of one field or component; what is left out stays as the standard has it."""

    required: bool | None = Field(None, description="Whether it must have a value where its segment is there.")
    length: int | None = Field(None, ge=1, description="Most characters of one repetition.")
    repeats: int | None = Field(None, ge=1, description="Most repetitions; only of a field.")
    table: tuple[str, ...] | None = Field(None, description="All values that are allowed.", strict=False)
    pattern: Annotated[str, AfterValidator(_known_pattern)] | None = Field(
        None, description="A regular expression (RE2) that the whole value matches."
    )
    datatype: str | None = Field(None, description="The data type to read the field as, such as NM or CX.")
    severity: Rules = Field({}, description="Rule to error, warning, info or off, at this path and below.")


class SegmentProfile(_Part):
    """Segments beyond the structure's own; `Z*` stands for all that begin with Z."""

    require: tuple[SegmentPattern, ...] = Field((), description="Must be there.", strict=False)
    allow: tuple[SegmentPattern, ...] = Field((), description="May be anywhere, any number.", strict=False)
    forbid: tuple[SegmentPattern, ...] = Field((), description="Must not be there.", strict=False)


class Profile(_Part):
    """A site profile; see `docs/reference/validation.md` for an example."""

    version: Annotated[str, AfterValidator(_known_version)] | None = Field(
        None, description="Read every message as this version, whatever MSH-12 says."
    )
    severity: Rules = Field({}, description="Rule to error, warning, info or off.")
    ignore: tuple[AnyPath, ...] = Field(
        (), description="Paths below which nothing is reported, such as PD1 or PID-11.", strict=False
    )
    segments: SegmentProfile = Field(SegmentProfile(), description="Segments required, allowed or forbidden.")
    fields: dict[FieldPath, FieldProfile] = Field({}, description="What is asked of fields and components.")

    @classmethod
    def load(cls, text: str) -> Profile:
        """The profile that the YAML `text` writes.

        Raises ConfigError saying where, such as `fields.PID-8.table[0]`.
        """
        try:
            document = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"not YAML: {error}") from None
        if not isinstance(document, dict):
            raise ConfigError("a profile is a mapping")
        return cls.read(document)

    @classmethod
    def read(cls, document: dict[str, Any]) -> Profile:
        """The profile that `document` holds. Raises ConfigError saying where."""
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            hint = "; write it in quotes" if first["type"] == "string_type" else ""
            raise ConfigError(first["msg"] + hint, where=_where(first["loc"])) from None

    def forbids(self, segment: str) -> bool:
        """Whether no `segment` may be there."""
        return _fits(segment, self.segments.forbid)

    def allows(self, segment: str) -> bool:
        """Whether `segment` may be anywhere."""
        return _fits(segment, self.segments.allow)

    def judge(self, found: Sequence[Finding], rows: Sequence[Row], content: Content) -> list[Finding]:
        """The findings of the standard as the site sees them, with the site's own."""
        kept = [one for one in found if not self._replaced(one)]
        kept += self._require(rows)
        for text, asked in self.fields.items():
            path = parse_path(text)
            for row in rows:
                if row.name == path.segment:
                    kept += _Demand(path, asked, row, content).findings()
        return list(self._weigh(kept))

    def _replaced(self, one: Finding) -> bool:
        """Whether the site asks something else at that very place."""
        path = _INDEX.sub("", one.path)
        for place, asked in self.fields.items():
            if asked.datatype is not None and one.rule in _TYPE_RULES and _below(path, place):
                return True
            if path == place and any(getattr(asked, name) is not None for name in _REPLACES.get(one.rule, ())):
                return True
        return False

    def _require(self, rows: Sequence[Row]) -> Iterator[Finding]:
        for name in self.segments.require:
            if not any(_fits(row.name, (name,)) for row in rows):
                yield finding(name.rstrip("*"), "segment-missing", "the profile requires this segment")

    def _weigh(self, found: Sequence[Finding]) -> Iterator[Finding]:
        for one in found:
            path = _INDEX.sub("", one.path)
            level: str = self.severity.get(one.rule, one.severity)
            nearest_place = ""
            for place, asked in self.fields.items():
                if one.rule in asked.severity and _below(path, place) and len(place) > len(nearest_place):
                    level, nearest_place = asked.severity[one.rule], place
            if level != "off" and not any(_below(path, place) for place in self.ignore):
                severity: Severity = level  # type: ignore[assignment] # "off" is excluded
                yield one if one.severity == severity else Finding(one.path, one.rule, severity, one.text)


_REPLACES = {
    "field-missing": ("required",),
    "component-missing": ("required",),
    "value-type-missing": ("required",),
    "field-repeats": ("repeats",),
    "field-length": ("length",),
    "component-length": ("length",),
    "table-hl7": ("table",),
    "table-user": ("table",),
}
_TYPE_RULES = frozenset(
    ("data-type", "component-unknown", "component-missing", "component-length", "table-hl7", "table-user")
)


class _Demand:
    """What the site asks at one path, held to one segment."""

    def __init__(self, path: Path, asked: FieldProfile, row: Row, content: Content) -> None:
        self._path, self._asked, self._row, self._content = path, asked, row, content
        self._marks: Marks = content.marks
        self._found: list[Finding] = []

    def findings(self) -> list[Finding]:
        number = self._path.field or 0
        text = self._row.fields[number] if number < len(self._row.fields) else ""
        if self._path.component is None:
            self._field(number, text)
        for repetition, one in enumerate(parts(text, self._marks.repetition), start=1):
            self._one(number, repetition, one)
        return self._found

    def _field(self, number: int, text: str) -> None:
        asked, path = self._asked, f"{self._row.label}-{number}"
        if asked.required and not text:
            self._found.append(finding(path, "field-missing", "the profile requires a value"))
        if asked.repeats is not None and len(parts(text, self._marks.repetition)) > asked.repeats:
            text = f"more than the {asked.repeats} repetitions of the profile"
            self._found.append(finding(path, "field-repeats", text))
        if asked.datatype is not None and text and text != NULL:
            before = len(self._content.findings)
            self._content.check_value(self._row, number, asked.datatype)
            self._found += self._content.findings[before:]

    def _one(self, number: int, repetition: int, text: str) -> None:
        asked, place = self._asked, self._path
        path = f"{self._row.label}-{number}" + ("" if repetition == 1 else f"[{repetition}]")
        if place.component is not None:
            path += f".{place.component}"
            whole, text = text, _nth(text, self._marks.component, place.component)
            if place.subcomponent is not None:
                path += f".{place.subcomponent}"
                text = _nth(text, self._marks.subcomponent, place.subcomponent)
            if asked.required and not text and (whole or repetition == 1):
                self._found.append(finding(path, "component-missing", "the profile requires a value"))
        if not text or text == NULL:
            return
        value = self._marks.plain(text)
        if asked.length is not None and len(value) > asked.length:
            rule = "field-length" if place.component is None else "component-length"
            self._found.append(finding(path, rule, f"longer than the {asked.length} characters of the profile"))
        code = value if place.component else _nth(value, self._marks.component, 1)
        if asked.table is not None and code not in asked.table:
            self._found.append(finding(path, "table-profile", "not one of the values of the profile"))
        if asked.pattern is not None and not _matches(asked.pattern, value):
            self._found.append(finding(path, "pattern", "does not match the pattern of the profile"))


def _matches(pattern: str, value: str) -> bool:
    text = value.encode("utf-8", "replace").decode()  # bytes that could not be read are no characters
    return _compile(pattern).fullmatch(text) is not None


def _nth(text: str, mark: str, number: int) -> str:
    found = parts(text, mark)
    return found[number - 1] if number <= len(found) else ""


def _below(path: str, place: str) -> bool:
    """Whether `path` is `place` or inside it."""
    return path.startswith(place) and path[len(place) : len(place) + 1] in ("", "-", ".")


def _fits(segment: str, patterns: Sequence[str]) -> bool:
    return any(
        segment.startswith(pattern[:-1]) if pattern.endswith("*") else segment == pattern for pattern in patterns
    )


def _where(location: Sequence[int | str]) -> str:
    text = ""
    for part in location:
        if part != "[key]":
            text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text
