"""`hilum exports` against a hub that runs, and on a folder without one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., Any]


@pytest.fixture
def weekly(tmp_path: Path) -> Path:
    """A plan of messages, in a file."""
    wish = {"source": {"records": "messages", "since": "last-7d"}, "format": "csv"}
    path = tmp_path / "weekly.json"
    path.write_text(json.dumps({"name": "weekly", "kind": "data", "cron": "0 6 * * 1", "wish": wish}), "utf-8")
    return path


def test_a_plan_is_added_run_and_removed(call: Call, hub: Any, weekly: Path) -> None:
    at = ("--data", hub.data)
    assert "There is no plan" in call("exports", "plans", *at).out
    assert "Nothing was exported" in call("exports", "list", *at).out
    added = call("exports", "add", weekly, *at)
    assert (added.code, "weekly: next on" in added.out, "06:00" in added.out) == (0, True, True), added.err
    again = call("exports", "add", weekly, *at)
    assert (again.code, "already" in again.err) == (1, True)
    listed = call("exports", "plans", *at)
    assert all(one in listed.out for one in ("weekly", "data", "local:", "0 6 * * 1")), listed.out
    ran = call("exports", "run", "WEEKLY", *at, "--json")
    assert (ran.code, ran.json["status"]) == (0, "succeeded"), ran.err
    assert "messages.csv" in call("exports", "list", *at).out
    (shown,) = call("exports", "plans", *at, "--json").json
    assert shown["last"]["id"] == ran.json["id"]
    assert call("exports", "remove", "weekly", *at).code == 0
    gone = call("exports", "run", "weekly", *at)
    assert (gone.code, "there is no export plan weekly" in gone.err) == (1, True)


def test_without_a_hub(call: Call, hub: Any, weekly: Path) -> None:
    assert hub.process.end() == 0
    at = ("--data", hub.data)
    assert call("exports", "add", "-", *at, stdin=weekly.read_text("utf-8")).code == 0
    ran = call("exports", "run", "weekly", *at)
    assert (ran.code, "messages.csv: 0 rows" in ran.out) == (0, True), ran.err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "valid dictionary"),
        ('{"name": "x", "kind": "data", "wish": {}, "path": 1}', "path"),
        ('{"name": "x", "kind": "data", "wish": {}, "cron": "daily"}', "five fields"),
    ],
)
def test_a_file_that_is_no_plan(call: Call, tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "plan.json").write_text(text, "utf-8")
    failed = call("exports", "add", tmp_path / "plan.json", "--data", tmp_path)
    assert (failed.code, told in failed.err) == (1, True), failed.err
    assert "plan.json" in failed.err
