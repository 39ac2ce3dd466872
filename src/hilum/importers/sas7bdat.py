"""SAS data sets (sas7bdat): typed, labelled variables, special missing values, in the encoding that the file says.

Numbers are double, those with a date, datetime or time format SAS's count of days or seconds; blank text is "". Formats
keep their width, informats are not read. Text is decoded as the file says, or as it is told here; a transport file
that is made of it is written in that encoding too (`xpt.encoding` of the data set). Catalogues of formats are not read.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyreadstat
from pydantic import Field, field_validator

from hilum.errors import DataError, FormatError
from hilum.formats import missing, xpt
from hilum.formats.xpt import sas_format
from hilum.model.dataset import Dataset, DataType, Variable
from hilum.sdk.config import Config
from hilum.sdk.tables import BATCH, Importer, Table, schema

_MAGIC = bytes.fromhex("000000000000000000000000c2ea8160b31411cfbd92080009c7318c181f1011")
_CELLS = 1 << 20  # of a batch: the library gives each of them as an object
_BYTES = 64 << 20  # of text in a batch
_SPECIAL = {letter: missing.special(letter) for letter in missing.LETTERS}
_PLAIN = ("utf-8", "ascii")


class Options(Config):
    """How text is read."""

    encoding: str | None = Field(None, description="The encoding of text, where it is another than the file says.")

    @field_validator("encoding")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        return None if value is None else xpt.codec(value)


class Sas7bdatImporter(Importer[Options]):
    names = ("sas7bdat",)
    suffixes = (".sas7bdat",)
    Config = Options

    @classmethod
    def recognises(cls, head: bytes) -> bool:
        return head.startswith(_MAGIC)

    def tables(self, path: Path) -> Iterator[Table]:
        with path.open("rb") as file:
            if not self.recognises(file.read(len(_MAGIC))):
                raise FormatError("no SAS data set: it does not begin as a sas7bdat file does")
        _, about = self._read(path, metadataonly=True)
        found = dataset(about, path.stem, self.config.encoding)
        yield Table(found, self._batches(path, found, about.number_rows or 0, _most(about)))

    def _batches(self, path: Path, of: Dataset, rows: int, most: int) -> Iterator[pa.RecordBatch]:
        for done in range(0, rows if of.variables else 0, most):
            columns, _ = self._read(path, row_offset=done, row_limit=min(most, rows - done), user_missing=True)
            yield batch(of, columns, min(most, rows - done), done)

    def _read(self, path: Path, **how: Any) -> tuple[Any, Any]:
        """What the library gives: lists of values by variable, and what is said of them.

        It holds the interpreter as long as it works; that it asks a file of ours for each page lets others in between.
        """
        with path.open("rb") as file, _broken():
            return pyreadstat.read_sas7bdat(
                file, encoding=self.config.encoding, disable_datetime_conversion=True, output_format="dict", **how
            )


def dataset(about: Any, name: str, encoding: str | None) -> Dataset:
    """What the library's metadata say of the table. Raises FormatError where two variables have one name."""
    names = about.column_names
    if len(set(names)) < len(names) or not all(names):
        raise FormatError("two variables have the same name, or one has none")
    labels = dict(zip(names, about.column_labels, strict=True))
    variables = tuple(_variable(one, labels[one] or "", about) for one in names)
    extra = {"sas7bdat.encoding": about.file_encoding} if about.file_encoding else {}
    with contextlib.suppress(ValueError):  # SAS knows encodings that Python does not
        codec = xpt.codec(encoding or about.file_encoding or "utf-8")
        extra |= {} if codec in _PLAIN else {"xpt.encoding": codec}
    return Dataset(about.table_name or name, variables, about.file_label or "", extra)


def batch(of: Dataset, columns: dict[str, Sequence[Any]], rows: int, done: int) -> pa.RecordBatch:
    """Rows as the library gives them, `done` rows went before: letters among numbers are special missing values."""
    held = schema(of)
    arrays = []
    for field in held:
        values = columns.get(field.name, ())
        if len(values) != rows:
            raise DataError("the file has fewer rows than it says", row=done + len(values) + 1)
        arrays.append(_numbers(values, field.name, done) if field.type == pa.float64() else _texts(values))
    return pa.record_batch(arrays, schema=held)


def _variable(name: str, label: str, about: Any) -> Variable:
    shape = sas_format.parse(about.original_variable_types.get(name) or "")
    text = about.readstat_variable_types[name] == "string"
    kind = DataType.STRING if text else sas_format.calendar(shape.name) or DataType.DOUBLE
    return Variable(
        name, kind, label, about.variable_storage_width.get(name) or None, str(shape),
        target=DataType.INTEGER if kind in sas_format.DEFAULT else None,
    )  # fmt: skip


def _most(about: Any) -> int:
    """Rows of a batch, so that memory has a bound: the library goes over those before it again for each one."""
    width: int = sum(about.variable_storage_width.values())
    return max(1, min(BATCH, _CELLS // max(1, len(about.column_names)), _BYTES // max(1, width)))


def _numbers(values: Sequence[Any], variable: str, done: int) -> pa.Array:
    try:
        found = [_SPECIAL[one] if isinstance(one, str) else one for one in values]
    except KeyError:
        row = next(row for row, one in enumerate(values, 1) if isinstance(one, str) and one not in _SPECIAL)
        raise DataError("SAS has no such missing value", row=done + row, variable=variable) from None
    return pa.array(found, pa.float64(), from_pandas=False)


def _texts(values: Sequence[Any]) -> pa.Array:
    return pa.array(["" if one is None else one for one in values], pa.string())


@contextlib.contextmanager
def _broken() -> Iterator[None]:
    try:
        yield
    except pyreadstat.ReadstatError as error:
        raise FormatError(f"this SAS data set cannot be read: {error}") from None
    except UnicodeDecodeError:
        raise FormatError("text of this file is not in the encoding that it says; say which one it is in") from None
    except (pyreadstat.PyreadstatError, OverflowError, TypeError, ValueError) as error:  # of broken headers
        raise FormatError(f"this SAS data set cannot be read: {type(error).__name__}") from None


importer = Sas7bdatImporter
