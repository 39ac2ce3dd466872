"""Take named values out of a message, or mask them, before it leaves.

An index left out means every one here: `PID-3` is every repetition, `NTE-3` that field of every NTE. In JSON a path
says which: `$.name[*].family`, `$..birthDate`; of an array or an object, all that is in it is masked.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from hilum.errors import ConfigError, StepError
from hilum.expressions import HL7_NULL, everywhere, expand, read
from hilum.expressions.targets import JsonTarget
from hilum.formats.hl7v2 import Path
from hilum.sdk.config import Config
from hilum.sdk.contracts import Result, Step, StepContext, Work


class Options(Config):
    """What a redaction can be told."""

    remove: list[str] = Field([], description="Paths to take out: fields, components or whole segments; JSONPaths.")
    mask: list[str] = Field([], description="Paths whose values are replaced; empty values stay empty.")
    with_: str = Field("****", alias="with", max_length=100, description="What a masked value becomes.")

    @model_validator(mode="after")
    def _something(self) -> Options:
        if not (self.remove or self.mask):
            raise ValueError("name paths to remove or to mask")
        return self


class Redact(Step[Options]):
    """Removes, then masks."""

    Config = Options

    def __init__(self, config: Options, context: StepContext) -> None:
        super().__init__(config, context)
        self._json = _json_rules(config, context.where) if context.format == "json" else ([], [])
        if context.format == "json":
            return
        self._remove = [_path(text, f"{context.where}.remove[{number}]") for number, text in enumerate(config.remove)]
        self._mask = [_path(text, f"{context.where}.mask[{number}]") for number, text in enumerate(config.mask)]
        for number, path in enumerate(self._mask):
            if path.field is None:
                raise ConfigError("a segment cannot be masked", where=f"{context.where}.mask[{number}]")

    def run(self, work: Work) -> Result:
        if self.reads == "json":
            return self._run_json(work)
        message = work.edit()
        try:
            for path in self._remove:
                message.remove(path)
            for path in self._mask:
                for place in expand(message, path):
                    if read(message, place) not in (None, "", HL7_NULL):
                        message.set(place, self.config.with_)
        except ValueError as error:
            raise StepError(str(error)) from None
        return work

    def _run_json(self, work: Work) -> Result:
        document = work.json
        remove, mask = self._json
        for target in remove:
            target.remove(document, ())
        for target in mask:
            for container, key in target.place.nodes(document, ()):
                container[key] = _masked(container[key], self.config.with_)
        work.become(document, "json")
        return work


def _json_rules(config: Options, where: str) -> tuple[list[JsonTarget], list[JsonTarget]]:
    found: tuple[list[JsonTarget], list[JsonTarget]] = [], []
    for targets, name, paths in zip(found, ("remove", "mask"), (config.remove, config.mask), strict=True):
        for number, path in enumerate(paths):
            try:
                targets.append(JsonTarget(path, (), several=True))
            except ValueError as error:
                raise ConfigError(str(error), where=f"{where}.{name}[{number}]") from None
    return found


def _masked(value: Any, mask: str) -> Any:
    """Every value that is none of null, empty text, array and object is replaced."""
    if isinstance(value, dict):
        return {name: _masked(one, mask) for name, one in value.items()}
    if isinstance(value, list):
        return [_masked(one, mask) for one in value]
    return value if value is None or value == "" else mask


def _path(text: str, where: str) -> Path:
    try:
        path = everywhere(text)
    except ValueError as error:
        raise ConfigError(str(error), where=where) from None
    if path.literal or (path.field is None and path.segment == "MSH"):
        raise ConfigError(f"{text} cannot be redacted: no message is without it", where=where)
    return path


step = Redact
