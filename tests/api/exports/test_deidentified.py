"""Nobody is told by what leaves under a profile: planted people are in no file, whatever the source."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

pytestmark = pytest.mark.anyio
PEOPLE = (
    ("A-01", "Müller", "Björn", "1931-04-05", "bjoern.mueller@example.org", "+49 30 1234567", "20095", 94),
    ("A-02", "O'Brien", "Siobhán", "1980-11-30", "s.obrien@example.org", "(555) 123-4567", "03601", 45),
)
HEAD = b"USUBJID,LASTNAME,FIRSTNAME,BRTHDTC,EMAIL,PHONE,ZIP,AGE,LBTESTCD,LBSTRESN,COMMENT\n"
PLANTED = [
    "Müller", "Mueller", "Björn", "O'Brien", "Siobhán", "1931-04-05", "1980-11-30", "example.org", "1234567",
    "123-4567", "20095", "03601", "A-01", "A-02",
]  # fmt: skip


def table() -> bytes:
    lines = [
        f"{one},{last},{first},{born},{mail},{phone},{zipped},{age},GLUC,{5.5 + place},seen {last} on 2026-02-03\n"
        for place, (one, last, first, born, mail, phone, zipped, age) in enumerate(PEOPLE)
    ]
    return HEAD + "".join(lines).encode()


@pytest.mark.ledger_part("S1-24", "Safe Harbor end to end: no planted identifier in CSV, JSON, XPT, PDF or XLSX")
@pytest.mark.parametrize("format", ["csv", "ndjson", "sas-xpt-v8", "xml", "cdisc-dataset-json-1.1"])
async def test_safe_harbor_tells_nobody(exporting: Any, format: str) -> None:
    (dataset,) = (await exporting.imported(table(), file="lb.csv"))["datasets"]
    done = await exporting.exported(dataset, format, deidentify={"profile": "safe-harbor"})
    assert done["status"] == "succeeded", done["error"]
    told = done["facts"]["deidentified"]
    assert told["label"].startswith("HIPAA Safe Harbor")
    assert any(rule.startswith("BRTHDTC: date of birth -> year") for rule in told["rules"])
    content = (await exporting.http.get(f"/exports/jobs/{done['id']}/download")).content.decode("utf-8", "replace")
    assert [one for one in PLANTED if one in content] == []
    assert "GLUC" in content  # what is no identifier is still there


async def test_pseudonyms_hold_from_one_export_to_the_next(exporting: Any) -> None:
    (dataset,) = (await exporting.imported(table(), file="lb.csv"))["datasets"]
    texts = []
    for _ in range(2):
        done = await exporting.exported(
            dataset, "csv", deidentify={"profile": "pseudonymise"}, variables=["USUBJID", "LBSTRESN"],
            where=[{"variable": "AGE", "op": "ge", "value": 40}],
        )  # fmt: skip
        assert done["status"] == "succeeded", done["error"]
        texts.append((await exporting.http.get(f"/exports/jobs/{done['id']}/download")).text)
    assert texts[0] == texts[1]
    assert texts[0].count("\n") == 3
    assert "A-01" not in texts[0]
    harbor = [
        (await exporting.exported(dataset, deidentify={"profile": "safe-harbor"}, variables=["USUBJID"]))["sha256"]
        for _ in range(2)
    ]
    assert harbor[0] != harbor[1]  # its codes hold for one export alone


async def test_a_variable_that_the_profile_takes_out_cannot_be_asked_for(exporting: Any) -> None:
    (dataset,) = (await exporting.imported(table(), file="lb.csv"))["datasets"]
    done = await exporting.exported(dataset, deidentify={"profile": "safe-harbor"}, variables=["LASTNAME"])
    assert (done["status"], done["error"]["variable"]) == ("failed", "LASTNAME")
    kept = await exporting.exported(
        dataset, deidentify={"profile": "safe-harbor", "columns": {"LASTNAME": "keep"}}, variables=["LASTNAME"]
    )
    assert "NOT Safe Harbor: LASTNAME" in kept["facts"]["deidentified"]["label"]


@pytest.mark.ledger_part("S1-24", "bodies of messages too")
async def test_messages_tell_nobody_either(running: Any, exporting: Any, message: Any) -> None:
    await running.send(message("C1", patient="4711", name="MÜLLER"))
    await running.settled("delivered")
    source = {"records": "messages", "payload": True}
    asked = {"format": "ndjson", "source": source, "deidentify": {"profile": "safe-harbor"}}
    made = await exporting.http.post("/exports/data", json=asked)
    assert made.status_code == 202, made.text
    done = await exporting.ended(made.json()["id"])
    assert done["status"] == "succeeded", done["error"]
    content = (await exporting.http.get(f"/exports/jobs/{done['id']}/download")).text
    row = json.loads(content)
    assert row["body"].startswith("MSH|")
    assert [one for one in ("4711", "MÜLLER", "C1") if one in content] == []


async def test_a_body_that_is_no_utf8_tells_nobody_either(running: Any, exporting: Any, message: Any) -> None:
    text = message("C1", patient="4711", name="MÜLLER").decode().replace("MÜLLER", "MULLER^JÖRG")
    await running.send(text.encode("latin-1"))
    await running.settled()
    source = {"records": "messages", "payload": True}
    plain = await exporting.http.post("/exports/data", json={"format": "ndjson", "source": source})
    row = await _only(exporting, plain)
    assert row["body_base64"]
    assert b"MULLER" in base64.b64decode(row["body_base64"])
    asked = {"format": "ndjson", "source": source, "deidentify": {"profile": "safe-harbor"}}
    row = await _only(exporting, await exporting.http.post("/exports/data", json=asked))
    body = base64.b64decode(row["body_base64"])
    assert body.startswith(b"MSH|")
    assert [one for one in (b"4711", b"MULLER", b"J\xd6RG", b"C1") if one in body] == []


async def _only(exporting: Any, asked: Any) -> Any:
    assert asked.status_code == 202, asked.text
    done = await exporting.ended(asked.json()["id"])
    assert done["status"] == "succeeded", done["error"]
    return json.loads((await exporting.http.get(f"/exports/jobs/{done['id']}/download")).text)
