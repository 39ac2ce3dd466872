"""The importer of SAS transport files keeps the contract, whatever bytes it meets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pytest
from pydantic import ValidationError

from hilum.errors import FormatError
from hilum.exporters.sas_xpt_v5 import SasXptV5Exporter
from hilum.exporters.sas_xpt_v8 import SasXptV8Exporter
from hilum.importers import sas_xpt
from hilum.importers.sas_xpt import SasXptImporter
from hilum.model.dataset import Dataset, DataType, Variable
from hilum.sdk.testing.exporter import ROWS, SAMPLE, rows, write
from hilum.sdk.testing.importer import ImporterSuite

LONG = Dataset(
    "LONG_NAMED",
    (
        Variable("A_long_name_of_a_variable", label="A label of more than forty bytes, which is long", length=300),
        Variable("N", DataType.DOUBLE, label="short", format="LONGFORMATNAME8.2", length=3),
    ),
)
LATIN = Dataset("LATIN", (Variable("T", length=7),))
LONG_ROWS = {"A_long_name_of_a_variable": ["ü" * 100, "", None], "N": [1.0, None, -2.5]}


class TestSasXptImporter(ImporterSuite):
    module = sas_xpt
    options = ({}, {"encoding": "latin-1"})

    def good(self) -> Mapping[str, bytes]:
        whole = rows(SAMPLE, ROWS)
        one = write(SasXptV5Exporter, SAMPLE, [whole] * 20)["sample.xpt"]
        latin = write(SasXptV5Exporter, LATIN, [rows(LATIN, {"T": ["h\xf6her", "x"]})], {"encoding": "cp1252"})
        two = one + latin["latin.xpt"][240:]  # a second data set of the file
        return {
            "one.xpt": one,
            "two.xpt": two,
            "eight.xpt": write(SasXptV8Exporter, LONG, [rows(LONG, LONG_ROWS)])["long_named.xpt"],
        }


def test_a_file_is_known_by_its_first_bytes() -> None:
    assert SasXptImporter.recognises(b"HEADER RECORD*******LIBRARY HEADER RECORD!!!!!!!")
    assert SasXptImporter.recognises(b"HEADER RECORD*******LIBV8   HEADER RECORD!!!!!!!")
    assert not SasXptImporter.recognises(b"PK\x03\x04")


@pytest.mark.parametrize("encoding", ["latin-99", "utf-16", "base64", ""])
def test_an_encoding_that_text_cannot_have(encoding: str) -> None:
    with pytest.raises(ValidationError, match="encoding"):
        sas_xpt.Options(encoding=encoding)


def test_an_absent_file_is_no_format_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(SasXptImporter(sas_xpt.Options()).tables(tmp_path / "absent.xpt"))


def test_a_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "one.xpt"
    data = write(SasXptV5Exporter, SAMPLE, [rows(SAMPLE, ROWS)] * 20)["sample.xpt"]
    path.write_bytes(data)
    (table,) = SasXptImporter(sas_xpt.Options()).tables(path)
    path.write_bytes(data[:-160])
    with pytest.raises(Exception, match="shorter"):
        list(table.batches)


def test_what_follows_a_data_set_must_be_one(tmp_path: Path) -> None:
    path = tmp_path / "eight.xpt"
    data = write(SasXptV8Exporter, LONG, [rows(LONG, LONG_ROWS)])["long_named.xpt"]
    path.write_bytes(data + b"something else".ljust(80))
    with pytest.raises(FormatError):
        list(SasXptImporter(sas_xpt.Options()).tables(path))


def test_rows_are_arrow(tmp_path: Path) -> None:
    path = tmp_path / "eight.xpt"
    path.write_bytes(write(SasXptV8Exporter, LONG, [rows(LONG, LONG_ROWS)])["long_named.xpt"])
    (table,) = SasXptImporter(sas_xpt.Options()).tables(path)
    (batch,) = table.batches
    assert batch.to_pydict() == {"A_long_name_of_a_variable": ["ü" * 100, "", ""], "N": [1.0, None, -2.5]}
    assert batch.schema.types == [pa.string(), pa.float64()]
    assert [(one.name, one.label, one.format, one.length) for one in table.dataset.variables] == [
        ("A_long_name_of_a_variable", "A label of more than forty bytes, which is long", "", 300),
        ("N", "short", "LONGFORMATNAME8.2", 3),
    ]
