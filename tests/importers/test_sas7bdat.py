"""SAS data sets: as ReadStat's own writer makes them, which pyreadstat brings along and does not offer.

What SAS itself writes is not here: no package that may be downloaded ships such a file.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest
from pydantic import ValidationError
from pyreadstat import _readstat_writer

from hilum.errors import DataError, FormatError
from hilum.exporters.sas_xpt_v5 import SasXptV5Exporter
from hilum.formats import missing
from hilum.importers import sas7bdat
from hilum.importers.sas7bdat import Sas7bdatImporter
from hilum.importers.sas_xpt import SasXptImporter
from hilum.model.dataset import Dataset, DataType, Variable
from hilum.sdk.tables import BATCH, schema
from hilum.sdk.testing.exporter import write
from hilum.sdk.testing.importer import ImporterSuite

TEXT, NUMBER = 0, 5  # readstat_type_t
ROWS = 1  # readstat_compress_t
Values = tuple[Sequence[Any], ...]  # rows; a letter among numbers is a special missing value

LIBRARY = ctypes.PyDLL(_readstat_writer.__file__)
PUT = ctypes.CFUNCTYPE(ctypes.c_ssize_t, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)

VARIABLES = (
    Variable("USUBJID", label="Subject, ünique", length=12),
    Variable("AGE", DataType.DOUBLE, "Age", 8, "8.2"),
    Variable("DT", DataType.DATE, "", 8, "DATE9.", target=DataType.INTEGER),
    Variable("DTM", DataType.DATETIME, "", 8, "DATETIME20.", target=DataType.INTEGER),
    Variable("TM", DataType.TIME, "", 8, "TIME8.", target=DataType.INTEGER),
)
SOME: Values = (
    ("é-1", 1.5, 0.0, 1e9, 1.0), ("", None, "A", "_", "Z"), ("x", -0.1, 3e9, -1e15, 90_000.0),
    (None, 0.1 + 0.2, None, None, None),
)  # fmt: skip


def called(name: str, *values: Any, result: Any = ctypes.c_int) -> Any:
    """A function of ReadStat; where it gives a code, it has to be 0."""
    function = LIBRARY[name]  # an object of its own, so that its types are nobody else's
    function.restype = result
    kinds: list[Any] = [_KINDS.get(type(one), ctypes.c_void_p) for one in values]
    function.argtypes = kinds
    found = function(*values)
    assert result is not ctypes.c_int or found == 0, f"{name} gives {found}"
    return found


_KINDS: Mapping[type, Any] = {bytes: ctypes.c_char_p, float: ctypes.c_double, int: ctypes.c_long}


def made(
    variables: Sequence[Variable], rows: Sequence[Sequence[Any]], *, name: str = "ADSL", label: str = "A label",
    pressed: int = 0, wide: int = 0,
) -> bytes:  # fmt: skip
    """A file with these rows; `wide`: of 64 bits."""
    written = bytearray()

    def put(data: int, size: int, _: Any) -> int:
        written.extend(ctypes.string_at(data, size))
        return size

    keep = PUT(put)
    pointer = ctypes.c_void_p
    writer = pointer(called("readstat_writer_init", result=pointer))
    called("readstat_set_data_writer", writer, ctypes.cast(keep, pointer))
    places = []
    for one in variables:
        kind, width = (NUMBER, 8) if one.numeric else (TEXT, one.length or 8)
        place = pointer(called("readstat_add_variable", writer, one.name.encode(), kind, width, result=pointer))
        called("readstat_variable_set_label", place, one.label.encode(), result=None)
        called("readstat_variable_set_format", place, one.format.removesuffix(".").encode(), result=None)
        places.append((place, kind))
    called("readstat_writer_set_table_name", writer, name.encode())
    called("readstat_writer_set_file_label", writer, label.encode())
    called("readstat_writer_set_file_timestamp", writer, 1_700_000_000)
    called("readstat_writer_set_compression", writer, pressed)
    called("readstat_writer_set_file_format_is_64bit", writer, wide)
    called("readstat_begin_writing_sas7bdat", writer, pointer(), len(rows))
    for row in rows:
        called("readstat_begin_row", writer)
        for (place, kind), value in zip(places, row, strict=True):
            if value is None:
                called("readstat_insert_missing_value", writer, place)
            elif kind == TEXT:
                called("readstat_insert_string_value", writer, place, value.encode())
            elif isinstance(value, str):
                called("readstat_insert_tagged_missing_value", writer, place, ord(value))
            else:
                called("readstat_insert_double_value", writer, place, float(value))
        called("readstat_end_row", writer)
    called("readstat_end_writing", writer)
    called("readstat_writer_free", writer, result=None)
    return bytes(written)


def read(path: Path, data: bytes, **options: Any) -> tuple[Dataset, pa.Table]:
    path.write_bytes(data)
    (table,) = Sas7bdatImporter(sas7bdat.Options(**options)).tables(path)
    return table.dataset, pa.Table.from_batches(table.batches, schema(table.dataset))


class TestSas7bdatImporter(ImporterSuite):
    module = sas7bdat
    options: ClassVar[Sequence[Mapping[str, Any]]] = ({}, {"encoding": "latin-1"})

    def good(self) -> Mapping[str, bytes]:
        return {
            "plain.sas7bdat": made(VARIABLES, SOME * 20),
            "pressed.sas7bdat": made(VARIABLES, SOME * 20, pressed=ROWS, wide=1),
            "empty.sas7bdat": made(VARIABLES, ()),
        }


@pytest.mark.parametrize("pressed", [0, ROWS])
@pytest.mark.parametrize("wide", [0, 1])
def test_what_a_file_says_is_kept(tmp_path: Path, pressed: int, wide: int) -> None:
    dataset, table = read(tmp_path / "x.sas7bdat", made(VARIABLES, SOME, pressed=pressed, wide=wide))
    assert dataset == Dataset("ADSL", VARIABLES, "A label", {"sas7bdat.encoding": "UTF-8"})
    assert table["USUBJID"].to_pylist() == ["é-1", "", "x", ""]
    assert table["AGE"].to_pylist() == [1.5, None, -0.1, 0.1 + 0.2]
    for name, letter, numbers in (("DT", "A", (0.0, 3e9)), ("DTM", "_", (1e9, -1e15)), ("TM", "Z", (1.0, 90_000.0))):
        first, special, second, none = table[name].to_pylist()
        assert ((first, second), missing.letter(special), none) == (numbers, letter, None)


def test_the_encoding_can_be_told(tmp_path: Path) -> None:
    data = made((Variable("T", length=4),), [("aß",)])
    _, table = read(tmp_path / "x.sas7bdat", data)
    assert table["T"].to_pylist() == ["aß"]
    dataset, table = read(tmp_path / "x.sas7bdat", data, encoding="cp1252")
    assert table["T"].to_pylist() == ["aß".encode().decode("cp1252")]
    assert dataset.extra["xpt.encoding"] == "cp1252"
    with pytest.raises(ValidationError, match="encoding"):
        sas7bdat.Options(encoding="utf-16")


def test_text_that_is_not_in_its_encoding_is_told(tmp_path: Path) -> None:
    data = made((Variable("T", length=4),), [("ab",), ("xy",)]).replace(b"xy\0", b"x\xff\0").replace(b"xy ", b"x\xff ")
    with pytest.raises(FormatError, match=r"cannot be read|not in the encoding"):
        read(tmp_path / "x.sas7bdat", data)
    _, table = read(tmp_path / "x.sas7bdat", data, encoding="latin-1")
    assert table["T"].to_pylist() == ["ab", "xÿ"]


def test_batches_are_bounded_and_in_order(tmp_path: Path) -> None:
    many = BATCH * 2 + 10
    path = tmp_path / "x.sas7bdat"
    path.write_bytes(made((Variable("N", DataType.DOUBLE),), [(float(one),) for one in range(many)]))
    (table,) = Sas7bdatImporter(sas7bdat.Options()).tables(path)
    batches = list(table.batches)
    assert [one.num_rows for one in batches] == [BATCH, BATCH, 10]
    assert pa.Table.from_batches(batches)["N"].to_pylist() == [float(one) for one in range(many)]


def test_wide_tables_have_smaller_batches(tmp_path: Path) -> None:
    path = tmp_path / "x.sas7bdat"
    names = [Variable(f"V{one}", DataType.DOUBLE) for one in range(2_000)]
    path.write_bytes(made(names, [[float(row)] * 2_000 for row in range(600)]))
    (table,) = Sas7bdatImporter(sas7bdat.Options()).tables(path)
    batches = list(table.batches)
    assert [one.num_rows for one in batches] == [524, 76]
    assert batches[1].column("V1999")[0].as_py() == 524.0


@pytest.mark.ledger_part("S1-02", "what SAS's own format holds becomes a transport file without loss")
def test_it_leaves_as_a_transport_file(tmp_path: Path) -> None:
    dataset, table = read(tmp_path / "x.sas7bdat", made(VARIABLES, SOME))
    path = tmp_path / "adsl.xpt"
    path.write_bytes(write(SasXptV5Exporter, dataset, table.to_batches())["adsl.xpt"])
    (again,) = SasXptImporter(SasXptImporter.Config()).tables(path)
    assert [(one.name, one.type, one.label, one.length, one.format) for one in again.dataset.variables] == [
        (one.name, one.type, one.label, one.length, one.format) for one in VARIABLES
    ]
    found = pa.Table.from_batches(again.batches, schema(again.dataset))
    assert [missing.letter(found[name][1].as_py()) for name in ("DT", "DTM", "TM")] == ["A", "_", "Z"]
    assert found["AGE"].to_pylist() == table["AGE"].to_pylist()


def test_an_absent_file_is_no_format_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(Sas7bdatImporter(sas7bdat.Options()).tables(tmp_path / "absent.sas7bdat"))


def test_a_file_is_known_by_its_first_bytes() -> None:
    assert Sas7bdatImporter.recognises(made(VARIABLES, ())[:4_096])
    assert not Sas7bdatImporter.recognises(b"HEADER RECORD*******LIBRARY")


class About:
    """The library's metadata, as far as they are looked at."""

    column_names: tuple[str, ...] = ("A", "N")
    column_labels = ("Of A", None)
    original_variable_types: Mapping[str, str | None] = {"A": "$20", "N": "YYMMDD10"}
    readstat_variable_types: Mapping[str, str] = {"A": "string", "N": "double"}
    variable_storage_width: Mapping[str, int] = {"A": 20, "N": 3}
    table_name, file_label, file_encoding = None, None, "WINDOWS-1252"


def test_files_of_sas_say_more_than_ours() -> None:
    """Short numbers, formats of text, another encoding: as the library tells them of such files."""
    found = sas7bdat.dataset(About, "dm", None)
    assert found == Dataset(
        "dm",
        (
            Variable("A", label="Of A", length=20, format="$20."),
            Variable("N", DataType.DATE, length=3, format="YYMMDD10.", target=DataType.INTEGER),
        ),
        extra={"sas7bdat.encoding": "WINDOWS-1252", "xpt.encoding": "cp1252"},
    )


@pytest.mark.parametrize("names", [("A", "A"), ("A", "")])
def test_variables_need_names_of_their_own(names: tuple[str, ...]) -> None:
    class Odd(About):
        column_names = names

    with pytest.raises(FormatError, match="same name"):
        sas7bdat.dataset(Odd, "dm", None)


def test_what_does_not_come_is_told() -> None:
    one = Dataset("D", (Variable("N", DataType.DOUBLE),))
    with pytest.raises(DataError, match="row 13: the file has fewer rows"):
        sas7bdat.batch(one, {"N": [1.0, 2.0]}, 3, 10)
    with pytest.raises(DataError, match="row 12, N: SAS has no such missing value"):
        sas7bdat.batch(one, {"N": [1.0, "a"]}, 2, 10)
