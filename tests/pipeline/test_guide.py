"""The guide's route compiles, and its example holds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from hilum.model.message import Disposition

PAGE = (Path(__file__).parents[2] / "docs/how-to/map-a-message.md").read_text(encoding="utf-8")


@pytest.mark.ledger_part("S2-122", "text mapping with typed paths, as the guide shows it")
def test_the_guides_route(compiled: Any) -> None:
    blocks = re.findall(r"```yaml runnable\n(.*?)```", PAGE, re.DOTALL)
    (route,) = yaml.safe_load(blocks[0])["routes"]
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
