"""What a file says, element by element; what ODM cannot hold is refused."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from lxml import etree

from hilum.errors import DataError
from hilum.formats import missing
from hilum.formats.odm import V1, V2, Version
from hilum.model.dataset import Dataset, DataType, Variable

LB = Dataset(
    "LB",
    (
        Variable("USUBJID", label="Subject", length=20, key=1, role="Identifier"),
        Variable("LBSTRESN", DataType.FLOAT, format="8.2", length=8),
        Variable("SEX", code_list="CL.SEX", extra={"odm.codeList": json.dumps([["F", "Female"], ["M", "Male"]])}),
    ),
    "Laboratory",
    {"odm.studyOID": "S.1", "odm.studyName": "One", "odm.Domain": "LB", "odm.Structure": "One a row"},
)


def parsed(data: bytes, version: Version) -> Any:
    """The root, its tags without a namespace."""
    root = etree.fromstring(data)
    assert root.nsmap == {None: version.namespace}
    for one in root.iter():
        one.tag = one.tag.removeprefix(f"{{{version.namespace}}}")
    return root


def test_a_study_has_one_group_with_its_items(write: Any, version: Version) -> None:
    root = parsed(write(LB, version=version), version)
    assert (root.get("FileType"), root.get("ODMVersion")) == ("Snapshot", version.number)
    assert root.get("CreationDateTime") == "2026-03-01T00:00:00+00:00"
    study = root.find("Study")
    assert study.get("OID") == root.find("ClinicalData").get("StudyOID") == "S.1"
    name = study.get("StudyName") if version is V2 else study.findtext("GlobalVariables/StudyName")
    assert name == "One"
    (group,) = study.iter("ItemGroupDef")
    assert (group.get("OID"), group.get("Name"), group.get("Domain")) == ("IG.LB", "LB", "LB")
    assert group.get("DatasetName" if version is V2 else "SASDatasetName") == "LB"
    assert group.get("Structure") == ("One a row" if version is V2 else None)
    assert group.findtext("Description/TranslatedText") == "Laboratory"
    references = [(one.get("ItemOID"), one.get("KeySequence"), one.get("Role")) for one in group.findall("ItemRef")]
    assert references[0] == ("IT.LB.USUBJID", "1", "Identifier")
    items = {one.get("Name"): one for one in study.iter("ItemDef")}
    assert [one.get("DataType") for one in items.values()] == ["text", "float", "text"]
    assert [one.get("Length") for one in items.values()] == ["20", "8", None]
    assert items["USUBJID"].findtext("Description/TranslatedText") == "Subject"
    number = items["LBSTRESN"]
    assert number.get("DisplayFormat" if version is V2 else "SignificantDigits") == ("8.2" if version is V2 else "2")


def test_a_code_list_has_its_values_or_stands_elsewhere(write: Any, version: Version) -> None:
    root = parsed(write(LB, version=version), version)
    (listed,) = [one for one in root.iter("CodeList") if one.get("OID") == "CL.SEX"]
    assert [(one.get("CodedValue"), one.findtext("Decode/TranslatedText")) for one in listed] == [
        ("F", "Female"), ("M", "Male"),
    ]  # fmt: skip
    assert root.find(".//ItemDef/CodeListRef").get("CodeListOID") == "CL.SEX"
    unknown = Dataset("T", (Variable("A", code_list="CL.A"), Variable("B", code_list="CL.A")))
    (listed,) = parsed(write(unknown, version=version), version).iter("CodeList")
    assert [one.tag for one in listed] == (["ExternalCodeList"] if version is V1 else [])


def test_values_without_all_decodes_have_none_in_1_3_2(write: Any) -> None:
    codes = json.dumps([["F", "Female"], ["U", None]])
    dataset = Dataset("T", (Variable("A", code_list="CL.A", extra={"odm.codeList": codes}),))
    old, new = (parsed(write(dataset, version=one), one).find(".//CodeList") for one in (V1, V2))
    assert [one.tag for one in old] == ["EnumeratedItem", "EnumeratedItem"]
    assert [one.findtext("Decode/TranslatedText") for one in new] == ["Female", None]


def test_a_run_of_rows_of_a_subject_is_its_own(write: Any, batch: Any, version: Version) -> None:
    rows = [("a", 1.0, "M"), ("a", 2.0, None), ("b", None, "F"), ("a", 3.0, "")]
    root = parsed(write(LB, batch(LB, *rows[:1]), batch(LB, *rows[1:]), version=version), version)
    subjects = root.findall("ClinicalData/SubjectData")
    assert [one.get("SubjectKey") for one in subjects] == ["a", "b", "a"]
    assert [[row.get("ItemGroupRepeatKey") for row in one.iter("ItemGroupData")] for one in subjects] == [
        ["1", "2"], ["3"], ["4"],
    ]  # fmt: skip
    forms = root.findall(".//FormData")
    assert len(forms) == (3 if version is V1 else 0)
    second = list(root.iter("ItemGroupData"))[1]
    assert [one.get("ItemOID") for one in second] == ["IT.LB.USUBJID", "IT.LB.LBSTRESN"]
    last = list(root.iter("ItemGroupData"))[3][2]
    assert (last.get("Value") if version is V1 else last.findtext("Value")) == ""


def test_a_row_without_a_subject_stands_under_the_data_sets_name(write: Any, batch: Any, version: Version) -> None:
    root = parsed(write(LB, batch(LB, (None, 1.0, None), ("", 2.0, None), ("a", 3.0, None)), version=version), version)
    assert [one.get("SubjectKey") for one in root.iter("SubjectData")] == ["LB", "a"]
    plain = Dataset("TS", (Variable("TSVAL"),))
    root = parsed(write(plain, batch(plain, ("x",), ("y",)), version=version), version)
    assert [one.get("SubjectKey") for one in root.iter("SubjectData")] == ["TS"]


@pytest.mark.parametrize(
    ("names", "told", "used"),
    [
        (("A", "SUBJID", "USUBJID"), None, "USUBJID"),
        (("A", "SUBJID"), None, "SUBJID"),
        (("A", "SubjectKey"), None, "SubjectKey"),
        (("A", "USUBJID"), "A", "A"),
        (("A", "usubjid"), None, ""),
    ],
)
def test_the_subject_is_the_variable_that_is_told_or_known(
    write: Any, batch: Any, names: tuple[str, ...], told: str | None, used: str
) -> None:
    dataset = Dataset("T", tuple(Variable(one) for one in names))
    root = parsed(write(dataset, batch(dataset, names), subject=told), V1)
    assert root.find(".//SubjectData").get("SubjectKey") == (used or "T")
    assert root.find(".//ItemGroupDef/Alias").get("Name") == used


def test_a_number_may_be_the_subject(write: Any, batch: Any) -> None:
    dataset = Dataset("T", (Variable("SUBJID", DataType.DOUBLE),))
    root = parsed(write(dataset, batch(dataset, (101.0,), (101.5,), (missing.special("A"),))), V1)
    assert [one.get("SubjectKey") for one in root.iter("SubjectData")] == ["101", "101.5", "T"]


def test_a_special_missing_value_is_null_with_its_letter(write: Any, batch: Any, version: Version) -> None:
    root = parsed(write(LB, batch(LB, ("a", missing.special("Z"), None)), version=version), version)
    item = root.find(".//ItemData[@ItemOID='IT.LB.LBSTRESN']")
    assert dict(item.attrib) == {"ItemOID": "IT.LB.LBSTRESN", "IsNull": "Yes"}
    flag = item.find("Annotation/Flag/FlagValue")
    (listed,) = [one for one in root.iter("CodeList") if one.get("OID") == flag.get("CodeListOID")]
    assert flag.text == "Z"
    assert "".join(one.get("CodedValue") for one in listed) == missing.LETTERS


def test_oids_are_told_apart(write: Any, read: Any, version: Version) -> None:
    dataset = Dataset(
        "T",
        (
            Variable("A", oid="IG.T", code_list="X"), Variable("B", oid="X"), Variable("C", oid="X"),
            Variable("D", oid="CL.HILUM.MISSING", code_list="IG.T"), Variable("E"),
        ),
    )  # fmt: skip
    data = write(dataset, version=version)
    metadata = parsed(data, version).find("Study/MetaDataVersion")
    oids = [one.get("OID") for one in metadata if one.get("OID") is not None]
    assert len(set(oids)) == len(oids)
    assert read(data)[0][0] == dataset


def test_floats_of_1_3_2_are_decimal_numbers(write: Any, batch: Any) -> None:
    dataset = Dataset("T", (Variable("F", DataType.FLOAT), Variable("D", DataType.DOUBLE)))
    refused: list[Any] = []
    rows = [(1e-7, 1e-7), (1e20, math.inf), (-0.0, -math.inf), (math.inf, math.nan), (math.nan, 1.5)]
    root = parsed(write(dataset, batch(dataset, *rows), refused=refused), V1)
    found = [(one.get("ItemOID")[-1], one.get("Value")) for one in root.iter("ItemData")]
    assert found == [
        ("F", "0.0000001"), ("D", "1e-7"), ("F", "100000000000000000000"), ("D", "INF"), ("F", "-0"), ("D", "-INF"),
        ("D", "NaN"), ("D", "1.5"),
    ]  # fmt: skip
    assert [(row, variable) for row, variable, _ in refused] == [(4, "F"), (5, "F")]


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        (Variable("V"), "a\0", "XML"),
        (Variable("V", DataType.URI), "\x0b", "XML"),
        (Variable("V"), "x" * 1_600_001, "1.6 MB"),
        (Variable("V", DataType.DECIMAL), "1E5", "decimal"),
        (Variable("V", DataType.DECIMAL), "", "decimal"),
        (Variable("V", DataType.DATE), "31JAN2014", "date"),
        (Variable("V", DataType.DATE), "31.1.2014", "date"),
        (Variable("V", DataType.TIME), "noon", "time"),
        (Variable("V", DataType.DATETIME), "2014-01-31 08:30", "datetime"),
        (Variable("V", DataType.DATE, target=DataType.INTEGER), 0.5, "date"),
        (Variable("V", DataType.TIME, target=DataType.INTEGER), math.nan, "time"),
    ],
)
def test_what_odm_cannot_hold_is_refused(
    write: Any, batch: Any, read: Any, version: Version, variable: Variable, value: Any, reason: str
) -> None:
    dataset = Dataset("T", (variable,))
    refused: list[Any] = []
    data = write(dataset, batch(dataset, (None,), (value,)), version=version, refused=refused)
    assert [(row, name) for row, name, _ in refused] == [(2, "V")]
    assert reason in refused[0][2]
    assert read(data)[0][1].to_pydict() == {"V": [None, None]}


@pytest.mark.parametrize(
    ("dataset", "options", "reason"),
    [
        (Dataset("T", ()), {}, "a variable"),
        (Dataset("", (Variable("V"),)), {}, "Name"),
        (Dataset("T", (Variable(""),)), {}, "Name"),
        (Dataset("T", (Variable("V", label="\x07"),)), {}, "V: XML"),
        (Dataset("T", (Variable("V"),), extra={"a": "\x07"}), {}, "XML"),
        (Dataset("T", (Variable("V", key=1), Variable("W", key=1))), {}, "W: its place in the key"),
        (Dataset("T", (Variable("V", key=0),)), {}, "V: its place in the key"),
        (Dataset("T", (Variable("V"),)), {"subject": "W"}, "W: there is no such variable"),
        (Dataset("T", (Variable("V", oid="\x07"),)), {}, "XML"),
    ],
)
def test_what_cannot_be_said_is_refused_before_a_file_is_there(
    write: Any, version: Version, dataset: Dataset, options: dict[str, str], reason: str
) -> None:
    with pytest.raises(DataError, match=reason):
        write(dataset, version=version, **options)


def test_the_study_is_called_as_it_is_told(write: Any, version: Version) -> None:
    root = parsed(write(LB, version=version, named="S.2"), version)
    assert root.find("Study").get("OID") == root.find("ClinicalData").get("StudyOID") == "S.2"
