"""What compiles, what it gives, and what does not compile."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from hilum.errors import ExpressionError, StepError
from hilum.expressions import EvaluationError, Kind, Loop, compile_condition, compile_expression
from hilum.formats.hl7v2 import Message


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("10 - 4 - 3", 3),
        ("12 / 4 / 3", 1),
        ("--2", 2),
        ("-2 * -3", 6),
        ("1 - -1", 2),
        ("PID-1 - 1", 0),
        ("PID-1-1", 0),
    ],
)
def test_arithmetic_groups_from_the_left(evaluate: Any, source: str, result: int) -> None:
    assert evaluate(source) == Decimal(result)


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("true or false and false", True),
        ("not true or true", True),
        ("not (true or true)", False),
        ("not not true", True),
        ("true == (1 == 1)", True),
        ("true != false", True),
        # text by characters, numbers by number
        ("'10' < '9'", True),
        ("'10' < 9", False),
        ("10 > '9'", True),
        ("'007' == 7", True),
        ("'007' == '7'", False),
        ("'x' == 7", False),
        ("'x' != 7", True),
        ("'x' < 7", False),
        ("'' == 0", False),
        ("7 >= 7.0", True),
        ("7 <= '7'", True),
        # absent, empty and the HL7 null
        ("PID-20 == null", True),
        ("PID-2 == null", False),
        ("PID-2 == ''", True),
        ("PID-20 == ''", False),
        ("PID-6 == null", False),
        ("PID-6 == ''", False),
        ("""PID-6 == '""' """, True),
        ("""'""' == PID-6""", True),
        ("""PID-6 != '""' """, False),
        ("PID-6 == PID-6", True),
        ("PID-6 != PID-5.1", True),
        ("PID-20 == PID-21", True),
        ("'f' == PID-8", True),
        ("PID-20 != 'F'", True),
        ("PID-20 < 'F'", False),
        ("PID-20 > 1", False),
        # lists
        ("OBX[*]-5 == 140", True),
        ("140 == OBX[*]-5", True),
        ("OBX[*]-5 != 140", True),
        ("140 != OBX[*]-5", True),
        ("100 < OBX[*]-5", True),
        ("OBX[*]-3.1 == 'NA'", False),
        ("not (OBX[*]-2 != 'NM')", True),
        ("NTE[*]-3 == 'x'", False),
        ("PID-3[2].1 == '0815'", True),
        ("'HB' in OBX[*]-3.1", True),
        ("OBX[*]-3.1 in ['NA', 'HB']", True),
        ("OBX[*]-3.1 not in ['NA', 'K']", True),
        ("PID-6 in ['\"\"', 'x']", True),
        ("PID-20 in ['f']", False),
        ("PID-20 in [null, 'f']", True),
        ("OBX-5 in [5, 5.50]", True),
        ("PID-3.1 in [MSH-10, '4711']", True),
        ("OBX[*]-3.1 matches 'G.*'", True),
        ("PID-20 matches '.*'", False),
        ("PID-3.1 not matches '[0-9]'", True),
        ("1 in []", False),
        ("OBX[*]-5 in OBX[*]-6", False),
        ("OBX[*]-5 in [140.0]", True),
        ("[140.0, 'x'] in OBX[*]-5", True),
        ("[1, 'x'] in [2, 'y', null]", False),
        ("[5, 'x'] in ['x']", True),
        # kinds of a whole
        ("exists(OBX[2])", True),
        ("exists(OBX[3])", False),
        ("exists(OBX[*]-5)", True),
        ("exists(NTE[*]-3)", False),
        ("exists(PID-20)", False),
        ("valued(OBX[*]-4)", False),
        ("valued(OBX[*]-5)", True),
    ],
)
def test_conditions(evaluate: Any, source: str, result: bool) -> None:
    assert evaluate(source) is result


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("'it''s'", "it's"),
        ('"say ""a"""', 'say "a"'),
        (r"'a\d'", r"a\d"),
        ("$file_name", "a.hl7"),
        ("$other", None),
        ("'n' & 1.50", "n1.50"),
        ("null & null", ""),
        ("'a' if false else 'b' if false else 'c'", "c"),
        ("MSH-1", "|"),
        ("MSH-2", "^~\\&"),
        ("PID-3", "4711^^^MRN"),
        ("join(['b', 1, null], '-')", "b-1"),
        ("coalesce(PID-20, 4)", Decimal(4)),
        ("coalesce(null, '')", None),
        ("1 + PID-20", None),
        ("-PID-20", None),
        ("PID-2 * 2", None),
        ("count(PID-3[*])", Decimal(2)),
        ("count(NTE)", Decimal(0)),
        ("length(1.50)", Decimal(4)),
        ("length(null)", Decimal(0)),
        ("substring('abc', 2)", "bc"),
        ("substring(null, 1)", None),
        ("substring('abc', 2, -1)", ""),
        ("replace('abc', '', 'x')", "abc"),
        ("replace(null, 'a', 'x')", None),
        ("count(split(null, ','))", Decimal(0)),
        ("round(null)", None),
        ("round(2.5)", Decimal(3)),
        ("round(-2.5)", Decimal(-3)),
        ("format_number(null, 2)", None),
        ("format_number(-1234567, 0, '.', ' ')", "-1 234 567"),
        ("count(OBX[2])", Decimal(1)),
    ],
)
def test_values(evaluate: Any, source: str, result: Any) -> None:
    assert evaluate(source, {"file_name": "a.hl7"}) == result


@pytest.mark.parametrize(
    ("source", "reason", "at"),
    [
        ("", "expected a value, found the end", 1),
        ("MSH-9.1 = 'ADT'", "write ==", 9),
        ("2 ** 3", "expected a value, found *", 4),
        ("!true", "write not", 1),
        ("'abc", "does not end", 1),
        ("1 ~ 2", "cannot read '~'", 3),
        ("(1", "expected ), found the end", 3),
        ("1 2", "expected the end, found 2", 3),
        ("[1", "expected ], found the end", 3),
        ("PID-3 == )", "expected a value, found )", 10),
        ("true if true", "expected else, found the end", 13),
        ("1 < 2 < 3", "do not chain", 7),
        ("adt", "text stands in quotes", 1),
        ("system('ls')", "no function system", 1),
        ("upper()", "upper takes 1 values, not 0", 1),
        ("substring('a')", "takes 2 to 3 values, not 1", 1),
        ("concat()", "at least 1", 1),
        ("upper('a', 'b')", "takes 1 values, not 2", 1),
        ("upper(PID-3[*])", "take first", 7),
        ("upper(true)", "takes text, not a condition", 7),
        ("upper(PID)", "not a segment", 7),
        ("count(PID-3)", "takes a list or a segment", 7),
        ("PID-3 and true", "and takes a condition, not text", 1),
        ("not 1", "not takes a condition", 5),
        ("1 if 'x' else 2", "if takes a condition", 6),
        ("true < false", "does not compare", 6),
        ("true == 'x'", "does not compare", 6),
        ("null == true", "does not compare", 6),
        ("PID == 'x'", "a segment has no value", 5),
        ("OBX[*]-5 == OBX[*]-6", "two lists do not compare", 10),
        ("'a' in 'abc'", "takes a list on its right", 8),
        ("true in ['a']", "takes text, a number or a list", 1),
        ("['a', true]", "a list takes", 7),
        ("'a' matches PID-3", "a pattern in quotes", 13),
        ("'a' matches '('", "pattern cannot be used", 13),
        ("'a' matches '(?=a)'", "pattern cannot be used", 13),
        ("regex_replace('a', PID-3, 'b')", "a text in quotes", 20),
        ("regex_replace('a', 'a', '\\2')", "a replacement knows", 20),
        ("date_format(PID-7, 'YYYY')", "a pattern has no 'Y'", 20),
        ("date_add(PID-7, 1, 'fortnights')", "the units are years", 20),
        ("to_zone(PID-7, 'Mars/Base')", "no time zone", 16),
        ("PID-0", "numbers count from 1", 1),
        ("PID-3.0", "numbers count from 1", 1),
        ("PID-3.1.1.1", "cannot read", 1),
        ("PID-3[", "cannot read", 1),
        ("PIDX", "cannot read", 1),
        ("12abc", "cannot read", 1),
        ("1e5", "cannot read", 1),
        ("$index", "only inside each", 1),
        ("__import__('os')", "no function __import__", 1),
        ("first.__class__", "cannot read '.'", 6),
        ("-'a'[0]", "expected the end", 5),
        ("OBX[*]-5 & 'x'", "take first", 1),
        ("1 +\n  )", "expected a value", 7),
    ],
)
def test_what_does_not_compile_says_where(source: str, reason: str, at: int) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(source, where="routes[a].steps[0].filter.where")
    lines = str(caught.value).split("\n")
    assert lines[0].startswith("routes[a].steps[0].filter.where: ")
    assert reason in lines[0]
    assert f"(character {at})" in lines[0]
    line_start = source.rfind("\n", 0, at - 1) + 1
    assert lines[2].index("^") - 2 == at - 1 - line_start


def test_a_long_line_is_shown_around_the_error() -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression("'" + "a" * 500 + "' & )")
    shown, caret = str(caught.value).split("\n")[1:]
    assert len(shown) < 110
    assert shown[caret.index("^")] == ")"


@pytest.mark.ledger_part("S2-123", "sandbox: source length and nesting are bounded")
@pytest.mark.parametrize(
    "source",
    [
        "(" * 60 + "1" + ")" * 60,
        "not " * 60 + "true",
        "-" * 60 + "1",
        "1" + "+1" * 60,
        "upper(" * 60 + "'a'" + ")" * 60,
        "1 if true else " * 60 + "2",
        "[" * 60,
        "((((1 == 1) == (1 == 1)) == true) == " * 60 + "true",
        "'" + "a" * 4_000 + "'",
    ],
)
def test_what_is_too_deep_or_too_long_does_not_compile(source: str) -> None:
    with pytest.raises(ExpressionError, match=r"within one another|at most 4,000"):
        compile_expression(source)


def test_long_chains_compile(evaluate: Any) -> None:
    assert evaluate(" or ".join(["PID-8 == 'x'"] * 200 + ["true"])) is True
    assert evaluate(" & ".join(["'a'"] * 500)) == "a" * 500
    nested = "true"
    for _ in range(38):
        nested = f"({nested} == true)"
    assert evaluate(nested) is True


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("1 / 0", "division by zero"),
        ("PID-5.1 + 1", "no number"),
        ("number(PID-5.1)", "no number"),
        (
            "9999999999999999999999999999 * 99999999999999999999999" + " * 9999999999999999999999999999" * 35,
            "out of",
        ),
        ("substring('abc', 0)", "counted from 1"),
        ("substring('abc', 1.5)", "whole number"),
        ("substring('abc', null)", "whole number"),
        ("pad_left('a', 2, '')", "one character"),
        ("pad_left('a', 2, 'ab')", "one character"),
        ("pad_left('a', 1000000001)", "whole number"),
        ("split('a', '')", "at nothing"),
        ("round(1, 13)", "0 to 12"),
        ("round(1, -1)", "0 to 12"),
        ("round(9999999999999999999999999999, 12)", "too many digits"),
        ("date_format('20241301', 'iso')", "calendar"),
        ("date_format('x', 'iso')", "no HL7 timestamp"),
        ("date_add('20240101', 0.5, 'days')", "whole number"),
    ],
)
def test_what_cannot_be_evaluated(evaluate: Any, source: str, reason: str) -> None:
    with pytest.raises(EvaluationError, match=reason) as caught:
        evaluate(source)
    assert isinstance(caught.value, StepError)
    assert "Doe" not in str(caught.value)


@pytest.mark.ledger_part("S2-123", "sandbox: what an expression makes is bounded before it is made")
@pytest.mark.parametrize(
    "source",
    [
        "pad_left('a', 199999) & pad_left('a', 199999)",
        "replace(pad_left('a', 199999), ' ', 'xxxxxxxxxx')",
        f"join(split(replace(pad_left('', 9000), ' ', 'y,'), ','), '{'z' * 500}')",
        "split(pad_left('', 20000, ','), ',')",
        "regex_replace(pad_left('', 10001), 'a', 'b')",
        "regex_replace(pad_left('', 1001, 'a'), 'a', 'b')",
        "regex_replace(pad_left('', 10000), '', '" + "b" * 200 + "')",
        "pad_left('', 200001)",
        "pad_left('', 100001) matches 'a'",
    ],
)
def test_what_would_grow_is_refused(evaluate: Any, source: str) -> None:
    with pytest.raises(EvaluationError):
        evaluate(source)


def test_a_hostile_pattern_takes_linear_time(evaluate: Any) -> None:
    """A backtracking engine would need longer than the universe has; pytest's time-out would end it."""
    assert evaluate("(pad_left('', 90000, 'a') & 'b') matches '(a*)*(a+)+'") is False


def test_wanted_kinds() -> None:
    assert compile_condition("true").kind is Kind.BOOLEAN
    with pytest.raises(ExpressionError, match="gives text, not a condition"):
        compile_condition("PID-3.1")
    with pytest.raises(ExpressionError, match="gives a condition, not text or a number"):
        compile_expression("true", wanted=Kind.TEXT | Kind.NUMBER | Kind.NULL)


def test_an_unknown_zone_does_not_compile() -> None:
    with pytest.raises(ExpressionError, match="no time zone 'Mars'"):
        compile_expression("1", timezone="Mars")


def test_loops_give_paths_their_index(sample: Message) -> None:
    segments = (Loop("OBX"),)

    def value(source: str, *position: int, loops: tuple[Loop, ...] = segments) -> Any:
        return compile_expression(source, loops=loops).evaluate(sample, {}, position)

    assert value("OBX-3.1", 2) == "HB"
    assert value("OBX[1]-3.1", 2) == "GLU"
    assert value("PID-3.1", 2) == "4711"
    assert value("$index", 2) == 2
    assert value("exists(OBX)", 3) is False
    assert value("OBX[*]-3.1 == 'GLU'", 2) is True
    repetitions = (Loop("PID", 3),)
    assert value("PID-3.1", 2, loops=repetitions) == "0815"
    assert value("PID-3[1].1", 2, loops=repetitions) == "4711"
    assert value("PID-3", 2, loops=repetitions) == "0815^^^NHS"
    assert value("PID-5.1", 2, loops=repetitions) == "Doe"
    both = (Loop("OBX"), Loop("OBX", 3))
    assert value("OBX-3.2", 2, 1, loops=both) == "Haemoglobin"
    assert value("OBX[1]-3.2", 2, 1, loops=both) == "Glucose"
    assert value("$index", 2, 1, loops=both) == 1
