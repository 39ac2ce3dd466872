"""Compiles a route of the configuration: every step, path and table is read here, once.

What was read from the operator's folder is kept as the pipeline's materials, the stored mappings that its steps
use as its mappings, so that a stored version of a route can be compiled again when those have changed.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from hilum.errors import ConfigError, ConfigErrors
from hilum.expressions.forms import FORMS
from hilum.expressions.json_paths import JsonPlace
from hilum.formats.hl7v2 import Path
from hilum.model.configuration import Endpoint, Route
from hilum.pipeline.flow import Pipeline, Stage, Target
from hilum.sdk import config
from hilum.sdk.contracts import StepContext
from hilum.sdk.registry import Registry

MAX_MATERIAL = 5_000_000  # bytes of one file


def compile_route(
    route: Route,
    *,
    registry: Registry,
    source: Endpoint,
    source_format: str,
    destinations: Mapping[str, Endpoint],
    folder: pathlib.Path | None = None,
    materials: Mapping[str, str] | None = None,
    mappings: Mapping[str, Mapping[str, Any]] | None = None,
) -> Pipeline:
    """The route, ready to run.

    `destinations` are the outbound endpoints by reference (`integration/endpoint`). Files are read from
    `folder`; where `materials` are given, from those alone. `mappings` are the stored ones, by NAME and NAME@3,
    with `version` and `document`. Raises ConfigErrors naming the places, such as
    `routes[adt-to-lab].steps[1].map.set`: the first of each step, all of the destinations.
    """
    place = f"routes[{route.name}]"
    files, stored = Materials(folder, materials), Mappings(mappings or {})
    problems: list[ConfigError] = []
    try:
        _check_zone(source.timezone, f"{route.source}.timezone")
    except ConfigError as error:
        raise ConfigErrors([error]) from None
    stages = []
    form = source_format
    for number, entry in enumerate(route.steps):
        ((verb, values),) = entry.items()
        step = f"steps[{number}].{verb}"
        where = f"{place}.{step}"
        context = StepContext(source.timezone, where, partial(files.read, where), partial(stored.find, where), form)
        try:
            kind = registry.step(verb, where)
            made = kind(config.read(kind.Config, values, where), context)
            stages.append(Stage(step, made))
            form = made.makes
        except ConfigError as error:
            problems.append(error)
            form = str(values.get("to") or form) if isinstance(values, Mapping) else form
    to = list(_targets(route.to, destinations, f"{place}.to", problems, form))
    otherwise = list(_targets(route.otherwise, destinations, f"{place}.otherwise", problems, None))
    if problems:
        raise ConfigErrors(problems)
    return Pipeline(stages, to, otherwise, source_format, files.texts, stored.used)


def used(route: Route) -> list[str]:
    """The stored mappings that its steps name, NAME or NAME@3."""
    options = [value for step in route.steps for value in step.values() if isinstance(value, dict)]
    return [one["use"] for one in options if isinstance(one.get("use"), str)]


class Mappings:
    """The stored mappings that a route's steps may use; `used` are those that they do."""

    def __init__(self, known: Mapping[str, Mapping[str, Any]]) -> None:
        self.used: dict[str, Mapping[str, Any]] = {}
        self._known = known

    def find(self, where: str, name: str) -> Mapping[str, Any]:
        """The document of NAME or NAME@3. Raises ConfigError."""
        if name not in self._known:
            raise ConfigError(f"there is no mapping {name}", where=f"{where}.use")
        self.used[name] = self._known[name]
        document: Mapping[str, Any] = self._known[name]["document"]
        return document


class Materials:
    """The files that a route's steps are compiled from; `texts` are those that were read."""

    def __init__(self, folder: pathlib.Path | None, kept: Mapping[str, str] | None) -> None:
        self.texts: dict[str, str] = {}
        self._folder = None if folder is None else folder.resolve()
        self._kept = kept

    def read(self, where: str, name: str) -> str:
        """The text of a file. Raises ConfigError where it is not there, outside, too large or not UTF-8."""
        if name not in self.texts:
            self.texts[name] = self._find(where, name)
        return self.texts[name]

    def _find(self, where: str, name: str) -> str:
        if self._kept is not None:
            if name not in self._kept:
                raise ConfigError(f"{name} is not among the route's stored files", where=where)
            return self._kept[name]
        if self._folder is None:
            raise ConfigError(f"{name} cannot be read: there is no configuration folder", where=where)
        try:
            path = (self._folder / name).resolve()
            if not path.is_relative_to(self._folder):
                raise ConfigError(f"{name} is outside the configuration's folder", where=where)
            if not path.is_file():
                raise ConfigError(f"{name} is no file in the configuration's folder", where=where)
            if path.stat().st_size > MAX_MATERIAL:
                raise ConfigError(f"{name} is larger than {MAX_MATERIAL:,} bytes", where=where)
            return path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise ConfigError(f"{name} is not UTF-8", where=where) from None
        except (OSError, ValueError, RuntimeError) as error:  # a null byte, a loop of links
            raise ConfigError(f"{name} cannot be read: {error}", where=where) from None


def _targets(
    references: Sequence[str],
    destinations: Mapping[str, Endpoint],
    where: str,
    problems: list[ConfigError],
    form: str | None,
) -> Iterator[Target]:
    """What is wrong with one is added to `problems`."""
    for number, reference in enumerate(references):
        try:
            endpoint = destinations.get(reference)
            if endpoint is None:
                raise ConfigError(f"there is no outbound endpoint {reference}", where=f"{where}[{number}]")
            if reference in references[:number]:
                raise ConfigError(f"{reference} is named twice", where=f"{where}[{number}]")
            yield Target(reference, _lane_key(endpoint, f"{reference}.lane.key", form))
        except ConfigError as error:
            problems.append(error)


def _lane_key(endpoint: Endpoint, where: str, form: str | None) -> Path | JsonPlace | None:
    """`form`: what is sent there; None: that is not known, as of what a filter turned away."""
    text = endpoint.lane.key
    if text is None:
        return None
    json = text.startswith("$")
    if form in FORMS and json is not (form == "json"):
        raise ConfigError(f"{text} is no path of {FORMS[form].title}, which is sent there", where=where)
    try:
        if json:
            return _json_key(text)
        path = Path.parse(text)
    except ValueError as error:
        raise ConfigError(str(error), where=where) from None
    if path.many or path.field is None:
        raise ConfigError("a lane has one key: name one field", where=where)
    return path


def _json_key(text: str) -> JsonPlace:
    place = JsonPlace.parse(text)
    if not place.query.singular:
        raise ValueError("a lane has one key: name one place")
    return place


def _check_zone(name: str, where: str) -> None:
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise ConfigError(f"there is no time zone {name!r}", where=where) from None
