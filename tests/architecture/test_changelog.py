"""The change log keeps its form (Keep a Changelog 1.1.0), so that people and programs can read it."""

from __future__ import annotations

import datetime
import re
from pathlib import Path

import pytest

LINES = (Path(__file__).parents[2] / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
RELEASE = re.compile(r"## \[(\d+)\.(\d+)\.(\d+)\] - (\d{4}-\d\d-\d\d)")


@pytest.mark.ledger("S0-67")  # with the API's version and what is deprecated, in tests/api
def test_the_change_log_keeps_its_form() -> None:
    assert LINES[0] == "# Changelog"
    versions = [line for line in LINES if line.startswith("## ")]
    assert versions[0] == "## [Unreleased]"
    released = [RELEASE.fullmatch(line) for line in versions[1:]]
    assert None not in released
    found = [(tuple(map(int, one.groups()[:3])), datetime.date.fromisoformat(one[4])) for one in released if one]
    assert found == sorted(found, reverse=True), "the newest first"
    kind = ""
    for line in LINES:
        if line.startswith("## "):
            kind = ""
        elif line.startswith("### "):
            kind = line.removeprefix("### ")
            assert kind in KINDS
        elif line.startswith("- "):
            assert kind, f"under no kind of change: {line}"
    assert kind, "something changed"
