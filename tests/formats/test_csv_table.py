"""CSV that other programs read back and spreadsheets do not run."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.formats import csv_table


def test_rows_end_with_crlf_and_quotes_are_doubled() -> None:
    """RFC 4180, section 2."""
    made = csv_table.lines([["a", "b"], ['say "no"', "one,two"], ["line\r\nbreak", None]])
    assert made == b'a,b\r\n"say ""no""","one,two"\r\n"line\r\nbreak",\r\n'


def test_text_is_utf_8_and_what_has_parts_is_json() -> None:
    assert csv_table.lines([["Müller", ["a", "b"], {"c": 1}, [], 7, True]]) == (
        'Müller,"[""a"", ""b""]","{""c"": 1}",,7,True\r\n'.encode()
    )


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_a_formula_becomes_text(start: str) -> None:
    (row,) = csv.reader(io.StringIO(csv_table.lines([[f"{start}cmd|' /C calc'!A0"]]).decode(), newline=""))
    assert row == [f"'{start}cmd|' /C calc'!A0"]


@given(st.lists(st.lists(st.text(), min_size=2, max_size=4), max_size=5))
def test_it_reads_back_and_no_cell_is_a_formula(rows: list[list[str]]) -> None:
    made = csv_table.lines(rows).decode()
    back = list(csv.reader(io.StringIO(made.replace("\0", ""), newline="")))
    assert [len(row) for row in back] == [len(row) for row in rows]
    assert not [cell for row in back for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))]
