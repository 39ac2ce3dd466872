"""PDF: every cell of the listing is there, in order, however many pages and files it takes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pypdfium2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.exporters import pdf as pdf_exporter
from hilum.exporters.pdf import PdfExporter
from hilum.formats.report import fonts
from hilum.model.dataset import Dataset, DataType, Variable
from hilum.sdk.testing.exporter import ExporterSuite, rows
from hilum.sdk.testing.exporter import write as written

Write = Callable[..., bytes]
COUNT = Variable("V", DataType.DATE, target=DataType.INTEGER)


class TestPdf(ExporterSuite):
    module = pdf_exporter
    options = (
        {},
        {"paper": "letter", "heads": "names"},
        {"heads": "labels", "row_numbers": False},
    )
    refused = ((COUNT, 0.5),)


def pages(data: bytes) -> list[list[str]]:
    """The lines of each page."""
    document = pypdfium2.PdfDocument(data)
    try:
        return [document[place].get_textpage().get_text_range().splitlines() for place in range(len(document))]
    finally:
        document.close()


def body(page: list[str], head: str) -> list[str]:
    """A page's lines between its head and its foot, with single spaces."""
    start = next(place for place, line in enumerate(page) if line.split()[: len(head.split())] == head.split())
    stop = next(place for place, line in enumerate(page) if line.startswith("Created 2026-01-02 03:04:05 UTC"))
    return [" ".join(line.split()) for line in page[start + 1 : stop] if line.strip()]


def test_every_row_is_there_in_order(write: Write) -> None:
    dataset = Dataset("LB", (Variable("SUBJ", key=1), Variable("N", DataType.INTEGER), Variable("X", DataType.DOUBLE)))
    values: dict[str, list[Any]] = {
        "SUBJ": [f"s-{n:04}" for n in range(700)],
        "N": list(range(700)),
        "X": [n / 8 for n in range(700)],
    }
    whole = rows(dataset, values)
    found = pages(write(PdfExporter, dataset, whole.slice(0, 333), whole.slice(333), heads="names"))
    lines = [line for page in found for line in body(page, "Row SUBJ N X")]
    assert lines == [f"{n + 1} s-{n:04} {n} {n / 8:g}" for n in range(700)]
    for number, page in enumerate(found, 1):
        assert f"Page {number} of {len(found)}" in " ".join(" ".join(page).split())
    assert len(found) > 10


def test_all_types(write: Write, every: Any) -> None:
    dataset, batch = every
    text = "\n".join(" ".join(line.split()) for page in pages(write(PdfExporter, *every)) for line in page)
    for value in ("ünïcode", "-9223372036854775808", "123456789012345678901234567890.5", ".A", "._", "true", "2014-02",
                  "2014-01-31T08:30:00.25", "2014-01-02", "2014-01-02T00:00:00", "name,"):  # fmt: skip
        assert value in text, value
    assert len(batch) == 6
    assert dataset.label in text


def test_columns_go_on_on_the_next_pages_with_their_keys(write: Write) -> None:
    names = [f"VARIABLE{n:02}" for n in range(30)]
    dataset = Dataset("W", (Variable("STUDY", key=1), Variable("SUBJ", key=2), *map(Variable, names)))
    values = {
        "STUDY": ["ST1"] * 3,
        "SUBJ": ["a", "b", "c"],
        **{name: [f"{name}={n}" for n in range(3)] for name in names},
    }
    found = pages(write(PdfExporter, dataset, rows(dataset, values), heads="names"))
    assert len(found) > 1
    seen: list[str] = []
    for place, page in enumerate(found, 1):
        assert any(f"3 rows, columns part {place} of {len(found)}" in line for line in page)
        for number, line in enumerate(body(page, "Row STUDY SUBJ")):
            start, study, subject, *cells = line.split()
            assert (start, study, subject) == (str(number + 1), "ST1", "abc"[number])
            seen += cells
    assert sorted(seen) == sorted(f"{name}={n}" for name in names for n in range(3))


def test_long_texts_wrap_and_none_is_cut(write: Write) -> None:
    text = " ".join(f"word{n}" for n in range(300)) + " " + "x" * 3_000
    dataset = Dataset("T", (Variable("A"), Variable("B")))
    data = write(
        PdfExporter, dataset, rows(dataset, {"A": ["first", text, "last"], "B": ["1", "2", "3"]}), heads="names"
    )
    lines = [line for page in pages(data) for line in body(page, "Row A B")]
    assert lines[0] == "1 first 1"
    joined = "".join("".join(line.split()) for line in lines)
    assert joined.count("x") == 3_000
    assert re.findall(r"word(\d+)", " ".join(lines)) == [str(n) for n in range(300)]
    assert lines[-1] == "3 last 3"


def test_what_the_font_lacks_is_shown_by_its_code(table: Any) -> None:
    said: list[str] = []
    dataset, batch = table(["αβγ Жя ü", "张", "\x00\u202e", "e\u0301", "שלום", "‹U+5F20›"])
    (data,) = written(PdfExporter, dataset, [batch], warnings=said).values()
    text = "\n".join("\n".join(page) for page in pages(data))
    for found in ("αβγ Жя ü", "‹U+5F20›", "‹U+0000›‹U+202E›", "‹U+05E9›"):
        assert found in text
    assert set(said) == {"V: characters that the font lacks are shown by their code"}
    said.clear()
    written(PdfExporter, *[dataset, [table(["سلام"])[1]]], warnings=said)
    assert said == ["V: letters from right to left are shown from left to right"]
    said.clear()
    written(PdfExporter, dataset, [table(["plain", "‹U+5F20›", "Ω"])[1]], warnings=said)
    assert not said


def test_no_rows_and_no_variables(write: Write) -> None:
    dataset = Dataset("E", (Variable("A", label="Nothing"),), label="Empty")
    (page,) = pages(write(PdfExporter, dataset))
    assert any("E: Empty" in line and "0 rows" in line for line in page)
    assert any("No rows." in line for line in page)
    assert any("A" in line for line in page)
    (page,) = pages(write(PdfExporter, Dataset("N", ())))
    assert any("No rows." in line for line in page)


def test_fonts_are_embedded_and_times_are_those_given(write: Write, every: Any) -> None:
    data = write(PdfExporter, *every)
    assert data == write(PdfExporter, *every)
    assert data.count(b"D:20260102030405+00'00'") == 2
    described = re.findall(rb"/Type /FontDescriptor.*?>>|<<[^<>]*/FontDescriptor.*?>>", data, re.DOTALL)
    files = len(re.findall(rb"/FontFile2 \d+ 0 R", data))
    assert described
    assert files >= 2
    document = pypdfium2.PdfDocument(data)
    document.close()


@pytest.mark.ledger_part("S1-27", "PDF among the formats of a data set, of any size")
def test_the_parts_have_every_row_once() -> None:
    dataset = Dataset("L", tuple(Variable(f"V{n}") for n in range(400)))
    count = 1_050  # of 1,000 rows a file
    values = {name: [f"r{n}" if name == "V0" else "" for n in range(count)] for name in dataset.names}
    files = written(PdfExporter, dataset, [rows(dataset, values)], {"heads": "names"})
    assert list(files) == ["L-part-1-of-2.pdf", "L-part-2-of-2.pdf"]
    seen: list[str] = []
    for data, told in zip(files.values(), ("rows 1 to 1,000 of 1,050", "rows 1,001 to 1,050 of 1,050"), strict=True):
        found = pages(data)
        assert any(told in line for line in found[0])
        seen += [cell for page in found for line in page for cell in re.findall(r"\br\d+\b", line)]
    assert seen == [f"r{n}" for n in range(count)]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.text(st.characters(codec="utf-8")), st.floats()), max_size=8), st.text(max_size=40))
def test_any_text_can_be_listed(values: list[tuple[str, float]], label: str) -> None:
    dataset = Dataset("H", (Variable("A", label=label), Variable("B", DataType.DOUBLE)), label=label)
    batch = rows(dataset, {"A": [one for one, _ in values], "B": [one for _, one in values]})
    (data,) = written(PdfExporter, dataset, [batch]).values()
    assert pages(data)
    assert all(fonts.has(one, mono=True) for one in fonts.shown(label, mono=True) if one != "\n")
