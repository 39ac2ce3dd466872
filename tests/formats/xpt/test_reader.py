"""Reading transport files that were made byte by byte."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest

from hilum.errors import DataError, FormatError
from hilum.formats import missing, xpt
from hilum.model.dataset import Dataset, DataType

ONE = bytes.fromhex("4110000000000000")
DOT = b"." + bytes(7)


def filled(rows: bytes) -> bytes:
    return rows + b" " * (-len(rows) % 80)


def read(path: Path, encoding: str = "cp1252", size: int = 65_536) -> list[tuple[Dataset, list[dict[str, Any]]]]:
    return [
        (dataset, [row for batch in batches for row in batch.to_pylist()])
        for dataset, batches in xpt.read(path, encoding, size)
    ]


def texts(path: Path, **how: Any) -> list[str]:
    ((_, rows),) = read(path, **how)
    return [row["A"] for row in rows]


def test_what_a_file_says_of_its_variables(made: Any) -> None:
    variables = [
        (2, 3, "ID", "Who", "$", 20),
        (1, 8, "DAY", "When", "DATE", 9, 0, 1, "DATE"),
        (1, 4, "SIZE", "How much", "", 8, 2),
        (1, 8, "SECONDS", "", "TIME", 8),
    ]
    path = made(("LB", variables, filled(b"a  " + ONE + ONE[:4] + DOT), {"label": b"Laboratory", "kind": b"VIEW"}))
    ((dataset, rows),) = read(path)
    assert rows == [{"ID": "a", "DAY": 1.0, "SIZE": 1.0, "SECONDS": None}]
    assert (dataset.name, dataset.label) == ("LB", "Laboratory")
    assert dataset.extra == {
        "xpt.sas": "9.4",
        "xpt.platform": "Linux",
        "xpt.created": "02JAN26:03:04:05",
        "xpt.modified": "02JAN26:03:04:06",
        "xpt.type": "VIEW",
    }
    who, day, size, seconds = dataset.variables
    assert (who.type, who.length, who.label, who.format) == (DataType.STRING, 3, "Who", "$20.")
    assert (day.type, day.target, day.format, day.informat) == (DataType.DATE, DataType.INTEGER, "DATE9.", "DATE.")
    assert day.extra == {"xpt.justify": "right"}
    assert (size.type, size.target, size.length, size.format) == (DataType.DOUBLE, None, 4, "8.2")
    assert (seconds.type, seconds.target) == (DataType.TIME, DataType.INTEGER)


def test_numbers_of_two_to_eight_bytes(made: Any) -> None:
    variables = [(1, length, f"N{length}") for length in range(2, 9)]
    tenth = bytes.fromhex("401999999999999A")
    rows = b"".join(tenth[:length] for length in range(2, 9)) + b"".join(
        b"B" + bytes(length - 1) for length in range(2, 9)
    )
    ((_, (first, second)),) = read(made(("N", variables, filled(rows), {})))
    assert first["N8"] == 0.1
    assert [first[f"N{length}"] for length in (2, 3)] == [0x19 / 256, 0x1999 / 65536]
    assert [missing.letter(value) for value in second.values()] == ["B"] * 7


def test_several_data_sets(made: Any) -> None:
    one, other = [(2, 3, "A")], [(1, 8, "B")]
    path = made(
        ("ONE", one, filled(b"abc"), {}), ("NONE", one, b"", {}), ("TWO", other, filled(ONE + ONE), {"size": 136})
    )
    assert [(dataset.name, len(rows)) for dataset, rows in read(path)] == [("ONE", 1), ("NONE", 0), ("TWO", 2)]


def test_a_name_of_a_header_in_the_data_is_data(made: Any) -> None:
    mark = b"HEADER RECORD*******MEMBER  HEADER RECORD!!!!!!!"
    path = made(("A", [(2, 100, "A")], filled(b"x" * 30 + mark + b"y" * 22), {}))
    assert len(texts(path)) == 1


@pytest.mark.parametrize(
    ("width", "rows", "found"),
    [
        (1, b"a", ["a"]),
        (1, b"a  ", ["a"]),  # two blank rows are lost: nothing tells them from the filling
        (1, b"  a", ["", "", "a"]),
        (1, b"", []),
        (40, b" " * 40 + b"a" * 40 + b" " * 40, ["", "a" * 40, ""]),  # a card begins with it: no filling
        (50, b"a" * 50 + b" " * 50, ["a" * 50, ""]),
        (80, b"a" * 80 + b" " * 80, ["a" * 80, ""]),
        (200, b"a" * 200 + b" " * 400, ["a" * 200, "", ""]),
    ],
)
def test_blank_rows_at_the_end(made: Any, width: int, rows: bytes, found: list[str]) -> None:
    assert texts(made(("A", [(2, width, "A")], filled(rows), {}))) == found


def test_a_count_tells_the_blank_rows(made: Any) -> None:
    path = made(
        ("A", [(2, 1, "A")], filled(b"a"), {"count": f"{3:>15}"}), ("B", [(2, 1, "A")], filled(b"b"), {}), v8=True
    )
    assert [[row["A"] for row in rows] for _, rows in read(path)] == [["a", "", ""], ["b"]]


def test_a_last_card_that_is_not_filled(made: Any) -> None:
    assert texts(made(("A", [(2, 30, "A")], b"a" * 30 + b"b" * 30, {}))) == ["a" * 30, "b" * 30]


@pytest.mark.parametrize(
    ("rows", "row"), [(b"a" * 80, 1), (b"a" * 160, 2), (filled(b"a" * 110), 2), (b"a" * 100 + b"a" * 7, 2)]
)
def test_a_row_that_is_cut_off(made: Any, rows: bytes, row: int) -> None:
    path = made(("A", [(2, 100, "A")], rows, {}))
    with pytest.raises(DataError, match="ends within") as caught:
        read(path)
    assert caught.value.row == row


def test_fewer_rows_than_the_header_says(made: Any) -> None:
    with pytest.raises(DataError) as caught:
        read(made(("A", [(2, 40, "A")], b"a" * 80, {"count": f"{5:>15}"}), v8=True))
    assert caught.value.row == 3


def test_rows_come_in_batches(made: Any) -> None:
    path = made(("A", [(2, 3, "A")], filled(b"".join(b"%03d" % number for number in range(1000))), {}))
    ((_, batches),) = xpt.read(path, "cp1252", 64)
    counts = [batch.num_rows for batch in batches]
    assert counts == [64] * 15 + [40]
    assert texts(path, size=64) == [f"{number:03}" for number in range(1000)]


@pytest.mark.parametrize(
    ("raw", "encoding", "text", "kept"),
    [
        ("Größe".encode(), "cp1252", "Größe", "utf-8"),
        (b"Gr\xf6\xdfe", "cp1252", "Größe", "cp1252"),
        (b"patient\x92s", "cp1252", "patient\u2019s", "cp1252"),
        (b"patient\x92s", "iso8859-1", "patient\x92s", "iso8859-1"),
        ("体重".encode("shift_jis"), "shift_jis", "体重", "shift_jis"),
        (b"plain", "cp1252", "plain", None),
    ],
)
def test_the_encoding_is_found_and_kept(made: Any, raw: bytes, encoding: str, text: str, kept: str | None) -> None:
    path = made(
        ("A", [(2, 12, "A"), (1, 8, "N")], filled(raw.ljust(12) + b"\xc2" + bytes(6) + b"\xff"), {"label": raw})
    )
    ((dataset, (row,)),) = read(path, encoding)
    assert (row["A"], dataset.label, dataset.extra.get("xpt.encoding")) == (text, text, kept)


def test_what_its_encoding_does_not_have(made: Any) -> None:
    path = made(("A", [(2, 2, "A")], filled(b"a b \x81 "), {}))
    with pytest.raises(DataError, match="cp1252") as caught:
        read(path)
    assert (caught.value.row, caught.value.variable) == (3, "A")
    with pytest.raises(FormatError, match="cp1252"):
        read(made(("A", [(2, 2, "A")], filled(b"a "), {"label": b"\x81"})))


def test_blanks_and_nul_fill_up_text(made: Any) -> None:
    assert texts(made(("A", [(2, 4, "A")], filled(b" a  b\0\0\0c \0 "), {}))) == [" a", "b", "c"]


def test_long_names_and_labels(made: Any, long_labels: Any) -> None:
    label = "A label that goes on for more than the forty bytes of a NAMESTR"
    name = "A_name_of_more_than_eight_bytes"
    section = long_labels("LABELV8", (1, name, label))
    path = made(
        ("A_long_data_set_name", [(2, 1, name, label), (1, 8, "N", "short")], filled(b"a" + ONE), {"between": section}),
        v8=True,
    )
    ((dataset, rows),) = read(path)
    assert dataset.name == "A_long_data_set_name"
    assert [(one.name, one.label) for one in dataset.variables] == [(name, label), ("N", "short")]
    assert rows == [{name: "a", "N": 1.0}]


def test_long_formats(made: Any, long_labels: Any) -> None:
    section = long_labels("LABELV9", (2, "N", "n", "LONGFORMATNAME8.2", ""), (1, "A", "a", "$", "$LONGINFORMAT12."))
    variables = [(2, 1, "A", "a", "$", 3), (1, 8, "N", "n", "LONGFORM", 8, 2)]
    ((dataset, _),) = read(made(("A", variables, filled(b"a" + ONE), {"between": section}), v8=True))
    assert [(one.format, one.informat) for one in dataset.variables] == [
        ("$3.", "$LONGINFORMAT12."),
        ("LONGFORMATNAME8.2", ""),
    ]


def test_a_label_of_no_variable(made: Any, long_labels: Any) -> None:
    path = made(("A", [(2, 1, "A")], b"", {"between": long_labels("LABELV8", (7, "B", "b" * 50))}), v8=True)
    with pytest.raises(FormatError, match="LABELV8"):
        read(path)


@pytest.mark.parametrize(
    ("variables", "why"),
    [
        ([(3, 8, "A")], "neither a number nor text"),
        ([(1, 9, "A")], "9 bytes"),
        ([(2, 0, "A")], "0 bytes"),
        ([(2, 1, "")], "no name"),
        ([(2, 1, "A"), (2, 1, "A")], "same name"),
    ],
)
def test_variables_that_cannot_be(made: Any, variables: list[Any], why: str) -> None:
    with pytest.raises(FormatError, match=why):
        read(made(("A", variables, b"", {})))


def test_variables_that_overlap(made: Any) -> None:
    path = made(("A", [(2, 4, "A"), (2, 4, "B")], filled(b"aaaabbbb"), {}))
    data = path.read_bytes()
    at = data.index(b"B       ") - 8
    path.write_bytes(data[: at + 84] + struct.pack(">i", 2) + data[at + 88 :])
    with pytest.raises(FormatError, match="overlap"):
        read(path)


def test_rows_are_where_the_namestrs_say(made: Any) -> None:
    path = made(("A", [(2, 4, "A"), (2, 4, "B")], filled(b"aaaabbbb"), {}))
    data = path.read_bytes()
    for name, position in ((b"A       ", 4), (b"B       ", 0)):
        at = data.rindex(name) - 8
        data = data[: at + 84] + struct.pack(">i", position) + data[at + 88 :]
    path.write_bytes(data)
    assert read(path)[0][1] == [{"A": "bbbb", "B": "aaaa"}]


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"x" * 800])
def test_what_is_no_transport_file(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "no.xpt"
    path.write_bytes(data)
    with pytest.raises(FormatError, match="no SAS transport file"):
        read(path)


def test_a_file_of_proc_cport_is_told(tmp_path: Path) -> None:
    path = tmp_path / "cport.xpt"
    path.write_bytes(b"**COMPRESSED** **COMPRESSED** " * 10)
    with pytest.raises(FormatError, match="CPORT"):
        read(path)


def test_a_header_that_is_cut_off(made: Any) -> None:
    path = made(("A", [(2, 4, "A")], filled(b"aaaa"), {}))
    data = path.read_bytes()
    for size in range(40, len(data) - 80, 40):
        path.write_bytes(data[:size])
        if size != 240:  # a library without data sets
            with pytest.raises(FormatError):
                read(path)
