"""What a report says as canonical JSON (RFC 8785), the hash of it, and the report as a JSON document.

    {"content": {…}, "report": {id, asked_by, created, …}, "sha256": of the bytes of content}

The same data gives the same hash, whoever asks for the report and whenever it is made.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from hilum.errors import DataError
from hilum.formats.report.document import Chart, Column, Figure, Report, Section, Table, Value, check, unfit
from hilum.formats.report.values import plain

_text = json.JSONEncoder(ensure_ascii=False).encode
_ROWS = 500  # of a piece


@dataclasses.dataclass(frozen=True, slots=True)
class Identity:
    """By which a report is known: its id, the SHA-256 (hex) of its content, and what made it."""

    id: str
    sha256: str
    generator: str


def identity(report: Report) -> Identity:
    """Goes through every row. Raises DataError where a value is none that a report can hold."""
    for moment in (report.created, *(report.period or ()), *(one.time for one in report.signatures)):
        _fit(moment, report.title)
    found = hashlib.sha256()
    for piece in content(report):
        found.update(piece)
    return Identity(report.id, found.hexdigest(), report.generator)


def document(report: Report, known: Identity) -> Iterator[bytes]:
    """The report as JSON, piece by piece; all of it is canonical."""
    yield b'{"content":'
    yield from content(report)
    about = {
        "asked_by": report.asked_by, "created": report.created, "generator": report.generator, "id": report.id,
        "purpose": report.purpose,
        "signatures": [{"meaning": one.meaning, "name": one.name, "time": one.time} for one in report.signatures],
    }  # fmt: skip
    yield f',"report":{_json(about)},"sha256":"{known.sha256}"}}'.encode()


def content(report: Report) -> Iterator[bytes]:
    """The canonical JSON, piece by piece: objects with their keys in order."""
    period = None if report.period is None else list(report.period)
    head = {"note": report.note, "organization": report.organization, "period": period}
    yield (_json(head)[:-1] + ',"sections":[').encode()
    for place, section in enumerate(report.sections):
        yield b"," if place else b""
        yield from _section(section)
    yield f'],"subtitle":{_json(report.subtitle)},"title":{_json(report.title)}}}'.encode()


def _section(section: Section) -> Iterator[bytes]:
    charts, figures = [_chart(one) for one in section.charts], [_figure(one) for one in section.figures]
    yield (_json({"charts": charts, "figures": figures})[:-1] + ',"tables":[').encode()
    for place, table in enumerate(section.tables):
        yield b"," if place else b""
        yield from _table(table)
    yield f'],"text":{_json(section.text)},"title":{_json(section.title)}}}'.encode()


def _chart(chart: Chart) -> dict[str, Any]:
    series = [{"name": one.name, "values": [_fit(value, chart.title) for value in one.values]} for one in chart.series]
    x = [_fit(one, chart.title) for one in chart.x]
    return {
        "kind": chart.kind.value, "measure": chart.measure.value, "note": chart.note, "series": series,
        "title": chart.title, "unit": chart.unit, "x": x,
    }  # fmt: skip


def _figure(figure: Figure) -> dict[str, Any]:
    value = _fit(figure.value, figure.label)
    tone, kind = figure.tone.value, figure.kind.value
    return {"hint": figure.hint, "kind": kind, "label": figure.label, "tone": tone, "value": value}


def _table(table: Table) -> Iterator[bytes]:
    columns = [_column(one) for one in table.columns]
    yield (_json({"columns": columns, "note": table.note})[:-1] + ',"rows":[').encode()
    waiting: list[str] = []
    for number, row in enumerate(table.rows, 1):
        waiting.append(("," if number > 1 else "") + _json(list(check(table, row, number))))
        if len(waiting) == _ROWS:
            yield "".join(waiting).encode()
            waiting.clear()
    yield ("".join(waiting) + f'],"title":{_json(table.title)}}}').encode()


def _column(column: Column) -> dict[str, Any]:
    return {"kind": column.kind.value, "label": column.label, "name": column.name}


def _fit(value: Value, where: str) -> Value:
    if problem := unfit(value):
        raise DataError(problem, variable=where)
    return value


def _json(value: Any) -> str:
    """Keys are in order already, and ASCII."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f'"{key}":{_json(one)}' for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_json, value)) + "]"
    found = plain(value)
    return _float(found) if isinstance(found, float) else _text(found)


def _float(value: float) -> str:
    """A number as ECMAScript writes it (RFC 8785, 3.2.2.3): the shortest digits that read back as the same."""
    if value == 0:
        return "0"
    mantissa, _, power = f"{abs(value)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(power or 0) - len(whole + fraction) + len(digits)  # where it stands, from the first digit
    digits = digits.rstrip("0")
    if len(digits) <= point <= 21:
        text = digits.ljust(point, "0")
    elif 0 < point <= 21:
        text = f"{digits[:point]}.{digits[point:]}"
    elif -6 < point <= 0:
        text = "0." + "0" * -point + digits
    else:
        rest = f".{digits[1:]}" if len(digits) > 1 else ""
        text = f"{digits[0]}{rest}e{point - 1:+d}"
    return f"-{text}" if value < 0 else text
