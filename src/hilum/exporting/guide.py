"""A reviewer's guide to begin with: what the hub knows of the data sets, and the places that people fill in.

Source: PHUSE, Clinical Study Data Reviewer's Guide and Analysis Data Reviewer's Guide: their chapters.
"""

from __future__ import annotations

from collections.abc import Sequence

import hilum
from hilum import clock
from hilum.exporting.checks import Finding
from hilum.exporting.rendering import rendered
from hilum.formats.define import Observed
from hilum.formats.report.document import Column, Kind, Report, Section, Table
from hilum.store.exports import Export

_TITLES = {"tabulations": "Clinical Study Data Reviewer's Guide", "analysis": "Analysis Data Reviewer's Guide"}
_OPEN = "To be filled in by the sponsor."


def guide(one: Export, home: str, where: str, observed: Sequence[Observed], found: Sequence[Finding]) -> bytes:
    """As PDF."""
    names = {each.dataset.name for each in observed}
    mine = [each for each in found if each.path.partition(".")[0] in names]
    report = Report(
        id=str(one.uuid), title=_TITLES[where], organization=home, asked_by=one.asked_name,
        created=clock.from_micros(one.created_at), generator=f"Hilum {hilum.__version__}",
        subtitle=f"Study {one.definition['source']['package']}", purpose=one.definition["purpose"],
        note="A stub: the tables are of the data in this package, all other chapters are the sponsor's.",
        sections=(
            Section("Introduction", _OPEN),
            Section("Protocol description", _OPEN),
            Section("Data sets", tables=(_datasets(observed),)),
            Section("Conformance", "What the hub checked is in checks.json.", tables=(_findings(mine),)),
            Section("Decisions and deviations", _OPEN),
        ),
    )  # fmt: skip
    ((_, content),) = [(name, b"".join(pieces)) for name, pieces in rendered(report, "pdf")]
    return content


def _datasets(observed: Sequence[Observed]) -> Table:
    columns = (
        Column("name", "Data set"), Column("label", "Label", width=3.0), Column("rows", "Rows", Kind.NUMBER),
        Column("variables", "Variables", Kind.NUMBER), Column("key", "Key", width=2.0),
    )  # fmt: skip
    rows = [
        (one.dataset.name, one.dataset.label, one.rows, len(one.dataset.variables), ", ".join(_key(one)))
        for one in observed
    ]
    return Table("Data sets of this package", columns, rows, empty="There is none.")


def _key(one: Observed) -> list[str]:
    keyed = [each for each in one.dataset.variables if each.key is not None]
    return [each.name for each in sorted(keyed, key=lambda each: each.key or 0)]


def _findings(found: Sequence[Finding]) -> Table:
    columns = (
        Column("path", "Where"), Column("severity", "Severity"), Column("rule", "Rule"),
        Column("text", "Finding", width=4.0),
    )  # fmt: skip
    rows = [(one.path, one.severity, one.rule, one.text) for one in found]
    return Table("Findings", columns, rows, empty="Nothing was found.")
