"""Change values: set, copy, move, compute, fill in, remove, for single places or for each of many.

The rules of one step run in a fixed order: copy, move, set, compute, default, each, remove. Whoever needs
another order writes two steps. Paths are those of the message's format: PID-3.1, $.patient.id. With `to` the rules
make a new message: targets are places of the new one, all else reads the one that came. Examples stored beside the
rules are run by `hilum check`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from pydantic import Field

from hilum.errors import ConfigError, HilumError, StepError
from hilum.expressions import (
    EvaluationError,
    Expression,
    Kind,
    Loops,
    Position,
    Variables,
    compile_condition,
    compile_expression,
)
from hilum.expressions.examples import body_of, compared, told
from hilum.expressions.forms import FORMS, NO_LOOP, Form
from hilum.expressions.targets import Into, Target
from hilum.sdk.config import Config
from hilum.sdk.config import read as configured
from hilum.sdk.contracts import Result, Step, StepContext, Tried, Work

MAX_LOOPS = 3  # each within each

Named = Literal["hl7v2", "json"]
Rule = Callable[[Any, Any, Variables, Position, Position], None]
"""Given the message that is read, the one that is written (often the same), and where the loops of each stand."""


class Rules(Config):
    """What is done, in the order of these keys."""

    copy_: dict[str, str] = Field({}, alias="copy", description="Target to source; the structure is kept.")
    move: dict[str, str] = Field({}, description="Target to source, which is then removed.")
    set: dict[str, Any] = Field(
        {}, description='Path to text, in JSON to any value; "" empties, in HL7 v2 \'""\' is the null.'
    )
    compute: dict[str, str] = Field({}, description="Path to an expression; null empties.")
    default: dict[str, Any] = Field({}, description="Path to text, put where nothing stands.")
    each: list[Each] = Field([], description="Rules for each of several segments, repetitions or JSON nodes.")
    remove: list[str] = Field([], description="Paths: segments, fields, components; whatever a JSONPath finds.")


class Each(Config):
    """Rules for each of several: inside, a path without an index means the one whose turn it is; in JSON `@` does."""

    in_: str = Field(..., alias="in", description="OBX[*], PID-3[*]; in JSON a query such as $.items[*].")
    into: str | None = Field(None, description="With `to`: what each turn makes, such as $.results[*] or OBX[*].")
    where: str | None = Field(None, description="Only those that meet this condition.")
    do: Rules = Field(..., description="The rules.")


class Example(Config):
    """A message and what becomes of it."""

    input: str | dict[str, Any] | list[Any] = Field(
        ..., description="A message, JSON also as it is; in HL7 v2 line feeds end segments as well."
    )
    attributes: dict[str, str] = Field({}, description="The variables, such as file_name for $file_name.")
    expected: str | dict[str, Any] | list[Any] = Field(
        ..., description="The whole message, or values by path; null where nothing stands, a list with [*]."
    )


class Options(Rules):
    """What a map can be told."""

    use: str | None = Field(
        None, description="The rules of a stored mapping, NAME or NAME@3; beside it stands `when` alone."
    )
    when: str | None = Field(None, description="Run only where this condition holds.")
    from_: Named | None = Field(None, alias="from", description="What is read; without it, what comes here.")
    to: Named | None = Field(None, description="Make a new message of this format.")
    examples: list[Example] = Field([], description="Run by `hilum check`.")


class Map(Step[Options]):
    """Runs its rules."""

    Config = Options

    def __init__(self, config: Options, context: StepContext) -> None:
        super().__init__(config, context)
        rules, where = config, context.where
        given = [(config.when, f"{where}.when")]
        if config.use is not None:
            rules, where = _used(config, context), f"{where}.use"
            given.append((rules.when, f"{where}.when"))
        self.reads, made = _formats(rules, context, where)
        self.makes = made or (self.reads if self.reads == "json" else self.makes)
        self._to = made
        self._when = [
            compile_condition(text, where=place, timezone=context.timezone, form=self.reads)
            for text, place in given
            if text is not None
        ]
        if given and made:
            text = "decides nothing where a new message is made: put a filter before it"
            if used := [place for condition, place in given if condition is not None]:
                raise ConfigError(text, where=used[0])
        self._rules = _Compiler(where, context.timezone, FORMS[self.reads], FORMS[made] if made else None).rules(rules)

    def run(self, work: Work) -> Result:
        variables = work.attributes
        source = work.document(self.reads)
        for condition in self._when:
            if not condition.evaluate(source, variables, ()):
                return work
        try:
            if self._to is None:
                if self.reads == "hl7v2":
                    work.edit()
                self._run(source, source, variables)
                if self.reads == "json":
                    work.become(source, "json")
            else:
                target = FORMS[self._to].new()
                self._run(source, target, variables)
                work.become(target, self._to)
        except ValueError as error:  # a path out of reach, or a character that the message cannot hold
            raise StepError(str(error)) from None
        return work

    def _run(self, source: Any, target: Any, variables: Variables) -> None:
        for rule in self._rules:
            rule(source, target, variables, (), ())

    def tried(self) -> list[Tried]:
        return [self._try(example) for example in self.config.examples]

    def _try(self, example: Example) -> Tried:
        work = Work(body_of(example.input, self.reads), self.reads, attributes=example.attributes)
        form = self._to or self.reads
        try:
            self.run(work)
            found, problems = compared(work.document(form), example.expected, form)
        except HilumError as error:
            found, problems = None, [str(error)]
        return Tried(told(example.input), example.expected, found, tuple(problems))


def _used(config: Options, context: StepContext) -> Options:
    """The stored mapping that a step uses. Raises ConfigError."""
    where, name = f"{context.where}.use", config.use or ""
    if beside := sorted(config.model_fields_set - {"use", "when"}):
        raise ConfigError(f"the rules are the mapping's own: take out {beside[0].rstrip('_')}", where=where)
    found = configured(Options, context.mapping(name), where)
    if found.use is not None:
        raise ConfigError(f"{name} uses another mapping itself", where=where)
    return found


def _formats(rules: Options, context: StepContext, where: str) -> tuple[str, str | None]:
    """What is read, and what is made anew, if anything is. Raises ConfigError."""
    comes = context.format if context.format in FORMS else None
    if rules.from_ and comes and rules.from_ != comes:
        titles = FORMS[comes].title, FORMS[rules.from_].title
        raise ConfigError(f"what comes here is {titles[0]}, not {titles[1]}", where=f"{where}.from")
    reads = rules.from_ or comes
    if reads is None:
        if rules.to is not None and not context.format:
            raise ConfigError("say from what: from: hl7v2 or from: json", where=where)
        reads = "hl7v2" if rules.to else _shown(rules)
    if reads == rules.to == "hl7v2":
        raise ConfigError("a message of HL7 v2 is changed where it stands: leave out to", where=f"{where}.to")
    return reads, rules.to


def _shown(rules: Rules) -> str:
    """The format whose paths stand in rules that nobody told."""
    paths = [*rules.copy_, *rules.move, *rules.set, *rules.compute, *rules.default, *rules.remove]
    return "json" if any(path.startswith("$") for path in [*paths, *(each.in_ for each in rules.each)]) else "hl7v2"


class _Compiler:
    """Makes rules ready to run: every path and expression is read here, once."""

    def __init__(
        self, where: str, timezone: str, reads: Form, makes: Form | None, loops: Loops = (), made: Loops = ()
    ) -> None:
        """`makes` None: what is read is changed itself. `loops` are those of what is read, `made` of what is made."""
        self.where = where
        self.timezone = timezone
        self.reads, self.makes, self.writes = reads, makes, makes or reads
        self.loops, self.made = loops, loops if makes is None else made

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

    def made_of(self, make: Callable[..., Any], key: str, *arguments: Any, **more: Any) -> Any:
        """What `make` makes of a path or a value; its ValueError gets the place."""
        try:
            return make(*arguments, **more)
        except ValueError as error:
            raise ConfigError(str(error), where=f"{self.where}.{key}") from None

    def place(self, text: str, key: str, *, many: bool = True) -> Target:
        """A path that is written. Raises ConfigError."""
        target: Target = self.made_of(self.writes.target, key, text, self.made)
        if target.many and not many:
            raise ConfigError(f"{text} names several places; use each", where=f"{self.where}.{key}")
        return target

    def transfer(self, pairs: dict[str, str], key: str, *, remove: bool) -> Rule:
        if remove and self.makes:
            raise ConfigError("move takes away what is only read here: copy it", where=f"{self.where}.{key}")
        places = [
            (self.place(target, f"{key}.{target}"), self.source(source, f"{key}.{target}", remove=remove))
            for target, source in pairs.items()
        ]
        alike = self.reads is self.writes

        def run(source: Any, target: Any, variables: Variables, here: Position, there: Position) -> None:
            for goal, origin in places:
                if not alike:
                    goal.adopt(target, there, origin.text(source, here))
                    continue
                raw = origin.take(source, here)
                if remove and self.writes.takes_first:
                    origin.remove(source, here)
                goal.give(target, there, raw)
                if remove and not self.writes.takes_first:
                    origin.remove(source, here)

        return run

    def source(self, text: str, key: str, *, remove: bool) -> Target:
        if remove:
            return self.place(text, key, many=False)
        source: Target = self.made_of(self.reads.source, key, text, self.loops)
        return source

    def set(self, values: dict[str, Any]) -> Rule:
        places = [(self.place(path, f"set.{path}"), self.fixed(value, f"set.{path}")) for path, value in values.items()]

        def run(source: Any, target: Any, variables: Variables, here: Position, there: Position) -> None:
            for place, value in places:
                place.set(target, there, value)

        return run

    def fixed(self, value: Any, key: str) -> Any:
        return self.made_of(self.writes.fixed, key, value)

    def default(self, values: dict[str, Any]) -> Rule:
        places = [
            (self.place(path, f"default.{path}"), self.fixed(value, f"default.{path}"))
            for path, value in values.items()
        ]

        def run(source: Any, target: Any, variables: Variables, here: Position, there: Position) -> None:
            for place, value in places:
                place.fill(target, there, value)

        return run

    def compute(self, path: str, text: str) -> Rule:
        key = f"compute.{path}"
        place = self.place(path, key)
        expression = self.expression(text, key, self.writes.takes)

        def run(source: Any, target: Any, variables: Variables, here: Position, there: Position) -> None:
            try:
                value = expression.evaluate(source, variables, here)
            except EvaluationError as error:
                raise EvaluationError(f"{key}: {error}") from None
            place.put(target, there, value)

        return run

    def expression(self, text: str, key: str, wanted: Kind) -> Expression:
        return compile_expression(
            text, where=f"{self.where}.{key}", timezone=self.timezone, loops=self.loops, wanted=wanted,
            form=self.reads.name,
        )  # fmt: skip

    def remove(self, paths: list[str]) -> Rule:
        places = [
            self.made_of(self.writes.removable, f"remove[{at}]", path, self.made) for at, path in enumerate(paths)
        ]

        def run(source: Any, target: Any, variables: Variables, here: Position, there: Position) -> None:
            for place in places:
                place.remove(target, there)

        return run

    def each(self, each: Each, number: int) -> Rule:
        key, where = f"each[{number}]", f"{self.where}.each[{number}]"
        through = self.made_of(self.reads.through, f"{key}.in", each.in_, self.loops)
        if len(self.loops) == MAX_LOOPS:
            raise ConfigError(f"at most {MAX_LOOPS} loops within one another", where=where)
        into: Into | None = None
        if each.into is not None:
            if self.makes is None:
                raise ConfigError("belongs to a mapping that makes a new message, with to", where=f"{where}.into")
            into = self.made_of(self.writes.into, f"{key}.into", each.into, self.made)
        made = (*self.made, NO_LOOP if into is None else into.loop)
        inner = _Compiler(where, self.timezone, self.reads, self.makes, (*self.loops, through.loop), made)
        condition = None if each.where is None else inner.expression(each.where, "where", Kind.BOOLEAN)
        inner.where = f"{where}.do"
        rules, removes, apart = inner.rules(each.do), self.makes is None and _removes(each.do), self.makes is not None

        def run(source: Any, target: Any, variables: Variables, here: Position, there: Position) -> None:
            def turn(number: int) -> bool:
                inside = (*here, number)
                if condition is not None and not condition.evaluate(source, variables, inside):
                    return False
                beside = inside
                if apart:
                    beside = (*there, into.next(target, there) if into else 0)
                for rule in rules:
                    rule(source, target, variables, inside, beside)
                return True

            through.run(source, here, turn, removes=removes)

        return run


def _removes(rules: Rules) -> bool:
    return bool(rules.remove or rules.move or any(_removes(each.do) for each in rules.each))


Rules.model_rebuild()
Options.model_rebuild()
step = Map
