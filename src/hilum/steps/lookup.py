"""Translate a code by a table, such as a ward's local name into the national one.

The table stands in the step or in a CSV, YAML or JSON file of the configuration's folder; it belongs to the
route's version. Absent and empty values and the HL7 null stay as they are.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal

import yaml
from pydantic import Field, model_validator

from hilum.errors import ConfigError, StepError
from hilum.expressions import HL7_NULL, Place, expand, follow, read
from hilum.expressions.json_paths import JSON_LOOP, JsonPlace, Turn, text_of
from hilum.expressions.targets import JsonTarget
from hilum.formats.hl7v2 import Message, Path
from hilum.formats.json_document import JsonDocument
from hilum.model.message import Disposition
from hilum.sdk.config import Config
from hilum.sdk.contracts import Result, Step, StepContext, Turned, Work

Write = Callable[[str], Any]
Code = tuple[str, str, Write]
"""Where a code stands, the code, and what writes its translation."""


class Fixed(Config):
    """One value for every code that the table lacks."""

    fixed: str = Field(..., description="What a code becomes that is not in the table.")


class Options(Config):
    """What a lookup can be told."""

    path: str = Field(..., description="Where the code stands; with [*], every place. In JSON any query.")
    into: str | None = Field(
        None,
        description="Where the translation goes; without it, where the code stood. In JSON @ is what it stands in.",
    )
    table: dict[str, str] | None = Field(None, description="Code to translation.")
    file: str | None = Field(None, description="A .csv, .yaml or .json file in the configuration's folder.")
    key: str | None = Field(None, description="The CSV column of the codes; the first one if not given.")
    value: str | None = Field(None, description="The CSV column of the translations; the second one.")
    unmapped: Literal["keep", "error", "review"] | Fixed = Field(
        "error", description="A code not in the table: keep it, fail, ask a person, or {fixed: value}."
    )

    @model_validator(mode="after")
    def _one_table(self) -> Options:
        if (self.table is None) == (self.file is None):
            raise ValueError("give either table or file")
        return self


class Lookup(Step[Options]):
    """Replaces codes. `digest` is the SHA-256 of the table, for comparing versions of it."""

    Config = Options

    def __init__(self, config: Options, context: StepContext) -> None:
        super().__init__(config, context)
        self._codes = (_json_codes if context.format == "json" else _hl7_codes)(config, context.where)
        self._table = _load(config, context) if config.table is None else dict(config.table)
        content = json.dumps(self._table, sort_keys=True, ensure_ascii=False)
        self.digest = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()

    def run(self, work: Work) -> Result:
        document = work.document(self.reads)
        found: list[tuple[Write, str]] = []
        for place, code, write in self._codes(document):
            translation = self._table.get(code)
            if translation is None:
                unmapped = self.config.unmapped
                reason = f"{place}: the code is not in the table"
                if unmapped == "error":
                    raise StepError(reason)
                if unmapped == "review":
                    return Turned(Disposition.REVIEW, reason)
                translation = unmapped.fixed if isinstance(unmapped, Fixed) else code
            found.append((write, translation))
        if found:
            try:
                if self.reads != "json":
                    work.edit()
                for write, translation in found:
                    write(translation)
                if self.reads == "json":
                    work.become(document, "json")
            except ValueError as error:
                raise StepError(str(error)) from None
        return work


def _hl7_codes(config: Options, where: str) -> Callable[[Message], Iterator[Code]]:
    path = _field(config.path, f"{where}.path")
    into = path if config.into is None else _field(config.into, f"{where}.into")
    if config.into is not None and into.many and not _alike(path, into):
        raise ConfigError("needs its [*] where path has it", where=f"{where}.into")

    def codes(message: Message) -> Iterator[Code]:
        for place in expand(message, path):
            code = read(message, place)
            if code is not None and code not in ("", HL7_NULL):
                yield str(place), code, partial(message.set, follow(into, place))

    return codes


def _json_codes(config: Options, where: str) -> Callable[[JsonDocument], Iterator[Code]]:
    """`into` may begin with @, which is the object (or array) that the code stands in."""
    key = "path"
    try:
        place = JsonPlace.parse(config.path)
        key = "into"
        into = None if config.into is None else JsonTarget(config.into, (JSON_LOOP,))
        if into is not None and into.place.level is None and not place.query.singular:
            raise ValueError(f"{config.into}: each code has its own place: begin with @, which is what it stands in")
    except ValueError as error:
        raise ConfigError(str(error), where=f"{where}.{key}") from None

    def codes(document: JsonDocument) -> Iterator[Code]:
        for container, name in place.nodes(document, ()):
            code = text_of(container[name])
            if not code:
                continue
            if into is None:
                yield str(place), code, partial(container.__setitem__, name)
            else:
                yield str(place), code, partial(into.set, document, (Turn.at(container),))

    return codes


def _field(text: str, where: str) -> Path:
    try:
        path = Place.parse(text).path
    except ValueError as error:
        raise ConfigError(str(error), where=where) from None
    if path.field is None or path.literal:
        raise ConfigError(f"{text} is no field with a value", where=where)
    return path


def _alike(path: Path, into: Path) -> bool:
    """Whether every `*` of `into` has one of `path` to follow."""
    return (into.index != "*" or path.index == "*") and (into.repetition != "*" or path.repetition == "*")


def _load(config: Options, context: StepContext) -> dict[str, str]:
    """The table in a file. Raises ConfigError."""
    where = f"{context.where}.file"
    name = config.file or ""
    text = context.read(name)
    if name.endswith(".csv"):
        return _columns(text, config, where)
    if not name.endswith((".yaml", ".yml", ".json")):
        raise ConfigError("a table is a .csv, .yaml or .json file", where=where)
    try:
        loaded = json.loads(text) if name.endswith(".json") else yaml.safe_load(text)
    except (ValueError, RecursionError, yaml.YAMLError):
        raise ConfigError(f"{name} cannot be read", where=where) from None
    if not isinstance(loaded, dict):
        raise ConfigError(f"{name} is no table of codes and translations", where=where)
    for code, translation in loaded.items():
        if not isinstance(code, str) or not isinstance(translation, str):
            raise ConfigError(f"{name}: put {code!r}: {translation!r} in quotes, so that it is text", where=where)
    return loaded


def _columns(text: str, config: Options, where: str) -> dict[str, str]:
    name = config.file
    try:
        rows = list(csv.reader(io.StringIO(text.removeprefix("\ufeff")), strict=True))
    except csv.Error as error:
        raise ConfigError(f"{name} cannot be read: {error}", where=where) from None
    header = rows[0] if rows else []
    columns = []
    for number, wanted in enumerate((config.key, config.value)):
        if wanted is not None and wanted not in header:
            raise ConfigError(f"{name} has no column {wanted!r}", where=where)
        columns.append(number if wanted is None else header.index(wanted))
    table: dict[str, str] = {}
    for number, row in enumerate(rows[1:], start=2):
        if not row:
            continue
        if len(row) <= max(columns):
            raise ConfigError(f"{name}, row {number}: has {len(row)} columns", where=where)
        code, translation = row[columns[0]], row[columns[1]]
        if table.setdefault(code, translation) != translation:
            raise ConfigError(f"{name}, row {number}: {code!r} has two translations", where=where)
    return table


step = Lookup
