"""The requirement ledger is read whole, and a row is called proven only for the right reasons."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def ledger() -> ModuleType:
    """scripts/ledger.py, which is no package."""
    spec = importlib.util.spec_from_file_location("ledger_script", ROOT / "scripts" / "ledger.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_row_of_the_ledger_is_read(ledger: ModuleType) -> None:
    rows = ledger.read_rows((ROOT / "docs" / "ledger.md").read_text(encoding="utf-8"))
    assert len(rows) == 476
    assert rows["S1-28"] == "PERF ="
    assert sum("=" in kind for kind in rows.values()) == 57


def test_a_row_that_stands_twice_is_an_error(ledger: ModuleType) -> None:
    with pytest.raises(ValueError, match="S0-01 stands twice"):
        ledger.read_rows("| S0-01 | L1 | BEH | a | b | c |\n" * 2)


@pytest.mark.parametrize(
    ("tests", "kind", "state"),
    [
        ([], "BEH", "open"),
        ([], "BEH =", "same"),
        ([("passed", None)], "BEH", "proven"),
        ([("passed", None), ("failed", "a part")], "BEH", "failed"),
        ([("passed", "a part")], "BEH", "part"),
        ([("skipped", None), ("passed", "a part")], "BEH", "part"),
        ([("skipped", None)], "BEH", "skipped"),
    ],
)
def test_the_state_of_a_row(ledger: ModuleType, tests: list[tuple[str, str | None]], kind: str, state: str) -> None:
    assert ledger.state(kind, [{"outcome": outcome, "part": part} for outcome, part in tests]) == state


def test_a_crowded_test_and_an_unknown_row_are_named(ledger: ModuleType) -> None:
    rows = {f"S0-0{number}": "BEH" for number in range(1, 5)}
    claims: list[dict[str, Any]] = [{"row": row, "part": None} for row in [*rows, "S9-01"]]
    judged = ledger.judge(rows, {"test_all": {"claims": claims, "outcome": "passed"}})
    assert [test["test"] for test in judged["crowded"]] == ["test_all"]
    assert judged["unknown"] == [{"test": "test_all", "row": "S9-01"}]
    assert {entry["state"] for entry in judged["rows"].values()} == {"proven"}
