"""The pytest plugin of scripts/ledger.py: runs the marked tests only and writes what became of each.

`ledger(row, …)` proves a row, `ledger_part(row, what)` a part of it. The marks travel as user properties, so
that the plugin also works with several workers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

PROPERTY = "ledger"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--ledger-results", type=Path, required=True, help="file to write the outcomes to")


def claims(item: pytest.Item) -> list[dict[str, str | None]]:
    """The rows a test claims, each with its part, or None for the whole; UsageError if malformed."""
    found: list[dict[str, str | None]] = []
    for mark in item.iter_markers():
        if mark.name == "ledger":
            if not mark.args:
                raise pytest.UsageError(f"{item.nodeid}: ledger(row) names no row")
            found += [{"row": row, "part": None} for row in mark.args]
        elif mark.name == "ledger_part":
            if len(mark.args) != 2:
                raise pytest.UsageError(f"{item.nodeid}: write ledger_part(row, what of it)")
            found.append({"row": mark.args[0], "part": mark.args[1]})
    return found


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    marked = []
    for item in items:
        if rows := claims(item):
            item.user_properties.append((PROPERTY, rows))
            marked.append(item)
    config.hook.pytest_deselected(items=[item for item in items if item not in set(marked)])
    items[:] = marked


class Outcomes:
    """The worst phase of each marked test: failed, else skipped, else passed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tests: dict[str, dict[str, Any]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        rows = dict(report.user_properties).get(PROPERTY)
        if rows is None:
            return
        test = self.tests.setdefault(report.nodeid, {"claims": rows, "outcome": "passed"})
        if report.failed or (report.skipped and test["outcome"] == "passed"):
            test["outcome"] = report.outcome

    def pytest_sessionfinish(self) -> None:
        self.path.write_text(json.dumps(self.tests), encoding="utf-8")


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # a worker of xdist reports to the one process that writes
        config.pluginmanager.register(Outcomes(config.getoption("--ledger-results")), "ledger-outcomes")
