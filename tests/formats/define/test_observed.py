"""What is seen of columns, batch by batch."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from hilum.formats import define
from hilum.formats.define import Form, Seen
from hilum.formats.missing import special
from hilum.model.dataset import Dataset, DataType, Variable
from hilum.sdk.tables import held


def seen(variable: Variable, *values: Any, most: int = 5, size: int = 2) -> Seen:
    dataset = Dataset("T", (variable,))
    column = pa.array(values, held(variable), from_pandas=False)
    batches = pa.table([column], [variable.name]).to_batches(max_chunksize=size)
    found = define.observe(dataset, batches, most)
    assert found.rows == len(values)
    return found.variables[variable.name]


TEXT, WHOLE, REAL = Variable("V"), Variable("V", DataType.INTEGER), Variable("V", DataType.DOUBLE)


def test_texts() -> None:
    assert seen(TEXT) == Seen(0, 0, Form.COMPLETE, ())
    assert seen(TEXT, None, "") == Seen(0, 0, Form.COMPLETE, (), True)
    assert seen(TEXT, "b", "äöü", "b", None, "a") == Seen(3, 0, Form.COMPLETE, ("a", "b", "äöü"), True)
    assert seen(TEXT, *"abcdef").values is None
    assert seen(TEXT, *"abcde").values == tuple("abcde")
    assert seen(TEXT, "x" * 201).values is None
    assert seen(TEXT, "\x07").values is None
    assert seen(TEXT, "\x07", "a", "b").length == 1


def test_what_is_missing() -> None:
    assert not seen(TEXT, "a", " ").missing
    assert seen(TEXT, "a", "b", "").missing
    assert seen(WHOLE, 1, 2, None).missing
    assert seen(REAL, 1.0, 2.0, special("A")).missing
    assert not seen(REAL, 0.0).missing


def test_numbers() -> None:
    assert seen(WHOLE, 10, -9, None, 2**40) == Seen(13, 0, Form.COMPLETE, ("-9", "10", "1099511627776"), True)
    assert seen(REAL, 10.0, 9.25, None, special("A"), float("inf")) == Seen(3, 2, Form.COMPLETE, ("9.25", "10"), True)
    assert seen(REAL, -0.0).values == ("0",)
    assert seen(REAL, 1e-7).digits == 7
    assert seen(REAL, 1.5e20) == Seen(21, 0, Form.COMPLETE, ("1.5e+20",))
    assert seen(Variable("V", DataType.DECIMAL), "1.50", "20", "1E-3") == Seen(
        4, 3, Form.COMPLETE, ("1.50", "1E-3", "20")
    )
    assert seen(Variable("V", DataType.BOOLEAN), True, False, None) == Seen(1, 0, Form.COMPLETE, ("0", "1"), True)
    assert seen(Variable("V", DataType.DATE, target=DataType.INTEGER), 19_725.0).length == 5


@pytest.mark.parametrize(
    ("kind", "values", "form"),
    [
        (DataType.DATE, ["2014-01-02", "", None], Form.COMPLETE),
        (DataType.DATE, ["2014-01-02", "2014"], Form.PARTIAL),
        (DataType.DATE, ["2014", "2014-01-02", "--12-15", "2014-01-02"], Form.OTHER),
        (DataType.DATE, ["2014-01-02T08:30:00"], Form.OTHER),
        (DataType.TIME, ["08:30:00", "08:30:00.5Z"], Form.COMPLETE),
        (DataType.TIME, ["08:30"], Form.PARTIAL),
        (DataType.DATETIME, ["2014-01-02T08:30:00+01:00"], Form.COMPLETE),
        (DataType.DATETIME, ["2014-01-02T08:30", "2014-01-02"], Form.PARTIAL),
        (DataType.DATETIME, ["2014-01/2014-02"], Form.OTHER),
        (DataType.DATETIME, [None], Form.COMPLETE),
    ],
)
def test_the_least_complete_date_tells_the_form(kind: DataType, values: list[Any], form: Form) -> None:
    assert seen(Variable("V", kind), *values, size=1).form is form
