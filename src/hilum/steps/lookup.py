"""Translate a code by a table, such as a ward's local name into the national one.

The table stands in the step or in a CSV, YAML or JSON file of the configuration's folder; it belongs to the
route's version. Absent and empty values and the HL7 null stay as they are.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from typing import Literal

import yaml
from pydantic import Field, model_validator

from hilum.errors import ConfigError, StepError
from hilum.expressions import HL7_NULL, Place, expand, follow, read
from hilum.formats.hl7v2 import Path
from hilum.model.message import Disposition
from hilum.sdk.config import Config
from hilum.sdk.contracts import Result, Step, StepContext, Turned, Work


class Fixed(Config):
    """One value for every code that the table lacks."""

    fixed: str = Field(..., description="What a code becomes that is not in the table.")


class Options(Config):
    """What a lookup can be told."""

    path: str = Field(..., description="Where the code stands; with [*], every place.")
    into: str | None = Field(None, description="Where the translation goes; without it, where the code stood.")
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
        self._path = _field(config.path, f"{context.where}.path")
        self._into = self._path if config.into is None else _field(config.into, f"{context.where}.into")
        if config.into is not None and self._into.many and not _alike(self._path, self._into):
            raise ConfigError("needs its [*] where path has it", where=f"{context.where}.into")
        self._table = _load(config, context) if config.table is None else dict(config.table)
        content = json.dumps(self._table, sort_keys=True, ensure_ascii=False)
        self.digest = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()

    def run(self, work: Work) -> Result:
        message = work.message
        found: list[tuple[Path, str]] = []
        for place in expand(message, self._path):
            code = read(message, place)
            if code is None or code in ("", HL7_NULL):
                continue
            translation = self._table.get(code)
            if translation is None:
                unmapped = self.config.unmapped
                reason = f"{place}: the code is not in the table"
                if unmapped == "error":
                    raise StepError(reason)
                if unmapped == "review":
                    return Turned(Disposition.REVIEW, reason)
                translation = unmapped.fixed if isinstance(unmapped, Fixed) else code
            found.append((follow(self._into, place), translation))
        if found:
            message = work.edit()
            try:
                for place, translation in found:
                    message.set(place, translation)
            except ValueError as error:
                raise StepError(str(error)) from None
        return work


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
