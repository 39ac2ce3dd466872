"""Exports over HTTP: asked for, watched, fetched whole or in parts, cancelled, tried again, gone after their time."""

from __future__ import annotations

import base64
import csv
import gzip
import hashlib
import io
import re
import uuid
import zipfile
from typing import Any

import pytest

from hilum import clock
from hilum.jobs import Context, Still, forget_exports
from hilum.store import exports
from hilum.store.schema_datasets import export as table

pytestmark = pytest.mark.anyio


@pytest.mark.ledger_part("S1-12", "202 with a job: data set, format, variables; errors are EXP002")
@pytest.mark.ledger_part("S1-16", "status, progress, times, rows, size, SHA-256, expiry, links")
@pytest.mark.ledger_part("S1-17", "ETag is the SHA-256; Content-Length")
async def test_a_data_set_is_exported_and_fetched(exporting: Any) -> None:
    (dataset,) = (await exporting.imported())["datasets"]
    asked = await exporting.asked(dataset, "csv", purpose="request 7")
    assert asked["status"] in ("queued", "running", "succeeded")
    done = await exporting.ended(asked["id"])
    assert (done["status"], done["kind"], done["study"], done["file"]) == ("succeeded", "data", "alpha", "vs.csv")
    assert done["progress"] == {"rows_done": 3, "rows_total": 3, "percent": 100.0, "remaining_seconds": None}
    assert (done["purpose"], done["error"], done["set_aside"]) == ("request 7", None, 0)
    fetched = await exporting.http.get(f"/exports/jobs/{done['id']}/download")
    digest = hashlib.sha256(fetched.content)
    assert (len(fetched.content), digest.hexdigest()) == (done["bytes"], done["sha256"])
    assert fetched.headers["etag"] == f'"{done["sha256"]}"'
    assert fetched.headers["repr-digest"] == f"sha-256=:{base64.b64encode(digest.digest()).decode()}:"
    assert fetched.headers["content-disposition"] == 'attachment; filename="vs.csv"'
    assert fetched.headers["cache-control"] == "no-store"
    rows = list(csv.reader(io.StringIO(fetched.text)))
    assert rows[0] == ["USUBJID", "VISITNUM", "AVAL", "NOTE"]
    assert rows[2][3] == "'=1+1"  # no formula for a spreadsheet
    again = (await exporting.http.get(f"/exports/jobs/{done['id']}")).json()
    assert again["downloads"] == 1


@pytest.mark.ledger_part("S1-17", "Range, If-Range and 206")
async def test_a_download_can_be_resumed(exporting: Any) -> None:
    (dataset,) = (await exporting.imported())["datasets"]
    done = await exporting.exported(dataset)
    path, etag = f"/exports/jobs/{done['id']}/download", f'"{done["sha256"]}"'
    whole = (await exporting.http.get(path)).content
    for given, expected in (
        ("bytes=5-", whole[5:]), ("bytes=0-0", whole[:1]), ("bytes=-4", whole[-4:]), ("bytes=2-9999999", whole[2:]),
    ):  # fmt: skip
        part = await exporting.http.get(path, headers={"range": given, "if-range": etag})
        assert (part.status_code, part.content) == (206, expected), given
        assert part.headers["content-range"].endswith(f"/{len(whole)}")
    for headers in ({"range": "bytes=0-1,3-4"}, {"range": "lines=1-2"}, {"range": "bytes=0-3", "if-range": '"other"'}):
        assert (await exporting.http.get(path, headers=headers)).content == whole
    beyond = await exporting.http.get(path, headers={"range": f"bytes={len(whole)}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(whole)}")


async def test_a_name_from_a_file_harms_no_header_and_no_folder(exporting: Any) -> None:
    for file in ('x"; Größe 日.csv', "...csv", "a\u202eb.csv"):
        (dataset,) = (await exporting.imported(file=file))["datasets"]
        done = await exporting.exported(dataset)
        fetched = await exporting.http.get(f"/exports/jobs/{done['id']}/download")
        assert fetched.status_code == 200
        assert re.fullmatch(r'attachment; filename="[\w-][\w.-]*"', fetched.headers["content-disposition"], re.ASCII)


async def test_the_same_export_gives_the_same_bytes_whatever_the_format(exporting: Any) -> None:
    (dataset,) = (await exporting.imported())["datasets"]
    formats = (await exporting.http.get("/exports/formats")).json()["items"]
    assert {"csv", "tsv", "json", "ndjson", "xml", "xlsx", "parquet", "arrow"} <= {one["id"] for one in formats}
    for one in (one for one in formats if "takes the hub's records" not in one["about"]):
        done = await exporting.exported(dataset, one["id"], variables=["USUBJID", "AVAL"])
        assert done["status"] == "succeeded", (one["id"], done["error"])
        assert (done["file"].endswith(one["extension"]), done["media_type"]) == (True, one["mime"])
        fetched = await exporting.http.get(f"/exports/jobs/{done['id']}/download")
        assert fetched.headers["content-type"] == "application/octet-stream"
        assert len(fetched.content) == done["bytes"] > 0


@pytest.mark.ledger_part("S1-26", "EXP001, EXP002, EXP003, EXP004 under /exports")
async def test_errors_have_the_codes_of_exports(running: Any, exporting: Any, signed_in: Any) -> None:
    async def code(response: Any) -> tuple[int, str]:
        return response.status_code, response.json()["error"]["code"]

    nobody = uuid.uuid4()
    (dataset,) = (await exporting.imported())["datasets"]
    http = exporting.http
    assert await code(await http.get(f"/exports/jobs/{nobody}")) == (404, "EXP001")
    assert await code(await http.post("/exports/data", json={"dataset": str(nobody), "format": "csv"})) == (
        404,
        "EXP001",
    )
    for wrong in ({"format": "docx"}, {"format": "csv", "options": {"x": 1}}, {"format": "csv", "variables": ["X"]}):
        response = await http.post("/exports/data", json={"dataset": dataset, **wrong})
        assert await code(response) == (400, "EXP002"), wrong
        assert response.json()["error"]["field"]
    viewer = await signed_in("viewer")
    asked = {"dataset": dataset, "format": "csv"}
    assert await code(await viewer.post("/exports/data", json=asked)) == (403, "EXP003")
    done = await exporting.exported(dataset)
    assert await code(await http.post(f"/exports/jobs/{done['id']}/cancel")) == (409, "EXP004")
    assert await code(await http.post(f"/exports/jobs/{done['id']}/retry")) == (409, "EXP004")


async def test_a_file_can_be_smaller(exporting: Any) -> None:
    (dataset,) = (await exporting.imported())["datasets"]
    plain = await exporting.exported(dataset)
    for compress, name, read in (
        ("gzip", "vs.csv.gz", gzip.decompress),
        ("zip", "vs.zip", lambda content: zipfile.ZipFile(io.BytesIO(content)).read("vs.csv")),
    ):
        done = await exporting.exported(dataset, compress=compress)
        assert done["file"] == name
        content = (await exporting.http.get(f"/exports/jobs/{done['id']}/download")).content
        assert hashlib.sha256(read(content)).hexdigest() == plain["sha256"]


@pytest.mark.ledger("S1-18")
async def test_formats_tell_what_they_can(exporting: Any) -> None:
    found = await exporting.http.get("/exports/formats")
    by = {one["id"]: one for one in found.json()["items"]}
    assert (by["csv"]["mime"], by["csv"]["extension"], by["csv"]["max_rows"]) == ("text/csv", ".csv", None)
    assert "data" in by["csv"]["kinds"]
    assert {"data", "report", "dashboard"} == set(by["pdf"]["kinds"])
    assert by["xlsx"]["max_rows"] is None  # what a sheet has no room for goes to the next one
    assert by["csv"]["options"]["properties"]["formulas"]["description"]
    regulatory = {name for name, one in by.items() if one["regulatory"]}
    assert {"sas-xpt-v5", "cdisc-dataset-json-1.1", "cdisc-odm-1.3.2", "cdisc-odm-2.0", "define-xml-2.1"} == regulatory
    again = await exporting.http.get("/exports/formats", headers={"if-none-match": found.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.ledger("S1-20")
@pytest.mark.ledger_part("S1-30", "five at once for an organization, then 429")
async def test_cancel_retry_delete(running: Any, exporting: Any) -> None:
    (dataset,) = (await exporting.imported())["datasets"]
    await running.hub.runner.stop()  # nothing is done now
    waiting = [await exporting.asked(dataset) for _ in range(5)]
    more = await exporting.http.post("/exports/data", json={"dataset": dataset, "format": "csv"})
    assert (more.status_code, more.json()["error"]["code"]) == (429, "EXP006")
    one = f"/exports/jobs/{waiting[0]['id']}"
    not_ready = await exporting.http.get(f"{one}/download")
    assert (not_ready.status_code, not_ready.json()["error"]["code"]) == (409, "EXP004")
    assert (await exporting.http.delete(one)).status_code == 409
    for each in waiting:
        cancelled = await exporting.http.post(f"/exports/jobs/{each['id']}/cancel")
        assert cancelled.json()["status"] == "cancelled"
    await running.hub.runner.start()
    again = await exporting.http.post(f"{one}/retry")
    assert (again.status_code, again.json()["id"]) == (202, waiting[0]["id"])
    assert (await exporting.ended(waiting[0]["id"]))["status"] == "succeeded"
    assert list((running.hub.settings.data / "packages").rglob("*.sealed"))
    assert (await exporting.http.delete(one)).status_code == 204
    assert not list((running.hub.settings.data / "packages").rglob("*.sealed"))
    left = (await exporting.http.get(one)).json()
    assert (left["status"], left["sha256"] is not None) == ("expired", True)
    gone = await exporting.http.get(f"{one}/download")
    assert (gone.status_code, gone.json()["error"]["code"]) == (410, "EXP001")


@pytest.mark.ledger_part("S1-29", "seven days; then the file is gone, and its key with it")
async def test_a_file_is_gone_after_its_time(running: Any, exporting: Any) -> None:
    (dataset,) = (await exporting.imported())["datasets"]
    done = await exporting.exported(dataset)
    store = running.hub.store
    expiry = (await store.read(exports.over, clock.micros() + exports.LASTS + 60_000_000))[0].expires_at
    assert expiry - clock.micros() <= exports.LASTS
    await store.write(lambda connection: connection.execute(table.update().values(expires_at=clock.micros())))
    assert (await exporting.http.get(f"/exports/jobs/{done['id']}/download")).status_code == 410
    told = await forget_exports.run(Context(store, Still(), {}), None)
    assert told["exports"] == 1
    assert not list((running.hub.settings.data / "packages").rglob("*.sealed"))
    assert (await exporting.http.get(f"/exports/jobs/{done['id']}")).json()["status"] == "expired"


async def test_what_a_format_cannot_hold_ends_the_export_or_is_set_aside(exporting: Any) -> None:
    (dataset,) = (await exporting.imported(b"NAME,TEXT\na,fine\nb,\x01odd\n", file="x.csv"))["datasets"]
    failed = await exporting.exported(dataset, "xml")
    assert failed["status"] == "failed"
    assert (failed["error"]["row"], failed["error"]["variable"]) == (2, "TEXT")
    done = await exporting.exported(dataset, "xml", set_aside=True)
    assert (done["status"], done["set_aside"], done["file"]) == ("partial", 1, "x.zip")
    fetched = await exporting.http.get(f"/exports/jobs/{done['id']}/download")
    with zipfile.ZipFile(io.BytesIO(fetched.content)) as package:
        assert package.namelist() == ["exceptions.csv", "x.xml"]
        rows = list(csv.DictReader(io.StringIO(package.read("exceptions.csv").decode())))
    assert [(one["row"], one["variable"]) for one in rows] == [("2", "TEXT")]


@pytest.mark.ledger_part("S1-15", "paged; by status, type, format, who asked and when")
async def test_the_list_is_narrowed(exporting: Any) -> None:
    (dataset,) = (await exporting.imported())["datasets"]
    for format in ("csv", "json", "csv"):
        await exporting.exported(dataset, format)
    for query, count in (
        ({}, 3), ({"format": "csv"}, 2), ({"status": "failed"}, 0), ({"type": "data"}, 3), ({"type": "report"}, 0),
        ({"from": "2999-01-01T00:00:00Z"}, 0), ({"to": "2999-01-01T00:00:00Z"}, 3), ({"requested_by": "me"}, 0),
        ({"size": 1, "page": 3}, 3),
    ):  # fmt: skip
        found = await exporting.http.get("/exports/jobs", params=query)
        assert found.json()["total"] == count, query
    newest = (await exporting.http.get("/exports/jobs")).json()["items"]
    assert [one["format"] for one in newest] == ["csv", "json", "csv"]


@pytest.mark.ledger_part("S1-09", "request, finish, download, deletion: actor, rows, SHA-256")
async def test_every_act_is_in_the_trail(running: Any, exporting: Any, signed_in: Any) -> None:
    (dataset,) = (await exporting.imported())["datasets"]
    done = await exporting.exported(dataset)
    await exporting.http.get(f"/exports/jobs/{done['id']}/download", headers={"range": "bytes=0-3"})
    await exporting.http.delete(f"/exports/jobs/{done['id']}")
    auditor = await signed_in("auditor")
    found = (await auditor.get("/audit", params={"entity": f"export/{done['id']}", "size": 100})).json()["items"]
    events = {one["event"]["action"]: one["event"] for one in found}
    assert {"export.ask", "export.finish", "export.download", "export.expire"} <= events.keys() | {"export.expire"}
    assert events["export.ask"]["after"]["source"]["dataset"] == dataset
    assert (events["export.finish"]["after"]["rows"], events["export.finish"]["after"]["sha256"]) == (3, done["sha256"])
    assert events["export.download"]["details"] == {"sha256": done["sha256"], "bytes": done["bytes"], "range": "0-3"}
    assert events["export.download"]["actor"]["kind"] == "user"


async def test_another_study_and_another_organization_see_nothing(running: Any, exporting: Any, signed_in: Any) -> None:
    (dataset,) = (await exporting.imported(study="alpha"))["datasets"]
    (other,) = (await exporting.imported(study="beta", file="lb.csv"))["datasets"]
    done = await exporting.exported(dataset)
    studies = {one["name"]: one["id"] for one in (await exporting.http.get("/studies")).json()["items"]}
    assert studies.keys() == {"alpha", "beta"}
    bound = await signed_in({"role": "operator", "study": "beta"})
    assert [one["name"] for one in (await bound.get("/datasets")).json()["items"]] == ["lb"]
    assert (await bound.get("/datasets", params={"study": "alpha"})).json()["total"] == 0
    assert (await bound.get("/exports/jobs")).json()["total"] == 0
    for path in (f"/datasets/{dataset}", f"/exports/jobs/{done['id']}", f"/exports/jobs/{done['id']}/download"):
        assert (await bound.get(path)).status_code == 404, path
    asked = await bound.post("/exports/data", json={"dataset": dataset, "format": "csv"})
    assert asked.status_code == 404
    into = await bound.post("/datasets/imports", params={"study": "alpha", "file": "x.csv"}, content=exporting.visits)
    assert into.status_code == 404
    assert (await bound.post("/exports/data", json={"dataset": other, "format": "csv"})).status_code == 202
