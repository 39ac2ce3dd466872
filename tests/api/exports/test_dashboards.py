"""Dashboards: their figures are those of the API for the same time, whoever asks; a page in every format."""

from __future__ import annotations

import datetime
import io
from collections import Counter
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
import python_calamine

from hilum import clock

pytestmark = pytest.mark.anyio
API = "/api/v1"
DASHBOARDS = ("exports", "integrations", "message-traffic")
STATES = {"delivered": "Delivered", "pending": "On their way", "failed": "Dead or expired"}


@pytest.fixture
def config(with_studies: Path) -> Path:
    return with_studies


def hours(count: int) -> dict[str, str]:
    """So many until now."""
    end = clock.now()
    return {"since": (end - datetime.timedelta(hours=count)).isoformat(), "until": end.isoformat()}


async def all_messages(http: Any, prefix: str, time: dict[str, str]) -> list[Any]:
    return list((await http.get(f"{prefix}/messages", params={**time, "size": 100})).json()["items"])


@pytest.mark.ledger_part("S1-13", "message traffic: figures are those of /messages and /lanes for the same time")
async def test_traffic_is_what_the_api_lists(running: Any, paging: Any, message: Any, text_of: Any) -> None:
    running.registry.code = "AR"  # its messages die
    await running.send(message("C1"), message("C2"), message("C3", kind="ORU^R01"), message("C4", kind="SIU^S12"))
    await running.drop(b"nothing that can be read")
    await running.settled(count=5)
    time, mine = hours(5), paging(running.local, API)
    found = await mine.shown("dashboard", "message-traffic", **time)
    listed = await all_messages(running.local, API, time)
    figures = found.figures("Traffic")
    by = Counter(one["disposition"] for one in listed)
    assert figures["Messages"] == len(listed) == 5
    for name in ("received", "delivering", "filtered", "unrouted", "error", "review"):
        assert figures[name.capitalize()] == by[name], name
    states = Counter(one["state"] for one in listed if one["disposition"] == "delivering")
    assert {label: figures[label] for label in STATES.values()} == {STATES[one]: states[one] for one in STATES}
    assert found.chart("Messages by hour") == {name: count for name, count in by.items() if count}
    lanes = {one["reference"]: one for one in (await running.get("/lanes"))["items"]}
    rows = {f"{one['integration']}/{one['endpoint']}": one for one in found.table("Destinations")}
    assert rows.keys() == lanes.keys()
    for name, row in rows.items():
        assert (row["waiting"], row["delivered"], row["failed"]) == (
            lanes[name]["backlog"], lanes[name]["delivered"], lanes[name]["failed"],
        ), name  # fmt: skip
    assert rows["registry/out"]["failed"] == 1
    _, pdf = await mine.made("dashboard", "message-traffic", "pdf", **time)
    told = text_of(pdf)
    for label in ("Messages", "Delivering", "Filtered", "Error", "Delivered", "Dead or expired"):
        assert f"{label} {figures[label]}" in told, label


async def test_what_waits_is_what_the_lanes_say(running: Any, paging: Any, message: Any) -> None:
    await running.lab.stop()
    await running.send(message("C1"), message("C2"))

    async def waits() -> bool:
        lanes = {one["reference"]: one for one in (await running.get("/lanes"))["items"]}
        return bool(lanes["lab/out"]["backlog"] == 2)

    mine = paging(running.local, API)
    await mine.until(waits)
    found = await mine.shown("dashboard", "message-traffic", **hours(1))
    row = next(one for one in found.table("Destinations") if one["integration"] == "lab")
    assert (row["waiting"], row["oldest"] is not None) == (2, True)
    assert found.figures("Traffic")["On their way"] == 2


@pytest.mark.ledger_part("S1-13", "integrations: figures are those of /integrations/stats and analytics")
async def test_integrations_stand_as_the_api_says(running: Any, paging: Any, text_of: Any) -> None:
    owned = {one["name"]: one for one in (await running.get("/integrations"))["items"]}
    for name, data in (("lab", "MSH|^~\\&|A|B|C|D|20260101||ADT^A01|1|P|2.5\r"), ("nowhere", {"a": 1})):
        one = await running.get(f"/integrations/{owned[name]['id']}")
        at = f"{API}/integrations/{one['id']}/endpoints/{one['endpoints'][0]['id']}/execute"
        for _ in range(2):
            await running.local.post(at, json={"data": data})
    time, mine = hours(24), paging(running.local, API)
    found = await mine.shown("dashboard", "integrations", **time)
    stats = await running.get("/integrations/stats")
    figures = found.figures("How they stand")
    for label, name in (("Integrations", "total"), ("Active", "active"), ("Inactive", "inactive"),
                        ("Testing", "testing"), ("Error", "error")):  # fmt: skip
        assert figures[label] == stats[name], label
    for label in ("Healthy", "Degraded", "Unhealthy"):
        assert figures[label] == stats["by_health"][label.lower()]
    assert figures["Health unknown"] == stats["by_health"]["unknown"]
    assert {"integrations": stats["total"]} == found.chart("By type")
    asked = found.figures("Requests")
    day = stats["last_24h"]
    assert (asked["Requests"], asked["Failed"]) == (day["requests"], day["failed"]) == (4, 2)
    assert asked["Success rate"] * 100 == day["success_rate"]
    assert asked["Median"] * 1000 == pytest.approx(day["latency_p50"])
    assert asked["95 % took at most"] * 1000 == pytest.approx(day["latency_p95"])
    for row in found.table("Requests by endpoint"):
        query = {"start": time["since"], "end": time["until"]}
        counted = await running.get(f"/integrations/{owned[row['integration']]['id']}/analytics", **query)
        assert (row["requests"], row["failed"]) == (
            counted["metrics"]["totalRequests"], counted["metrics"]["failedRequests"],
        )  # fmt: skip
    _, pdf = await mine.made("dashboard", "integrations", "pdf", **time)
    told = text_of(pdf)
    for text in (f"Integrations {stats['total']}", f"Active {stats['active']}", "Success rate 50 %"):
        assert text in told, text


@pytest.mark.ledger_part("S1-13", "exports: figures are the totals of /exports/jobs for the same time")
async def test_exports_are_counted_as_the_api_lists_them(running: Any, paging: Any, exporting: Any) -> None:
    (dataset,) = (await exporting.imported())["datasets"]
    for format in ("csv", "csv", "xlsx"):
        await exporting.exported(dataset, format)
    items = [{"kind": "data", "dataset": dataset, "format": "csv"}]
    packed = await exporting.http.post("/exports/bulk", json={"items": items})
    await exporting.ended(packed.json()["id"])
    mine = paging(running.local, API)
    time = hours(1)
    found = await mine.shown("dashboard", "exports", **time)
    query = {"from": time["since"], "to": time["until"]}
    figures = found.figures("Exports")
    for label, more in (("Exports", {}), ("Ready", {"status": "succeeded"}), ("Failed", {"status": "failed"}),
                        ("Cancelled", {"status": "cancelled"}), ("Expired", {"status": "expired"})):  # fmt: skip
        assert figures[label] == (await running.get("/exports/jobs", **query, **more))["total"], label
    assert figures["Exports"] == 4
    listed = (await running.get("/exports/jobs", **query))["items"]
    assert figures["Rows"] == sum(one["progress"]["rows_done"] for one in listed)
    assert figures["Size"] == sum(one["bytes"] for one in listed)
    rows = {(one["kind"], one["format"]): one["exports"] for one in found.table("By kind and format")}
    assert rows == {("data", "csv"): 2, ("data", "xlsx"): 1, ("bulk", "zip"): 1}
    assert found.chart("Exports by day") == {"data": 3, "bulk": 1}


@pytest.mark.parametrize("name", DASHBOARDS)
@pytest.mark.ledger_part("S1-13", "three dashboards as PDF, PNG, SVG, XLSX and JSON")
async def test_a_page_in_every_format(running: Any, paging: Any, message: Any, name: str) -> None:
    await running.send(message("C1"))
    await running.settled("delivered")
    mine = paging(running.local, API)
    listed = (await running.get("/exports/dashboards"))["items"]
    assert [one["name"] for one in listed] == list(DASHBOARDS)
    begins = {"pdf": b"%PDF", "png": b"\x89PNG", "svg": b"<svg", "json": b'{"content":'}
    for format, start in begins.items():
        done, content = await mine.made("dashboard", name, format)
        assert content.startswith(start), format
        assert (done["kind"], done["file"]) == ("dashboard", f"{done['file'].partition('.')[0]}.{format}")
        if format == "pdf":
            assert len(pypdfium2.PdfDocument(content)) == 1
    _, workbook = await mine.made("dashboard", name, "xlsx")
    assert len(python_calamine.load_workbook(io.BytesIO(workbook)).sheet_names) > 2
    refused = await running.local.post(f"{API}/exports/dashboard", json={"dashboard": name, "format": "csv"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "EXP002")


@pytest.mark.ledger_part("S1-15", "reports and dashboards count a study's integrations alone")
async def test_a_study_bound_person_sees_his_study_alone(
    running: Any, paging: Any, signed_in: Any, message: Any, exporting: Any
) -> None:  # fmt: skip
    await running.send(message("C1"), message("C2", kind="ORU^R01"))
    await running.settled("delivered", "delivered")
    await exporting.exported((await exporting.imported(study="beta"))["datasets"][0])
    whole = await running.get("/integrations/stats")
    bound = await signed_in({"role": "operator", "study": "alpha"})
    mine, time = paging(bound), hours(1)
    own = (await bound.get("/integrations/stats")).json()
    found = await mine.shown("dashboard", "integrations", **time)
    assert found.figures("How they stand")["Integrations"] == own["total"] == 2 < whole["total"]
    assert found.content["subtitle"] == "Of study alpha alone"
    traffic = await mine.shown("dashboard", "message-traffic", **time)
    assert traffic.figures("Traffic")["Messages"] == len(await all_messages(bound, "", time)) == 2
    assert traffic.figures("Traffic")["Deliveries"] == 1
    assert [one["integration"] for one in traffic.table("Destinations")] == ["lab"]
    listed = (await bound.get("/exports/jobs", params={"from": time["since"], "to": time["until"]})).json()
    counted = await mine.shown("dashboard", "exports", **time)
    assert counted.figures("Exports")["Exports"] == listed["total"] == 0
    activity = await mine.shown("report", "integration-activity", **time)
    assert [one["integration"] for one in activity.table("Deliveries by destination")] == ["lab"]
    assert activity.figures("Overview")["Messages received"] == 2
    available = await mine.shown("report", "availability", **time)
    assert {one["integration"] for one in available.table("Checks and tests by endpoint")} == {"adt", "lab"}
    jobs = (await bound.get("/exports/jobs")).json()["items"]
    assert {one["study"] for one in jobs} == {"alpha"}  # theirs, and not of all studies
