"""What is done to a payload that is executed through the API: a mapping, as the step `map` has it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from hilum.errors import ConfigError, FormatError, StepError
from hilum.expressions.forms import FORMS
from hilum.model.configuration import Endpoint
from hilum.sdk import config
from hilum.sdk.contracts import Connector, Step, StepContext, Work
from hilum.sdk.registry import Registry


@dataclasses.dataclass(frozen=True, slots=True)
class PayloadMapping:
    """A compiled mapping. Called with a payload it gives another one, or raises StepError."""

    step: Step[Any]
    where: str

    def __call__(self, body: bytes) -> bytes:
        try:
            made = self.step.run(Work(body, self.step.reads))
        except FormatError as error:
            raise StepError(f"{self.where}: {error}") from None
        if not isinstance(made, Work):
            raise StepError(f"{self.where}: it makes no message")
        return made.body


def compile_mapping(
    document: Any, *, registry: Registry, format: str, timezone: str, where: str, answers: bool = False
) -> PayloadMapping:
    """`format` is what the partner speaks: a mapping of data makes it, one of `answers` reads it.

    Raises ConfigError where `document` makes no sense. A name is given only where there is no such mapping: those that
    there are stand in its place (store/mappings.py).
    """
    if isinstance(document, str):
        raise ConfigError(f"there is no mapping {document!r}", where=where)
    free = not answers and isinstance(document, Mapping) and document.get("from") is not None
    step = compile_step(document, registry=registry, timezone=timezone, where=where, format="" if free else format)
    if not answers and format in FORMS and step.makes in FORMS and step.makes != format:
        made, sent = FORMS[step.makes].title, FORMS[format].title
        raise ConfigError(f"it makes {made}, and the partner is sent {sent}", where=where)
    return PayloadMapping(step, where)


def compile_step(document: Any, *, registry: Registry, timezone: str, where: str, format: str = "") -> Step[Any]:
    """The step `map` of a mapping by itself, which uses no other. Raises ConfigError.

    `format` is what its messages are; empty: what the document says, or its paths show.
    """

    def other(name: str) -> Mapping[str, Any]:
        raise ConfigError(f"a mapping uses no other, such as {name}", where=f"{where}.use")

    kind = registry.step("map", where)
    return kind(config.read(kind.Config, document, where), StepContext(timezone, where, _no_file, other, format))


def form_of(endpoint: Endpoint, connector: Connector) -> str:
    """What the payloads of executions are: what asks and answers speaks JSON, unless the endpoint says otherwise."""
    return str(endpoint.options.get("format") or ("json" if connector.exchange else connector.format))


def _no_file(name: str) -> str:
    raise ConfigError(f"{name}: a mapping reads no files")
