"""Each rule finds what it is for, and nothing else."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from hilum.formats import define
from hilum.formats.define import Code, CodeList, Define, Observed, Seen
from hilum.model.dataset import Dataset, DataType, Variable


def told(described: Define, *there: Observed) -> list[tuple[str, str]]:
    return [(one.path, one.rule) for one in define.check(described, there)]


def with_variable(seen: Observed, name: str, **words: Any) -> Observed:
    variables = tuple(dataclasses.replace(one, **words) if one.name == name else one for one in seen.dataset.variables)
    return dataclasses.replace(seen, dataset=dataclasses.replace(seen.dataset, variables=variables))


def with_seen(seen: Observed, name: str, **words: Any) -> Observed:
    changed = dataclasses.replace(seen.variables[name], **words)
    return dataclasses.replace(seen, variables={**seen.variables, name: changed})


def with_item(described: Define, name: str, **words: Any) -> Define:
    (table,) = described.tables
    items = tuple(dataclasses.replace(one, **words) if one.variable.name == name else one for one in table.items)
    return dataclasses.replace(described, tables=(dataclasses.replace(table, items=items),))


def with_table(described: Define, **words: Any) -> Define:
    return dataclasses.replace(described, tables=(dataclasses.replace(described.tables[0], **words),))


def test_what_fits_has_no_findings(described: Define, seen: Observed) -> None:
    assert told(described, seen) == []


def test_a_data_set_is_missing_on_either_side(described: Define, seen: Observed) -> None:
    other = Observed(Dataset("AE", (Variable("AETERM"),)), 0, {"AETERM": Seen()})
    assert told(described) == [("DM", "dataset-missing")]
    assert told(described, seen, other) == [("AE", "dataset-undefined")]
    assert told(with_table(described, no_data=True)) == []


def test_a_variable_is_missing_on_either_side(described: Define, seen: Observed) -> None:
    names = [one.name for one in seen.dataset.variables]
    fewer = dataclasses.replace(seen.dataset, variables=seen.dataset.variables[:-1])
    assert told(described, dataclasses.replace(seen, dataset=fewer)) == [(f"DM.{names[-1]}", "variable-missing")]
    more = dataclasses.replace(seen.dataset, variables=(*seen.dataset.variables, Variable("NEW")))
    there = dataclasses.replace(seen, dataset=more, variables={**seen.variables, "NEW": Seen()})
    assert told(described, there) == [("DM.NEW", "variable-undefined")]
    without = with_item(described, names[-1], no_data=True)
    assert told(without, dataclasses.replace(seen, dataset=fewer)) == []


@pytest.mark.parametrize(
    ("name", "words", "rule"),
    [
        ("AGE", {"type": DataType.STRING}, "variable-type"),
        ("SEX", {"type": DataType.INTEGER}, "variable-type"),
        ("RFSTDT", {"target": None}, "variable-type"),
        ("SEX", {"type": DataType.DECIMAL}, "variable-type"),
        ("SEX", {"label": "Gender"}, "variable-label"),
        ("USUBJID", {"length": 20}, "variable-length"),
        ("USUBJID", {"length": None}, ""),
        ("AGE", {"length": 3}, ""),
        ("AGE", {"type": DataType.INTEGER}, ""),
        ("BMI", {"type": DataType.FLOAT, "format": "8.2"}, ""),
    ],
)
def test_a_variable_differs(described: Define, seen: Observed, name: str, words: dict[str, Any], rule: str) -> None:
    expected = [(f"DM.{name}", rule)] if rule else []
    assert told(described, with_variable(seen, name, **words)) == expected


def test_numbers_and_dates_are_as_their_type_says(described: Define, seen: Observed) -> None:
    assert told(described, with_seen(seen, "AGE", digits=1)) == [("DM.AGE", "variable-type")]
    assert told(with_item(described, "RFSTDTC", type="date"), seen) == [("DM.RFSTDTC", "variable-type")]


def test_labels_order_and_keys_of_the_data_set(described: Define, seen: Observed) -> None:
    named = dataclasses.replace(seen, dataset=dataclasses.replace(seen.dataset, label="Other"))
    assert told(described, named) == [("DM", "dataset-label")]
    first, second, *others = seen.dataset.variables
    turned = dataclasses.replace(seen.dataset, variables=(second, first, *others))
    assert told(described, dataclasses.replace(seen, dataset=turned)) == [("DM.USUBJID", "variable-order")]
    assert told(described, with_variable(seen, "STUDYID", key=3)) == [("DM", "variable-keys")]
    keyless = with_variable(with_variable(seen, "STUDYID", key=None), "USUBJID", key=None)
    assert told(described, keyless) == []  # a transport file has none


def test_a_text_is_too_long(described: Define, seen: Observed) -> None:
    assert told(described, with_seen(seen, "USUBJID", length=12)) == []
    assert told(described, with_seen(seen, "USUBJID", length=13)) == [("DM.USUBJID", "value-length")]
    assert told(described, with_seen(seen, "AGE", length=30)) == []


def test_values_are_in_the_code_list(described: Define, seen: Observed) -> None:
    there = with_seen(seen, "SEX", values=("F", "U", "X"))
    (found,) = define.check(described, [there])
    assert (found.path, found.rule, found.severity, found.values) == ("DM.SEX", "value-code", "error", ("U", "X"))
    assert "2 values" in found.text
    assert "U" not in repr(found).replace("DM.SEX", "").replace("USUBJID", "")  # it goes to logs
    (found,) = define.check(described, [with_seen(seen, "SEX", values=None)])
    assert (found.rule, found.severity) == ("value-unchecked", "warning")


def test_a_dictionary_is_not_looked_into(described: Define, seen: Observed) -> None:
    (table,) = described.tables
    variable = next(one for one in table.items if one.variable.name == "SEX").variable
    made = with_item(described, "SEX", variable=dataclasses.replace(variable, code_list="CL.MEDDRA"))
    assert told(made, with_seen(seen, "SEX", values=("anything",))) == []


def test_rows_or_none_is_as_it_is_said(described: Define, seen: Observed) -> None:
    assert told(described, dataclasses.replace(seen, rows=0)) == [("DM", "dataset-data")]
    assert told(with_table(described, no_data=True), seen) == [("DM", "dataset-data")]


def reviewed(described: Define) -> list[tuple[str, str]]:
    return [(one.path, one.rule) for one in define.review(described)]


def test_what_is_wrong_with_the_description_itself(described: Define) -> None:
    (table,) = described.tables
    first, second = table.items[:2]
    assert reviewed(described) == []
    assert reviewed(dataclasses.replace(described, tables=())) == [("", "tables-none")]
    assert reviewed(dataclasses.replace(described, tables=(table, table))) == [
        ("IG.DM", "oid-twice"),
        ("DM", "name-twice"),
    ]
    assert reviewed(with_table(described, items=(first, first, second))) == [
        ("DM.STUDYID", "name-twice"), ("DM", "key-twice"),
    ]  # fmt: skip
    assert reviewed(with_table(described, oid="")) == [("", "name-empty")]
    assert reviewed(with_item(described, "AGE", type="double")) == [("DM.AGE", "term-unknown")]
    assert reviewed(with_item(described, "AGE", origins=(define.Origin("eCRF"),))) == [("DM.AGE", "term-unknown")]
    wrong = define.Origin("Derived", "CRO")
    assert reviewed(with_item(described, "AGE", origins=(wrong,))) == [("DM.AGE", "term-unknown")]
    assert reviewed(with_item(described, "AGE", digits=-1)) == [("DM.AGE", "shape-wrong")]
    assert reviewed(with_item(described, "AGE", method="MT.9")) == [("DM.AGE", "reference-unknown")]
    assert reviewed(with_table(described, observation=define.Observation("EVENT"))) == [("DM", "term-unknown")]
    assert reviewed(with_table(described, observation=define.Observation("EVENTS", (("X", "Y"),)))) == [
        ("DM", "term-unknown"), ("DM", "term-unknown"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("listed", "rules"),
    [
        (CodeList("CL.A", "A"), ["codes-none"]),
        (CodeList("CL.A", "A", (Code("a"),), define.External("x")), ["codes-none"]),
        (CodeList("CL.A", "A", (Code("a"), Code("b", "B"))), ["codes-mixed"]),
        (CodeList("CL.A", "A", (Code("a"), Code("a"))), ["codes-twice"]),
        (CodeList("CL.A", "", (Code("a"),)), ["name-empty"]),
        (CodeList("CL.A", "A", (Code("a"),), type="double"), ["term-unknown"]),
        (CodeList("CL.A", "A", (Code("a"),), sas_format="TOO LONG A NAME"), ["shape-wrong"]),
        (CodeList("CL.SEX", "A", (Code("a"),)), ["oid-twice"]),
    ],
)
def test_what_is_wrong_with_a_code_list(described: Define, listed: CodeList, rules: list[str]) -> None:
    found = reviewed(dataclasses.replace(described, lists=(*described.lists, listed)))
    assert [rule for _, rule in found] == rules


def test_every_rule_is_one_that_is_listed(described: Define) -> None:
    assert {severity for severity, _ in define.RULES.values()} == {"error", "warning"}
    for one in define.check(dataclasses.replace(described, tables=()), []):
        assert one.severity == define.RULES[one.rule][0]
