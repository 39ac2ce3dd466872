from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import hilum
from hilum.errors import ConfigError
from hilum.sdk.scaffold import new_connector

SOURCE = Path(hilum.__file__).parents[1]


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A Python of its own that finds Hilum and what is in the folder, as an installed plug-in is found."""
    path = os.pathsep.join([str(SOURCE), str(folder)])
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.ledger_part("S0-72", "a new connector is two files that pass the suites, without touching core")
def test_what_is_written_passes_its_own_suites(tmp_path: Path) -> None:
    written = new_connector("pigeon", tmp_path)
    assert [str(path.relative_to(tmp_path)) for path in written] == [
        "connectors/pigeon.py",
        "tests/connectors/test_pigeon.py",
    ]
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    result = run(tmp_path, "pytest", "-q", "-p", "no:cacheprovider", "tests")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "failed" not in result.stdout
    assert "skipped" not in result.stdout
    assert int(result.stdout.rpartition(" passed")[0].rpartition("\n")[2]) > 30


def test_it_is_found_by_its_entry_point(tmp_path: Path) -> None:
    new_connector("pigeon", tmp_path)
    metadata = tmp_path / "pigeon-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: pigeon\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[hilum.connectors]\npigeon = connectors.pigeon\n")
    (tmp_path / "show.py").write_text(
        "from hilum.sdk.registry import discover\nprint(discover().connector('pigeon').source.__module__)\n"
    )
    result = run(tmp_path, "show")
    assert result.stdout == "connectors.pigeon\n", result.stderr


def test_what_is_written_is_clean(tmp_path: Path) -> None:
    shutil.copytree(SOURCE / "hilum" / "sdk", tmp_path / "src" / "hilum" / "sdk")
    for module in ("__init__", "clock", "errors", "connectors/__init__"):
        path = tmp_path / "src" / "hilum" / f"{module}.py"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    written = [str(path) for path in new_connector("pigeon", tmp_path)]
    shutil.copy(SOURCE.parent / "pyproject.toml", tmp_path)
    for arguments in (("check",), ("format", "--check")):
        result = run(tmp_path, "ruff", *arguments, "--no-cache", *written)
        assert result.returncode == 0, result.stdout


def test_in_a_checkout_it_goes_beside_the_others(tmp_path: Path) -> None:
    (tmp_path / "src" / "hilum" / "connectors").mkdir(parents=True)
    module, test = new_connector("pigeon", tmp_path)
    assert module == tmp_path / "src" / "hilum" / "connectors" / "pigeon.py"
    assert "from hilum.connectors import pigeon" in test.read_text()


@pytest.mark.parametrize(
    "name", ["", "a", "Pigeon", "2go", "my-own", "my_own", "../x", "a/b", "lambda", "ü2", "x" * 40, "a\n"]
)
def test_a_name_that_cannot_be_one_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be a URL scheme"):
        new_connector(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("existing", ["connectors/pigeon.py", "tests/connectors/test_pigeon.py"])
def test_nothing_is_overwritten(tmp_path: Path, existing: str) -> None:
    path = tmp_path / existing
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    with pytest.raises(ConfigError, match="exists already"):
        new_connector("pigeon", tmp_path)
    assert [item for item in tmp_path.rglob("*") if item.is_file()] == [path]
    assert path.read_text() == "mine"
