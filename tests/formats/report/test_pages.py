"""Reports as PDF: every row is there, in order, in a file that says and keeps PDF/A-2b, and no text is run."""

from __future__ import annotations

import dataclasses
import io
import os
import re
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from hilum.errors import DataError
from hilum.formats.report import fonts, values
from hilum.formats.report.content import identity
from hilum.formats.report.document import (
    Chart,
    ChartKind,
    Column,
    Figure,
    Form,
    Kind,
    Report,
    Row,
    Section,
    Series,
    Signature,
    Table,
    Tone,
)
from hilum.formats.report.pages import Paper, pdf
from hilum.formats.report.render import render

HOSTILE = (
    '#eval("1+1") #let x = [a] $x^2$ \\ `raw` *bold* @ref <label> // no /* no */ ~ -- --- ...',
    "x" * 10_000, "a/" * 2_000, "שלום עולם abc", "السلام عليكم", "👩‍👩‍👧 🌱",
    "\x00\x01\x1b[31m\x7f\u202e\u200b\ufeff", "张伟 한국",
    "\ud800 half a pair", "e" + "\u0301" * 9, "\u05b0\u05b0 marks alone", "0\u064b", "one\ntwo\r\nthree\u2028four",
    "</text><script>&amp;\"']]><![CDATA[", "\n" * 200, "   ", '{"data": [1]} ${x} {{datum.value}}', "\t\ttabs",
)  # fmt: skip

Pages = Callable[[bytes], list[str]]
Make = Callable[..., Report]


def pdfs(report: Report, paper: Paper = Paper.A4) -> dict[str, bytes]:
    return {name: b"".join(pieces) for name, pieces in render(report, "pdf", paper)}


def tight(value: Any, kind: Kind = Kind.TEXT) -> str:
    """A value as a page shows it, without white space."""
    return re.sub(r"\s", "", fonts.shown(values.shown(value, kind)))


def rows_of(table: Table, rows: Sequence[Row]) -> list[str]:
    return ["".join(tight(value, one.kind) for value, one in zip(row, table.columns, strict=True)) for row in rows]


def body(found: list[str], table: Table) -> str:
    """What the pages say after the table's head, which stands on every one of them."""
    head = "".join(tight(one.label) for one in table.columns)
    assert all(head in page for page in found[:1])
    return "".join(page.partition(head)[2] if head in page else page for page in found)


def test_every_row_of_every_sample_is_there_in_order(samples: Mapping[str, Report], pages: Pages) -> None:
    for report in samples.values():
        (data,) = pdfs(report).values()
        whole = "".join(pages(data))
        for section in report.sections:
            assert tight(section.title) in whole
            for figure in section.figures:
                assert tight(figure.label) + tight(figure.value, figure.kind) + tight(figure.hint) in whole
            for table in section.tables:
                found = body(
                    pages(data)[next(i for i, p in enumerate(pages(data)) if tight(table.title) in p) :], table
                )
                wanted = "".join(rows_of(table, table.rows))
                assert found.startswith(wanted if table.rows else ""), table.title
                assert table.rows or tight(table.empty) in whole
            for chart in section.charts:
                assert tight(chart.title) in whole
                assert all(tight(one.name) in whole for one in chart.series if len(chart.series) > 1)
                assert not chart.is_empty or tight(chart.empty) in whole


def test_the_title_block_says_who_what_and_when(samples: Mapping[str, Report], pages: Pages) -> None:
    report = samples["audit"]
    (data,) = pdfs(report).values()
    first, last = pages(data)[0], pages(data)[-1]
    for text in (report.title, report.organization, report.asked_by, report.purpose, "2026-12-01 07:30:12 UTC"):
        assert tight(text) in first
    for one in report.signatures:
        assert tight(one.name) + tight(one.meaning) + tight(values.shown(one.time, Kind.TIME)) + "UTC" in last
    assert tight(report.id) in last
    assert tight(report.generator) in last


def test_the_foot_of_every_page_says_its_number_and_the_hash(samples: Mapping[str, Report]) -> None:
    (data,) = pdfs(samples["audit"]).values()
    document = pypdfium2.PdfDocument(data)
    whole = [document[place].get_textpage().get_text_range() for place in range(len(document))]
    document.close()
    sha256 = re.search(r"SHA-256 ([0-9a-f]{64})", whole[-1])
    assert sha256 is not None
    for number, page in enumerate(whole, 1):
        assert f"Page {number} of {len(whole)}" in page
        assert samples["audit"].id in page
        assert sha256[1] in page
        assert "requested by Dr. Maria Müller-Ōkubo · 2026-12-01 07:30:12 UTC" in page


@pytest.mark.ledger_part("S1-14", "reports are PDF/A-2b, as far as can be seen without a validator")
def test_it_is_pdf_a_2b(samples: Mapping[str, Report]) -> None:
    """ISO 19005-2: 6.1.2 header, 6.1.3 trailer, 6.2.3 output intent, 6.2.11.4 embedded fonts, 6.6.4 identification."""
    for report in samples.values():
        (data,) = pdfs(report).values()
        assert re.match(rb"%PDF-1\.7\n%[\x80-\xff]{4}", data)
        assert b"<pdfaid:part>2</pdfaid:part>" in data
        assert b"<pdfaid:conformance>B</pdfaid:conformance>" in data
        assert re.search(rb"/ID\[\([^)]*\)\([^)]*\)\]", data[-400:])
        assert not re.search(rb"/Encrypt|/JavaScript|/JS\b|/Launch|/EmbeddedFile|/LZWDecode|/ObjStm", data)
        assert len(re.findall(rb"/S/GTS_PDFA1\b", data)) == 1
        assert b"/OutputIntents" in data
        assert re.search(rb"/DestOutputProfile (\d+) 0 R", data)
        described = re.findall(rb"/Type/FontDescriptor.*?endobj", data, re.DOTALL)
        assert described
        assert all(re.search(rb"/FontFile[23]? \d+ 0 R", one) for one in described)
        assert data.count(b"/Subtype/Type0") == len(described)
        assert not re.search(rb"/Subtype/(Type1|TrueType|Type3)\b", data)
        assert b"2026-12-01T07:30:12" in data


def test_it_is_tagged_and_charts_have_words(samples: Mapping[str, Report]) -> None:
    (data,) = pdfs(samples["activity"]).values()
    assert b"/MarkInfo<</Marked true" in data
    assert len(re.findall(rb"/S ?/TH\b", data)) == len(samples["activity"].sections[1].tables[0].columns)
    assert b"/Alt" in data


def test_the_same_report_gives_the_same_bytes_on_another_machine(samples: Mapping[str, Report], tmp_path: Path) -> None:
    """Another time zone, language, home folder, and a font of the same name among the system's."""
    (tmp_path / ".fonts").mkdir()
    other = bytearray(fonts.faces()["DejaVu Sans Mono"].file)
    for wide in range(0, len(other) - 34, 2):  # a font that calls itself as ours and has other widths
        if other[wide : wide + 32] == "DejaVu Sans Mono".encode("utf-16-be"):
            other[wide : wide + 32] = "Libertinus Serif".encode("utf-16-be")
    (tmp_path / ".fonts" / "other.ttf").write_bytes(other)
    code = (
        "import importlib.util, sys, hashlib; from hilum.formats.report.render import render\n"
        "spec = importlib.util.spec_from_file_location('samples', sys.argv[1])\n"
        "made = importlib.util.module_from_spec(spec); spec.loader.exec_module(made)\n"
        "for kind in ('pdf', 'png', 'svg', 'xlsx', 'csv', 'json'):\n"
        "    for name, pieces in render(made.traffic(), kind):\n"
        "        print(name, hashlib.sha256(b''.join(pieces)).hexdigest())\n"
    )
    home = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path), "TZ": "Asia/Kathmandu", "LANG": "de_DE.UTF-8"}
    where = [sys.executable, "-c", code, str(Path(__file__).with_name("conftest.py"))]
    runs = [
        subprocess.run(
            where, env={**os.environ, **more}, capture_output=True, check=True, text=True, cwd=tmp_path
        ).stdout
        for more in ({}, home)
    ]
    assert runs[0] == runs[1]
    assert len(runs[0].splitlines()) > 6


def test_no_text_is_run_and_none_is_lost(make: Make, pages: Pages) -> None:
    columns = (Column("place", "Place", Kind.NUMBER), Column("text", "#panic()", tones={HOSTILE[0]: Tone.BAD}))
    table = Table("$ a $", columns, list(enumerate(HOSTILE)), HOSTILE[0])
    chart = Chart(ChartKind.BAR, HOSTILE[0], HOSTILE, (Series(HOSTILE[6], [1.0] * len(HOSTILE)),), note=HOSTILE[5])
    figures = tuple(Figure(text, text, Kind.TEXT, text) for text in HOSTILE)
    report = dataclasses.replace(
        make(HOSTILE[0], Section(HOSTILE[0], HOSTILE[13], figures, (chart,), (table,))),
        subtitle=HOSTILE[1], organization=HOSTILE[3], asked_by=HOSTILE[6], id=HOSTILE[9], note=HOSTILE[7],
        generator=HOSTILE[4], signatures=tuple(Signature(one, make("x").created, one) for one in HOSTILE),
    )  # fmt: skip
    (data,) = pdfs(report).values()
    found = body(pages(data)[next(i for i, page in enumerate(pages(data)) if "Place#panic()" in page) :], table)
    for place, text in enumerate(HOSTILE):
        # what goes from right to left is read in another order, and of marks over a letter a reader makes one character
        if not re.search("[\u0590-\u06ff]|\u0301{2}", text):
            assert f"{place}{tight(text)}" in found, place
    assert "‹U+0301›" * 6 in found
    assert "‹U+202E›" in found
    assert "‹U+1F331›" in found


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(codec=None)), min_size=12, max_size=12))
def test_any_text_can_be_set(make: Make, texts: list[str]) -> None:
    one, two, three, four, *rest = texts
    chart = Chart(ChartKind.STACKED, one, rest[:3], (Series(two, [1, 2, 3]), Series(three, [3, None, 1])), unit=four)
    table = Table(two, (Column(one, three), Column("b", four)), [(rest[0], rest[1]), (rest[2], rest[3])], rest[4])
    section = Section(three, four, (Figure(rest[5], rest[6], Kind.TEXT, rest[7]),), (chart,), (table,))
    (data,) = pdfs(make(one, section, subtitle=two, note=three)).values()
    assert data.startswith(b"%PDF-1.7")


def test_nothing_to_say_is_a_page_too(make: Make, pages: Pages) -> None:
    (data,) = pdfs(make("Empty", purpose="")).values()
    (page,) = pages(data)
    assert "Thisreporthasnothingtosay." in page
    bare = make("Bare", Section("", tables=(Table("None", (Column("a", "A"),), ()),)), Section("Also"))
    (page,) = pages(next(iter(pdfs(bare).values())))
    assert "Nothinginthisperiod." in page
    assert "Also" in page


@pytest.mark.parametrize(("paper", "size"), [(Paper.A4, (595.276, 841.89)), (Paper.LETTER, (612.0, 792.0))])
def test_the_paper(make: Make, paper: Paper, size: tuple[float, float]) -> None:
    narrow = make("Narrow", Section("S", tables=(Table("T", (Column("a", "A"),), [("x",)]),)))
    words = tuple(Column(f"c{place}", f"Column number {place}") for place in range(9))
    wide = make("Wide", Section("S", tables=(Table("T", words, [("averylongword",) * 9] * 3),)))
    for report, wanted in ((narrow, size), (wide, size[::-1])):
        document = pypdfium2.PdfDocument(next(iter(pdfs(report, paper).values())))
        assert document[0].get_size() == pytest.approx(wanted, abs=0.01)
        document.close()


def test_nothing_lies_outside_of_its_page(make: Make) -> None:
    """No ink in the margins, whatever the texts."""
    columns = tuple(Column(f"c{place}", "W" * 30, tones={"W" * 200: Tone.WARN}) for place in range(12))
    rows = [("W" * 200, "@" * 99, "m" * 40, *["1"] * 9), ("iii " * 90, "–" * 99, "W", *["Ж" * 77] * 9)]
    figures = tuple(Figure("W" * 300, "W" * 300, Kind.TEXT, "W" * 300, Tone.BAD) for _ in range(7))
    report = make(
        "W" * 300, Section("W" * 200, "W" * 999, figures, (), (Table("W" * 200, columns, rows),)), note="W" * 500
    )
    document = pypdfium2.PdfDocument(next(iter(pdfs(report).values())))
    for place in range(len(document)):
        image = document[place].render(scale=2).to_pil().convert("L")
        wide, high = image.size
        margin = 2 * 46  # two points may be taken by what leans over
        for box in (
            (0, 0, margin, high),
            (wide - margin, 0, wide, high),
            (0, 0, wide, 2 * 44),
            (0, high - 24, wide, high),
        ):
            assert min(image.crop(box).tobytes()) > 250, (place, box)
    document.close()


class _Counted(Sequence[Row]):
    """Rows that are not in memory."""

    def __init__(self, start: int, stop: int) -> None:
        self._start, self._stop = start, stop

    def __len__(self) -> int:
        return self._stop - self._start

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            start, stop, _ = place.indices(len(self))
            return _Counted(self._start + start, self._start + stop)
        if not 0 <= place < len(self):
            raise IndexError
        return (self._start + place, f"row{self._start + place};")


def test_many_rows_become_parts_that_together_have_all(make: Make, pages: Pages) -> None:
    first = Table("First", (Column("n", "Number", Kind.NUMBER), Column("t", "Text")), _Counted(0, 620))
    second = dataclasses.replace(first, title="Second", rows=_Counted(1_000, 1_040))
    figures = (Figure("Rows", 660),)
    report = make("Long", Section("All", figures=figures, tables=(first, second)), Section("Last"),
                  signatures=(Signature("A. Signer", make("x").created, "Approved"),))  # fmt: skip
    files = dict(pdf(report, identity(report), budget=500))
    assert list(files) == [f"-part-{number}-of-3" for number in (1, 2, 3)]
    found: list[str] = []
    for number, data in enumerate(files.values(), 1):
        whole = pages(data)
        assert f"Part{number}of3.Thereportiscompleteinits3parts" in whole[0]
        assert ("Rows660" in whole[0]) == (number == 1)
        assert ("A.Signer" in whole[-1]) == (number == 3)
        found += re.findall(r"row(\d+);", "".join(whole))
    assert "rows1to250of620" in pages(files["-part-1-of-3"])[0]
    assert "rows501to620of620" in pages(files["-part-3-of-3"])[0]
    assert [int(one) for one in found] == [*range(620), *range(1_000, 1_040)]


def test_a_value_that_no_report_holds_is_named(make: Make) -> None:
    columns = (Column("a", "A"), Column("b", "B", Kind.NUMBER))
    cases: list[tuple[list[Row], str]] = [
        ([("x", 1.0), ("y", float("nan"))], "row 2, b: a report holds no NaN"),
        ([("x", float("inf"))], "row 1, b: a report holds no NaN and no infinity"),
        ([("x", 2**53)], "row 1, b: a whole number of 2\\^53"),
        ([("x", make("x").created.replace(tzinfo=None))], "row 1, b: a report holds no time without its time zone"),
        ([("x",)], "row 1: table 'T' has 2 columns, not 1"),
    ]
    naive = dataclasses.replace(make("R"), created=make("R").created.replace(tzinfo=None))
    with pytest.raises(DataError, match="R: a report holds no time without its time zone"):
        list(render(naive, "pdf"))
    for rows, words in cases:
        for kind in ("pdf", "json", "csv", "xlsx"):
            with pytest.raises(DataError, match=words):
                list(render(make("R", Section("S", tables=(Table("T", columns, rows),))), kind))


@pytest.mark.ledger_part("S1-13", "dashboards as PDF, PNG and SVG")
def test_a_board_is_one_page(samples: Mapping[str, Report]) -> None:
    for name in ("integrations", "traffic", "exports"):
        report = samples[name]
        (data,) = pdfs(report).values()
        document = pypdfium2.PdfDocument(data)
        assert len(document) == 1
        document.close()
        ((file, png),) = [(file, b"".join(pieces)) for file, pieces in render(report, "png")]
        assert file.endswith(".png")
        assert png[:8] == b"\x89PNG\r\n\x1a\n"
        assert struct.unpack(">I", png[16:20])[0] == 1684
        ((_, svg),) = [(file, b"".join(pieces)) for file, pieces in render(report, "svg")]
        assert svg.startswith(b"<svg")
        colours = Image.open(io.BytesIO(png)).convert("RGB").getcolors(1 << 24)
        assert colours is not None
        assert len(colours) > 20


def test_a_board_that_is_too_long_becomes_pages(samples: Mapping[str, Report]) -> None:
    rows = [(f"integration {number}", "healthy", None, "x" * 100) for number in range(400)]
    section = samples["integrations"].sections[0]
    table = dataclasses.replace(section.tables[0], rows=rows)
    report = dataclasses.replace(samples["integrations"], sections=(dataclasses.replace(section, tables=(table,)),))
    assert report.form is Form.BOARD
    made = [name for name, _ in render(report, "png")]
    assert made == [f"integrations-{number:03}.png" for number in range(1, len(made) + 1)]
    assert len(made) > 3
