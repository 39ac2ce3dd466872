"""`hilum report`, on a folder without a hub and on one that runs."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pypdfium2
import pytest


@pytest.fixture
def data(call: Callable[..., Any], tmp_path: Path) -> Path:
    """A folder with a hub that does not run."""
    (tmp_path / "vs.csv").write_text("USUBJID,AVAL\nA-01,5.5\n", encoding="utf-8")
    made = call("datasets", "import", tmp_path / "vs.csv", "--study", "alpha", "--data", tmp_path / "data")
    assert made.code == 0, made.err
    return tmp_path / "data"


def test_a_report_without_a_running_hub(call: Callable[..., Any], data: Path, tmp_path: Path) -> None:
    target = tmp_path / "trail.pdf"
    done = call(
        "report", "audit-trail", "--since", "2h", "--to", target, "--purpose", "Inspection 7", "--paper", "letter",
        "--data", data,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert str(target) in done.out
    pages = pypdfium2.PdfDocument(target)
    text = " ".join(" ".join(page.get_textpage().get_text_bounded() for page in pages).split())
    assert "Audit trail" in text
    assert "Inspection 7" in text
    assert sorted(map(round, pages[0].get_size())) == [612, 792]
    assert not list(tmp_path.glob(".*partial"))
    packed = call("report", "audit-trail", "-f", "csv", "--to", tmp_path / "trail.zip", "--data", data)
    assert packed.code == 0, packed.err
    assert len(zipfile.ZipFile(tmp_path / "trail.zip").namelist()) > 2


def test_a_dashboard_of_a_running_hub(call: Callable[..., Any], hub: Any, tmp_path: Path) -> None:
    target = tmp_path / "traffic.png"
    done = call("report", "message-traffic", "--since", "1d", "-f", "png", "--to", target, "--json", "--data", hub.data)
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert (told["kind"], told["source"]["dashboard"], told["status"]) == ("dashboard", "message-traffic", "succeeded")
    assert target.read_bytes().startswith(b"\x89PNG")


def test_a_name_that_is_none_lists_what_there_is(call: Callable[..., Any], data: Path, tmp_path: Path) -> None:
    done = call("report", "nothing", "--data", data, "--to", tmp_path / "x.pdf")
    assert done.code != 0
    assert "audit-trail" in done.err
    assert "message-traffic" in done.err
    assert not (tmp_path / "x.pdf").exists()


def test_a_folder_is_no_file(call: Callable[..., Any], data: Path, tmp_path: Path) -> None:
    done = call("report", "audit-trail", "--data", data, "--to", tmp_path)
    assert done.code != 0
    assert "name a file" in done.err


def test_what_the_hub_refuses_is_told(call: Callable[..., Any], data: Path, tmp_path: Path) -> None:
    done = call("report", "connections", "--since", "1h", "--data", data, "--to", tmp_path / "x.pdf")
    assert done.code != 0
    assert "of no time" in done.err
