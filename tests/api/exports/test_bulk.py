"""Several exports in one ZIP: all of them told of, none of them silently missing."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from typing import Any

import pytest

pytestmark = pytest.mark.anyio


async def packed(exporting: Any, items: list[Any], **more: Any) -> tuple[Any, dict[str, bytes], dict[str, Any]]:
    asked = await exporting.http.post("/exports/bulk", json={"items": items, **more})
    assert asked.status_code == 202, asked.text
    done = await exporting.ended(asked.json()["id"])
    fetched = await exporting.http.get(f"/exports/jobs/{done['id']}/download")
    if fetched.status_code != 200:
        return done, {}, {}
    with zipfile.ZipFile(io.BytesIO(fetched.content)) as package:
        assert package.testzip() is None
        assert package.namelist() == sorted(package.namelist())
        files = {name: package.read(name) for name in package.namelist()}
    return done, files, json.loads(files["manifest.json"])


@pytest.mark.ledger("S1-19")
async def test_a_package_tells_of_every_part(exporting: Any) -> None:
    (dataset,) = (await exporting.imported())["datasets"]
    (odd,) = (await exporting.imported(b"A\nodd\x02\n", file="odd.csv"))["datasets"]
    items = [
        {"kind": "data", "dataset": dataset, "format": "csv"},
        {"kind": "data", "dataset": odd, "format": "xml"},  # XML cannot hold it
        {"kind": "data", "dataset": odd, "format": "xml", "set_aside": True},
        {"kind": "data", "source": {"records": "messages"}, "format": "ndjson"},
    ]
    done, files, manifest = await packed(exporting, items, name="week-48", purpose="review")
    assert (done["status"], done["kind"], done["file"], done["set_aside"]) == ("partial", "bulk", "week-48.zip", 2)
    assert [one["status"] for one in manifest["items"]] == ["succeeded", "failed", "partial", "succeeded"]
    assert (manifest["items"][1]["error"]["row"], manifest["items"][1]["files"]) == (1, [])
    assert (manifest["purpose"], manifest["export"]) == ("review", done["id"])
    told = {file["name"]: file for one in manifest["items"] for file in one["files"]}
    assert {*told, "manifest.json"} == files.keys()
    for name, file in told.items():
        assert (len(files[name]), hashlib.sha256(files[name]).hexdigest()) == (file["bytes"], file["sha256"])
    assert [one["status"] for one in done["parts"]] == ["succeeded", "failed", "partial", "succeeded"]
    assert [one["id"] for one in done["parts"]] == [one["id"] for one in manifest["items"]]
    listed = (await exporting.http.get("/exports/jobs")).json()
    assert done["parts"][0]["id"] not in [one["id"] for one in listed["items"]]
    alone = await exporting.http.get(f"/exports/jobs/{done['parts'][0]['id']}/download")
    assert alone.status_code == 409  # it is in the package
    failed = f"/exports/jobs/{done['parts'][1]['id']}"
    assert (await exporting.http.post(f"{failed}/retry")).status_code == 409
    assert (await exporting.http.delete(f"/exports/jobs/{done['parts'][0]['id']}")).status_code == 409


async def test_where_nothing_comes_of_any_part_the_whole_fails(exporting: Any) -> None:
    (odd,) = (await exporting.imported(b"A\nodd\x02\n", file="odd.csv"))["datasets"]
    done, files, _ = await packed(exporting, [{"kind": "data", "dataset": odd, "format": "xml"}] * 2)
    assert (done["status"], files) == ("failed", {})
    assert "none of 2" in done["error"]["reason"]
    assert [one["error"]["row"] for one in done["parts"]] == [1, 1]
    again = await exporting.http.post(f"/exports/jobs/{done['id']}/retry")
    assert again.status_code == 202
    assert (await exporting.ended(done["id"]))["status"] == "failed"


async def test_the_same_package_has_the_same_parts(exporting: Any) -> None:
    (dataset,) = (await exporting.imported())["datasets"]
    items = [{"kind": "data", "dataset": dataset, "format": one} for one in ("csv", "xlsx", "sas-xpt-v5")]
    (_, first, _), (_, second, _) = [await packed(exporting, items) for _ in range(2)]
    # times in a file are those of its export, so what has none in it is the same
    assert first["001-vs/vs.csv"] == second["001-vs/vs.csv"]
    assert first.keys() == second.keys()


@pytest.mark.parametrize("items", [[], [{"kind": "data", "format": "csv"}], [{"format": "csv"}], [{"kind": "video"}]])
async def test_what_is_no_package_is_refused(exporting: Any, items: list[Any]) -> None:
    response = await exporting.http.post("/exports/bulk", json={"items": items})
    assert (response.status_code, response.json()["error"]["code"]) == (400, "EXP002")


async def test_more_than_a_hundred_are_refused(exporting: Any) -> None:
    (dataset,) = (await exporting.imported())["datasets"]
    items = [{"kind": "data", "dataset": dataset, "format": "csv"}] * 101
    assert (await exporting.http.post("/exports/bulk", json={"items": items})).status_code == 400


async def test_one_part_that_one_may_not_have_refuses_the_whole(exporting: Any, signed_in: Any) -> None:
    (dataset,) = (await exporting.imported())["datasets"]
    auditor = await signed_in("auditor")
    items = [{"kind": "data", "source": {"records": "audit"}, "format": "csv"},
             {"kind": "data", "dataset": dataset, "format": "csv"}]  # fmt: skip
    assert (await auditor.post("/exports/bulk", json={"items": items})).status_code == 403
    assert (await auditor.post("/exports/bulk", json={"items": items[:1]})).status_code == 202
