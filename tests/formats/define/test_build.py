"""A description follows from the data set and its rows where nothing is said."""

from __future__ import annotations

import dataclasses

import pytest

from hilum.formats import define
from hilum.formats.define import Code, CodeList, External, Form, Observed, Seen, domains
from hilum.formats.define.build import data_type
from hilum.model.dataset import Dataset, DataType, Variable


def named(name: str, *variables: str) -> Dataset:
    return Dataset(name, tuple(Variable(one) for one in variables))


@pytest.mark.parametrize(
    ("dataset", "found"),
    [
        (named("DM", "USUBJID"), "SPECIAL PURPOSE"),
        (named("LB", "LBTESTCD"), "FINDINGS"),
        (named("lb", "lbtestcd"), "FINDINGS"),
        (named("FA", "FATESTCD", "FAOBJ"), "FINDINGS ABOUT"),
        (named("SR", "SRTESTCD", "SROBJ"), "FINDINGS ABOUT"),
        (named("AE", "AETERM"), "EVENTS"),
        (named("EX", "EXTRT"), "INTERVENTIONS"),
        (named("TS", "TSPARMCD"), "TRIAL DESIGN"),
        (named("SUPPAE", "QNAM"), "RELATIONSHIP"),
        (named("RELREC"), "RELATIONSHIP"),
        (named("ADSL", "USUBJID"), "SUBJECT LEVEL ANALYSIS DATASET"),
        (named("ADLB", "PARAMCD"), "BASIC DATA STRUCTURE"),
        (named("ADAE", "AEDECOD"), "OCCURRENCE DATA STRUCTURE"),
        (named("ADXX", "X"), "ADAM OTHER"),
        (named("XX", "X"), None),
    ],
)
def test_the_class_follows_from_name_and_topic(dataset: Dataset, found: str | None) -> None:
    observation = domains.observation(dataset)
    assert (observation and observation.name) == found


def test_domain_purpose_and_structure() -> None:
    assert (domains.domain(named("SUPPAE")), domains.purpose(named("SUPPAE"))) == ("AE", "Tabulation")
    assert (domains.domain(named("ADAE")), domains.purpose(named("ADAE"))) == ("", "Analysis")
    assert domains.reference(named("TS"))
    assert not domains.reference(named("DM"))
    keys = (Variable("B", key=2), Variable("STUDYID", key=1), Variable("A", key=3), Variable("C"))
    assert domains.structure(Dataset("X", keys)) == "One record per B, A"
    assert domains.structure(Dataset("X", keys[1:2])) == "One record per STUDYID"
    assert domains.structure(named("X", "A")) == "Not stated"


@pytest.mark.parametrize(
    ("variable", "seen", "type"),
    [
        (Variable("V"), Seen(3), "text"),
        (Variable("V", DataType.URI), Seen(), "text"),
        (Variable("V", DataType.BOOLEAN), Seen(), "integer"),
        (Variable("V", DataType.INTEGER), Seen(), "integer"),
        (Variable("V", DataType.DOUBLE), Seen(), "float"),
        (Variable("V", DataType.DOUBLE), Seen(2, 0), "integer"),
        (Variable("V", DataType.FLOAT), Seen(2, 1), "float"),
        (Variable("V", DataType.DECIMAL), Seen(2, 0), "float"),
        (Variable("V", DataType.DATE, target=DataType.INTEGER), Seen(), "integer"),
        (Variable("V", DataType.DATETIME, target=DataType.INTEGER), Seen(9, 1), "float"),
        (Variable("V", DataType.DATE), Seen(), "date"),
        (Variable("V", DataType.DATE), Seen(form=Form.PARTIAL), "partialDate"),
        (Variable("V", DataType.DATETIME), Seen(form=Form.PARTIAL), "partialDatetime"),
        (Variable("V", DataType.DATETIME), Seen(form=Form.OTHER), "incompleteDatetime"),
        (Variable("V", DataType.TIME), Seen(form=Form.OTHER), "incompleteTime"),
    ],
)
def test_the_type_follows_from_variable_and_values(variable: Variable, seen: Seen, type: str) -> None:
    assert data_type(variable, seen) == type


def test_items_have_lengths_and_digits(seen: Observed) -> None:
    items = {one.variable.name: one for one in define.table(seen).items}
    assert [(one.variable.length, one.digits) for one in items.values()] == [
        (8, None), (12, None), (2, None), (1, None), (4, 2), (None, None), (5, None),
    ]  # fmt: skip
    assert [one.mandatory for one in items.values()] == [True, True, False, False, False, False, False]
    gap = dataclasses.replace(seen.variables["USUBJID"], missing=True)
    gaps = dataclasses.replace(seen, variables={**seen.variables, "USUBJID": gap})
    assert [one.mandatory for one in define.table(gaps).items[:2]] == [True, False]
    unknown = Observed(Dataset("T", (Variable("A"), Variable("B", DataType.DOUBLE))), 0, {"A": Seen(), "B": Seen()})
    assert [one.variable.length for one in define.table(unknown).items] == [1, 8]


def test_a_data_set_without_rows_has_no_data_and_no_file(seen: Observed) -> None:
    table = define.table(dataclasses.replace(seen, rows=0), href="dm.xpt")
    assert (table.no_data, table.href) == (True, "")
    assert define.table(seen, href="dm.xpt").href == "dm.xpt"
    assert define.table(seen).non_standard
    assert not define.table(seen, standard="STD.1").non_standard


VARIABLES = (
    Variable("USUBJID"), Variable("KEY", key=1), Variable("FEW", label="Few"), Variable("MANY"),
    Variable("LISTED", code_list="CL.L"), Variable("LONG", code_list="CL.LONG"),
    Variable("NUMBER", DataType.INTEGER, code_list="CL.N"), Variable("REST", DataType.INTEGER),
)  # fmt: skip
VALUES = {
    "USUBJID": ("a",), "KEY": ("k",), "FEW": ("x", "y"), "MANY": ("1", "2", "3", "4"), "LISTED": ("1", "2", "3", "4"),
    "LONG": None, "NUMBER": ("1", "2"), "REST": ("1",),
}  # fmt: skip
SEEN = Observed(
    Dataset("T", VARIABLES), 6, {name: Seen(1, 0, Form.COMPLETE, values) for name, values in VALUES.items()}
)


def test_code_lists_are_of_what_repeats_or_is_named() -> None:
    lists = {one.oid: one for one in define.code_lists(SEEN)}
    assert list(lists) == ["CL.T.FEW", "CL.L", "CL.LONG", "CL.N"]
    assert lists["CL.T.FEW"] == CodeList("CL.T.FEW", "Few", (Code("x"), Code("y")))
    assert lists["CL.LONG"].external == External("CL.LONG")
    assert (lists["CL.N"].type, lists["CL.L"].type) == ("integer", "text")
    assert [one.oid for one in define.code_lists(SEEN, 1)] == ["CL.L", "CL.LONG", "CL.N"]
    given = CodeList("CL.L", "given", (Code("1", "one"),))
    assert "CL.L" not in [one.oid for one in define.code_lists(SEEN, given=[given])]
    table = define.table(SEEN, lists=[given, lists["CL.T.FEW"]])
    assert [one.variable.code_list for one in table.items] == ["", "", "CL.T.FEW", "", "CL.L", "", "", ""]


def test_lists_of_one_oid_become_one() -> None:
    one = CodeList("CL.A", "A", (Code("a"), Code("b")))
    other = CodeList("CL.A", "B", (Code("c"), Code("a")))
    decoded = CodeList("CL.A", "C", (Code("a", "Alpha"),), type="integer")
    external = CodeList("CL.A", "D", external=External("x"))
    assert define.merged([one, other]) == (CodeList("CL.A", "A", (Code("a"), Code("b"), Code("c"))),)
    (both,) = define.merged([decoded, one])
    assert both.codes == (Code("a", "Alpha"), Code("b", "b"))
    assert both.type == "text"
    assert define.merged([external, one])[0].external is None
    assert define.merged([external, external]) == (external,)
    (both,) = define.merged([one, decoded])
    assert both.codes == (Code("a", "Alpha"), Code("b", "b"))
