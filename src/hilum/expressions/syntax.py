"""The grammar: tokens become a tree of operations, by precedence (Pratt).

From the loosest: `x if c else y`; `or`; `and`; `not`; `== != < <= > >= in matches` (once); `&`; `+ -`;
`* /`; `-x`.
"""

from __future__ import annotations

import dataclasses
from decimal import Decimal

from hilum.expressions.tokens import Source, Token
from hilum.expressions.values import MAX_DEPTH

COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">=", "in", "matches"})
_LEVELS: tuple[frozenset[str], ...] = (frozenset({"&"}), frozenset({"+", "-"}), frozenset({"*", "/"}))


@dataclasses.dataclass(frozen=True, slots=True)
class Node:
    """`at` is where it stands in the source, `height` how deep its parts nest."""

    at: int
    height: int


@dataclasses.dataclass(frozen=True, slots=True)
class Constant(Node):
    value: str | Decimal | bool | None


@dataclasses.dataclass(frozen=True, slots=True)
class Place(Node):
    text: str  # a path


@dataclasses.dataclass(frozen=True, slots=True)
class Query(Node):
    text: str  # a JSONPath


@dataclasses.dataclass(frozen=True, slots=True)
class Variable(Node):
    name: str


@dataclasses.dataclass(frozen=True, slots=True)
class Sequence(Node):
    entries: tuple[Node, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Call(Node):
    name: str
    arguments: tuple[Node, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Operation(Node):
    """`mark` on its operands: `and`, `or` and `&` have two or more, `not` and `negate` one, others two."""

    mark: str
    operands: tuple[Node, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Conditional(Node):
    condition: Node
    then: Node
    otherwise: Node


def parse(source: Source) -> Node:
    """Raises ExpressionError, with the place."""
    parser = _Parser(source)
    tree = parser.expression()
    parser.take("end")
    return tree


class _Parser:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.tokens = list(source.tokens())
        self.next = 0
        self.depth = 0

    @property
    def token(self) -> Token:
        return self.tokens[self.next]

    def take(self, kind: str) -> Token:
        """The next token, which must be of this kind."""
        token = self.token
        if token.kind != kind:
            wanted = "the end" if kind == "end" else kind
            raise self.source.error(f"expected {wanted}, found {token.text or 'the end'}", token.at)
        self.next += 1
        return token

    def skip(self, *kinds: str) -> Token | None:
        """The next token if it is of one of these kinds."""
        if self.token.kind not in kinds:
            return None
        self.next += 1
        return self.tokens[self.next - 1]

    def height(self, at: int, *parts: Node) -> int:
        height = 1 + max((part.height for part in parts), default=0)
        if height > MAX_DEPTH:
            raise self.source.error(f"more than {MAX_DEPTH} operations within one another", at)
        return height

    def operation(self, at: int, mark: str, *operands: Node) -> Operation:
        return Operation(at, self.height(at, *operands), mark, operands)

    def expression(self) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.source.error(f"more than {MAX_DEPTH} brackets within one another", self.token.at)
        node = self.chain("or")
        if token := self.skip("if"):
            condition = self.chain("or")
            self.take("else")
            otherwise = self.expression()
            height = self.height(token.at, node, condition, otherwise)
            node = Conditional(token.at, height, condition, node, otherwise)
        self.depth -= 1
        return node

    def chain(self, mark: str) -> Node:
        """`a or b or c` and `a and b and c`: one operation each, however many operands."""
        parts = [self.chain("and") if mark == "or" else self.negation()]
        at = self.token.at
        while self.skip(mark):
            parts.append(self.chain("and") if mark == "or" else self.negation())
        return parts[0] if len(parts) == 1 else self.operation(at, mark, *parts)

    def negation(self) -> Node:
        tokens = []
        while token := self.skip("not"):
            tokens.append(token)
        node = self.comparison()
        for token in reversed(tokens):
            node = self.operation(token.at, "not", node)
        return node

    def comparison(self) -> Node:
        left = self.level(0)
        token = self.token
        if token.kind == "not" and self.tokens[self.next + 1].kind in ("in", "matches"):
            self.next += 1
            mark = self.tokens[self.next].kind
            self.next += 1
            return self.operation(token.at, "not", self.operation(token.at, mark, left, self.level(0)))
        if token.kind not in COMPARISONS:
            return left
        self.next += 1
        node = self.operation(token.at, token.kind, left, self.level(0))
        if self.token.kind in COMPARISONS:
            raise self.source.error("comparisons do not chain; join them with and", self.token.at)
        return node

    def level(self, number: int) -> Node:
        """A level of operators that group from the left; `&` takes all its operands at once."""
        if number == len(_LEVELS):
            return self.sign()
        node = self.level(number + 1)
        texts = [node]
        at = self.token.at
        while token := self.skip(*_LEVELS[number]):
            right = self.level(number + 1)
            if token.kind == "&":
                texts.append(right)
            else:
                node = self.operation(token.at, token.kind, node, right)
        return node if len(texts) == 1 else self.operation(at, "&", *texts)

    def sign(self) -> Node:
        signs = []
        while token := self.skip("-"):
            signs.append(token)
        node = self.primary()
        for token in reversed(signs):
            node = self.operation(token.at, "negate", node)
        return node

    def primary(self) -> Node:
        token = self.token
        self.next += 1
        match token.kind:
            case "number":
                return Constant(token.at, 1, Decimal(token.text))
            case "text":
                quote = token.text[0]
                return Constant(token.at, 1, token.text[1:-1].replace(quote * 2, quote))
            case "true" | "false" | "null":
                return Constant(token.at, 1, {"true": True, "false": False}.get(token.kind))
            case "path":
                return Place(token.at, 1, token.text)
            case "query":
                return Query(token.at, 1, token.text)
            case "variable":
                return Variable(token.at, 1, token.text[1:])
            case "name":
                return self.call(token)
            case "(":
                node = self.expression()
                self.take(")")
                return node
            case "[":
                entries = self.entries("]")
                return Sequence(token.at, self.height(token.at, *entries), entries)
        raise self.source.error(f"expected a value, found {token.text or 'the end'}", token.at)

    def call(self, name: Token) -> Node:
        if self.token.kind != "(":
            hint = f"{name.text} is no value; text stands in quotes, a variable begins with $"
            raise self.source.error(hint, name.at)
        self.next += 1
        arguments = self.entries(")")
        return Call(name.at, self.height(name.at, *arguments), name.text, arguments)

    def entries(self, end: str) -> tuple[Node, ...]:
        if self.skip(end):
            return ()
        found = [self.expression()]
        while self.skip(","):
            found.append(self.expression())
        self.take(end)
        return tuple(found)
