"""Records of the hub in formats of healthcare: what was received leaves as it came, another table is refused early."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest

from hilum.formats.hl7v2.batch import Batch

pytestmark = pytest.mark.anyio
HELD = {"records": "messages", "payload": True}


async def ended(exporting: Any, **wanted: Any) -> tuple[dict[str, Any], bytes]:
    asked = await exporting.http.post("/exports/data", json=wanted)
    assert asked.status_code == 202, asked.text
    done = await exporting.ended(asked.json()["id"])
    if done["status"] == "failed":
        return done, b""
    fetched = await exporting.http.get(f"/exports/jobs/{done['id']}/download")
    assert fetched.status_code == 200, fetched.text
    return done, fetched.content


@pytest.mark.ledger_part("S1-27", "hl7v2: what was received, through the API")
async def test_messages_leave_as_a_batch(running: Any, exporting: Any, message: Any) -> None:
    sent = [message("C1", name="MÜLLER"), message("C2"), message("C3")]
    await running.send(*sent)
    await running.settled("delivered", "delivered", "delivered")
    done, data = await ended(exporting, format="hl7v2", source=HELD, options={"receiving_facility": "SPONSOR"})
    assert (done["status"], done["file"]) == ("succeeded", "messages.hl7"), done
    found = Batch.parse(data)
    assert [one.rstrip(b"\r") for one in found.messages] == [one.rstrip(b"\r") for one in sent]
    assert not found.issues
    some = [{"variable": "control_id", "op": "eq", "value": "C2"}]
    _, data = await ended(
        exporting, format="hl7v2", source=HELD, where=some, variables=["body_base64", "body"]
    )  # fmt: skip
    assert [one.rstrip(b"\r") for one in Batch.parse(data).messages] == [sent[1].rstrip(b"\r")]


async def test_what_is_no_fhir_is_told_or_set_aside(running: Any, exporting: Any, message: Any) -> None:
    await running.send(message("C1"))
    await running.settled("delivered")
    done, _ = await ended(exporting, format="fhir-ndjson", source=HELD)
    assert (done["status"], done["error"]["row"], done["error"]["variable"]) == ("failed", 1, "body")
    done, data = await ended(exporting, format="fhir-ndjson", source=HELD, set_aside=True)
    assert done["status"] == "partial"
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        assert package.namelist() == ["exceptions.csv", "manifest.json"]
        assert b"no JSON" in package.read("exceptions.csv")


async def test_no_rows_are_a_zip_too(running: Any, exporting: Any) -> None:
    done, data = await ended(exporting, format="fhir-ndjson", source={"records": "executions", "payload": True})
    assert (done["status"], done["file"], done["media_type"]) == (
        "succeeded", "executions.zip", "application/zip",
    )  # fmt: skip
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        assert package.namelist() == ["manifest.json"]
        assert json.loads(package.read("manifest.json"))["output"] == []


@pytest.mark.parametrize("name", ["hl7v2", "fhir-ndjson"])
async def test_another_table_is_refused_when_it_is_asked_for(running: Any, exporting: Any, name: str) -> None:
    (dataset,) = (await exporting.imported())["datasets"]
    for wanted in (
        {"dataset": dataset},
        {"source": {"records": "messages"}},
        {"source": {"records": "logs"}},
        {"source": HELD, "variables": ["id"]},
    ):
        asked = await exporting.http.post("/exports/data", json={"format": name, **wanted})
        assert asked.status_code == 400, wanted
        assert asked.json()["error"]["field"] == "format"
        assert f"{name} takes the records" in asked.text
    bulk = {"name": "x", "items": [{"kind": "data", "format": name, "dataset": dataset}]}
    asked = await exporting.http.post("/exports/bulk", json=bulk)
    assert (asked.status_code, asked.json()["error"]["field"]) == (400, "items[0].format")
