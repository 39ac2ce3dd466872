"""Conditions on rows: what is compared how, and what does not fit is refused."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from hilum.errors import ConfigError
from hilum.formats import missing
from hilum.formats.selection import Selection
from hilum.model.dataset import Dataset, DataType, Variable
from hilum.model.selection import Condition, condition
from hilum.sdk.tables import schema

DATASET = Dataset(
    "T",
    (
        Variable("NAME"),
        Variable("AGE", DataType.INTEGER),
        Variable("AVAL", DataType.DOUBLE),
        Variable("DOSE", DataType.DECIMAL),
        Variable("SAFE", DataType.BOOLEAN),
        Variable("DTC", DataType.DATE),
        Variable("ADT", DataType.DATE, target=DataType.INTEGER),
    ),
)
ROWS = (
    ("Anna", 64, 1.5, "0.10", True, "2014-05", 19_725.0),
    ("Bert", 65, missing.special("A"), "10", False, "2014-05-03", 19_726.0),
    (None, None, None, None, None, None, None),
    ("Änne", 90, -0.0, "9.5", True, "2013", missing.special("_")),
)
BATCH = pa.RecordBatch.from_arrays(
    [pa.array(column, field.type) for column, field in zip(zip(*ROWS, strict=True), schema(DATASET), strict=True)],
    schema=schema(DATASET),
)


@pytest.mark.parametrize(
    ("texts", "rows"),
    [
        ([], [1, 2, 3, 4]),
        (["NAME = Anna"], [1]),
        (["NAME!=Anna"], [2, 4]),
        (["NAME in Anna,Änne"], [1, 4]),
        (["NAME contains nn"], [1, 4]),
        (["NAME starts Ä"], [4]),
        (["NAME missing"], [3]),
        (["NAME present"], [1, 2, 4]),
        (["AGE>=65"], [2, 4]),
        (["AGE<65"], [1]),
        (["AGE in 64,90"], [1, 4]),
        (["AVAL in 0,7"], [4]),
        (["AVAL missing"], [2, 3]),
        (["AVAL present", "AGE > 64"], [4]),
        (["AVAL != 7"], [1, 4]),
        (["AVAL = 0"], [4]),
        (["DOSE > 9"], [2, 4]),
        (["DOSE = 0.1"], [1]),
        (["SAFE = true"], [1, 4]),
        (["SAFE=0"], [2]),
        (["DTC < 2014-05-01"], [1, 4]),
        (["ADT >= 2014-01-03"], [2]),
        (["ADT in 2014-01-02"], [1]),
        (["ADT = 19726"], [2]),
        (["ADT missing"], [3, 4]),
    ],
)
def test_rows_that_meet_conditions(texts: list[str], rows: list[int]) -> None:
    found = Selection([condition(one) for one in texts], DATASET).mask(BATCH)
    assert [place + 1 for place, one in enumerate(found.to_pylist()) if one] == rows


def test_an_empty_batch() -> None:
    assert len(Selection([condition("AGE>1")], DATASET).mask(BATCH.slice(0, 0))) == 0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("WEIGHT>1", "no variable WEIGHT"),
        ("AGE>old", "'old' is no integer"),
        ("AGE>inf", "is no integer"),
        ("AGE>9223372036854775808", "is no integer"),
        ("AVAL>nan", "'nan' is no double"),
        ("SAFE=perhaps", "is no boolean"),
        ("AGE contains 6", "contains needs text"),
        ("ADT=yesterday", "is no date"),
        ("AGE in 1,x", "'x' is no integer"),
    ],
)
def test_what_does_not_fit_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        Selection([condition(text)], DATASET)


@pytest.mark.parametrize("text", ["", "AGE", "AGE ~ 5", ">5", "NAME missing yes"])
def test_what_is_no_condition(text: str) -> None:
    with pytest.raises(ConfigError, match="where"):
        condition(text)


def test_a_list_and_a_value_do_not_stand_for_each_other() -> None:
    wrong: list[Any] = [{"op": "in", "value": "F"}, {"op": "eq", "value": ["F"]}, {"op": "eq"}]
    for one in [*wrong, {"op": "missing", "value": 1}]:
        with pytest.raises(ValueError, match=r"needs a list|have no value"):
            Condition.model_validate({"variable": "NAME", **one})
