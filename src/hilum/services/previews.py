"""What becomes of a message, shown before anything is sent: by routes and mappings, stored or not; and their examples.

The message is one that is stored, whose payload the caller may see, or a text that comes along.
"""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from hilum.errors import ConfigError, ConfigErrors, FormatError, HilumError
from hilum.formats import hl7v2
from hilum.formats.hl7v2.readable import readable
from hilum.model.audit import Act
from hilum.pipeline import Pipeline
from hilum.pipeline.payload import encode
from hilum.sdk.contracts import Step, Tried, Work
from hilum.services.messages import Messages, StepTrace, reveal


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """What is looked at: a stored message, or a body as text."""

    message_id: uuid.UUID | None = None
    body: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class OutputView:
    """What would go to a destination; `key` is its lane's, where that has keys."""

    destination: str
    key: str | None
    body: str | None
    body_base64: str | None  # where the text does not say every byte


@dataclasses.dataclass(frozen=True, slots=True)
class Preview:
    """What a route makes of a message. What is not `repeatable` (a script) may do otherwise the next time."""

    disposition: str
    reason: str
    findings: list[str]
    steps: list[StepTrace]
    outputs: list[OutputView]
    repeatable: bool


@dataclasses.dataclass(frozen=True, slots=True)
class MappingPreview:
    """What a mapping makes of a message; `problem`: why it makes nothing."""

    given: str | None
    made: str | None
    problem: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class ExampleResult:
    """An example that was run. `found` is written as `expected` is; null where nothing was made."""

    place: str
    input: str
    expected: Any
    found: Any
    passed: bool
    problems: list[str]


@dataclasses.dataclass(frozen=True, slots=True)
class Checked:
    """`problems`: why it does not compile, each with its place."""

    passed: bool
    problems: list[str]
    examples: list[ExampleResult]


class Previews:
    """Used by the services of routes and mappings."""

    def __init__(self, messages: Messages) -> None:
        self._messages = messages

    async def sample(self, act: Act, wanted: Sample) -> tuple[bytes, Mapping[str, str]]:
        """Body and attributes. Raises Refused, NotFound, Conflict where retention removed the body, ConfigError."""
        if wanted.message_id is None:
            return _bytes(wanted.body or ""), {}
        act.details["message"] = str(wanted.message_id)
        message, body = await self._messages.whole(reveal(act), wanted.message_id)
        return body, message.attributes

    async def route(self, act: Act, pipeline: Pipeline, wanted: Sample) -> Preview:
        """Raises as `sample` does."""
        body, attributes = await self.sample(act, wanted)
        routed, traces = await asyncio.to_thread(pipeline.rehearse, body, attributes)
        return Preview(
            routed.disposition.name.lower(), routed.reason, list(routed.findings),
            [StepTrace(one.step, _texts(one.input), _texts(one.output), one.microseconds, one.result)
             for one in traces],
            [OutputView(one.destination, one.key, *readable(one.body)) for one in routed.outputs],
            pipeline.deterministic,
        )  # fmt: skip

    async def mapping(self, act: Act, step: Step[Any], wanted: Sample) -> MappingPreview:
        """Raises as `sample` does."""
        body, attributes = await self.sample(act, wanted)

        def run() -> MappingPreview:
            try:
                made = step.run(Work(body, step.reads, attributes))
            except HilumError as error:
                return MappingPreview(readable(body)[0], None, str(error))
            return MappingPreview(readable(body)[0], readable(made.body)[0] if isinstance(made, Work) else None, None)

        return await asyncio.to_thread(run)


def results(tried: Sequence[tuple[str, Tried]]) -> Checked:
    """The examples of what compiles."""
    found = [
        ExampleResult(place, one.input, one.expected, one.found, not one.problems, list(one.problems))
        for place, one in tried
    ]
    return Checked(all(one.passed for one in found), [], found)


def broken(error: ConfigError) -> Checked:
    """What does not compile has no examples to run."""
    return Checked(False, [str(one) for one in error.problems], [])


def failed(checked: Checked) -> None:
    """Raises ConfigErrors where an example finds something else than it expects."""
    if problems := [ConfigError(text, where=one.place) for one in checked.examples for text in one.problems]:
        raise ConfigErrors(problems)


def _texts(bodies: Sequence[bytes]) -> list[str]:
    return [text if (text := readable(body)[0]) is not None else f"{len(body)} bytes" for body in bodies]


def _bytes(text: str) -> bytes:
    """In the character set that an HL7 v2 message declares."""
    body = encode(text)
    if not body.startswith(b"MSH"):
        return body
    try:
        codec = hl7v2.Message.parse(body).charset
        return body.decode().encode(codec)
    except (FormatError, UnicodeError):  # it will be said where it is read
        return body
