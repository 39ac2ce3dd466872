"""Turns a tree of operations into one Python function; kinds are checked here, so that running only runs.

The function's code is made of names and marks of our own alone; whatever a source contains (texts,
numbers, paths, patterns) reaches it as an object, never as code, and it sees no builtins.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from hilum.errors import ExpressionError
from hilum.expressions import dates, fhir_paths, functions, json_paths, patterns, values
from hilum.expressions.functions import FUNCTIONS, Function
from hilum.expressions.json_paths import JsonPlace
from hilum.expressions.paths import HL7_NULL, Loops, Place, Position, count, read, read_all
from hilum.expressions.syntax import Call, Conditional, Constant, Node, Operation, Query, Sequence, Variable, parse
from hilum.expressions.syntax import Place as PlaceNode
from hilum.expressions.tokens import Source
from hilum.expressions.values import EvaluationError, Kind, Value, Variables
from hilum.formats.jsonpath import MISSING

TEXT = Kind.TEXT | Kind.NULL
SCALAR = TEXT | Kind.NUMBER
_ORDERS = {
    "<": values.less,
    "<=": values.less_or_equal,
    ">": values.greater,
    ">=": values.greater_or_equal,
}
_NUMERIC = {"+": values.add, "-": values.subtract, "*": values.multiply, "/": values.divide}


@dataclasses.dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression; `kind` is what it gives. `evaluate` raises nothing but EvaluationError."""

    source: str
    kind: Kind
    evaluate: Callable[[Any, Variables, Position], Value]  # of a Message or a JsonDocument


def compile_expression(
    text: str,
    *,
    where: str = "",
    timezone: str = "UTC",
    loops: Loops = (),
    wanted: Kind | None = None,
    form: str = "hl7v2",
) -> Expression:
    """Compile `text`. `wanted` is what it may give, `timezone` the zone of timestamps without an offset.

    `form` is what is read: hl7v2 or json. Raises ExpressionError, which names `where` and the place in `text`.
    """
    source = Source(text, where)
    tree = parse(source)
    try:
        zone = dates.zone(timezone)
    except ValueError as error:
        raise ExpressionError(str(error), where=where) from None
    writer = _Writer(source, zone, loops, form)
    code, kind = writer.write(tree)
    if wanted is not None and Kind.JSON in kind & ~wanted:  # what it is turns out when it is read
        code, kind = writer.call(_converter(wanted), code), wanted
    if wanted is not None and kind & ~wanted:
        raise source.error(f"this gives {kind}, not {wanted}", tree.at)
    names = {"__builtins__": {}, **writer.names}
    # names of our own and nothing of the source: see the module's docstring
    evaluate = eval(compile(f"lambda m, v, n: {code}", f"<{where or 'expression'}>", "eval"), names)  # noqa: S307
    return Expression(text, kind, evaluate)


def compile_condition(
    text: str, *, where: str = "", timezone: str = "UTC", loops: Loops = (), form: str = "hl7v2"
) -> Expression:
    """Compile what must be true or false. Raises ExpressionError."""
    return compile_expression(text, where=where, timezone=timezone, loops=loops, wanted=Kind.BOOLEAN, form=form)


class _Writer:
    """Writes the code of a tree, bottom up: each part as an expression of Python and its kind."""

    def __init__(self, source: Source, zone: ZoneInfo, loops: Loops, form: str) -> None:
        self.source = source
        self.zone = zone
        self.loops = loops
        self.form = form
        self.names: dict[str, Any] = {}
        self._known: dict[int, str] = {}

    def name(self, thing: object) -> str:
        """A name under which the code finds an object."""
        found = self._known.get(id(thing))
        if found is None:
            found = f"_{len(self.names)}"
            self._known[id(thing)] = found
            self.names[found] = thing  # which also keeps the id from being used again
        return found

    def call(self, function: Callable[..., object], *arguments: str) -> str:
        return f"{self.name(function)}({', '.join(arguments)})"

    def write(self, node: Node) -> tuple[str, Kind]:
        match node:
            case Constant():
                return self.constant(node)
            case PlaceNode():
                return self.place(node)
            case Query():
                return self.query(node)
            case Variable():
                return self.variable(node)
            case Sequence():
                return self.sequence(node)
            case Call():
                return self.function(node)
            case Conditional():
                return self.conditional(node)
            case Operation():
                return self.operation(node)
        raise AssertionError(node)

    def constant(self, node: Constant) -> tuple[str, Kind]:
        match node.value:
            case None:
                return "None", Kind.NULL
            case bool():
                return str(node.value), Kind.BOOLEAN
            case Decimal():
                return self.name(node.value), Kind.NUMBER
            case _:
                return self.name(node.value), Kind.TEXT

    def place(self, node: PlaceNode, *, exact: bool = True) -> tuple[str, Kind]:
        """`exact` reads the HL7 null as its two quotes; where nothing compares with it, it is cheaper."""
        place = self.parse_place(node)
        if place.path.field is None and not place.bound and "[" not in node.text:
            place = self.parse_place(dataclasses.replace(node, text=f"{node.text}[*]"))  # all of that name
        path = self.call(place.at, "n") if place.bound else self.name(place.path)
        if place.path.field is None:
            return self.call(count, "m", path), Kind.SEGMENT
        if place.path.many:
            return self.call(read_all, "m", path), Kind.LIST
        return (self.call(read, "m", path) if exact else f"m.get({path})"), TEXT

    def parse_place(self, node: PlaceNode) -> Place:
        if self.form == "json":
            raise self.source.error(f"{node.text} is a path of HL7 v2, and JSON is read here: begin with $", node.at)
        try:
            return Place.parse(node.text, self.loops)
        except ValueError as error:
            raise self.source.error(str(error), node.at) from None

    def query(self, node: Query) -> tuple[str, Kind]:
        place = self.parse_query(node)
        if not place.query.singular:
            return self.call(place.texts, "m", "n"), Kind.LIST
        return self.call(place.query.read, self.start(place)), Kind.JSON

    def parse_query(self, node: Query) -> JsonPlace:
        if self.form != "json":
            text = f"{node.text} is a path of JSON, and HL7 v2 is read here: write one such as PID-3.1"
            raise self.source.error(text, node.at)
        try:
            return JsonPlace.parse(node.text, self.loops)
        except ValueError as error:
            raise self.source.error(str(error), node.at) from None

    def start(self, place: JsonPlace) -> str:
        """The value that a singular query begins at."""
        return "m.holder[0]" if place.level is None else f"n[{place.level}].value"

    def variable(self, node: Variable) -> tuple[str, Kind]:
        if node.name == "index":
            if not self.loops:
                raise self.source.error("$index has a value only inside each", node.at)
            return self.call(Decimal, "n[-1]"), Kind.NUMBER
        return f"v.get({self.name(node.name)})", TEXT

    def sequence(self, node: Sequence) -> tuple[str, Kind]:
        entries = [self.wanted(entry, SCALAR, "a list") for entry in node.entries]
        return f"[{', '.join(entries)}]", Kind.LIST

    def wanted(self, node: Node, kinds: Kind, what: str) -> str:
        """The code of a part that must be of these kinds; a number goes for text, and text for a number."""
        if isinstance(node, Sequence) and Kind.LIST in kinds:
            parts = [self.wanted(entry, TEXT, what) for entry in node.entries]
            return f"[{', '.join(parts)}]"
        code, kind = self.write(node)
        if Kind.JSON in kind:
            return code if Kind.JSON in kinds else self.call(_converter(kinds), code)
        if Kind.NUMBER in kind and Kind.NUMBER not in kinds and Kind.TEXT in kinds:
            code, kind = self.call(values.as_text, code), kind & ~Kind.NUMBER | Kind.TEXT
        elif Kind.TEXT in kind and Kind.TEXT not in kinds and Kind.NUMBER in kinds:
            code, kind = self.call(values.as_number, code), kind & ~Kind.TEXT | Kind.NUMBER | Kind.NULL
        if kind & ~kinds:
            hint = "; take first(…), last(…) or join(…)" if Kind.LIST in kind else ""
            raise self.source.error(f"{what} takes {kinds}, not {kind}{hint}", node.at)
        return code

    def conditional(self, node: Conditional) -> tuple[str, Kind]:
        condition = self.wanted(node.condition, Kind.BOOLEAN, "if")
        then, kind = self.write(node.then)
        otherwise, other = self.write(node.otherwise)
        return f"({then} if {condition} else {otherwise})", kind | other

    def function(self, node: Call) -> tuple[str, Kind]:
        if node.name == "fhirpath":
            return self.fhirpath(node)
        if len(node.arguments) == 1 and node.name in json_paths.ABOUT and self.form == "json":
            return self.about(node.name, node.arguments[0])
        function = FUNCTIONS.get(node.name)
        if function is None:
            raise self.source.error(f"there is no function {node.name}", node.at)
        given, most = len(node.arguments), len(function.parameters)
        if given < function.required or (given > most and not function.many):
            wanted = f"{function.required} to {most}" if function.required < most else str(most)
            wanted = f"at least {function.required}" if function.many else wanted
            raise self.source.error(f"{node.name} takes {wanted} values, not {given}", node.at)
        prepared = self.prepared(node, function)
        arguments = []
        for number, argument in enumerate(node.arguments):
            if number in function.literal:
                arguments.append(self.name(prepared.pop(0)))
            else:
                kinds = function.parameters[min(number, most - 1)]
                arguments.append(self.wanted(argument, kinds, node.name))
        if function.zoned:
            arguments += [self.name(self.zone), "v"]
        return self.call(function.call, *arguments), function.result

    def about(self, name: str, argument: Node) -> tuple[str, Kind]:
        """exists, valued and count of JSON: they look at arrays and objects too."""
        of_one, of_all, kind = json_paths.ABOUT[name]
        if isinstance(argument, Query):
            place = self.parse_query(argument)
            if not place.query.singular:
                return self.call(of_all, self.call(place.values, "m", "n")), kind
            if name == "exists":
                found = self.call(place.query.value, self.start(place))
                return f"({found} is not {self.name(MISSING)})", kind
        code, found_kind = self.write(argument)
        if Kind.SEGMENT in found_kind or Kind.BOOLEAN in found_kind:
            raise self.source.error(f"{name} takes a value, not {found_kind}", argument.at)
        return self.call(of_one, code), kind

    def fhirpath(self, node: Call) -> tuple[str, Kind]:
        """`fhirpath('name.given')`, or of the value of another path: `fhirpath('code.coding', @.item)`."""
        if self.form != "json":
            raise self.source.error("fhirpath reads JSON, and HL7 v2 is read here", node.at)
        if not 1 <= len(node.arguments) <= 2:
            raise self.source.error(f"fhirpath takes 1 to 2 values, not {len(node.arguments)}", node.at)
        path = node.arguments[0]
        if not (isinstance(path, Constant) and isinstance(path.value, str)):
            raise self.source.error("fhirpath takes a text in quotes here", path.at)
        try:
            read = fhir_paths.compiled(path.value)
        except ValueError as error:
            raise self.source.error(str(error), path.at) from None
        start = "m.holder[0]" if len(node.arguments) == 1 else self.wanted(node.arguments[1], Kind.JSON, "fhirpath")
        return self.call(read, start, "m.holder[0]"), Kind.JSON

    def prepared(self, node: Call, function: Function) -> list[Any]:
        """What the function makes, once, of the parameters that must be constant texts."""
        texts = []
        for number in function.literal:
            argument = node.arguments[number]
            if not (isinstance(argument, Constant) and isinstance(argument.value, str)):
                raise self.source.error(f"{node.name} takes a text in quotes here", argument.at)
            texts.append(argument.value)
        if function.prepare is None:
            return texts
        try:
            return list(function.prepare(*texts))
        except ValueError as error:
            raise self.source.error(str(error), node.arguments[function.literal[0]].at) from None

    def operation(self, node: Operation) -> tuple[str, Kind]:
        mark = node.mark
        if mark in ("and", "or"):
            parts = [self.wanted(part, Kind.BOOLEAN, mark) for part in node.operands]
            return f"({f' {mark} '.join(parts)})", Kind.BOOLEAN
        if mark == "not":
            return f"(not {self.wanted(node.operands[0], Kind.BOOLEAN, mark)})", Kind.BOOLEAN
        if mark == "negate":
            zero = self.name(functions.ZERO)
            value = self.wanted(node.operands[0], functions.NUMBER, "-")
            return self.call(values.subtract, zero, value), functions.NUMBER
        if mark == "&":
            return self.call(values.concat, *[self.wanted(part, TEXT, "&") for part in node.operands]), Kind.TEXT
        if mark in _NUMERIC:
            parts = [self.wanted(part, functions.NUMBER, mark) for part in node.operands]
            return self.call(_NUMERIC[mark], *parts), functions.NUMBER
        left, right = node.operands
        if mark == "matches":
            return self.matches(left, right), Kind.BOOLEAN
        if mark == "in":
            return self.within(left, right), Kind.BOOLEAN
        return self.comparison(node, left, right), Kind.BOOLEAN

    def matches(self, subject: Node, pattern: Node) -> str:
        if not (isinstance(pattern, Constant) and isinstance(pattern.value, str)):
            raise self.source.error("matches takes a pattern in quotes", pattern.at)
        try:
            regex = patterns.regex(pattern.value)
        except ValueError as error:
            raise self.source.error(str(error), pattern.at) from None
        code = self.wanted(subject, TEXT | Kind.LIST, "matches")
        return self.call(_matches, code, self.name(regex))

    def within(self, value: Node, entries: Node) -> str:
        texts = _texts(entries)
        code, kind = self.write(value)
        if Kind.JSON in kind:
            listed, other = self.write(entries)
            if other != Kind.LIST:
                listed = self.wanted(entries, Kind.LIST, "in")
            return self.call(json_paths.among, code, listed)
        if texts is not None and isinstance(value, PlaceNode) and kind == TEXT:
            return f"({self.place(value, exact=HL7_NULL in texts)[0]} in {self.name(texts)})"
        if kind & ~(SCALAR | Kind.LIST):
            raise self.source.error(f"in takes text, a number or a list, not {kind}", value.at)
        listed, kind = self.write(entries)
        if Kind.JSON in kind:
            listed, kind = self.call(json_paths.list_of, listed), Kind.LIST
        if kind != Kind.LIST:
            raise self.source.error(f"in takes a list on its right, not {kind}", entries.at)
        return self.call(values.within, code, listed)

    def comparison(self, node: Operation, left: Node, right: Node) -> str:
        (first, one), (second, two) = self.write(left), self.write(right)
        if Kind.JSON in one | two:
            return self.json_comparison(node.mark, first, second)
        boolean = Kind.BOOLEAN in one or Kind.BOOLEAN in two
        if Kind.SEGMENT in one | two:
            raise self.source.error("a segment has no value of its own; name a field of it", node.at)
        if Kind.LIST in one and Kind.LIST in two:
            raise self.source.error("two lists do not compare; use in", node.at)
        if boolean and not (one == two == Kind.BOOLEAN and node.mark in ("==", "!=")):
            raise self.source.error(f"{node.mark} does not compare {one} with {two}", node.at)
        if node.mark in ("==", "!=") and (boolean or not (one | two) & ~TEXT):
            # the common case: the HL7 null equals no constant but two quotes, so it need not be read as text
            if isinstance(left, PlaceNode) and _harmless(right):
                first = self.place(left, exact=False)[0]
            elif isinstance(right, PlaceNode) and _harmless(left):
                second = self.place(right, exact=False)[0]
            return f"({first} {node.mark} {second})"
        function = {"==": values.equal, "!=": values.differ, **_ORDERS}[node.mark]
        return self.call(function, first, second)

    def json_comparison(self, mark: str, left: str, right: str) -> str:
        """Where one side is known only when it is read."""
        function = {"==": json_paths.same, "!=": json_paths.differs, **_ORDERS}[mark]
        return self.call(function, *[self.call(json_paths.compared, code) for code in (left, right)])


def _converter(kinds: Kind) -> Callable[[Any], Any]:
    """What makes of a value, when it is read, what an operation takes."""
    if Kind.TEXT in kinds:
        return json_paths.scalar_of if Kind.NUMBER in kinds else json_paths.text_of
    if Kind.NUMBER in kinds:
        return json_paths.number_of
    return json_paths.condition_of if Kind.BOOLEAN in kinds else json_paths.list_of


def _harmless(node: Node) -> bool:
    return isinstance(node, Constant) and node.value != HL7_NULL


def _texts(node: Node) -> frozenset[str] | None:
    """The texts of a list that consists of nothing else."""
    if not isinstance(node, Sequence):
        return None
    texts = [entry.value for entry in node.entries if isinstance(entry, Constant)]
    found = frozenset(text for text in texts if isinstance(text, str))
    return found if len(texts) == len(node.entries) and all(isinstance(text, str) for text in texts) else None


def _matches(value: str | list[str | None] | None, regex: patterns.Regex) -> bool:
    if isinstance(value, list):
        return any(entry is not None and regex.matches(entry) for entry in value)
    return value is not None and regex.matches(value)


__all__ = ["EvaluationError", "Expression", "compile_condition", "compile_expression"]
