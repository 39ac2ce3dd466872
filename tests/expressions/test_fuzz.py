"""Whatever is written, compiling raises ExpressionError alone and evaluating EvaluationError alone."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hilum.errors import ExpressionError
from hilum.expressions import EvaluationError, Loop, compile_expression
from hilum.expressions.functions import FUNCTIONS
from hilum.formats.hl7v2 import Message

MESSAGES = [
    Message.parse(text)
    for text in (
        b'MSH|^~\\&|LAB||HIS||20240101120000||ADT^A01|1|P|2.5\rPID|1||4711^^^MRN~0815||Doe^Jane|""|19700101',
        b"MSH|^~\\&\rPID|\xff\xfe|~~^&|\\X41\\|0.5\rOBX|1\rOBX||||99999999999999999999999999999999",
        b"MSH|^~\\&",
    )
]
ATOMS = [
    "PID-3.1", "PID-3[*].1", "PID-6", "OBX[*]-5", "OBX[2]-4", "MSH-1", "MSH-2", "PID", "NTE", "PID-7", "PID-1",
    "1", "0", "2.50", "9" * 28, "''", "'a'", "'20241027023000'", "'UTC'", "'days'", "'yyyy-MM-dd'",
    "'iso'", "null", "true", "false", "$a", "$index", "[1, 'a']", "[]", "'(a|b)*'",
]  # fmt: skip
MARKS = ["==", "!=", "<", "<=", ">", ">=", "in", "not in", "matches", "&", "+", "-", "*", "/", "and", "or"]


def grow(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(parts, st.sampled_from(MARKS), parts).map(" ".join),
        st.tuples(parts, parts, parts).map(lambda three: f"{three[0]} if {three[1]} else {three[2]}"),
        parts.map(lambda part: f"({part})"),
        parts.map(lambda part: f"not {part}"),
        parts.map(lambda part: f"-{part}"),
        st.tuples(st.sampled_from(sorted(FUNCTIONS)), st.lists(parts, max_size=3)).map(
            lambda call: f"{call[0]}({', '.join(call[1])})"
        ),
    )


SOURCES = st.recursive(st.sampled_from(ATOMS), grow, max_leaves=12)
TOKENS = st.lists(st.sampled_from([*ATOMS, *MARKS, *"()[],$", *sorted(FUNCTIONS), "'", "if", "else"])).map("".join)


def run(source: str) -> None:
    try:
        expression = compile_expression(source, timezone="Europe/Berlin", loops=(Loop("OBX"),))
    except ExpressionError:
        return
    for message in MESSAGES:
        before = bytes(message)
        results = []
        for _ in range(2):
            variables = {"a": "x"}
            try:
                value = expression.evaluate(message, variables, (2,))
            except EvaluationError as error:
                value = str(error)
            results.append((value, variables))
        assert results[0] == results[1], "the same message gives the same"
        assert bytes(message) == before, "an expression changes nothing"


@pytest.mark.ledger_part("S2-123", "sandboxed and deterministic: any well-formed source on any message")
@settings(max_examples=600, deadline=None)
@given(SOURCES)
@example("round(9999999999999999999999999999, 2)")
@example("9999999999999999999999999999 / 0.5")
def test_sources_made_by_the_grammar(source: str) -> None:
    run(source)


@settings(max_examples=400, deadline=None)
@given(TOKENS)
def test_sources_made_of_tokens(source: str) -> None:
    run(source)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
@example("\udcff")
@example("'\udcff' matches '\udcff'")
@example("'\x00' & upper('ß')")
def test_any_text(source: str) -> None:
    run(source)
