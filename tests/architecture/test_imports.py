"""The import rules hold, have no exceptions, and would be noticed if they were broken."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def lint_imports(tree: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts of the tree in that folder."""
    command = Path(sys.executable).with_name("lint-imports")
    environment = os.environ | {"PYTHONPATH": str(tree / "src"), "COLUMNS": "200"}
    return subprocess.run(
        [str(command), "--no-cache"], cwd=tree, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the source that may be spoilt."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_every_contract_is_kept() -> None:
    checked = lint_imports(ROOT)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "0 broken" in checked.stdout


def test_no_contract_has_exceptions() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    assert "exhaustive" in next(one for one in settings["contracts"] if one["type"] == "layers")
    assert [one["id"] for one in settings["contracts"] if one.get("ignore_imports")] == []


@pytest.mark.parametrize(
    ("room", "imported", "contract"),
    [
        ("model", "hilum.engine", "A room imports only from rooms below it"),
        ("formats", "asyncio", "Pure rooms know no loop, socket, SQL or web framework"),
        ("services", "fastapi", "The web framework lives in the API alone"),
        ("engine", "sqlalchemy", "SQL lives in the store alone"),
    ],
)
def test_a_planted_import_is_noticed(tree: Path, room: str, imported: str, contract: str) -> None:
    (tree / "src" / "hilum" / room / "planted.py").write_text(f"import {imported}\n", encoding="utf-8")
    checked = lint_imports(tree)
    assert checked.returncode != 0
    assert f"{contract} BROKEN" in checked.stdout
    assert f"hilum.{room}.planted" in checked.stdout


def test_a_room_without_a_layer_is_noticed(tree: Path) -> None:
    (tree / "src" / "hilum" / "annex").mkdir()
    (tree / "src" / "hilum" / "annex" / "__init__.py").touch()
    checked = lint_imports(tree)
    assert checked.returncode != 0
    assert "annex" in checked.stdout
