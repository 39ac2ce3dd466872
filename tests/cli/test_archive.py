"""A backup of a running hub becomes a hub again, with the recovery key alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., Any]


@pytest.fixture
def key(hub: Any, tmp_path: Path) -> Path:
    """The recovery key as the hub showed it, in a file."""
    found = re.search(r"AGE-SECRET-KEY-1\w+", hub.process.text)
    assert found is not None
    path = tmp_path / "recovery.txt"
    path.write_text(f"{found[0]}\n")
    return path


@pytest.fixture
def filled(call: Call, hub: Any, adt: Callable[..., bytes], tmp_path: Path) -> Any:
    """A hub that took two messages."""
    (tmp_path / "two.hl7").write_bytes(adt("A") + adt("B"))
    assert call("send", tmp_path / "two.hl7", "--to", f"mllp://127.0.0.1:{hub.inbound}").code == 0
    return hub


def test_there_and_back(call: Call, filled: Any, key: Path, tmp_path: Path) -> None:
    archive, folder = tmp_path / "hub.age", tmp_path / "restored"
    made = call("backup", "--to", archive, "--data", filled.data)
    assert (made.code, made.err) == (0, "")
    assert f"Backed up to {archive}" in made.out
    assert b"4711" not in archive.read_bytes()
    back = call("restore", archive, "--data", folder, "--recovery-key-file", key, "--verify", "--json")
    assert back.code == 0
    assert back.json["rows"]["message"] == back.json["opened"] == 2
    listed = call("messages", "list", "--data", folder, "--json").json["items"]
    assert [one["control_id"] for one in listed] == ["B", "A"]
    assert call("messages", "show", listed[0]["id"], "--data", folder, "--raw").out.startswith("MSH|")


def test_a_stopped_hub_and_a_typed_key(call: Call, filled: Any, key: Path, tmp_path: Path) -> None:
    filled.process.end()
    archive = tmp_path / "hub.age"
    assert call("backup", "--to", archive, "--data", filled.data, "--json").json["rows"]["message"] == 2
    back = call("restore", archive, "--data", tmp_path / "restored", stdin=key.read_text())
    assert back.code == 0
    assert f"hilum serve --config hub.yaml --data {tmp_path / 'restored'}" in back.out
    assert key.read_text().strip() not in back.out + back.err, "the key is not repeated"


def test_what_cannot_be_restored(call: Call, filled: Any, key: Path, tmp_path: Path) -> None:
    archive = tmp_path / "hub.age"
    assert call("backup", "--to", archive, "--data", filled.data).code == 0
    into = ("--data", tmp_path / "restored")
    occupied = call("restore", archive, "--data", filled.data, "--recovery-key-file", key)
    assert (occupied.code, "is not empty" in occupied.err) == (1, True)
    key.write_text("AGE-SECRET-KEY-NONE")
    assert "no recovery key" in call("restore", archive, *into, "--recovery-key-file", key).err
    key.write_text("")
    assert "is empty" in call("restore", archive, *into, "--recovery-key-file", key).err
    nowhere = call("backup", "--to", tmp_path / "none" / "hub.age", "--data", filled.data)
    assert nowhere.code == 1
