"""The hub's own records as exports: what is counted is what came, and nobody gets more than he may read."""

from __future__ import annotations

import csv
import datetime
import io
import json
from typing import Any

import pytest

from hilum import clock

pytestmark = pytest.mark.anyio


async def rows_of(exporting: Any, http: Any = None, **wanted: Any) -> list[dict[str, str]]:
    http = http or exporting.http
    asked = await http.post("/exports/data", json={"format": "csv", **wanted})
    assert asked.status_code == 202, asked.text
    done = await exporting.ended(asked.json()["id"])
    assert done["status"] == "succeeded", done["error"]
    fetched = await http.get(f"/exports/jobs/{done['id']}/download")
    assert fetched.status_code == 200, fetched.text
    found = list(csv.DictReader(io.StringIO(fetched.text)))
    assert len(found) == done["progress"]["rows_done"] == done["progress"]["rows_total"]
    return found


@pytest.mark.ledger_part("S1-12", "source: the hub's own records, by time; conditions on rows")
async def test_messages_and_what_became_of_them(running: Any, exporting: Any, message: Any) -> None:
    await running.send(message("C1", name="MÜLLER"), message("C2"), message("C3"))
    await running.settled("delivered", "delivered", "delivered")
    found = await rows_of(exporting, source={"records": "messages"})
    assert [(one["control_id"], one["endpoint"], one["disposition"], one["ack"]) for one in found] == [
        (name, "adt/in", "delivering", "AA") for name in ("C1", "C2", "C3")
    ]
    assert "body" not in found[0]
    held = await rows_of(exporting, source={"records": "messages", "payload": True})
    shown = [one["body"] or one["body_base64"] for one in held]
    assert all(shown)
    assert len({one["sha256"] for one in held}) == 3
    ways = await rows_of(exporting, source={"records": "deliveries"})
    assert {one["message"] for one in ways} == {one["id"] for one in found}
    assert {one["state"] for one in ways} == {"delivered"}
    some = await rows_of(
        exporting, source={"records": "messages"}, variables=["control_id", "type"],
        where=[{"variable": "control_id", "op": "starts", "value": "C3"}],
    )  # fmt: skip
    assert [list(one.values()) for one in some] == [["C3", found[2]["type"]]]


async def test_a_time_narrows_it_and_what_comes_later_is_not_in_it(running: Any, exporting: Any, message: Any) -> None:
    await running.send(message("C1"))
    await running.settled("delivered")
    now = clock.now()
    hour = datetime.timedelta(hours=1)
    for since, until, count in ((now - hour, now + hour, 1), (now + hour, None, 0), (None, now - hour, 0)):
        source = {"records": "messages", "since": since and since.isoformat(), "until": until and until.isoformat()}
        assert len(await rows_of(exporting, source=source)) == count
    wrong = await exporting.http.post(
        "/exports/data", json={"format": "csv", "source": {"records": "logs", "since": "2026-01-02T00:00:00",
                                                          "until": "2026-01-01T00:00:00"}},
    )  # fmt: skip
    assert (wrong.status_code, wrong.json()["error"]["field"]) == (400, "source.until")


async def test_the_audit_trail_is_for_who_may_read_it(running: Any, exporting: Any, signed_in: Any) -> None:
    refused = await exporting.http.post("/exports/data", json={"format": "csv", "source": {"records": "audit"}})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "EXP003")
    auditor = await signed_in("auditor")
    asked = await auditor.post("/exports/data", json={"format": "ndjson", "source": {"records": "audit"}})
    assert asked.status_code == 202, asked.text
    done = await exporting.ended(asked.json()["id"])
    fetched = await auditor.get(f"/exports/jobs/{done['id']}/download")
    events = [json.loads(line) for line in fetched.text.splitlines()]
    assert len(events) == done["progress"]["rows_done"] > 3
    assert {"export.ask", "session.create"} & {one["action"] for one in events}
    assert all(json.loads(one["document"])["id"] == one["id"] for one in events)
    # who may not read the trail does not get it by fetching what somebody else asked for
    other = await exporting.http.get(f"/exports/jobs/{done['id']}/download")
    assert (other.status_code, other.json()["error"]["code"]) == (403, "EXP003")


async def test_bodies_need_their_own_right(running: Any, signed_in: Any) -> None:
    auditor = await signed_in("auditor")
    for records in ("messages", "executions", "attempts"):
        plain = await auditor.post("/exports/data", json={"format": "csv", "source": {"records": records}})
        assert plain.status_code == 202, plain.text
        asked = {"format": "csv", "source": {"records": records, "payload": True}}
        refused = await auditor.post("/exports/data", json=asked)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "EXP003")


async def test_rows_of_data_sets_are_not_for_auditors(exporting: Any, signed_in: Any) -> None:
    (dataset,) = (await exporting.imported())["datasets"]
    done = await exporting.exported(dataset)
    auditor = await signed_in("auditor")
    asked = await auditor.post("/exports/data", json={"format": "csv", "dataset": dataset})
    assert asked.status_code == 403
    assert (await auditor.get(f"/exports/jobs/{done['id']}")).status_code == 200  # that it was, is theirs to know
    assert (await auditor.get(f"/exports/jobs/{done['id']}/download")).status_code == 403
    assert (await auditor.post(f"/exports/jobs/{done['id']}/links", json={"receiver": "x"})).status_code == 403


@pytest.mark.ledger_part("S1-15", "a study-bound user: nothing of others")
async def test_a_study_bound_person_sees_his_studys_records_alone(
    running: Any, exporting: Any, signed_in: Any, message: Any
) -> None:  # fmt: skip
    await running.send(message("C1"))
    await running.settled("delivered")
    await exporting.imported(study="alpha")
    bound = await signed_in({"role": "operator", "study": "alpha"})
    for records in ("messages", "deliveries", "attempts", "executions", "logs"):
        asked = await bound.post("/exports/data", json={"format": "csv", "source": {"records": records}})
        assert asked.status_code == 202, asked.text
        done = await exporting.ended(asked.json()["id"])
        assert (done["status"], done["progress"]["rows_done"]) == ("succeeded", 0), records


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"source": {"records": "patients"}}, "source.records"),
        ({"source": {"records": "logs"}, "variables": ["nothing"]}, "variables"),
        ({"source": {"records": "logs"}, "where": [{"variable": "x", "op": "almost", "value": 1}]}, "where[0].op"),
        ({}, ""),
    ],
)
async def test_what_makes_no_sense_is_refused(exporting: Any, wanted: dict[str, Any], field: str) -> None:
    response = await exporting.http.post("/exports/data", json={"format": "csv", **wanted})
    assert (response.status_code, response.json()["error"]["code"]) == (400, "EXP002")
    assert field in str(response.json()["error"])


async def test_a_condition_on_no_variable_ends_the_export(exporting: Any) -> None:
    (dataset,) = (await exporting.imported())["datasets"]
    wrong = await exporting.http.post(
        "/exports/data", json={"dataset": dataset, "format": "csv",
                               "where": [{"variable": "AGE", "op": "gt", "value": 1}]},
    )  # fmt: skip
    assert (wrong.status_code, wrong.json()["error"]["field"]) == (400, "where[0]")


async def test_conditions_hold_for_rows_of_a_data_set(exporting: Any) -> None:
    (dataset,) = (await exporting.imported())["datasets"]
    for where, count in (
        ([{"variable": "VISITNUM", "op": "ge", "value": 2}], 1),
        ([{"variable": "AVAL", "op": "missing"}], 1),
        ([{"variable": "USUBJID", "op": "in", "value": ["A-02"]}, {"variable": "VISITNUM", "op": "eq", "value": 1}], 1),
        ([{"variable": "USUBJID", "op": "eq", "value": "nobody"}], 0),
    ):
        for format in ("csv", "cdisc-dataset-json-1.1", "xml"):  # the latter two say first how many there will be
            done = await exporting.exported(dataset, format, where=where, variables=["USUBJID"])
            assert (done["status"], done["progress"]["rows_done"]) == ("succeeded", count), (
                where,
                format,
                done["error"],
            )
