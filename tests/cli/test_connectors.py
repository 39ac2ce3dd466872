"""The catalogue shows what is installed; a new connector is written as one file and one test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_the_catalogue(call: Callable[..., Any]) -> None:
    shown = call("connectors")
    assert shown.code == 0
    for word in ("mllp:// mllps://", "file://", "http:// https://", "receive, send, probe"):
        assert word in shown.out
    names = [one["name"] for one in call("connectors", "--json").json]
    assert names == sorted(names)
    assert {"file", "http", "mllp"} <= set(names)


def test_one_connector_with_its_keys(call: Callable[..., Any]) -> None:
    shown = call("connectors", "mllps")
    assert "ack.mode" in shown.out
    assert "required" in shown.out
    assert call("connectors", "mllp", "--json").json["schema"]["properties"]["url"]["description"]
    missing = call("connectors", "pigeon")
    assert missing.code == 1
    assert missing.err.startswith("error: no connector is called pigeon; there are: ")


def test_a_new_connector_is_two_files(call: Callable[..., Any], tmp_path: Path) -> None:
    shown = call("new-connector", "pigeon", "--folder", tmp_path)
    assert shown.code == 0
    assert (tmp_path / "connectors" / "pigeon.py").is_file()
    assert (tmp_path / "tests" / "connectors" / "test_pigeon.py").is_file()
    again = call("new-connector", "pigeon", "--folder", tmp_path)
    assert (again.code, "exists already" in again.err) == (1, True)
    assert call("new-connector", "Not-A-Name", "--folder", tmp_path).code == 1
