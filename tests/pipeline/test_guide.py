"""The guide's route compiles, and its example holds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from hilum.model.message import Disposition

PAGE = (Path(__file__).parents[2] / "docs/how-to/map-a-message.md").read_text(encoding="utf-8")


def routes() -> list[dict[str, Any]]:
    blocks = re.findall(r"```yaml runnable\n(.*?)```", PAGE, re.DOTALL)
    return [route for block in blocks for route in yaml.safe_load(block)["routes"]]


@pytest.mark.ledger_part("S2-122", "text mapping with typed paths, as the guide shows it")
def test_the_guides_route(compiled: Any) -> None:
    route = routes()[0]
    pipeline = compiled(route["steps"], to=tuple(route["to"]))
    assert pipeline.examples() == []
    text = route["steps"][2]["map"]["examples"][0]["input"].strip()
    message = text + "\nPV1|1|I\nOBX|9|NM|GLU||5.5\nNTE|1||x\n"
    routed = pipeline.run(message.replace("\n", "\r").encode())
    assert routed.disposition is Disposition.DELIVERING
    body = routed.outputs[0].body.decode()
    assert "|IMP|" in body
    assert "OBX|1|NM|GLU||5.5||||||F" in body
    assert "NTE" not in body
    assert pipeline.run(message.replace("PV1|1|I", "PV1|1|X").replace("\n", "\r").encode()).disposition is (
        Disposition.REVIEW
    )


@pytest.mark.ledger_part("S2-122", "JSON, FHIRPath and JSON to HL7 v2, as the guide shows them")
def test_the_guides_route_of_json(compiled: Any) -> None:
    route = routes()[1]
    pipeline = compiled(route["steps"], format="json")
    assert pipeline.examples() == []
    body = b"""{"id": "o-1", "status": "active", "mrn": "4711", "birthDate": "1970-01-31",
        "subject": {"family": "Doe", "given": ["Jane"]}, "items": [{"code": "GLU"}, {"code": "HB", "unit": "G"}]}"""
    (output,) = pipeline.run(body).outputs
    assert output.body == (b"MSH|^~\\&|||||||ORM^O01|o-1||2.5\rPID|||4711||Doe\rOBR|1|||2345-7^GLU\rOBR|2|||718-7^HB\r")
