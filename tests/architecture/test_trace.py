"""The trace matrix that is shipped says what the tests' marks say; a hub shows it in its validation pack."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import pytest

from hilum.exporting.qualification import traceability

ROOT = Path(__file__).parents[2]
WRITE = os.environ.get("HILUM_SNAPSHOT") == "write"  # read early: a test sees no HILUM_… of the shell


@pytest.fixture(scope="module")
def ledger() -> ModuleType:
    """scripts/ledger.py, which is no package."""
    spec = importlib.util.spec_from_file_location("ledger_script", ROOT / "scripts" / "ledger.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_is_current(ledger: ModuleType) -> None:
    text = ledger.trace()
    if WRITE:
        ledger.TRACE.write_text(text, encoding="utf-8")
    same = text == ledger.TRACE.read_text(encoding="utf-8")
    assert same, "python scripts/ledger.py --trace renews it"


def test_marks_are_read_without_running_anything(ledger: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "tests" / "api"
    folder.mkdir(parents=True)
    (folder / "test_x.py").write_text(
        'import pytest\n\n@pytest.mark.ledger("S0-01", "S0-02")\n@pytest.mark.anyio\nasync def test_a(): ...\n\n'
        'class TestB:\n    @pytest.mark.ledger_part("S0-01", "half")\n    @pytest.mark.parametrize("a", [1 + 1])\n'
        "    def test_b(self, a): ...\n\ndef helper(): ...\n",
        encoding="utf-8",
    )
    assert ledger.claimed(tmp_path / "tests") == {
        "S0-01": [("tests/api/test_x.py::test_a", None), ("tests/api/test_x.py::test_b", "half")],
        "S0-02": [("tests/api/test_x.py::test_a", None)],
    }


def test_a_hub_reads_all_of_it(ledger: ModuleType) -> None:
    rows = ledger.read_requirements((ROOT / "docs" / "ledger.md").read_text(encoding="utf-8"))
    found = traceability.requirements()
    assert [(one.id, one.text) for one in found] == [(row, text) for row, (_, text) in rows.items()]
    assert {one.proven for one in found} <= {"whole", "part", "not yet", "same as another"}
    assert all(one.text for one in found)
