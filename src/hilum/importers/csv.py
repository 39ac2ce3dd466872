"""CSV and TSV (RFC 4180): a line of names, then a line a row; a column's type is what all of its values have in common.

An empty cell is a missing value, `""` an empty text. The file is read twice, as a type is known at its end only
(`formats.inference` has the rules); not so where `types` says every type.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.csv as arrow_csv
from pydantic import Field

from hilum.errors import DataError, FormatError
from hilum.formats import delimited, inference
from hilum.model.dataset import Dataset, DataType, Variable
from hilum.sdk.config import Config
from hilum.sdk.tables import BATCH, Importer, Table, schema

_BLOCK = 2 << 20
_ROWS_AT_ONCE = "a row is longer than 2 MiB"
_WRONG_ROW = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+)")  # Arrow's words; the row's text follows


class Options(Config):
    """How the text is to be read."""

    delimiter: Literal[",", ";", "|", "\t"] | None = Field(
        None, description="What stands between two cells; none: a tab in .tsv and .tab files, otherwise a comma."
    )
    encoding: Literal["utf-8", "utf-16", "cp1252"] = Field(
        "utf-8", description="The characters' encoding. A byte order mark of UTF-8 or UTF-16 is known without it."
    )
    header: bool = Field(True, description="Does the first line name the variables? Otherwise they are V1, V2 …")
    formulas: Literal["keep", "guarded"] = Field(
        "keep", description="guarded takes away the apostrophes that the exporter put before formulas."
    )
    types: dict[str, DataType] = Field(
        default_factory=dict, description="Types by variable; those that are not here are found out."
    )


class CsvImporter(Importer[Options]):
    names = ("csv", "tsv")
    suffixes = (".csv", ".tsv", ".tab")
    Config = Options

    def tables(self, path: Path) -> Iterator[Table]:
        text = _Text(path, self.config)
        text.demand_closed_quotes()
        types = _types(text, self.config.types)
        variables = tuple(Variable(name, types[name]) for name in text.names)
        dataset = Dataset(path.stem, variables)
        yield Table(dataset, _batches(text, dataset))


def _types(text: _Text, given: dict[str, DataType]) -> dict[str, DataType]:
    if strangers := given.keys() - set(text.names):
        raise DataError("types names a variable that the file has not", variable=min(strangers))
    seen = {name: inference.Inference() for name in text.names if name not in given}
    for batch in text.batches() if seen else ():
        for name, one in seen.items():
            one.see(batch.column(name))
    return given | {name: one.type for name, one in seen.items()}


def _batches(text: _Text, dataset: Dataset) -> Iterator[pa.RecordBatch]:
    row = 0
    for batch in text.batches():
        columns = [
            inference.convert(column, variable.type, variable.name, row)
            for variable, column in zip(dataset.variables, batch.columns, strict=True)
        ]
        yield pa.record_batch(columns, schema=schema(dataset))
        row += batch.num_rows


class _Text:
    """The file as columns of text. Raises FormatError and DataError with row and column."""

    def __init__(self, path: Path, options: Options) -> None:
        self._path = path
        self._header = options.header
        self._guarded = options.formulas == "guarded"
        self._encoding = _encoding(path, options.encoding)
        self._delimiter = options.delimiter or ("\t" if path.suffix.lower() in (".tsv", ".tab") else ",")
        self.names = self._names()

    def demand_closed_quotes(self) -> None:
        """A quote that nothing ends takes all rows that follow into its cell. An odd number of quotes is the sign."""
        count = 0
        with self._path.open("rb") as file:
            while block := file.read(_BLOCK):
                count += block.count(b'"')
        if count % 2:
            with self._open() as text:
                row = delimited.unclosed(text, self._delimiter)
            if row is not None:
                raise DataError("a quote is not closed", row=row + (not self._header))

    def batches(self) -> Iterator[pa.RecordBatch]:
        """At most BATCH rows at a time."""
        try:
            for block in self._reader():
                for start in range(0, block.num_rows, BATCH):
                    batch = block.slice(start, BATCH)
                    if self._guarded:
                        columns = [delimited.unguarded(column) for column in batch.columns]
                        batch = pa.record_batch(columns, names=self.names)
                    yield batch
        except (pa.ArrowInvalid, UnicodeError) as error:
            raise self._explained(error) from None

    def _reader(self) -> arrow_csv.CSVStreamingReader:
        return arrow_csv.open_csv(
            self._path,
            arrow_csv.ReadOptions(
                block_size=_BLOCK,
                use_threads=False,  # only so is a wrong row's number known
                column_names=self.names,
                skip_rows_after_names=int(self._header),
                encoding="utf8" if self._encoding == "utf-8-sig" else self._encoding,
            ),
            arrow_csv.ParseOptions(
                delimiter=self._delimiter,
                newlines_in_values=True,
                ignore_empty_lines=len(self.names) > 1,
            ),
            arrow_csv.ConvertOptions(
                column_types={name: pa.string() for name in self.names},
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )

    def _names(self) -> list[str]:
        try:
            with self._open() as text:
                names = next(csv.reader(text, delimiter=self._delimiter), None)
        except csv.Error as error:
            raise FormatError(f"the line of names cannot be read: {error}") from None
        if names is None:
            raise FormatError("the file is empty")
        if any(delimited.undecoded(name) or "\0" in name for name in names):
            raise FormatError("this is no text, or in another encoding")
        if not self._header:
            return [f"V{number}" for number in range(1, len(names) + 1)]
        if self._guarded:
            names = delimited.unguarded(pa.array(names, pa.string())).to_pylist()
        for place, name in enumerate(names, 1):
            if not name:
                raise DataError(f"column {place} has no name")
            if names.index(name) < place - 1:
                raise DataError("two columns have this name", variable=name)
        return list(names)

    def _open(self) -> io.TextIOWrapper:
        lenient = "replace" if self._encoding.startswith("utf-16") else "surrogateescape"
        return self._path.open(encoding=self._encoding, errors=lenient, newline="")

    def _explained(self, error: Exception) -> FormatError | DataError:
        if wrong := _WRONG_ROW.search(str(error)):
            number, wanted, found = (int(one) for one in wrong.groups())
            reason = f"{found} cells, but {wanted} variables"
            return DataError(reason, row=number - self._header, variable=self.names[found] if found < wanted else "")
        if isinstance(error, UnicodeError) or "UTF8" in str(error):
            return self._undecodable()
        if "straddling" in str(error):
            return DataError(_ROWS_AT_ONCE)
        return FormatError("this is no delimited text")

    def _undecodable(self) -> DataError:
        with self._open() as text:
            found = delimited.first_problem(text, self._delimiter)
        row, column = found or (0, 1)
        name = self.names[column - 1] if column <= len(self.names) else ""
        reason = f"a byte is no {self._encoding.removesuffix('-sig')}"
        return DataError(reason, row=row + (not self._header), variable=name)


def _encoding(path: Path, said: str) -> str:
    with path.open("rb") as file:
        start = file.read(3)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if said == "utf-16":
        return "utf-16-le"  # as Windows writes it
    return "utf-8-sig" if said == "utf-8" or start == codecs.BOM_UTF8 else said


importer = CsvImporter
