"""What the exporters' tests share: a data set of every type, and a way to write one and hold its bytes."""

from __future__ import annotations

import datetime
import io
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from hilum.formats.missing import special
from hilum.model.dataset import Dataset, DataType, Variable
from hilum.sdk.tables import Export, Exporter, Unrepresentable, schema

CREATED = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
Write = Callable[..., bytes]


class _Kept(io.BytesIO):
    """Keeps its bytes when it is closed."""

    data: bytes | None = None

    def close(self) -> None:
        self.data = self.getvalue()
        super().close()


@pytest.fixture(scope="session")
def write() -> Write:
    """Gives the one file that an exporter writes; `set_aside` collects what it cannot represent."""

    def run(
        kind: type[Exporter[Any]],
        dataset: Dataset,
        *batches: pa.RecordBatch,
        set_aside: list[Unrepresentable] | None = None,
        **config: Any,
    ) -> bytes:
        files: dict[str, _Kept] = {}
        aside = None if set_aside is None else set_aside.append
        rows = sum(batch.num_rows for batch in batches)
        export = Export(lambda name: files.setdefault(name, _Kept()), rows, CREATED, set_aside=aside)
        one = kind(kind.Config(**config), dataset, export)
        for batch in batches:
            one.write(batch)
        one.close()
        assert list(files) == [f"{dataset.name}{one.suffix}"]
        found = files.popitem()[1].data
        assert found is not None, "the file was not closed"
        return found

    return run


EVERY = Dataset(
    "ALL",
    (
        Variable("TEXT", label="A text, with ünïcode", length=40, format="$40.", key=1, role="Identifier"),
        Variable("LINK", DataType.URI),
        Variable("WHOLE", DataType.INTEGER, label="Whole <number>", key=2),
        Variable("EXACT", DataType.DECIMAL, target=DataType.DECIMAL),
        Variable("SINGLE", DataType.FLOAT, format="8.2"),
        Variable("REAL", DataType.DOUBLE),
        Variable("YES", DataType.BOOLEAN),
        Variable("DTC", DataType.DATE),
        Variable("STAMP", DataType.DATETIME),
        Variable("CLOCK", DataType.TIME),
        Variable("DT", DataType.DATE, target=DataType.INTEGER, format="DATE9.", extra={"sas.x": "1"}),
        Variable("DTM", DataType.DATETIME, target=DataType.INTEGER, informat="DATETIME20."),
        Variable('odd name, with "marks"', code_list="CL.1", oid="IT.ODD"),
    ),
    label="One of each",
    extra={"xpt.os": "LINUX"},
)
ROWS: dict[str, list[Any]] = {
    "TEXT": ["plain", "", None, 'a "quoted", text;\r\nand\ttabs', "ünïcode 🌱 'x'", "007"],
    "LINK": ["https://example.org/?a=1", None, "urn:x", "", "a", "b"],
    "WHOLE": [0, -(2**63), 2**63 - 1, None, 7, 42],
    "EXACT": ["1.50", "-0.1", "123456789012345678901234567890.5", None, "0", "10"],
    "SINGLE": [1.0, -2.5, None, special("A"), special("_"), 1e300],
    "REAL": [0.1 + 0.2, 1e-7, -0.0, 5e-324, None, special("Z")],
    "YES": [True, False, None, True, True, False],
    "DTC": ["2014-01-31", "2014-02", "1850-05-05", None, "2014", "2016-02-29"],
    "STAMP": ["2014-01-31T08:30:00", "2014-01-31T08:30", None, "2014-01-31T08:30:00.25", "2014-01-31T08:30:00Z", ""],
    "CLOCK": ["08:30:00", "23:59", None, "00:00:00.5", "", "12:00"],
    "DT": [19_725.0, 0.0, None, -1.0, special("B"), 20_000.0],
    "DTM": [1_704_240_000.0, 0.5, None, -1.0, special("C"), 86_399.0],
    'odd name, with "marks"': [None, None, None, None, None, None],
}


@pytest.fixture(scope="session")
def every() -> tuple[Dataset, pa.RecordBatch]:
    """A data set with every type, and rows with what is awkward of each."""
    return EVERY, batch_of(EVERY, ROWS)


def batch_of(dataset: Dataset, rows: dict[str, list[Any]]) -> pa.RecordBatch:
    held = schema(dataset)
    columns = [pa.array(rows[field.name], field.type, from_pandas=False) for field in held]
    return pa.record_batch(columns, schema=held)


@pytest.fixture(scope="session")
def table() -> Callable[..., tuple[Dataset, pa.RecordBatch]]:
    """A data set of one variable, `V`, and its rows."""

    def make(values: list[Any], kind: DataType = DataType.STRING, **about: Any) -> tuple[Dataset, pa.RecordBatch]:
        dataset = Dataset("T", (Variable("V", kind, **about),))
        return dataset, batch_of(dataset, {"V": values})

    return make
