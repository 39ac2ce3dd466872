"""What is written is JSON that says the same, whatever stands in the texts and however the batches are cut."""

from __future__ import annotations

import datetime
import gzip
import io
import json
import math
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.formats.dataset_json import Form, Reader, Writer, metadata
from hilum.formats.missing import special
from hilum.model.dataset import CALENDAR, Dataset, DataType, Variable
from hilum.sdk.tables import schema

CREATED = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)
Refused = list[tuple[int, str, str, str]]


def written(dataset: Dataset, batches: Sequence[pa.RecordBatch], form: Form, refused: Refused | None = None) -> bytes:
    def refuse(row: int, variable: str, value: object, reason: str) -> None:
        assert refused is not None, reason
        refused.append((row, variable, str(value), reason))

    stream = io.BytesIO()
    words = metadata.write(dataset, sum(one.num_rows for one in batches), CREATED)
    writer = Writer(stream, form, dataset, words, refuse)
    for one in batches:
        writer.write(one)
    writer.close()
    return stream.getvalue()


def rows(data: bytes, form: Form) -> list[list[Any]]:
    """The rows as the standard library reads them."""
    if form is Form.JSON:
        found: list[list[Any]] = json.loads(data)["rows"]
        return found
    lines = (gzip.decompress(data) if form is Form.DSJC else data).split(b"\n")
    assert lines.pop() == b""
    return [json.loads(line) for line in lines[1:]]


def column(kind: DataType, values: Sequence[Any], target: DataType | None = None) -> tuple[Dataset, pa.RecordBatch]:
    dataset = Dataset("X", (Variable("V", kind, target=target),))
    return dataset, pa.record_batch([pa.array(values, schema(dataset).types[0])], schema=schema(dataset))


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["", '"', "\\", '\\"\n', "\x00"]
)
VALUES = {
    DataType.STRING: TEXTS,
    DataType.URI: TEXTS,
    DataType.INTEGER: st.integers(-(2**63), 2**63 - 1),
    DataType.FLOAT: st.floats(allow_nan=False, allow_infinity=False),
    DataType.DOUBLE: st.floats(allow_nan=False, allow_infinity=False),
    DataType.DECIMAL: st.decimals(allow_nan=False, allow_infinity=False).map(str),
    DataType.BOOLEAN: st.booleans(),
    DataType.DATE: st.dates().map(str) | st.sampled_from(["2014", "2014-01", ""]),
    DataType.DATETIME: st.datetimes().map(datetime.datetime.isoformat) | st.sampled_from(["2014-01-02T10", ""]),
    DataType.TIME: st.times().map(str),
}
COUNTS = {
    DataType.DATE: st.integers(-138_061, 2_936_549).map(float),
    DataType.DATETIME: st.floats(-138_061 * 86_400, 2_936_550 * 86_400, exclude_max=True).map(lambda one: one + 0.0),
    DataType.TIME: st.floats(0, 86_400, exclude_max=True).map(lambda one: one + 0.0),
}


@st.composite
def tables(draw: st.DrawFn) -> tuple[Dataset, list[pa.RecordBatch]]:
    names = draw(
        st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, unique=True, max_size=6)
    )
    variables = []
    for name in names:
        kind = draw(st.sampled_from(DataType))
        counted = kind in CALENDAR and draw(st.booleans())
        target = DataType.INTEGER if counted else DataType.DECIMAL if kind is DataType.DECIMAL else None
        length, key = draw(st.none() | st.integers(1, 200)), draw(st.none() | st.integers(1, 9))
        variables.append(
            Variable(name, kind, draw(TEXTS), length, draw(TEXTS), target=target, key=key, oid=f"IT.{name}")
        )
    extra = {f"dataset-json.{word}": draw(TEXTS) for word in draw(st.sets(st.sampled_from(["studyOID", "originator"])))}
    dataset = Dataset("X", tuple(variables), draw(TEXTS), extra)
    counts = draw(st.lists(st.integers(0, 5), max_size=3))
    return dataset, [draw(batches(dataset, count)) for count in counts]


@st.composite
def batches(draw: st.DrawFn, dataset: Dataset, count: int) -> pa.RecordBatch:
    """A batch that is a part of a longer one."""
    wanted = schema(dataset)
    columns = []
    for variable, held in zip(dataset.variables, wanted.types, strict=True):
        values = st.none() | (COUNTS if variable.counted else VALUES)[variable.type]
        columns.append(pa.array(draw(st.lists(values, min_size=count + 2, max_size=count + 2)), held))
    return pa.record_batch(columns, schema=wanted).slice(1, count)


@settings(deadline=None)
@given(tables(), st.sampled_from(Form), st.integers(1, 4))
def test_what_is_written_is_read_again(table: tuple[Dataset, list[pa.RecordBatch]], form: Form, most: int) -> None:
    dataset, written_batches = table
    data = written(dataset, written_batches, form)
    reader = Reader(lambda: io.BytesIO(data))
    assert (reader.dataset.name, reader.dataset.label) == (dataset.name, dataset.label)
    assert reader.dataset.extra.items() >= dataset.extra.items()
    assert reader.dataset.variables == dataset.variables
    wanted = schema(dataset)
    before = pa.Table.from_batches(written_batches, wanted)
    after = pa.Table.from_batches(reader.batches(wanted, most), wanted)
    assert repr(after.to_pydict()) == repr(before.to_pydict())  # as text: -0.0 is not 0.0
    assert written(dataset, written_batches, form) == data


@pytest.mark.parametrize("form", Form)
def test_every_character_is_itself(form: Form) -> None:
    characters = [chr(code) for code in [*range(0x180), 0x2028, 0x2029, 0xFEFF, 0xFFFF, 0x1F600]]
    values = [*characters, "".join(characters), "\\\\n", '\\"', None, ""]
    dataset, batch = column(DataType.STRING, values)
    assert rows(written(dataset, [batch], form), form) == [[one] for one in values]
    assert rows(written(dataset, [batch.slice(34, 60)], form), form) == [[one] for one in values[34:94]]


@pytest.mark.parametrize("form", Form)
def test_numbers_are_numbers_and_decimals_texts(form: Form) -> None:
    numbers = [0.1, -0.0, 1e16, 1e300, 5e-324, 63.0, 2.0**53, None]
    dataset, batch = column(DataType.DOUBLE, numbers)
    assert repr(
        [float(one[0]) if one[0] is not None else None for one in rows(written(dataset, [batch], form), form)]
    ) == repr(numbers)
    dataset, batch = column(DataType.DECIMAL, ["0.10", "123456789012345678901234567890", None])
    assert rows(written(dataset, [batch], form), form) == [["0.10"], ["123456789012345678901234567890"], [None]]
    dataset, batch = column(DataType.BOOLEAN, [True, None, False])
    assert rows(written(dataset, [batch], form), form) == [[True], [None], [False]]
    dataset, batch = column(DataType.INTEGER, [2**63 - 1, None, 0])
    assert rows(written(dataset, [batch], form), form) == [[2**63 - 1], [None], [0]]


def test_counts_are_written_as_iso_8601() -> None:
    for kind, text in (
        (DataType.DATE, "1960-01-02"),
        (DataType.DATETIME, "1960-01-01T00:00:01"),
        (DataType.TIME, "00:00:01"),
    ):
        dataset, batch = column(kind, [1.0, None], DataType.INTEGER)
        assert rows(written(dataset, [batch], Form.JSON), Form.JSON) == [[text], [None]]


@pytest.mark.parametrize(
    ("kind", "target", "value", "said", "reason"),
    [
        (DataType.FLOAT, None, special("A"), ".A", "no special missing values"),
        (DataType.FLOAT, None, special("_"), "._", "no special missing values"),
        (DataType.DOUBLE, None, math.nan, "nan", "numbers alone"),
        (DataType.DOUBLE, None, -math.inf, "-inf", "numbers alone"),
        (DataType.DATE, DataType.INTEGER, 1.5, "1.5", "no date of ISO 8601"),
        (DataType.DATE, DataType.INTEGER, special("Z"), ".Z", "no special missing values"),
        (DataType.TIME, DataType.INTEGER, 86_400.0, "86400.0", "no time of ISO 8601"),
    ],
    ids=str,
)
def test_what_json_cannot_say_is_refused_and_missing(
    kind: DataType, target: DataType | None, value: float, said: str, reason: str
) -> None:
    dataset, batch = column(kind, [0.0, value, None], target)
    refused: Refused = []
    data = written(dataset, [batch, batch.slice(1)], Form.NDJSON, refused)
    assert [one[0] for one in rows(data, Form.NDJSON)][1:] == [None] * 4
    assert [one[:3] for one in refused] == [(2, "V", said), (4, "V", said)]
    assert all(reason in one[3] for one in refused)


@pytest.mark.parametrize("form", Form)
def test_a_great_batch_is_written_in_pieces(form: Form) -> None:
    dataset, batch = column(DataType.STRING, ["x" * 100_000 + str(number) for number in range(700)])
    assert batch.nbytes > 2 * (1 << 25)
    found = rows(written(dataset, [batch], form), form)
    assert [one[0][100_000:] for one in found] == [str(number) for number in range(700)]


@pytest.mark.parametrize("form", Form)
def test_no_rows_are_written_as_none(form: Form) -> None:
    dataset, batch = column(DataType.STRING, [])
    assert rows(written(dataset, [], form), form) == []
    assert written(dataset, [batch], form) == written(dataset, [], form)
    assert list(Reader(lambda: io.BytesIO(written(dataset, [], form))).batches(schema(dataset), 10)) == []
