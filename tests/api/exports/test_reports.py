"""Reports: every kind in every format, on both databases, with the figures that the API has."""

from __future__ import annotations

import asyncio
import csv
import datetime
import io
import json
import uuid
import zipfile
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import python_calamine
import sqlalchemy as sa

from hilum import clock
from hilum.app import SOCKET, Hub
from hilum.exporting import pages
from hilum.security.egress import LOOPBACK
from hilum.security.passwords import Cost, Passwords
from hilum.settings import Settings
from hilum.store import exports, schema
from hilum.store.schema_activity import probe_result
from hilum.store.schema_evidence import audit_event

pytestmark = pytest.mark.anyio
REPORTS = ("audit-trail", "availability", "connections", "disclosures", "integration-activity", "validation-pack")
TIMED = frozenset(REPORTS) - {"connections", "validation-pack"}
API = "/api/v1"


@pytest.fixture
def config(with_studies: Path) -> Path:
    return with_studies


@pytest.fixture(params=["sqlite", "postgresql"])
async def hub(request: pytest.FixtureRequest, tmp_path: Path, config: Path, partners: Any) -> AsyncIterator[Hub]:
    """On one database after the other; on PostgreSQL as the role that owns nothing."""
    url = request.getfixturevalue("role_url") if request.param == "postgresql" else None
    cheap = Passwords(Cost(time=1, memory=8, lanes=1))
    made = Hub(Settings(data=tmp_path / "data", database=url, http=None, config=config, egress=LOOPBACK), cheap)
    await made.open()
    try:
        await made.run()
        yield made
    finally:
        await made.close()


@pytest.fixture
async def local(hub: Hub, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.AsyncHTTPTransport(uds=str(tmp_path / "data" / SOCKET))
    async with httpx.AsyncClient(transport=transport, base_url="http://hub", timeout=30) as client:
        yield client


async def asked_for(local: httpx.AsyncClient, until: Any, send: Any) -> dict[str, Any]:
    """Messages, requests and tests; integrations by name."""
    await send()
    found = (await local.get(f"{API}/integrations")).json()["items"]
    owned = {one["name"]: (await local.get(f"{API}/integrations/{one['id']}")).json() for one in found}
    for name, times in (("lab", 2), ("nowhere", 1)):
        one = owned[name]
        at = f"{API}/integrations/{one['id']}/endpoints/{one['endpoints'][0]['id']}/execute"
        for _ in range(times):
            body = "MSH|^~\\&|A|B|C|D|20260101||ADT^A01|1|P|2.5\rPID|1||4711\r" if name == "lab" else {"a": 1}
            await local.post(at, json={"data": body})
        await local.post(f"{API}/integrations/{one['id']}/test")
    return owned


@pytest.fixture
def send(port: int, message: Any, local: httpx.AsyncClient, until: Any) -> Any:
    """Three messages over MLLP, until nothing of them waits."""

    async def work() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for body in (message("C1"), message("C2"), message("C3", kind="ORU^R01"), message("C4", kind="SIU^S12")):
            writer.write(b"\x0b" + body + b"\x1c\r")
            await asyncio.wait_for(reader.readuntil(b"\x1c\r"), 20)
        writer.close()
        await writer.wait_closed()

        async def done() -> bool:
            listed = (await local.get(f"{API}/messages")).json()["items"]
            return len(listed) == 4 and all(one["state"] != "pending" for one in listed)

        await until(done)

    return work


@pytest.mark.ledger_part(
    "S1-14", "integration activity: the figures are the API's, on both databases; the PDF has them"
)
async def test_the_figures_of_activity_are_the_apis(
    local: httpx.AsyncClient, until: Any, send: Any, paging: Any, text_of: Any
) -> None:
    owned = await asked_for(local, until, send)
    mine = paging(local, API)
    since, until_ = clock.now() - datetime.timedelta(hours=2), clock.now()
    time = {"since": since.isoformat(), "until": until_.isoformat()}
    found = await mine.shown("report", "integration-activity", **time)
    listed = (await local.get(f"{API}/messages", params={**time, "size": 100})).json()["items"]
    by = Counter((one["endpoint"], one["disposition"]) for one in listed)
    (received,) = found.table("Messages by endpoint")
    assert received["messages"] == len(listed) == 4
    for name in ("received", "delivering", "filtered", "unrouted", "error", "review"):
        assert received[name] == by["adt/in", name], name
    lanes = {one["reference"]: one for one in (await local.get(f"{API}/lanes")).json()["items"]}
    sent = {f"{row['integration']}/{row['endpoint']}": row for row in found.table("Deliveries by destination")}
    assert {one: row["delivered"] for one, row in sent.items()} == {"lab/out": 2, "registry/out": 1}
    assert all(row["delivered"] == lanes[one]["delivered"] for one, row in sent.items())
    assert found.chart("Messages by hour") == {"delivering": 3, "filtered": 1}
    figures = found.figures("Overview")
    for row in found.table("Requests by endpoint"):
        query = {"start": time["since"], "end": time["until"]}
        at = f"{API}/integrations/{owned[row['integration']]['id']}/analytics"
        counted = (await local.get(at, params=query)).json()
        metrics, ranks = counted["metrics"], counted["performance"]["percentiles"]
        assert (row["requests"], row["completed"], row["failed"]) == (
            metrics["totalRequests"], metrics["successfulRequests"], metrics["failedRequests"],
        )  # fmt: skip
        assert row["rate"] * 100 == metrics["successRateExact"]
        assert [None if row[one] is None else row[one] * 1000 for one in ("p50", "p95")] == [
            None if ranks[one] is None else pytest.approx(ranks[one]) for one in ("p50", "p95")
        ]
    stats = (await local.get(f"{API}/integrations/stats")).json()["last_24h"]
    assert (figures["Requests"], figures["Messages received"]) == (stats["requests"], 4)
    assert figures["Requests that succeeded"] * 100 == pytest.approx(stats["success_rate"])
    (failed,) = found.table("Failures by class")
    assert (failed["integration"], failed["failures"], bool(failed["class"])) == ("nowhere", 1, True)
    _, pdf = await mine.made("report", "integration-activity", "pdf", **time)
    told = text_of(pdf)
    assert "Messages received 4" in told
    assert f"adt in 4 0 {received['delivering']} {received['filtered']}" in told
    assert f"lab out 2 0 {sent['lab/out']['delivered']}" in told


@pytest.mark.parametrize("name", REPORTS)
@pytest.mark.ledger("S1-14")
async def test_every_report_comes_in_every_format(
    running: Any, paging: Any, message: Any, text_of: Any, name: str
) -> None:
    await running.send(message("C1"), message("C2", kind="ORU^R01"))
    await running.settled("delivered", "delivered")
    mine = paging(running.local, API)
    time = {"since": (clock.now() - datetime.timedelta(days=9)).isoformat()} if name in TIMED else {}
    listed = (await running.get("/exports/reports"))["items"]
    assert [one["name"] for one in listed] == list(REPORTS)
    title = next(one["title"] for one in listed if one["name"] == name)
    done, pdf = await mine.made("report", name, "pdf", purpose="Inspection 7", **time)
    assert (done["kind"], done["media_type"], done["file"].endswith(".pdf")) == ("report", "application/pdf", True)
    assert b"<pdfaid:part>2</pdfaid:part>" in pdf
    assert b"<pdfaid:conformance>B</pdfaid:conformance>" in pdf
    told = text_of(pdf)
    for text in (title, "demo", "Inspection 7", "local:", done["id"], f"{done['created_at'][:10]}"):
        assert text in told, text
    assert "It tells how things stood when it was made" in told
    _, workbook = await mine.made("report", name, "xlsx", **time)
    assert len(python_calamine.load_workbook(io.BytesIO(workbook)).sheet_names) > 2
    done, packed = await mine.made("report", name, "csv", **time)
    assert (done["media_type"], done["file"].endswith(".zip")) == ("application/zip", True)
    with zipfile.ZipFile(io.BytesIO(packed)) as package:
        tables = {one: list(csv.reader(io.StringIO(package.read(one).decode()))) for one in package.namelist()}
    assert sum("about" in one for one in tables) == 1
    _, content = await mine.made("report", name, **time)
    document = json.loads(content)
    shown = [table for section in document["content"]["sections"] for table in section["tables"]]
    columns = [[column["name"] for column in table["columns"]] for table in shown]
    assert all(any(rows[0] == one for rows in tables.values()) for one in columns)


@pytest.mark.ledger_part("S0-06", "as PDF, with the rows of the report of connections")
async def test_connections_as_pdf(running: Any, paging: Any, message: Any, text_of: Any) -> None:
    await running.send(message("C1"))
    await running.settled("delivered")
    mine = paging(running.local, API)
    _, pdf = await mine.made("report", "connections", "pdf")
    told = text_of(pdf)
    known = (await running.get("/reports/connections"))["connections"]
    rows = {
        (row["integration"], row["endpoint"]): row for row in (await mine.shown("report", "connections")).table("Use")
    }
    places = (await mine.shown("report", "connections")).table("Connections")
    assert [(row["integration"], row["endpoint"], row["host"], row["port"]) for row in places] == [
        (one["integration"], one["endpoint"], one["host"], None if one["port"] is None else str(one["port"]))
        for one in known
    ]
    for one in known:
        row = rows[one["integration"], one["endpoint"]]
        assert (row["last_access"], row["last_test"]) == (one["last_access"], one["last_test"])
        if one["last_access"]:
            assert one["last_access"][:19].replace("T", " ") in told
        assert f"{one['integration']} {one['endpoint']} {one['direction']}" in told
    assert "identity gdpr-6-1-e" in told


async def test_the_trail_is_that_of_the_api(running: Any, signed_in: Any, paging: Any) -> None:
    auditor = await signed_in("auditor")
    end = clock.now()
    time = {"since": (end - datetime.timedelta(hours=1)).isoformat(), "until": end.isoformat()}
    mine = paging(auditor)
    found = await mine.shown("report", "audit-trail", **time)
    known = {one["event"]["id"]: one for one in (await running.get("/audit", size=100))["items"]}
    by_place = {one["position"]: one for one in known.values() if one["position"]}
    rows = found.table("Events in the order of their time")
    assert found.figures("Events")["Events"] == len(rows) > 3
    sealed = [one for one in rows if one["position"]]
    assert sealed
    for row in sealed:
        event = by_place[row["position"]]
        assert (row["sha256"], row["action"], row["time"], row["entity"] or "", row["outcome"]) == (
            event["hash"], event["event"]["action"], event["event"]["time"], event["event"]["entity"],
            event["event"]["outcome"],
        )  # fmt: skip
    assert any(one["reason"] == "a test needs people" for one in rows)
    assert all(one["time"] < end.isoformat().replace("+00:00", "Z") for one in rows)


async def test_more_events_than_pages_have_room_for(running: Any, paging: Any) -> None:
    """Nothing is left out silently: it says what to do instead."""
    row = {"organization": 1, "stamp": 5, "action": "test.many", "actor": "x", "entity": "", "outcome": "success",
           "document": "{}", "witness": None}  # fmt: skip
    await running.hub.store.write(lambda connection: connection.execute(audit_event.insert(), [row] * 50_001).rowcount)
    time = {"since": "1970-01-01T00:00:00Z", "until": "1970-01-02T00:00:00Z"}
    asked = await running.post("/exports/report", 202, report="audit-trail", **time)

    async def failed() -> bool:
        return bool((await running.get(f"/exports/jobs/{asked['id']}"))["status"] == "failed")

    await paging(running.local).until(failed)
    reason = (await running.get(f"/exports/jobs/{asked['id']}"))["error"]["reason"]
    assert "50,001 audit events" in reason
    assert "choose a shorter time" in reason
    assert "as data" in reason


@pytest.mark.ledger_part("S1-14", "disclosures: downloads, links and destinations, with receiver, purpose and SHA-256")
async def test_disclosures_are_accounted_for(running: Any, signed_in: Any, paging: Any, exporting: Any) -> None:
    (dataset,) = (await exporting.imported())["datasets"]
    who = {"receiver": {"name": "Sponsor Ltd", "country": "DE"}, "purpose": "Interim analysis"}
    done = await exporting.exported(dataset, **who)
    at = f"/exports/jobs/{done['id']}"
    assert (await exporting.http.get(f"{at}/download")).status_code == 200
    assert (await exporting.http.get(f"{at}/download", headers={"range": "bytes=0-3"})).status_code == 206
    link = (await exporting.http.post(f"{at}/links", json={"receiver": "Data office"})).json()["url"]
    assert (await exporting.http.get(link.removeprefix(API))).status_code == 200
    sent = await exporting.exported(dataset, destination={"endpoint": "shelf/out", "name": "vs.csv"})
    assert sent["status"] == "succeeded", sent["error"]
    auditor = await signed_in("auditor")
    mine = paging(auditor)
    found = await mine.shown("report", "disclosures")
    rows = found.table("Disclosures")
    assert [one["how"] for one in rows] == ["download", "download, a part", "link", "sent to shelf/out"]
    assert [one["receiver"] for one in rows] == [
        "Sponsor Ltd, by user0", "Sponsor Ltd, by user0", "Data office", "shelf/out",
    ]  # fmt: skip
    for row in rows[:3]:
        assert (row["sha256"], row["rows"], row["bytes"]) == (done["sha256"], 3, done["bytes"])
        assert (row["country"], row["purpose"], row["what"]) == (
            "DE",
            "Interim analysis",
            "data set vs, version 1 (csv)",
        )
    assert (rows[3]["sha256"], rows[3]["export"]) == (sent["sha256"], sent["id"])
    assert found.figures("Accounting of disclosures")["Disclosures"] == 4
    later = {"since": clock.now().isoformat()}
    assert (await paging(auditor).shown("report", "disclosures", **later)).table("Disclosures") == []


@pytest.mark.ledger_part("S0-27", "the validation pack: trace matrix, installation and self-tests run on the hub")
async def test_the_validation_pack_of_this_hub(local: httpx.AsyncClient, until: Any, send: Any, paging: Any) -> None:
    await send()
    found = await paging(local, API).shown("report", "validation-pack")
    ran = found.table("Self-tests")
    assert [(one["test"], one["result"]) for one in ran] == [
        (name, "passed") for name in ("HL7 v2", "Sealing", "Mapping", "Audit chain", "Store", "Files")
    ], ran
    assert all(one["took"] >= 0 and one["began"] for one in ran)
    there = {one["what"]: one for one in [*found.table("Store and keys"), *found.table("Software")]}
    assert not [one for one in there.values() if one["result"] == "failed"]
    assert there["Revision of the schema"]["found"] == there["Revision of the schema"]["expected"]
    assert there["sqlalchemy"]["result"] == "passed"
    assert there["Database"]["found"].startswith(("SQLite", "PostgreSQL"))
    settings = {one["name"]: one["value"] for one in found.table("Settings")}
    assert settings["exports.at_once"] == "5"
    traced = {one["requirement"]: one for one in found.table("Trace matrix")}
    assert len(traced) == 476
    assert "tests/api/exports/test_bulk.py::test_a_package_tells_of_every_part" in traced["S1-19"]["tests"]
    assert traced["S1-19"]["proven"] == "whole"


async def test_a_self_test_that_fails_says_so(running: Any, paging: Any, message: Any) -> None:
    """A message's hash that somebody changed is found; the pack is made all the same, and says it."""
    await running.send(message("C1"))
    await running.settled("delivered")
    await running.hub.evidence.look(sign=True)
    await running.hub.store.write(
        lambda connection: connection.execute(schema.message.update().values(body_hash=b"x" * 32)).rowcount
    )
    found = await paging(running.local, API).shown("report", "validation-pack")
    ran = {one["test"]: one for one in found.table("Self-tests")}
    assert ran["Audit chain"]["result"] == "failed"
    assert "messages of checkpoint" in ran["Audit chain"]["found"]
    assert [one["result"] for name, one in ran.items() if name != "Audit chain"] == ["passed"] * 5
    assert found.figures("Summary")["Self-tests passed"] == 5


async def test_availability_counts_checks_and_outages(local: httpx.AsyncClient, hub: Hub, paging: Any) -> None:
    found = (await local.get(f"{API}/integrations")).json()["items"]
    lab = next(one for one in found if one["name"] == "lab")
    day = datetime.datetime(2026, 3, 2, tzinfo=datetime.UTC)

    def put(connection: Any) -> None:
        owner = connection.execute(
            sa.select(schema.integration.c.id).where(schema.integration.c.name == "lab")
        ).scalar_one()
        number = connection.execute(
            sa.select(schema.endpoint.c.id).where(schema.endpoint.c.reference == "lab/out")
        ).scalar_one()
        for hour, success in enumerate((1, 1, 0, 0, 1, 0, 1, 1)):
            stamp = round(day.timestamp() * 1_000_000) + hour * 3_600_000_000
            connection.execute(probe_result.insert().values(
                organization=1, integration=owner, endpoint=number, stamp=stamp, kind="test" if hour % 2 else "check",
                success=success, duration=(hour + 1) * 1_000_000, told=b"",
            ))  # fmt: skip

    await hub.store.write(put)
    time = {"since": day.isoformat(), "until": (day + datetime.timedelta(days=3)).isoformat()}
    shown = await paging(local, API).shown("report", "availability", **time)
    row = next(one for one in shown.table("Checks and tests by endpoint") if one["integration"] == lab["name"])
    assert (row["checks"], row["succeeded"], row["availability"]) == (8, 5, 5 / 8)
    assert (row["outage"], row["p95"]) == (2 * 3_600, 8)
    figures = shown.figures("Availability")
    assert figures["Checks that succeeded"] == 5 / 8
    assert figures["Longest outage"] == 2 * 3_600
    charts = shown.section("Availability")["charts"]
    assert [(one["name"], one["values"]) for one in charts[0]["series"]] == [("lab/out", [5 / 8, None, None])]
    # an outage that had not ended lasts until the end of the period
    early = {**time, "until": (day + datetime.timedelta(hours=3, minutes=30)).isoformat()}
    shown = await paging(local, API).shown("report", "availability", **early)
    assert shown.figures("Availability")["Longest outage"] == 1.5 * 3_600


async def test_who_signed_for_an_export_stands_in_its_block(running: Any, signed_in: Any, paging: Any) -> None:
    admin = await signed_in("tenant_admin")
    done, _ = await paging(admin).made("report", "integration-activity")
    body = {"operation": "export.release", "entity": f"export/{done['id']}", "meaning": "approval",
            "password": "correct horse battery staple", "reason": "fit for the file"}  # fmt: skip
    signed = await admin.post("/signatures", json=body)
    assert signed.status_code == 201, signed.text
    own = running.hub.store.within(1)
    one = await own.read(exports.find, 1, uuid.UUID(done["id"]))
    (block,) = await own.read(pages._signed, one)
    assert (block.name, block.meaning) == ("user0", "approval")
