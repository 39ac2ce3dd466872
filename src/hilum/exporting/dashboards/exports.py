"""What was exported: how many, of which kind, in which format, and what came of it."""

from __future__ import annotations

from collections import Counter

from hilum import clock
from hilum.exporting.definition import Asked, Definition
from hilum.exporting.means import Means, Watch
from hilum.formats.report.document import Chart, ChartKind, Column, Figure, Kind, Row, Section, Series, Table, Tone
from hilum.model.export import READY, ExportStatus
from hilum.store import export_counts
from hilum.store.export_counts import Counted


async def build(means: Means, asked: Asked, watch: Watch) -> tuple[Section, ...]:
    """Raises StoreError."""
    own, scope = means.store.within(asked.scope.organization), asked.scope
    found = await own.load(export_counts.counted, scope.organization, scope.studies, asked.since, asked.until)
    return (
        Section("Exports", "Those that were asked for in the period, as they stood when this was made.",
                figures=_figures(found), charts=(_days(asked, found), _formats(found))),
        Section("Kinds and formats", tables=(_table(found),)),
    )  # fmt: skip


def _figures(found: list[Counted]) -> tuple[Figure, ...]:
    by = _tally(found, "status")
    failed = by[ExportStatus.FAILED]
    return (
        Figure("Exports", by.total()), Figure("Ready", sum(by[one] for one in READY)),
        Figure("At work", by[ExportStatus.QUEUED] + by[ExportStatus.RUNNING]),
        Figure("Failed", failed, tone=Tone.BAD if failed else Tone.NEUTRAL),
        Figure("Cancelled", by[ExportStatus.CANCELLED]), Figure("Expired", by[ExportStatus.EXPIRED]),
        Figure("Rows", sum(one.rows for one in found)), Figure("Size", sum(one.size for one in found), Kind.BYTES),
        Figure("Downloads", sum(one.downloads for one in found)),
    )  # fmt: skip


def _days(asked: Asked, found: list[Counted]) -> Chart:
    kinds = sorted({one.kind for one in found})
    by = Counter[tuple[str, int]]()
    for one in found:
        by[one.kind, one.day] += one.many
    series = tuple(Series(kind, [by[kind, day] for day in asked.days]) for kind in kinds)
    days = [clock.from_micros(day) for day in asked.days] if series else []
    return Chart(ChartKind.STACKED, "Exports by day", days, series, "exports")


def _formats(found: list[Counted]) -> Chart:
    by = _tally(found, "format")
    names = [name for name, _ in sorted(by.items(), key=lambda item: (-item[1], item[0]))][:12]
    return Chart(ChartKind.BAR, "By format", names, (Series("exports", [by[one] for one in names]),), "exports")


def _table(found: list[Counted]) -> Table:
    columns = (
        Column("kind", "Kind"), Column("format", "Format"), Column("exports", "Exports", Kind.NUMBER),
        Column("failed", "Failed", Kind.NUMBER), Column("rows", "Rows", Kind.NUMBER),
        Column("bytes", "Size", Kind.BYTES), Column("downloads", "Downloads", Kind.NUMBER),
    )  # fmt: skip
    rows: list[Row] = []
    for kind, format in sorted({(one.kind, one.format) for one in found}):
        mine = [one for one in found if (one.kind, one.format) == (kind, format)]
        failed = sum(one.many for one in mine if one.status == ExportStatus.FAILED)
        told = (sum(getattr(one, name) for one in mine) for name in ("rows", "size", "downloads"))
        rows.append((kind, format, sum(one.many for one in mine), failed, *told))
    return Table("By kind and format", columns, rows)


def _tally(found: list[Counted], name: str) -> Counter[str]:
    by = Counter[str]()
    for one in found:
        by[getattr(one, name)] += one.many
    return by


DASHBOARD = Definition(
    "exports", "Exports", "How many exports there were, of which kind and format, and what came of them.",
    frozenset({"exports:read"}), build,
)  # fmt: skip
