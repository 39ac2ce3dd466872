"""The report of connections at the hub's own machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hilum.app import Hub
from hilum.model import document
from hilum.settings import Settings

CONFIG = """
version: 1
organization: demo
environment: test
integrations:
  - name: lab
    protocol: hl7_v2
    data_categories: [laboratory]
    legal_basis: [gdpr-9-2-h]
    endpoints: [{name: out, direction: outbound, url: "mllps://lab.example.org:2575"}]
"""


async def configure(data: Path, act: Any, text: str) -> None:
    hub = Hub(Settings(data=data, http=None))
    await hub.open()
    try:
        await hub.configurations.apply(act(), document.load(text, "hub.yaml"), None)
    finally:
        await hub.close()


def test_a_table_json_and_csv(call: Callable[..., Any], tmp_path: Path, act: Any) -> None:
    data = tmp_path / "data"
    asyncio.run(configure(data, act, "version: 1\norganization: demo\nenvironment: test\n"))
    assert call("connections", "report", "--data", data).out == "No connection.\n"
    asyncio.run(configure(data, act, CONFIG))
    shown = call("connections", "report", "--data", data)
    assert shown.code == 0
    for part in ("lab/out", "outbound", "lab.example.org:2575", "laboratory", "gdpr-9-2-h"):
        assert part in shown.out
    (one,) = call("connections", "report", "--data", data, "--format", "json").json["connections"]
    assert (one["host"], one["last_access"]) == ("lab.example.org", None)
    header, row = call("connections", "report", "--data", data, "--format", "csv").out.splitlines()
    assert header.split(",")[1] == "integration"
    assert row.split(",")[1] == "lab"
    assert call("connections", "report", "--data", data, "--format", "pdf").code == 2
