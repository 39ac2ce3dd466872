"""Data sets over HTTP: files come in whole or not at all, and each import makes a version."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.anyio


def in_the_clear(data: Path, secret: bytes) -> list[Path]:
    """Files that have it, and what an import should have removed."""
    found = [path for path in data.rglob("*") if path.is_file() and secret in path.read_bytes()]
    return [*found, *data.glob("work-*")]


async def test_a_file_becomes_a_data_set(running: Any, exporting: Any) -> None:
    done = await exporting.imported()
    assert (done["status"], done["rows"], done["problem"]) == ("succeeded", 3, None)
    assert done["sha256"] == hashlib.sha256(exporting.visits).hexdigest()
    found = (await exporting.http.get(f"/datasets/{done['datasets'][0]}")).json()
    assert (found["name"], found["study"], found["rows"], found["newest"]) == ("vs", "alpha", 3, 1)
    assert [(one["name"], one["type"]) for one in found["variables"]] == [
        ("USUBJID", "string"), ("VISITNUM", "integer"), ("AVAL", "double"), ("NOTE", "string"),
    ]  # fmt: skip
    origin = found["versions"][0]["provenance"]
    assert (origin["file"], origin["file_sha256"], origin["import"]) == ("vs.csv", done["sha256"], done["id"])
    assert in_the_clear(running.hub.settings.data, b"A-02") == []


async def test_an_import_of_the_same_name_is_a_new_version(exporting: Any) -> None:
    first = await exporting.imported()
    again = await exporting.imported(exporting.visits + b"A-03,1,9,\n")
    assert first["datasets"] == again["datasets"]
    found = (await exporting.http.get(f"/datasets/{again['datasets'][0]}")).json()
    assert [(one["number"], one["rows"]) for one in found["versions"]] == [(2, 4), (1, 3)]
    done = await exporting.exported(found["id"], version=1)
    assert done["progress"]["rows_done"] == 3


@pytest.mark.parametrize(
    ("content", "file", "problem"),
    [
        (b"A,B\n1,2\n3\n", "x.csv", {"row": 2, "variable": "B"}),
        (b"PAR1 no parquet", "x.parquet", {"row": 0, "variable": ""}),
        (b"what is this", "x.docx", {"row": 0, "variable": ""}),
    ],
)
async def test_a_file_that_cannot_be_read_leaves_nothing(
    running: Any, exporting: Any, content: bytes, file: str, problem: dict[str, Any]
) -> None:
    done = await exporting.imported(content, file=file)
    assert done["status"] == "failed"
    assert done["problem"]["reason"]
    assert {name: done["problem"][name] for name in problem} == problem
    assert (await exporting.http.get("/datasets")).json()["items"] == []
    assert not list((running.hub.settings.data / "imports").rglob("*.sealed"))


async def test_an_empty_file_is_refused(exporting: Any) -> None:
    response = await exporting.http.post("/datasets/imports", params={"study": "alpha", "file": "x.csv"}, content=b"")
    assert (response.status_code, response.json()["error"]["field"]) == (400, "file")


async def test_an_archived_data_set_is_not_there_until_it_is_imported_again(exporting: Any) -> None:
    (one,) = (await exporting.imported())["datasets"]
    assert (await exporting.http.delete(f"/datasets/{one}")).status_code == 204
    assert (await exporting.http.get(f"/datasets/{one}")).status_code == 404
    assert (await exporting.http.get("/datasets")).json()["total"] == 0
    again = await exporting.imported()
    found = (await exporting.http.get(f"/datasets/{again['datasets'][0]}")).json()
    assert (found["id"], found["newest"]) == (one, 2)
