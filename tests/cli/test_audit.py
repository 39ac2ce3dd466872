"""An auditor's commands, of a hub that runs and of a folder where none does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

Call = Callable[..., Any]


@pytest.fixture
def receive(call: Call, hub: Any, adt: Callable[..., bytes], tmp_path: Path) -> None:
    """A message, and somebody who looked at the list of messages."""
    path = tmp_path / "message.hl7"
    path.write_bytes(adt("A1"))
    assert call("send", path, "--to", f"mllp://127.0.0.1:{hub.inbound}").code == 0
    assert call("messages", "list", "--data", hub.data, "--json").code == 0


@pytest.mark.usefixtures("receive")
def test_who_looked_is_listed(call: Call, hub: Any) -> None:
    found = call("audit", "list", "--data", hub.data, "--action", "message.list", "--json").json["items"]
    assert [one["event"]["actor"]["kind"] for one in found] == ["local"]
    assert found[0]["event"]["actor"]["id"].startswith("local:")
    text = call("audit", "list", "--data", hub.data).out
    assert "message.list" in text
    assert "local:" in text
    assert "Nothing was done" in call("audit", "list", "--data", hub.data, "--action", "no.such").out


@pytest.mark.usefixtures("receive")
def test_a_trail_is_taken_along_and_verified(call: Call, hub: Any, tmp_path: Path) -> None:
    key, trail = tmp_path / "evidence.pub", tmp_path / "trail.zip"
    assert hub.process.end() == 0  # it signs what there is
    key.write_text(call("audit", "key", "--data", hub.data).out)
    exported = call("audit", "export", trail, "--data", hub.data)
    assert exported.code == 0, exported.err
    (file,) = (one for one in (hub.data / "checkpoints").glob("*.jsonl") if one.stem != "system")
    verified = call("audit", "verify", trail, "--checkpoints", file, "--key", key)
    assert verified.code == 0, verified.out
    assert "The trail is what was signed." in verified.out
    assert "1, and 1 bodies opened" in verified.out
    whole = call("audit", "verify", trail, "--checkpoints", file, "--key", key, "--json").json
    assert whole["not_protected"]["events"] == 1  # the key was asked for while no hub ran: its next run seals them
    part = call("audit", "export", tmp_path / "part.zip", "--data", hub.data, "--since", "1h")
    assert part.code == 0
    assert call("audit", "verify", tmp_path / "part.zip", "--checkpoints", file, "--key", key).code == 0


@pytest.mark.usefixtures("receive")
def test_the_hubs_own_chain_is_there_too(call: Call, hub: Any, tmp_path: Path) -> None:
    """It has what was asked by nobody in particular."""
    assert httpx.get(f"http://127.0.0.1:{hub.http}/api/v1/users").status_code == 401
    assert hub.process.end() == 0
    trail, folder = tmp_path / "system.zip", hub.data / "checkpoints"
    assert call("audit", "export", trail, "--data", hub.data, "--organization", "system").code == 0
    verified = call(
        "audit", "verify", trail, "--checkpoints", folder / "system.jsonl", "--key", folder / "evidence.pub", "--json"
    )
    assert verified.code == 0, verified.out
    assert verified.json["chain"] == "system"
    assert verified.json["events"] > 0


def test_what_is_no_export_is_told(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "trail.zip"
    path.write_bytes(b"PK nothing")
    (tmp_path / "none.jsonl").touch()
    (tmp_path / "evidence.pub").write_text("no key")
    files = ("--checkpoints", tmp_path / "none.jsonl", "--key", tmp_path / "evidence.pub")
    found = call("audit", "verify", path, *files)
    assert found.code == 1
    assert "no public key of Hilum" in found.err
