"""The reference page tells the truth: its message, its examples, every function."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hilum.expressions.functions import FUNCTIONS

PAGE = (Path(__file__).parents[2] / "docs/reference/expressions.md").read_text(encoding="utf-8")
FUNCTION = re.compile(r"^\| `(\w+)\(.*` \| .* \| `(.+)` \| `(.+)` \|$", re.MULTILINE)
OPERATION = re.compile(r"^\| `([^`]+)` \| `([^`]+)` \|$", re.MULTILINE)


def value(written: str) -> Any:
    if written.startswith("'"):
        return written[1:-1]
    return {"true": True, "false": False, "null": None}.get(written, written)


def test_the_page_shows_the_message_that_is_read(sample_text: str) -> None:
    assert f"```hl7\n{sample_text}```" in PAGE


@pytest.mark.ledger_part("S2-123", "every documented function gives what the reference says")
@pytest.mark.parametrize(("name", "source", "result"), FUNCTION.findall(PAGE))
def test_function(evaluate: Any, name: str, source: str, result: str) -> None:
    found = evaluate(source)
    assert name in source
    if isinstance(found, Decimal):
        assert found == Decimal(result)
    else:
        assert found == value(result)


@pytest.mark.parametrize(("source", "result"), OPERATION.findall(PAGE))
def test_operation(evaluate: Any, source: str, result: str) -> None:
    found = evaluate(source)
    assert (found == Decimal(result)) if isinstance(found, Decimal) else (found == value(result))


def test_the_page_names_every_function_and_no_other() -> None:
    assert {name for name, _, _ in FUNCTION.findall(PAGE)} == set(FUNCTIONS)
    assert len(OPERATION.findall(PAGE)) > 8


def test_every_function_is_described() -> None:
    assert [name for name, function in FUNCTIONS.items() if not function.document] == []
