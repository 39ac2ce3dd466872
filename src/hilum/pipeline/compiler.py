"""Compiles a route of the configuration: every step, path and table is read here, once.

What was read from the operator's folder is kept as the pipeline's materials, so that a stored version of a
route can be compiled again when the files have changed.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from functools import partial
from zoneinfo import ZoneInfo

from hilum.errors import ConfigError
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
) -> Pipeline:
    """The route, ready to run.

    `destinations` are the outbound endpoints by reference (`integration/endpoint`). Files are read from
    `folder`; where `materials` are given, from those alone. Raises ConfigError naming the place, such as
    `routes[adt-to-lab].steps[1].map.set`.
    """
    place = f"routes[{route.name}]"
    _check_zone(source.timezone, f"{route.source}.timezone")
    files = Materials(folder, materials)
    stages = []
    for number, entry in enumerate(route.steps):
        ((verb, values),) = entry.items()
        step = f"steps[{number}].{verb}"
        where = f"{place}.{step}"
        kind = registry.step(verb, where)
        context = StepContext(source.timezone, where, partial(files.read, where))
        stages.append(Stage(step, kind(config.read(kind.Config, values, where), context)))
    return Pipeline(
        stages,
        _targets(route.to, destinations, f"{place}.to"),
        _targets(route.otherwise, destinations, f"{place}.otherwise"),
        source_format,
        files.texts,
    )


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


def _targets(references: Sequence[str], destinations: Mapping[str, Endpoint], where: str) -> list[Target]:
    targets = []
    for number, reference in enumerate(references):
        endpoint = destinations.get(reference)
        if endpoint is None:
            raise ConfigError(f"there is no outbound endpoint {reference}", where=f"{where}[{number}]")
        if reference in references[:number]:
            raise ConfigError(f"{reference} is named twice", where=f"{where}[{number}]")
        targets.append(Target(reference, _lane_key(endpoint, f"{reference}.lane.key")))
    return targets


def _lane_key(endpoint: Endpoint, where: str) -> Path | None:
    if endpoint.lane.key is None:
        return None
    try:
        path = Path.parse(endpoint.lane.key)
    except ValueError as error:
        raise ConfigError(str(error), where=where) from None
    if path.many or path.field is None:
        raise ConfigError("a lane has one key: name one field", where=where)
    return path


def _check_zone(name: str, where: str) -> None:
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise ConfigError(f"there is no time zone {name!r}", where=where) from None
