"""Who may have which report, of which time; as a part of a package."""

from __future__ import annotations

import datetime
import io
import json
import zipfile
from typing import Any

import pypdfium2
import pytest

from hilum import clock
from hilum.exporting import asking
from hilum.model.export import DashboardWish, ExportKind, ReportWish

pytestmark = pytest.mark.anyio
API = "/api/v1"


@pytest.mark.parametrize(
    ("kind", "wanted", "status", "field"),
    [
        ("report", {"report": "nothing"}, 400, "report"),
        ("dashboard", {"dashboard": "audit-trail"}, 400, "dashboard"),
        ("report", {"report": "audit-trail", "format": "png"}, 400, "format"),
        ("report", {"report": "audit-trail", "paper": "a3"}, 400, "paper"),
        ("report", {"report": "connections", "since": "2026-01-01T00:00:00Z"}, 400, "since"),
        ("report", {"report": "availability", "since": "2026-01-02T00:00:00", "until": "2026-01-01T00:00:00Z"}, 400,
         "until"),
        ("report", {"report": "availability", "since": "2024-01-01T00:00:00", "until": "2025-06-01T00:00:00"}, 400,
         "since"),
        ("report", {"report": "availability", "since": "2999-01-01T00:00:00"}, 400, "until"),
        ("dashboard", {"report": "audit-trail"}, 400, "dashboard"),
    ],
)  # fmt: skip
async def test_what_makes_no_sense_is_refused(
    running: Any, kind: str, wanted: dict[str, Any], status: int, field: str | None
) -> None:
    response = await running.local.post(f"{API}/exports/{kind}", json=wanted)
    assert response.status_code == status, response.text
    if field is not None:
        assert field in str(response.json()["error"])
        assert response.json()["error"]["code"] == "EXP002"


async def test_its_time_is_written_down(running: Any, paging: Any) -> None:
    """So that a second try is of the same time; what is to come is not in it."""
    done, _ = await paging(running.local, API).made("report", "integration-activity")
    since, until = (datetime.datetime.fromisoformat(done["source"][name]) for name in ("since", "until"))
    assert until - since == datetime.timedelta(days=7)
    assert until <= datetime.datetime.fromisoformat(done["created_at"])
    late = (clock.now() + datetime.timedelta(days=3)).isoformat()
    done, content = await paging(running.local, API).made("report", "integration-activity", until=late)
    assert datetime.datetime.fromisoformat(done["source"]["until"]) <= clock.now()
    begins, ends = json.loads(content)["content"]["period"]
    assert datetime.datetime.fromisoformat(ends) == datetime.datetime.fromisoformat(done["source"]["until"])
    assert begins < ends


async def test_who_may_have_what(running: Any, signed_in: Any, paging: Any) -> None:
    await running.post("/studies", 201, name="alpha")
    operator, auditor = await signed_in("operator"), await signed_in("auditor")
    for name in ("audit-trail", "disclosures", "validation-pack", "connections"):
        refused = await operator.post("/exports/report", json={"report": name})
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "EXP003"), name
    done, _ = await paging(auditor).made("report", "disclosures")
    # who may not read it does not get it by fetching what somebody else asked for
    assert (await operator.get(f"/exports/jobs/{done['id']}/download")).status_code == 403
    viewer = await signed_in("viewer")
    assert (await viewer.post("/exports/report", json={"report": "availability"})).status_code == 403
    bound = await signed_in({"role": "auditor", "study": "alpha"})
    for name in ("audit-trail", "disclosures", "validation-pack"):
        assert (await bound.post("/exports/report", json={"report": name})).status_code == 403, name


@pytest.mark.ledger_part("S1-19", "reports and dashboards beside data sets")
async def test_in_a_package(running: Any, exporting: Any, signed_in: Any) -> None:
    (dataset,) = (await exporting.imported())["datasets"]
    items: list[dict[str, Any]] = [
        {"kind": "report", "report": "integration-activity", "format": "csv"},
        {"kind": "dashboard", "dashboard": "exports", "format": "json"},
        {"kind": "data", "dataset": dataset, "format": "csv"},
    ]
    asked = await exporting.http.post("/exports/bulk", json={"items": items})
    assert asked.status_code == 202, asked.text
    done = await exporting.ended(asked.json()["id"])
    assert done["status"] == "succeeded", done["error"]
    assert [one["kind"] for one in done["parts"]] == ["report", "dashboard", "data"]
    fetched = await exporting.http.get(f"/exports/jobs/{done['id']}/download")
    with zipfile.ZipFile(io.BytesIO(fetched.content)) as package:
        names = package.namelist()
        manifest = json.loads(package.read("manifest.json"))
    assert [one["status"] for one in manifest["items"]] == ["succeeded"] * 3
    assert {"002-exports/exports.json", "003-vs/vs.csv"} <= set(names)
    assert sum(one.startswith("001-integration-activity/") for one in names) > 3
    refused = [*items, {"kind": "report", "report": "audit-trail"}]
    assert (await exporting.http.post("/exports/bulk", json={"items": refused})).status_code == 403
    wrong = [{"kind": "report", "report": "availability", "since": "2999-01-01T00:00:00Z"}]
    response = await exporting.http.post("/exports/bulk", json={"items": wrong})
    assert (response.status_code, response.json()["error"]["field"]) == (400, "items[0].until")


async def test_the_formats_say_what_they_are_for(running: Any) -> None:
    kinds = {one["id"]: set(one["kinds"]) for one in (await running.get("/exports/formats"))["items"]}
    assert {one for one, of in kinds.items() if "report" in of} == {"pdf", "xlsx", "csv", "json"}
    assert {one for one, of in kinds.items() if "dashboard" in of} == {"pdf", "png", "svg", "xlsx", "json"}
    assert all("data" in of for of in kinds.values())
    listed = {one["name"]: one for one in (await running.get("/exports/reports"))["items"]}
    assert listed["audit-trail"]["permissions"] == ["audit:read"]
    assert (listed["connections"]["days"], listed["availability"]["days"]) == (0, 366)
    assert set(listed["availability"]["formats"]) == {"pdf", "xlsx", "csv", "json"}


async def test_letter_is_another_paper(running: Any, paging: Any) -> None:

    sizes = []
    for paper in ("a4", "letter"):
        _, content = await paging(running.local, API).made("report", "integration-activity", "pdf", paper=paper)
        sizes.append(tuple(map(round, pypdfium2.PdfDocument(content)[0].get_size())))
    assert sizes == [(595, 842), (612, 792)]


async def test_the_rules_of_the_organization_hold(running: Any, signed_in: Any) -> None:
    admin = await signed_in("tenant_admin")
    home = (await admin.get("/organizations")).json()["items"][0]
    at = f"/organizations/{home['id']}"
    tag = (await admin.get(at)).headers["etag"]
    changed = await admin.patch(
        at, json={"settings": {"exports": {"purpose": True}}}, headers={"if-match": tag, "x-reason": "a rule"}
    )
    assert changed.status_code == 200, changed.text
    asked = {"report": "integration-activity", "format": "json"}
    refused = await admin.post("/exports/report", json=asked)
    assert refused.status_code == 403
    assert "purpose" in refused.text
    assert (await admin.post("/exports/report", json={**asked, "purpose": "Audit"})).status_code == 202


@pytest.mark.ledger_part("S1-14", "by a plan: its time is said by a word")
async def test_a_plan_says_its_time_by_a_word() -> None:
    at = datetime.datetime(2026, 5, 6, 12, tzinfo=datetime.UTC)
    values = {"report": "availability", "since": "last-week", "until": "last-week"}
    wish = asking.read(ExportKind.REPORT, values, at)
    assert isinstance(wish, ReportWish)
    monday = datetime.datetime(2026, 4, 27, tzinfo=datetime.UTC)
    assert (wish.since, wish.until) == (monday, monday + datetime.timedelta(days=7))
    board = asking.read(ExportKind.DASHBOARD, {"dashboard": "exports", "format": "png"}, at)
    assert isinstance(board, DashboardWish)
    assert board.format == "png"
