"""Change values: set, copy, move, compute, fill in, remove, for single places or for each of many.

The rules of one step run in a fixed order: copy, move, set, compute, default, each, remove. Whoever needs
another order writes two steps. Examples stored beside the rules are run by `hilum check`.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import zip_longest

from pydantic import Field

from hilum.errors import ConfigError, HilumError, StepError
from hilum.expressions import (
    EvaluationError,
    Expression,
    Kind,
    Loop,
    Loops,
    Place,
    Position,
    Variables,
    as_text,
    compile_condition,
    compile_expression,
    expand,
    read,
)
from hilum.formats.hl7v2 import Message, Path
from hilum.sdk.config import Config
from hilum.sdk.contracts import Result, Step, StepContext, Work

MAX_LOOPS = 3  # each within each
MAX_TURNS = 10_000  # of one loop
MAX_REMOVING = 1_000  # of one that removes: each removal looks for all segments anew

Rule = Callable[[Message, Variables, Position], None]


class Rules(Config):
    """What is done, in the order of these keys."""

    copy_: dict[str, str] = Field({}, alias="copy", description="Target to source; the structure is kept.")
    move: dict[str, str] = Field({}, description="Target to source, which is then removed.")
    set: dict[str, str] = Field({}, description='Path to text; "" empties, \'""\' is the HL7 null.')
    compute: dict[str, str] = Field({}, description="Path to an expression; null empties.")
    default: dict[str, str] = Field({}, description="Path to text, put where nothing stands.")
    each: list[Each] = Field([], description="Rules for each of several segments or repetitions.")
    remove: list[str] = Field([], description="Paths: segments, fields, repetitions, components.")


class Each(Config):
    """Rules for each of several: inside, a path without an index means the one whose turn it is."""

    in_: str = Field(..., alias="in", description="OBX[*] for segments, PID-3[*] for a field's repetitions.")
    where: str | None = Field(None, description="Only those that meet this condition.")
    do: Rules = Field(..., description="The rules.")


class Example(Config):
    """A message and what becomes of it."""

    input: str = Field(..., description="A message; line feeds end its segments as well.")
    attributes: dict[str, str] = Field({}, description="The variables, such as file_name for $file_name.")
    expected: str | dict[str, str | list[str] | None] = Field(
        ..., description="The whole message, or values by path; null where nothing stands, a list with [*]."
    )


class Options(Rules):
    """What a map can be told."""

    when: str | None = Field(None, description="Run only where this condition holds.")
    examples: list[Example] = Field([], description="Run by `hilum check`.")


class Map(Step[Options]):
    """Runs its rules."""

    Config = Options

    def __init__(self, config: Options, context: StepContext) -> None:
        super().__init__(config, context)
        condition = None
        if config.when is not None:
            where = f"{context.where}.when"
            condition = compile_condition(config.when, where=where, timezone=context.timezone)
        self._when = condition
        self._rules = _Compiler(context.where, context.timezone, ()).rules(config)

    def run(self, work: Work) -> Result:
        variables = work.attributes
        if self._when is not None and not self._when.evaluate(work.message, variables, ()):
            return work
        message = work.edit()
        try:
            for rule in self._rules:
                rule(message, variables, ())
        except ValueError as error:  # a path out of reach, or a character that the message cannot hold
            raise StepError(str(error)) from None
        return work

    def examples(self) -> list[str]:
        failures = []
        for number, example in enumerate(self.config.examples):
            work = Work(_body(example.input), attributes=example.attributes)
            try:
                self.run(work)
                failures += [f"examples[{number}]: {one}" for one in _differences(work.message, example)]
            except HilumError as error:
                failures.append(f"examples[{number}]: {error}")
        return failures


class _Compiler:
    """Makes rules ready to run: every path and expression is read here, once."""

    def __init__(self, where: str, timezone: str, loops: Loops) -> None:
        self.where = where
        self.timezone = timezone
        self.loops = loops

    def rules(self, config: Rules) -> list[Rule]:
        rules: list[Rule] = []
        rules += [self.transfer(config.copy_, "copy", remove=False)] if config.copy_ else []
        rules += [self.transfer(config.move, "move", remove=True)] if config.move else []
        rules += [self.set(config.set)] if config.set else []
        rules += [self.compute(path, text) for path, text in config.compute.items()]
        rules += [self.default(config.default)] if config.default else []
        rules += [self.each(each, number) for number, each in enumerate(config.each)]
        rules += [self.remove(config.remove)] if config.remove else []
        return rules

    def place(self, text: str, key: str, *, segment: bool = False, many: bool = True) -> Place:
        """A path in a rule. Raises ConfigError."""
        where = f"{self.where}.{key}"
        try:
            place = Place.parse(text, self.loops)
        except ValueError as error:
            raise ConfigError(str(error), where=where) from None
        if place.path.literal or (place.path.field is None and place.path.segment == "MSH"):
            raise ConfigError(f"{text} cannot be changed: it declares the delimiters", where=where)
        if place.path.field is None and not segment:
            raise ConfigError(f"{text} is a segment; name a field of it", where=where)
        if place.path.many and not many:
            raise ConfigError(f"{text} names several places; use each", where=where)
        return place

    def transfer(self, pairs: dict[str, str], key: str, *, remove: bool) -> Rule:
        places = [
            (self.place(target, f"{key}.{target}"), self.source(source, f"{key}.{target}", remove=remove))
            for target, source in pairs.items()
        ]

        def run(message: Message, variables: Variables, position: Position) -> None:
            for target, source in places:
                origin, goal = source.at(position), target.at(position)
                raw = message.raw(origin)
                if raw or message.raw(goal):  # nothing is made to hold nothing
                    message.set_raw(goal, raw or b"")
                if remove:
                    message.remove(origin)

        return run

    def source(self, text: str, key: str, *, remove: bool) -> Place:
        if remove:
            return self.place(text, key, many=False)
        try:
            place = Place.parse(text, self.loops)
        except ValueError as error:
            raise ConfigError(str(error), where=f"{self.where}.{key}") from None
        if place.path.field is None or place.path.many:
            raise ConfigError(f"{text} is not one field to copy", where=f"{self.where}.{key}")
        return place

    def set(self, values: dict[str, str]) -> Rule:
        places = [(self.place(path, f"set.{path}"), value) for path, value in values.items()]
        if any(place.bound for place, _ in places):

            def run(message: Message, variables: Variables, position: Position) -> None:
                for place, value in places:
                    message.set(place.at(position), value)

            return run
        fixed = [(place.path, value) for place, value in places]

        def run_fixed(message: Message, variables: Variables, position: Position) -> None:
            for path, value in fixed:
                message.set(path, value)

        return run_fixed

    def default(self, values: dict[str, str]) -> Rule:
        places = [(self.place(path, f"default.{path}"), value) for path, value in values.items()]

        def run(message: Message, variables: Variables, position: Position) -> None:
            for place, value in places:
                for path in expand(message, place.at(position)):
                    if not read(message, path):
                        message.set(path, value)

        return run

    def compute(self, path: str, text: str) -> Rule:
        key = f"compute.{path}"
        place = self.place(path, key)
        expression = self.expression(text, key, Kind.TEXT | Kind.NULL | Kind.NUMBER)

        def run(message: Message, variables: Variables, position: Position) -> None:
            try:
                value = expression.evaluate(message, variables, position)
            except EvaluationError as error:
                raise EvaluationError(f"{key}: {error}") from None
            target = place.at(position)
            if value is not None or any(read(message, one) for one in expand(message, target)):
                message.set(target, as_text(value))  # type: ignore[arg-type]  # the compiler saw to its kind

        return run

    def expression(self, text: str, key: str, wanted: Kind) -> Expression:
        return compile_expression(
            text, where=f"{self.where}.{key}", timezone=self.timezone, loops=self.loops, wanted=wanted
        )

    def remove(self, paths: list[str]) -> Rule:
        places = [self.place(path, f"remove[{at}]", segment=True) for at, path in enumerate(paths)]

        def run(message: Message, variables: Variables, position: Position) -> None:
            for place in places:
                message.remove(place.at(position))

        return run

    def each(self, each: Each, number: int) -> Rule:
        where = f"{self.where}.each[{number}]"
        place = self.place(each.in_, f"each[{number}].in", segment=True)
        if place.path.index == "*" and place.path.field is None:
            loop = Loop(place.path.segment)
        elif place.path.field and place.path.repetition == "*" and place.path.component is None:
            loop = Loop(place.path.segment, place.path.field)
        else:
            raise ConfigError("each goes through segments, OBX[*], or repetitions, PID-3[*]", where=f"{where}.in")
        if place.path.index == "*" and loop.field is not None:
            raise ConfigError("go through the segments first, then, within, the repetitions", where=f"{where}.in")
        if len(self.loops) == MAX_LOOPS:
            raise ConfigError(f"at most {MAX_LOOPS} loops within one another", where=where)
        inner = _Compiler(where, self.timezone, (*self.loops, loop))
        condition = None if each.where is None else inner.expression(each.where, "where", Kind.BOOLEAN)
        inner.where = f"{where}.do"
        return _loop(place, condition, inner.rules(each.do), removes=_removes(each.do))


def _loop(place: Place, condition: Expression | None, rules: list[Rule], *, removes: bool) -> Rule:
    most = MAX_REMOVING if removes else MAX_TURNS

    def run(message: Message, variables: Variables, position: Position) -> None:
        places = expand(message, place.at(position))
        if len(places) > most:
            raise StepError(f"each: more than {most:,} of {place}")
        turn, last = 1, len(places)
        while turn <= last:
            here = (*position, turn)
            turn += 1
            if condition is not None and not condition.evaluate(message, variables, here):
                continue
            for rule in rules:
                rule(message, variables, here)
            if removes and message.raw(places[last - 1]) is None:  # the next one has the number now
                turn, last = turn - 1, last - 1

    return run


def _removes(rules: Rules) -> bool:
    return bool(rules.remove or rules.move or any(_removes(each.do) for each in rules.each))


def _body(text: str) -> bytes:
    return text.strip("\r\n").replace("\r\n", "\r").replace("\n", "\r").encode()


def _differences(message: Message, example: Example) -> list[str]:
    """What an example expects and does not find; a path that cannot be read is a difference."""
    if isinstance(example.expected, str):
        found, wanted = (
            body.strip(b"\r\n").decode(errors="replace").split("\r")
            for body in (bytes(message), _body(example.expected))
        )
        pairs = enumerate(zip_longest(found, wanted), start=1)
        return [f"line {line} is {one!r}, not {two!r}" for line, (one, two) in pairs if one != two]
    differences = []
    for text, value in example.expected.items():
        try:
            path = Path.parse(text)
        except ValueError as error:
            differences.append(str(error))
            continue
        is_ = _value(message, path)
        if is_ != value:
            differences.append(f"{text} is {is_!r}, not {value!r}")
    return differences


def _value(message: Message, path: Path) -> str | list[str] | None:
    if path.many:
        return [read(message, place) or "" for place in expand(message, path)]
    return read(message, path)


Rules.model_rebuild()
Options.model_rebuild()
step = Map
