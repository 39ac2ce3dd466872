"""A report as pages: PDF/A-2b, and pictures of them.

`page.typ` says how they look. All texts go there as data and are measured before, so that a word that is wider than
its place breaks and nothing is cut off. The same report gives the same bytes.
"""

from __future__ import annotations

import enum
import functools
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hilum.formats.report import charts, columns, fonts, press, values
from hilum.formats.report.content import Identity
from hilum.formats.report.document import Chart, Figure, Form, Kind, Report, Table, Value
from hilum.formats.report.parts import BUDGET, Part, Piece, Stretch, parts

_MARGIN, _GUTTER, _GAP = 48.0, 18.0, 8.0  # points
_TILE = 122.0  # points that a tile has at least
_BOARD, _ROW, _CHART = 30_000, 80, 600  # characters that one page may hold, and what a row and a chart count for
_HEAD = 400.0  # points that a column's label has: it stands on every page
_INSET = 20.0  # of a tile's width
_PROOF = (
    "SHA-256 is taken of the report's content as canonical JSON (RFC 8785), which is the member “content” of this "
    "report in the format JSON."
)


class Paper(enum.Enum):
    """Points, upright."""

    A4 = (595.276, 841.89)
    LETTER = (612.0, 792.0)


def pdf(report: Report, known: Identity, paper: Paper = Paper.A4, budget: int = BUDGET) -> Iterator[tuple[str, bytes]]:
    """Each part, of at most `budget` cells, as a file: what its name ends with, and PDF/A-2b (ISO 19005-2).

    Raises DataError for what no report can hold, ConfigError where `hilum[reports]` is not installed.
    """
    found = parts(report, budget)
    setting = _Setting(report, known, paper, found)
    for number, part in enumerate(found, 1):
        ending = "" if len(found) == 1 else f"-part-{number}-of-{len(found)}"
        # tags make a part ten times as large, so that only reports of one part have them
        yield ending, press.pdf(_template(), setting.data(part, number), report.created, tagged=len(found) == 1)


def pictures(
    report: Report, known: Identity, kind: str, paper: Paper = Paper.A4, scale: float = 2.0
) -> Iterator[tuple[str, bytes]]:
    """Each page as a picture: what its name ends with, and SVG, or PNG with `scale` pixels a point."""
    found = parts(report)
    setting = _Setting(report, known, paper, found)
    page = 0
    for number, part in enumerate(found, 1):
        made = press.pictures(_template(), setting.data(part, number), kind, scale)
        for one in made:
            page += 1
            yield ("" if len(found) == len(made) == 1 else f"-{page:03}"), one


@functools.cache
def _template() -> bytes:
    return Path(__file__).with_name("page.typ").read_bytes()


class _Setting:
    """A report with the room that it has on paper."""

    def __init__(self, report: Report, known: Identity, paper: Paper, found: list[Part]) -> None:
        self.report, self.known, self.parts = report, known, found
        self.paged = report.form is Form.PAGES or len(found) > 1 or _characters(report) > _BOARD
        short, long = paper.value
        tables = [table for section in report.sections for table in section.tables]
        self._needs = {id(table): columns.needs(table) for table in tables}
        wide = not self.paged or not all(columns.fits(one, short - 2 * _MARGIN) for one in self._needs.values())
        self.width, self.height = (long, short) if wide else (short, long)
        self.room = self.width - 2 * _MARGIN

    def data(self, part: Part, number: int) -> str:
        """What the template needs to know, as JSON."""
        report, facts = self.report, self._facts()
        return json.dumps({
            "width": self.width, "height": self.height, "paged": self.paged, "margin": _MARGIN, "gutter": _GUTTER,
            "title": self._fit(report.title, 22 * columns.BOLD), "subtitle": self._fit(report.subtitle, 11.5),
            "organization": self._fit(report.organization, 9 * columns.BOLD), "facts": facts,
            "inline": not self.paged and self._inline(facts),
            "author": _clean(report.asked_by), "keywords": [_clean(report.id), self.known.sha256],
            "part": self._part(number), "foot": self._foot(number), "proof": self._fit(_PROOF, 7),
            "sections": [self._section(one) for one in part] or [self._empty()],
            "signatures": self._signatures() if number == len(self.parts) else [],
            "identity": self._identity(),
        })  # fmt: skip

    def _identity(self) -> list[list[str]]:
        name, known = fonts.cut(fonts.shown(self.report.id), self.room, 7.5), self.known
        return self._pairs((("Report", name), ("SHA-256", known.sha256), ("Made by", known.generator)), 7.5, mono=True)

    def _fit(self, text: str, size: float, room: float | None = None, *, mono: bool = False) -> str:
        return columns.broken(fonts.shown(text.strip()), self.room if room is None else room, size, mono=mono)

    def _short(self, text: str, size: float, room: float, lines: int = 3) -> str:
        """For what has to stay together on a page: an ellipsis stands for more than so many lines."""
        return self._fit(fonts.cut(fonts.shown(text), room * (lines - 0.5), size), size, room)

    def _pairs(self, pairs: Sequence[tuple[str, str]], size: float, *, mono: bool = False) -> list[list[str]]:
        label = max(fonts.width(one, size) for one, _ in pairs)
        room = self.room - label - 16
        return [[one, self._fit(value, size, room, mono=mono)] for one, value in pairs if value]

    def _facts(self) -> list[list[str]]:
        report, period = self.report, ""
        if report.period is not None:
            start, end = (values.shown(one, Kind.TIME).removesuffix(" 00:00:00") for one in report.period)
            period = f"{start} to {end} (UTC, the end not included)"
        created = f"{values.shown(report.created, Kind.TIME)} UTC"
        found = (
            ("Period", period), ("Requested by", report.asked_by), ("Created", created), ("Purpose", report.purpose),
            ("Note", report.note),
        )  # fmt: skip
        return self._pairs(found, 8.5)

    def _inline(self, facts: list[list[str]]) -> bool:
        """Do they stand side by side?"""
        wide = sum(max(fonts.width(label, 7.5), fonts.width(value, 8.5)) for label, value in facts)
        return wide + 28 * len(facts) < self.room and not any("\n" in value for _, value in facts)

    def _part(self, number: int) -> str:
        """Which part of the whole this is, and what it holds of the tables that are split."""
        if len(self.parts) == 1:
            return ""
        every = len(self.parts)
        split = [
            f"{stretch.table.title}: {_range(stretch)}"
            for piece in self.parts[number - 1] for stretch in piece.stretches if not stretch.whole
        ]  # fmt: skip
        told = f"Part {number} of {every}. The report is complete in its {every} parts, of which each is a file."
        return self._fit(" ".join([told, *(f"{one}." for one in split)]), 8.5, self.room - 20)

    def _foot(self, number: int) -> list[Any]:
        report = self.report
        part = "" if len(self.parts) == 1 else f"Part {number} of {len(self.parts)}"
        created = f"{values.shown(report.created, Kind.TIME)} UTC"
        asked = fonts.cut(fonts.shown(report.asked_by), self.room / 2 - 100, 7)
        title = fonts.cut(fonts.shown(report.title), self.room / 2 - 100, 7)
        sha256 = f"SHA-256 {self.known.sha256}"
        left = int((self.room - 70) / fonts.width(" ", 6, mono=True)) - len(sha256) - 10
        name = " ".join(fonts.shown(report.id).split())
        name = name if len(name) <= left else f"{name[: left - 1]}…"
        return [[title, f"requested by {asked}", created], f"Report {name}  {sha256}", part]

    def _empty(self) -> dict[str, Any]:
        text = ["This report has nothing to say."]
        return {"title": "", "text": text, "tiles": [], "across": 1, "charts": [], "charted": 1, "tables": []}

    def _section(self, piece: Piece) -> dict[str, Any]:
        section = piece.section
        title = section.title if piece.begins else f"{section.title} (continued)"
        lines = math.ceil(len(section.figures) * _TILE / self.room)
        across = math.ceil(len(section.figures) / lines) if lines else 1
        charted = 1 if len(section.charts) == 1 else 2
        room = (self.room - _GUTTER * (charted - 1)) / charted
        return {
            "title": self._fit(title, 13 * columns.BOLD),
            "text": [self._fit(one, 9.5) for one in section.text.split("\n\n") if one.strip()] if piece.begins else [],
            "tiles": [self._tile(one, across) for one in section.figures] if piece.begins else [], "across": across,
            "charts": [self._chart(one, room) for one in section.charts] if piece.begins else [], "charted": charted,
            "tables": [self._table(one) for one in piece.stretches],
        }  # fmt: skip

    def _tile(self, figure: Figure, across: int) -> dict[str, Any]:
        room = (self.room - _GAP * (across - 1)) / across - _INSET
        value = " ".join(fonts.shown(values.shown(figure.value, figure.kind)).split())
        free = room - (16 if figure.tone != "neutral" else 0)
        size = max(10.0, min(20.0, 20.0 * free / (fonts.width(value, 20.0) * columns.BOLD or 1.0)))
        return {
            "label": self._short(figure.label, 8, room), "value": self._short(value, size * columns.BOLD, free, 6),
            "size": round(size, 2), "hint": self._short(figure.hint, 7.5, room), "tone": figure.tone.value,
        }  # fmt: skip

    def _chart(self, chart: Chart, room: float) -> dict[str, Any]:
        return {
            "title": self._short(chart.title, 9.5 * columns.BOLD, room), "svg": charts.svg(chart, room, titled=False),
            "width": room, "alt": _alt(chart), "note": self._short(chart.note, 7.5, room, 6),
        }  # fmt: skip

    def _table(self, stretch: Stretch) -> dict[str, Any]:
        table = stretch.table
        widths = columns.widths(table.columns, self._needs[id(table)], self.room)
        rows = table.rows[stretch.start : stretch.stop]
        cells = [self._cell(table, place, value, widths[place]) for row in rows for place, value in enumerate(row)]
        labels = [fonts.cut(fonts.shown(one.label), _HEAD, columns.SIZE) for one in table.columns]
        header = [self._fit(one, columns.SIZE * columns.BOLD, wide) for one, wide in zip(labels, widths, strict=True)]
        return {
            "title": self._fit(table.title, 9.5 * columns.BOLD), "range": "" if stretch.whole else _range(stretch),
            "widths": [*(one + columns.GAP for one in widths[:-1]), *widths[-1:]], "gap": columns.GAP,
            "header": header, "cells": cells,
            "right": [one.kind not in {Kind.TEXT, Kind.TIME} for one in table.columns],
            "note": self._fit(table.note, 7.5), "empty": self._fit(table.empty, 8.5, self.room - 30),
        }  # fmt: skip

    def _cell(self, table: Table, place: int, value: Value, room: float) -> str | list[str]:
        column = table.columns[place]
        tone = column.tones.get(value) if isinstance(value, str) else None
        free = room - columns.MARK if tone else room
        text = columns.broken(fonts.shown(values.shown(value, column.kind)), free)
        return text if tone is None else [tone.value, text]

    def _signatures(self) -> list[list[str]]:
        return [
            [
                self._fit(one.name, 10 * columns.BOLD),
                f"{values.shown(one.time, Kind.TIME)} UTC",
                self._fit(one.meaning, 8.5),
            ]
            for one in self.report.signatures
        ]


def _characters(report: Report) -> int:
    """How much there is on all of its pages."""
    found = sum(map(len, (report.title, report.subtitle, report.purpose, report.note)))
    for section in report.sections:
        found += len(section.text) + _CHART * len(section.charts)
        found += sum(len(one.label) + len(one.hint) + len(str(one.value)) for one in section.figures)
        for table in section.tables:
            found += sum(_ROW + sum(len(value) for value in row if isinstance(value, str)) for row in table.rows)
    return found


def _range(stretch: Stretch) -> str:
    if not stretch.rows:
        return f"none of {len(stretch.table.rows):,} rows"
    return f"rows {stretch.start + 1:,} to {stretch.stop:,} of {len(stretch.table.rows):,}"


def _alt(chart: Chart) -> str:
    """The chart for who cannot see it."""
    if chart.is_empty:
        return f"{_clean(chart.title)}: {_clean(chart.empty)}"
    names = ", ".join(_clean(one.name) for one in chart.series[:20])
    low, high = (values.shown(one, chart.measure) for one in (min(chart.known), max(chart.known)))
    return f"{chart.kind} chart, {_clean(chart.title)}: {names}; {len(chart.x)} labels, values from {low} to {high}"


def _clean(text: str) -> str:
    return " ".join(fonts.shown(text[:300]).split())
