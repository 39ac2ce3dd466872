"""The canonical JSON of a report, and the hash that its pages say."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import struct
from collections.abc import Callable, Mapping

import pypdfium2
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from hilum.formats.report.content import content, document, identity
from hilum.formats.report.document import Chart, ChartKind, Column, Figure, Kind, Report, Section, Series, Table
from hilum.formats.report.render import render

Make = Callable[..., Report]
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**53) + 1, 2**53 - 1), st.floats(allow_nan=False, allow_infinity=False),
    st.text(), st.datetimes(timezones=st.just(datetime.UTC)), st.dates(),
)  # fmt: skip


def test_anybody_can_check_the_hash(samples: Mapping[str, Report]) -> None:
    for report in samples.values():
        ((name, pieces),) = render(report, "json")
        data = b"".join(pieces)
        assert name.endswith(".json")
        found = json.loads(data)
        assert found["sha256"] == hashlib.sha256(rfc8785.dumps(found["content"])).hexdigest()
        assert rfc8785.dumps(found) == data
        assert found["report"]["id"] == report.id
        assert found["report"]["created"] == "2026-12-01T07:30:12Z"


def test_the_pdf_says_the_same_hash(samples: Mapping[str, Report]) -> None:
    ((_, pieces),) = render(samples["audit"], "pdf")
    pdf = pypdfium2.PdfDocument(b"".join(pieces))
    text = pdf[0].get_textpage().get_text_range()
    pdf.close()
    assert identity(samples["audit"]).sha256 in text


def _number(text: str) -> int | float:
    """Numbers beyond 2^53 are floats to all who read JSON, but Python."""
    return int(text) if abs(int(text)) < 2**53 else float(text)


@given(st.lists(st.tuples(VALUES, VALUES), max_size=5), st.text(), st.floats(allow_nan=False, allow_infinity=False))
def test_it_is_canonical(rows: list[tuple[object, object]], text: str, number: float) -> None:
    columns = (Column("a", text), Column("b", text, Kind.NUMBER))
    chart = Chart(ChartKind.LINE, text, [text, "b"], (Series(text, [number, None]),), unit=text)
    section = Section(text, text, (Figure(text, number, hint=text),), (chart,), (Table(text, columns, rows, text),))  # type: ignore[arg-type]  # any of the values
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    report = Report("id", text, text, "me", now, "Hilum", (section, Section("b")), text, (now, now), note=text)
    data = b"".join(content(report))
    assert rfc8785.dumps(json.loads(data, parse_int=_number)) == data


@given(st.binary(min_size=8, max_size=8))
def test_numbers_are_written_as_ecmascript_does(raw: bytes) -> None:
    (number,) = struct.unpack("<d", raw)
    if number - number == 0:  # neither NaN nor infinity
        table = Table("t", (Column("a", "A"),), [(number,)])
        now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        data = b"".join(content(Report("id", "t", "o", "me", now, "Hilum", (Section("s", tables=(table,)),))))
        assert b'"rows":[[' + rfc8785.dumps(number) + b"]]" in data


def test_the_hash_is_of_the_data_alone(samples: Mapping[str, Report]) -> None:
    report = samples["uptime"]
    later = dataclasses.replace(report, id="other", asked_by="somebody", purpose="again", generator="Hilum 9",
                                created=report.created + datetime.timedelta(days=1))  # fmt: skip
    assert identity(later).sha256 == identity(report).sha256
    assert identity(dataclasses.replace(report, note="n")).sha256 != identity(report).sha256
    table = report.sections[0].tables[0]
    rows = [*table.rows[:-1], (*table.rows[-1][:-1], 1.0)]
    changed = dataclasses.replace(report.sections[0], tables=(dataclasses.replace(table, rows=rows),))
    assert identity(dataclasses.replace(report, sections=(changed, *report.sections[1:]))) != identity(report)


def test_many_rows_come_in_pieces(make: Make) -> None:
    table = Table("T", (Column("a", "A", Kind.NUMBER),), [(number,) for number in range(20_000)])
    report = make("Long", Section("S", tables=(table,)))
    pieces = list(document(report, identity(report)))
    assert max(map(len, pieces)) < 10_000
    assert json.loads(b"".join(pieces))["content"]["sections"][0]["tables"][0]["rows"] == [[n] for n in range(20_000)]


def test_a_chart_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(Exception, match="chart 'T' has 1 labels, not 2"):
        Chart(ChartKind.BAR, "T", ["a"], (Series("s", [1, 2]),))
