"""Runs a message through the steps of a route. It never raises: what goes wrong is a disposition.

A message is routed whole or not at all: where a split made several and one of them fails or needs a person,
none is sent.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from hilum import clock
from hilum.errors import FormatError, HilumError
from hilum.expressions import FINDINGS, HL7_NULL, EvaluationError, read
from hilum.expressions.json_paths import JsonPlace, text_of
from hilum.formats.hl7v2 import AckError, Message, Path
from hilum.model.message import Disposition
from hilum.sdk.contracts import Rejected, Result, Step, Tried, Turned, Work

MAX_PARTS = 10_000  # messages that one message can become


@dataclasses.dataclass(slots=True)  # not frozen: made for each message
class Output:
    """A message for a destination (`integration/endpoint`); `key` is its lane's, where that lane has keys."""

    destination: str
    body: bytes
    key: str | None = None


@dataclasses.dataclass(slots=True)  # not frozen: made for each message
class Routed:
    """What became of a message. `reason` repeats no value of it; `errors` are for the ERR segments."""

    disposition: Disposition
    outputs: tuple[Output, ...] = ()
    reason: str = ""
    errors: tuple[AckError, ...] = ()
    findings: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Trace:
    """One step's work: the messages that it was given, those it made, and what it said."""

    step: str  # its place: steps[1].map
    input: tuple[bytes, ...]
    output: tuple[bytes, ...]
    microseconds: int
    result: str  # passed, or the disposition and why: filtered: …


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """A destination, and the path that keys its lane."""

    destination: str
    key: Path | JsonPlace | None


@dataclasses.dataclass(frozen=True, slots=True)
class Stage:
    """A compiled step and its place in the route, steps[1].map."""

    place: str
    step: Step[Any]


class _Stopped(Exception):
    """A message goes no further; `disposition` says how, `reason` names the step."""

    def __init__(self, disposition: Disposition, reason: str, errors: tuple[AckError, ...] = ()) -> None:
        self.disposition = disposition
        self.errors = errors
        super().__init__(reason)


class Pipeline:
    """A compiled route. The same message always gives the same, unless a step is not `deterministic`."""

    __slots__ = ("_format", "_otherwise", "_stages", "_to", "deterministic", "mappings", "materials")

    deterministic: bool
    materials: Mapping[str, str]  # the files that its steps were compiled from, by name
    mappings: Mapping[str, Mapping[str, Any]]  # the stored mappings that its steps use, by NAME or NAME@3

    def __init__(
        self,
        stages: Sequence[Stage],
        to: Sequence[Target],
        otherwise: Sequence[Target],
        format: str,
        materials: Mapping[str, str],
        mappings: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self._stages = tuple(stages)
        self._to = tuple(to)
        self._otherwise = tuple(otherwise)
        self._format = format
        self.deterministic = all(stage.step.deterministic for stage in stages)
        self.materials = dict(materials)
        self.mappings = dict(mappings or {})

    @property
    def destinations(self) -> tuple[str, ...]:
        """Every endpoint that a message can go to, each once."""
        return tuple(dict.fromkeys(target.destination for target in (*self._to, *self._otherwise)))

    def run(self, body: bytes, attributes: Mapping[str, str] | None = None, message: Message | None = None) -> Routed:
        """Route one message; `message` is the body parsed, if the caller has it (it is not changed)."""
        parsed = message.copy() if message is not None and self._format == "hl7v2" else None
        return self._flow([Work(body, self._format, attributes, parsed)], None)

    def trace(self, body: bytes, attributes: Mapping[str, str] | None = None) -> list[Trace]:
        """Route one message and tell what each step did, up to the step that stopped it."""
        return self.rehearse(body, attributes)[1]

    def rehearse(self, body: bytes, attributes: Mapping[str, str] | None = None) -> tuple[Routed, list[Trace]]:
        """`run` and `trace` in one."""
        traces: list[Trace] = []
        return self._flow([Work(body, self._format, attributes)], traces), traces

    def examples(self) -> list[str]:
        """Run the steps' stored examples; a line for each that fails, with its place."""
        return [f"{stage.place}.{line}" for stage in self._stages for line in stage.step.examples()]

    def tried(self) -> list[tuple[str, Tried]]:
        """Run the steps' stored examples: the place of each (steps[1].map.examples[0]) and what it found."""
        return [
            (f"{stage.place}.examples[{number}]", one)
            for stage in self._stages
            for number, one in enumerate(stage.step.tried())
        ]

    def _flow(self, works: list[Work], traces: list[Trace] | None) -> Routed:
        turned: list[tuple[Work, str]] = []
        try:
            for stage in self._stages:
                works = _pass(stage, works, turned) if traces is None else _traced(stage, works, turned, traces)
            outputs = _outputs(works, self._to)
        except _Stopped as stopped:
            return Routed(stopped.disposition, (), str(stopped), stopped.errors, _findings(works, turned))
        reason = ""
        if turned:
            outputs += _outputs([work for work, _ in turned], self._otherwise)
            reason = "; ".join(dict.fromkeys(why for _, why in turned))
        if outputs:
            disposition = Disposition.DELIVERING
        elif turned:
            disposition = Disposition.FILTERED
        else:
            disposition, reason = Disposition.UNROUTED, "the route names no destination"
        return Routed(disposition, tuple(outputs), reason, (), _findings(works, turned))


def _pass(stage: Stage, works: list[Work], turned: list[tuple[Work, str]]) -> list[Work]:
    """The messages that a step makes of these; those that it turns away are added to `turned`."""
    passed: list[Work] = []
    for work in works:
        result = _step(stage, work)
        if result is work:
            passed.append(work)
        elif isinstance(result, list):
            passed += result
            if not result:
                turned.append((work, f"{stage.place}: made no message"))
        elif isinstance(result, Work):
            passed.append(result)
        else:
            turned.append((work, f"{stage.place}: {result.reason}"))
    if len(passed) > MAX_PARTS:
        raise _Stopped(Disposition.ERROR, f"{stage.place}: more than {MAX_PARTS:,} messages of one")
    return passed


def _step(stage: Stage, work: Work) -> Result:
    try:
        result = stage.step.run(work)
    except HilumError as error:
        errors = error.errors if isinstance(error, Rejected) else ()
        raise _Stopped(Disposition.ERROR, f"{stage.place}: {error}", errors) from None
    except Exception as error:  # a script's, whose text may hold what the message holds
        raise _Stopped(Disposition.ERROR, f"{stage.place}: {type(error).__name__}") from error
    if isinstance(result, Turned) and result.disposition is not Disposition.FILTERED:
        raise _Stopped(result.disposition, f"{stage.place}: {result.reason}")
    return result


def _traced(stage: Stage, works: list[Work], turned: list[tuple[Work, str]], traces: list[Trace]) -> list[Work]:
    """`_pass`, written down; a step that is given nothing has nothing to tell."""
    if not works:
        return works
    given = tuple(work.body for work in works)
    before = len(turned)
    begin = clock.monotonic()
    passed: list[Work] = []
    result = ""
    try:
        passed = _pass(stage, works, turned)
    except _Stopped as stopped:
        result = f"{stopped.disposition.name.lower()}: {stopped}"
        raise
    finally:
        micros = round((clock.monotonic() - begin) * 1_000_000)
        reasons = "; ".join(dict.fromkeys(why for _, why in turned[before:]))
        result = result or (f"filtered: {reasons}" if reasons else "passed")
        traces.append(Trace(stage.place, given, tuple(work.body for work in passed), micros, result))
    return passed


def _outputs(works: list[Work], targets: Sequence[Target]) -> list[Output]:
    return [
        Output(target.destination, work.body, None if target.key is None else _key(work, target.key))
        for work in works
        for target in targets
    ]


def _key(work: Work, path: Path | JsonPlace) -> str | None:
    """What keys the lane, taken from the message as it is sent; None where it has no such value."""
    try:
        if isinstance(path, JsonPlace):
            return text_of(path.query.read(work.json.root)) or None
        value = read(work.message, path)
    except (FormatError, EvaluationError):
        return None
    return None if value in ("", HL7_NULL) else value


def _findings(works: list[Work], turned: list[tuple[Work, str]]) -> tuple[str, ...]:
    found = [work.attributes[FINDINGS] for work in works if FINDINGS in work.attributes]
    if turned:
        found += [work.attributes[FINDINGS] for work, _ in turned if FINDINGS in work.attributes]
    if not found:
        return ()
    return tuple(dict.fromkeys(line for text in found for line in text.split("\n")))
