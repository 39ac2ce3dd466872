"""`hilum package` and `hilum verify`, on a folder without a hub."""

from __future__ import annotations

import json
import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

VISITS = "USUBJID,VISITNUM,AVAL\nA-01,1,5.5\nA-02,2,7.25\n"


@pytest.fixture
def study(call: Callable[..., Any], tmp_path: Path) -> Path:
    (tmp_path / "vs.csv").write_text(VISITS, encoding="utf-8")
    data = tmp_path / "data"
    imported = call("datasets", "import", tmp_path / "vs.csv", "--study", "CDISC01", "--data", data)
    assert imported.code == 0, imported.err
    return data


def test_a_study_is_packed_and_verified(call: Callable[..., Any], tmp_path: Path, study: Path) -> None:
    target, key = tmp_path / "p.zip", tmp_path / "k.pub"
    packed = call("package", "--study", "CDISC01", "--to", target, "--data", study)
    assert packed.code == 0, packed.err
    assert "2 rows to" in packed.out
    assert "0 errors, 0 warnings" in packed.out
    assert "/release. Verify it: hilum verify" in " ".join((packed.out + packed.err).split())
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    verified = call("verify", target)
    assert verified.code == 0, verified.err
    assert "whole and unaltered" in verified.out
    assert "not looked at: give --key" in verified.out
    key.write_text(call("audit", "key", "--data", study).out, encoding="utf-8")
    assert "by this key" in call("verify", target, "--key", key).out
    other = tmp_path / "other"
    call("datasets", "import", tmp_path / "vs.csv", "--study", "X", "--data", other)
    key.write_text(call("audit", "key", "--data", other).out, encoding="utf-8")
    strange = call("verify", target, "--key", key)
    assert (strange.code, "its seal is not by this key" in strange.out) == (1, True)


def test_a_byte_that_changed_is_named(call: Callable[..., Any], tmp_path: Path, study: Path) -> None:
    target, changed = tmp_path / "p.zip", tmp_path / "q.zip"
    call("package", "--study", "CDISC01", "--to", target, "--data", study, "--format", "cdisc-dataset-json-1.1")
    with zipfile.ZipFile(target) as package, zipfile.ZipFile(changed, "w") as other:
        for name in package.namelist():
            other.writestr(name, package.read(name).replace(b"A-01", b"A-03"))
    found = call("verify", changed)
    assert found.code == 1
    assert "m5/datasets/cdisc01/tabulations/sdtm/vs.json: its content is another one" in found.out
    told = json.loads(call("verify", changed, "--json").out)
    assert (told["intact"], len(told["problems"])) == (False, 1)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--study", "nothing"), "there is no study nothing"),
        (("--study", "CDISC01", "--datasets", "DM"), "no data set DM; there are: vs"),
        (("--study", "CDISC01", "--format", "csv"), "format"),
    ],
)
def test_what_cannot_be_packed(
    call: Callable[..., Any], tmp_path: Path, study: Path, arguments: tuple[str, ...], reason: str
) -> None:  # fmt: skip
    done = call("package", *arguments, "--to", tmp_path / "p.zip", "--data", study)
    assert (done.code, reason in done.err) == (1, True), done.err
    assert not (tmp_path / "p.zip").exists()


def test_a_signature_that_is_none(call: Callable[..., Any], tmp_path: Path, study: Path) -> None:
    target = tmp_path / "p.zip"
    call("package", "--study", "CDISC01", "--to", target, "--data", study)
    (tmp_path / "s.json").write_text("[]", encoding="utf-8")
    assert "is no signature" in call("verify", target, "--signature", tmp_path / "s.json").err
    (tmp_path / "s.json").write_text("{}", encoding="utf-8")
    assert "no signature of an export" in call("verify", target, "--signature", tmp_path / "s.json").out


def test_what_is_fetched_is_its_owners_alone(call: Callable[..., Any], tmp_path: Path, study: Path) -> None:
    target, left = tmp_path / "p.zip", tmp_path / ".p.zip.partial"
    for path in (target, left):  # of a run that was killed, and a file that it takes the place of
        path.write_bytes(b"old")
        path.chmod(0o644)
    before = os.umask(0)
    try:
        done = call("package", "--study", "CDISC01", "--to", target, "--data", study)
    finally:
        os.umask(before)
    assert done.code == 0, done.err
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert not left.exists()
