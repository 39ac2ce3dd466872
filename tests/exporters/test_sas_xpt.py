"""SAS transport files that we write: what is in them, what is refused, and what an agency refuses."""

from __future__ import annotations

import datetime
import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyreadstat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hilum.errors import DataError
from hilum.exporters import sas_xpt_v5, sas_xpt_v8
from hilum.exporters.sas_xpt_v5 import SasXptV5Exporter
from hilum.exporters.sas_xpt_v8 import SasXptV8Exporter
from hilum.formats import missing
from hilum.importers.sas_xpt import Options, SasXptImporter
from hilum.model.dataset import Dataset, DataType, Variable
from hilum.sdk.tables import Export, Unrepresentable
from hilum.sdk.testing.exporter import ROWS, SAMPLE, rows, write

BOTH = pytest.mark.parametrize("kind", [SasXptV5Exporter, SasXptV8Exporter])


def read(data: bytes, folder: Path) -> tuple[Dataset, dict[str, list[Any]]]:
    path = folder / "read.xpt"
    path.write_bytes(data)
    (table,) = SasXptImporter(Options()).tables(path)
    batches = list(table.batches)
    return table.dataset, pa.Table.from_batches(batches).to_pydict() if batches else {}


def one(kind: Any, variable: Variable, values: list[Any], **options: Any) -> bytes:
    dataset = Dataset("D", (variable,))
    return write(kind, dataset, [rows(dataset, {variable.name: values})], options)["d.xpt"]


@BOTH
def test_every_type_has_its_place(kind: Any, every: Any, tmp_path: Path) -> None:
    dataset, batch = every
    named = [Variable("ODD", length=1) if " " in variable.name else variable for variable in dataset.variables]
    dataset = Dataset(dataset.name, tuple(named), dataset.label)
    aside: list[Unrepresentable] = []
    (data,) = write(kind, dataset, [batch.rename_columns(list(dataset.names))], aside=aside).values()
    assert sorted((value.row, value.variable) for value in aside) == [(3, "WHOLE"), (4, "REAL"), (6, "SINGLE")]
    found, values = read(data, tmp_path)
    assert found.names == dataset.names
    assert values["TEXT"][:3] == ["plain", "", ""]
    assert values["TEXT"][4] == "ünïcode 🌱 'x'"
    assert values["WHOLE"] == [0.0, -(2.0**63), None, None, 7.0, 42.0]
    assert values["EXACT"][2] == "123456789012345678901234567890.5"
    assert values["YES"] == [1.0, 0.0, None, 1.0, 1.0, 0.0]
    assert values["DTC"] == ["2014-01-31", "2014-02", "1850-05-05", "", "2014", "2016-02-29"]
    assert [missing.letter(values[name][4]) for name in ("SINGLE", "DT", "DTM")] == ["_", "B", "C"]
    assert values["DT"][:4] == [19_725.0, 0.0, None, -1.0]
    types = {variable.name: (variable.type, variable.target, variable.format) for variable in found.variables}
    assert types["DT"] == (DataType.DATE, DataType.INTEGER, "DATE9.")
    assert types["DTM"] == (DataType.DATETIME, DataType.INTEGER, "DATETIME20.")
    assert types["YES"] == (DataType.DOUBLE, None, "")


@pytest.mark.parametrize(("kind", "version"), [(SasXptV5Exporter, 5), (SasXptV8Exporter, 8)])
def test_pyreadstat_reads_the_same(kind: Any, version: int, tmp_path: Path) -> None:
    path = tmp_path / "sample.xpt"
    path.write_bytes(write(kind, SAMPLE, [rows(SAMPLE, ROWS)])["sample.xpt"])
    frame, about = pyreadstat.read_xport(path, disable_datetime_conversion=True, output_format="dict")
    assert frame["ID"] == ["a", "b b", "", ""]
    assert frame["COUNT"] == [1.0, None, -3.0, 2.0**40]
    assert frame["SIZE"][0] == 0.1
    assert frame["DAY"] == [None, 0.0, 23_000.0, -1.0]
    assert about.column_names_to_labels == {variable.name: variable.label for variable in SAMPLE.variables}
    assert (about.table_name, about.file_label) == ("SAMPLE", "One of each")
    assert path.read_bytes()[20:28].rstrip() == {5: b"LIBRARY", 8: b"LIBV8"}[version]


@BOTH
def test_batches_may_be_cut_anywhere(kind: Any) -> None:
    whole = rows(SAMPLE, ROWS)
    wanted = write(kind, SAMPLE, [whole] * 3)
    assert write(kind, SAMPLE, [pa.Table.from_batches([whole] * 3).combine_chunks().to_batches()[0]]) == wanted
    assert write(kind, SAMPLE, [whole.slice(at, 1) for at in range(4)] * 3) == wanted


def test_more_rows_than_are_made_at_once(tmp_path: Path) -> None:
    values = [f"{number:0>200}" for number in range(20_000)]
    _, found = read(one(SasXptV5Exporter, Variable("T", length=200), values), tmp_path)
    assert found["T"] == values


def test_the_row_of_a_refused_value_counts_from_the_first_batch() -> None:
    dataset = Dataset("D", (Variable("T", length=200),))
    batch = rows(dataset, {"T": ["x"] * 10_000})
    bad = rows(dataset, {"T": ["x"] * 9_999 + ["y" * 201]})
    aside: list[Unrepresentable] = []
    write(SasXptV5Exporter, dataset, [batch, bad], aside=aside)
    assert [(value.row, value.value) for value in aside] == [(20_000, "y" * 201)]


@pytest.mark.parametrize("value", [2**53, 2**53 + 2, -(2**56), 2**62, -(2**63)])
def test_integers_that_a_double_has(value: int, tmp_path: Path) -> None:
    assert read(one(SasXptV5Exporter, Variable("N", DataType.INTEGER), [value]), tmp_path)[1] == {"N": [value]}


@given(
    st.lists(
        st.floats(allow_nan=False, allow_infinity=False, min_value=-7e75, max_value=7e75).filter(
            lambda x: x == 0 or abs(x) > 1e-78
        )
        | st.none()
    ),
    st.sampled_from([SasXptV5Exporter, SasXptV8Exporter]),
)
def test_numbers_come_back_bit_for_bit(tmp_path_factory: Any, values: list[float | None], kind: Any) -> None:
    data = one(kind, Variable("N", DataType.DOUBLE), values)
    assert read(data, tmp_path_factory.mktemp("n"))[1].get("N", []) == values


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)))
def test_text_comes_back_but_for_its_last_blanks(tmp_path_factory: Any, values: list[str]) -> None:
    data = one(SasXptV8Exporter, Variable("T", length=40), [*values, "end"])
    assert read(data, tmp_path_factory.mktemp("t"))[1]["T"] == [value.rstrip(" ") for value in [*values, "end"]]


@pytest.mark.parametrize("encoding", ["cp1252", "iso8859-1", "utf-8", "shift_jis"])
def test_text_is_written_in_the_encoding_it_was_read_in(encoding: str) -> None:
    dataset = Dataset("D", (Variable("T", length=8),), extra={"xpt.encoding": encoding})
    word = "体重" if encoding == "shift_jis" else "Größe"
    data = write(SasXptV5Exporter, dataset, [rows(dataset, {"T": [word, None, "plain"]})])["d.xpt"]
    assert data[-80:].startswith(word.encode(encoding).ljust(8) + b" " * 8 + b"plain   ")


@pytest.mark.parametrize(("encoding", "value"), [("cp1252", "Ω"), ("ascii", "é"), ("latin-1", "\u2019")])
def test_text_that_its_encoding_does_not_have(encoding: str, value: str) -> None:
    with pytest.raises(DataError, match="lacks") as caught:
        one(SasXptV5Exporter, Variable("T", length=8), ["a", value], encoding=encoding)
    assert (caught.value.row, caught.value.variable) == (2, "T")


@BOTH
def test_two_values_of_a_row_are_refused(kind: Any, tmp_path: Path) -> None:
    dataset = Dataset("D", (Variable("T", length=2), Variable("N", DataType.DOUBLE)))
    aside: list[Unrepresentable] = []
    batch = rows(dataset, {"T": ["ok", "long"], "N": [1.0, 1e80]})
    (data,) = write(kind, dataset, [batch], aside=aside).values()
    assert [(value.row, value.variable, value.value) for value in aside] == [(2, "T", "long"), (2, "N", "1e+80")]
    assert read(data, tmp_path)[1] == {"T": ["ok", ""], "N": [1.0, None]}


def test_the_time_in_the_file_is_the_exports() -> None:
    data = one(SasXptV5Exporter, Variable("T", length=1), ["a"])
    assert data.count(b"02JAN26:03:04:05") == 4
    assert data[144:160] == b"02JAN26:03:04:05"
    assert (data[104:112], data[112:120]) == (b"9.4     ", b"HILUM   ")


def test_version_8_says_how_many_rows_there_are(tmp_path: Path) -> None:
    data = one(SasXptV8Exporter, Variable("T", length=1), ["a", "", None])
    assert b"OBSV8   HEADER RECORD!!!!!!!              3" in data
    assert read(data, tmp_path)[1] == {"T": ["a", "", ""]}


@BOTH
def test_another_number_of_rows_than_was_said(kind: Any) -> None:
    dataset = Dataset("D", (Variable("T", length=1),))
    export = Export(lambda _: io.BytesIO(), 2, datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC))
    exporter = kind(kind.Config(), dataset, export)
    exporter.write(rows(dataset, {"T": ["a"]}))
    with pytest.raises(DataError, match="2 rows were announced, and 1 written"):
        exporter.close()


@pytest.mark.parametrize(("values", "lost"), [(["a", "", None], "2"), (["", ""], "2"), (["", "a"], "")])
def test_blank_rows_at_the_end_are_warned_of(values: list[str | None], lost: str) -> None:
    dataset, warnings = Dataset("D", (Variable("T", length=1),)), []
    write(SasXptV5Exporter, dataset, [rows(dataset, {"T": [value]}) for value in values], warnings=warnings)
    assert [f"({lost})" in warning for warning in warnings] == [True] * bool(lost)


def warned(kind: Any, *variables: Variable, label: str = "", **options: Any) -> tuple[bytes, list[str]]:
    dataset, warnings = Dataset("D", variables, label), []
    (data,) = write(
        kind, dataset, [rows(dataset, {one.name: [] for one in variables})], options, warnings=warnings
    ).values()
    return data, warnings


@pytest.mark.parametrize(
    ("variable", "warning"),
    [
        (Variable("T"), "declares no length"),
        (Variable("T", length=201), "has 201 bytes"),
        (Variable("T", length=1, label="é" * 30), "label was cut to 40 bytes"),
        (Variable("T", length=1, format="DATE9."), "format DATE9. was left out"),
        (Variable("N", DataType.DOUBLE, format="$8."), r"format $8. was left out"),
        (Variable("N", DataType.DOUBLE, format="LONGFORMATNAME8.2"), "format LONGFORMATNAME8.2 was left out"),
        (Variable("N", DataType.DOUBLE, informat="€8."), "format €8. was left out"),
        (Variable("N", DataType.DOUBLE, format="8.99999"), "format 8.99999 was left out"),
        (Variable("a b", DataType.DOUBLE), "is no name in SAS"),
    ],
)
def test_what_plain_warns_of(variable: Variable, warning: str) -> None:
    assert [warning in one for one in warned(SasXptV5Exporter, variable)[1]] == [True]


def test_a_label_is_cut_between_characters(tmp_path: Path) -> None:
    data, _ = warned(SasXptV5Exporter, Variable("T", length=1, label="a" + "é" * 30), label="x" * 41)
    found, _ = read(data, tmp_path)
    assert (found.variables[0].label, found.label) == ("a" + "é" * 19, "x" * 40)


def test_a_width_alone_is_a_text_format(tmp_path: Path) -> None:
    data, warnings = warned(SasXptV5Exporter, Variable("T", length=1, format="20."))
    assert (read(data, tmp_path)[0].variables[0].format, warnings) == ("$20.", [])


def test_version_8_keeps_what_is_long(tmp_path: Path) -> None:
    variables = (
        Variable("A_long_name", length=300, label="é" * 100, format="$LONGFORMAT20.", extra={"xpt.justify": "right"}),
        Variable("N", DataType.DOUBLE, length=5, format="8.2", informat="LONGINFORMAT12.3"),
    )
    data, warnings = warned(SasXptV8Exporter, *variables)
    assert (read(data, tmp_path)[0].variables, warnings) == (variables, [])


def test_lengths_that_are_not_said_are_an_option(tmp_path: Path) -> None:
    data, _ = warned(SasXptV8Exporter, Variable("T"), Variable("N", DataType.DOUBLE, length=12), text_length=1_000)
    assert [one.length for one in read(data, tmp_path)[0].variables] == [1_000, 8]


@pytest.mark.parametrize(
    "dataset",
    [
        Dataset("TOO_LONG_A", (Variable("T", length=1),)),
        Dataset("../D", (Variable("T", length=1),)),
        Dataset("", (Variable("T", length=1),)),
        Dataset("D", ()),
        Dataset("D", (Variable("T", length=1), Variable("t", length=1))),
        Dataset("D", (Variable("TOO_LONG_A", length=1),)),
        Dataset("D", (Variable("", length=1),)),
        Dataset("D", (Variable("T", length=0),)),
        Dataset("D", (Variable("T", length=40_000),)),
        Dataset("D", (Variable("T", length=1),), extra={"xpt.encoding": "utf-16"}),
        Dataset("D", (Variable("T", length=1, label="Ω"),), extra={"xpt.encoding": "cp1252"}),
    ],
)
def test_data_sets_that_version_5_cannot_have(dataset: Dataset) -> None:
    with pytest.raises(DataError):
        write(SasXptV5Exporter, dataset, [])


@pytest.mark.parametrize(
    ("dataset", "why"),
    [
        (Dataset("d", (Variable("T", length=1),)), "the data set's name 'd'"),
        (Dataset("D", (Variable("Name", length=1),)), "the variable name 'Name'"),
        (Dataset("D", (Variable("_T", length=1),)), "the variable name '_T'"),
        (Dataset("D", (Variable("T", length=1, label="x" * 41),)), "41 characters"),
        (Dataset("D", (Variable("T", length=1, label="é"),)), "not ASCII"),
        (Dataset("D", (Variable("T", length=1),), label="é"), "not ASCII"),
        (Dataset("D", (Variable("T", length=201),)), "201 bytes"),
    ],
)
def test_what_an_agency_refuses_of_a_description(dataset: Dataset, why: str) -> None:
    with pytest.raises(DataError, match=why):
        write(SasXptV5Exporter, dataset, [], {"profile": "agency"})
    assert write(SasXptV5Exporter, dataset, [])


def test_an_agency_is_told_everything_at_once() -> None:
    with pytest.raises(DataError, match=r"'d'.*'t'.*'u'"):
        write(
            SasXptV5Exporter,
            Dataset("d", (Variable("t", length=1), Variable("u", length=1))),
            [],
            {"profile": "agency"},
        )


def test_an_agency_refuses_text_that_is_not_ascii() -> None:
    with pytest.raises(DataError, match="ascii") as caught:
        one(SasXptV5Exporter, Variable("T", length=8), ["a", "é"], profile="agency")
    assert caught.value.row == 2


def test_an_agency_refuses_a_file_beyond_5_gb() -> None:
    dataset = Dataset("D", (Variable("T", length=200),))
    export = Export(lambda _: io.BytesIO(), 25_000_000, datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC))
    with pytest.raises(DataError, match="5,000,000,880 bytes"):
        SasXptV5Exporter(sas_xpt_v5.Options(profile="agency"), dataset, export)
    SasXptV5Exporter(sas_xpt_v5.Options(), dataset, export)


@pytest.mark.parametrize(
    "values", [{"encoding": "utf-16"}, {"sas_version": "123456789"}, {"platform": "ü"}, {"text_length": 0}]
)
def test_options_that_cannot_be(values: dict[str, Any]) -> None:
    for options in (sas_xpt_v5.Options, sas_xpt_v8.Options):
        with pytest.raises(ValidationError):
            options(**values)
