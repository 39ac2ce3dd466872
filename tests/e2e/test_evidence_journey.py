"""A hub that is killed again and again while messages come and people look: its trail verifies, nothing twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.anyio


@pytest.mark.slow
@pytest.mark.ledger_part("S0-23", "every message's hash is covered by signed checkpoints, and each body is compared")
async def test_a_trail_outlives_kills(e2e: Any, tmp_path: Path) -> None:
    partner, port = await e2e.partner(), e2e.free_port()
    feed = {"feed": {"url": f"mllp://127.0.0.1:{port}"}}
    folder = tmp_path / "elsewhere"
    environ = {"HILUM_CHECKPOINTS": str(folder)}
    hub = e2e.hub(tmp_path, e2e.layout(feed, {"p": {"url": partner.url}}), environ=environ)
    await hub.start()
    load = e2e.load(*(e2e.sender(port, f"s{number}") for number in range(3)))
    for _ in range(3):
        await load.more(20)
        hub.ask("messages", "list")
        hub.kill()
        await hub.start()
    await load.more(20)
    await load.stop()
    hub.ask("messages", "list")
    assert await hub.stop() == 0
    trail, (file,) = tmp_path / "trail.zip", (one for one in folder.glob("*.jsonl") if one.stem != "system")
    hub.ask("audit", "export", trail)
    verified = ["audit", "verify", trail, "--checkpoints", file, "--key", folder / "evidence.pub", "--json"]
    found = json.loads(hub.run(*verified))
    assert found["faults"] == []
    stored = hub.rows("SELECT count(*) FROM message")[0][0]
    assert (found["messages"], found["not_protected"]["messages"]) == (stored, 0)
    assert found["bodies"] == stored
    listed = hub.rows("SELECT count(*) FROM audit_event WHERE action = 'message.list'")[0][0]
    assert listed == 4
    assert found["events"] >= listed
