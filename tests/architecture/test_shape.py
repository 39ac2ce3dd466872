"""The tree keeps the shape that the design promises: small files, telling names, a test file per plug-in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("src/hilum", "tests", "benchmarks", "scripts", "clients")
MOST_LINES = 500
GENERATED = {"models.py", "calls.py", "schema.ts"}  # of the clients: as long as the API is wide, and in no commit
INSTALLED = {"node_modules", "dist", "build"}
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}
PLUGINS = ("connectors", "steps", "jobs", "exporters")


def modules(*folders: str, kind: str = "py") -> list[Path]:
    """Every Python file in these folders that somebody wrote, relative to the root."""
    found = (path.relative_to(ROOT) for folder in folders for path in (ROOT / folder).rglob(f"*.{kind}"))
    return sorted(path for path in found if path.parts[0] != "clients" or not _is_made(path))


def _is_made(path: Path) -> bool:
    return path.name in GENERATED or bool(INSTALLED & set(path.parts))


def plugins() -> list[Path]:
    """Every plug-in's file."""
    return [
        path
        for path in modules(*(f"src/hilum/{kind}" for kind in PLUGINS))
        if not path.stem.startswith("_") and len(path.parts) == 4
    ]


def test_the_tree_is_found() -> None:
    assert {folder for folder in FOLDERS if modules(folder)} == set(FOLDERS)
    assert len(plugins()) > 3


def test_no_file_is_longer_than_500_lines() -> None:
    lengths = {
        str(path): len((ROOT / path).read_text(encoding="utf-8").splitlines())
        for path in (*modules(*FOLDERS), *modules("clients", kind="ts"))
    }
    assert {path: length for path, length in lengths.items() if length > MOST_LINES} == {}


def test_no_module_has_a_name_that_says_nothing() -> None:
    nameless = [
        str(path)
        for path in modules(*FOLDERS)
        if EMPTY_NAMES & {part.removesuffix(".py").removeprefix("test_") for part in path.parts}
    ]
    assert nameless == []


@pytest.mark.parametrize("path", plugins(), ids=str)
def test_a_plugin_has_a_test_file_of_its_own(path: Path) -> None:
    test = ROOT / "tests" / path.parent.name / f"test_{path.stem}.py"
    assert test.is_file(), f"{path} is one file and one test file: {test.relative_to(ROOT)} is missing"
    assert "def test_" in test.read_text(encoding="utf-8") or "sdk.testing" in test.read_text(encoding="utf-8")


def test_no_file_names_a_path_of_the_machine_it_was_written_on() -> None:
    here = re.compile(r"(?<![\w.~-])/(?:work|root)/")
    texts = [*modules(*FOLDERS), *(path.relative_to(ROOT) for path in (ROOT / "docs").rglob("*.md"))]
    assert [str(path) for path in texts if here.search((ROOT / path).read_text(encoding="utf-8"))] == []
