"""Descriptions written and read: nothing of the model is lost, and what is wrong is not written."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from hilum.errors import DataError
from hilum.formats import define
from hilum.formats.define import Define, Item, Table, terms
from hilum.formats.odm.version import kind
from hilum.model.dataset import DataType, Variable

ODM = "{http://www.cdisc.org/ns/odm/v1.3}"
DEF = "{http://www.cdisc.org/ns/def/v2.1}"
TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff"), max_size=6
)
NAME = TEXT.filter(bool)
NUMBER = st.one_of(st.none(), st.integers(1, 200))


def changed(define: Define, **words: Any) -> Define:
    return dataclasses.replace(define, **words)


def with_item(define: Define, name: str, **words: Any) -> Define:
    """The description, with something else said of a variable."""
    (table,) = define.tables
    items = tuple(dataclasses.replace(one, **words) if one.variable.name == name else one for one in table.items)
    return changed(define, tables=(dataclasses.replace(table, items=items),))


def test_all_of_it_comes_back(described: Define) -> None:
    data = define.write(described)
    assert define.read(data) == described
    assert define.write(described) == data


def test_elements_stand_in_their_order(described: Define) -> None:
    root = etree.fromstring(define.write(described))
    metadata = root.find(f"{ODM}Study/{ODM}MetaDataVersion")
    tags = list(dict.fromkeys(one.tag for one in metadata))
    assert tags == [
        f"{DEF}Standards", f"{DEF}AnnotatedCRF", f"{DEF}SupplementalDoc", f"{ODM}ItemGroupDef", f"{ODM}ItemDef",
        f"{ODM}CodeList", f"{ODM}MethodDef", f"{DEF}CommentDef", f"{DEF}leaf",
    ]  # fmt: skip
    (group,) = metadata.iterfind(f"{ODM}ItemGroupDef")
    assert group.get(f"{DEF}ArchiveLocationID") == group.find(f"{DEF}leaf").get("ID") == "LF.DM"
    assert group.find(f"{DEF}Class").get("Name") == "SPECIAL PURPOSE"
    assert (group.get("Domain"), group.get("Purpose"), group.get("Repeating")) == ("DM", "Tabulation", "No")
    age = group.findall(f"{ODM}ItemRef")[2]
    assert (age.get("OrderNumber"), age.get("MethodOID"), age.get("Mandatory")) == ("3", "MT.1", "No")
    items = {one.get("Name"): one for one in metadata.iterfind(f"{ODM}ItemDef")}
    assert (items["BMI"].get("DataType"), items["BMI"].get("SignificantDigits")) == ("float", "2")
    assert items["BMI"].get(f"{DEF}DisplayFormat") == "5.1"
    assert items["SEX"].find(f"{ODM}CodeListRef").get("CodeListOID") == "CL.SEX"
    assert items["AGE"].findall(f"{DEF}Origin")[1].findtext(f"{ODM}Description/{ODM}TranslatedText") == "from the form"


def test_items_that_say_the_same_are_one(described: Define) -> None:
    (table,) = described.tables
    study = dataclasses.replace(table.items[0], variable=dataclasses.replace(table.items[0].variable, oid="IT.STUDYID"))
    same = dataclasses.replace(table, items=(study,))
    key = dataclasses.replace(study, variable=dataclasses.replace(study.variable, key=None, role="x"), mandatory=False)
    other = dataclasses.replace(study, variable=dataclasses.replace(study.variable, length=9))
    taken = dataclasses.replace(study, variable=dataclasses.replace(study.variable, oid="CL.SEX"))
    tables = tuple(
        dataclasses.replace(same, name=name, oid=f"IG.{name}", items=(item,), href=f"{name}.xpt")
        for name, item in [("A", study), ("B", key), ("C", other), ("D", other), ("E", taken)]
    )
    data = define.write(changed(described, tables=tables))
    found = [table.items[0].variable for table in define.read(data).tables]
    assert [one.oid for one in found] == ["IT.STUDYID", "IT.STUDYID", "IT.STUDYID.2", "IT.STUDYID.2", "CL.SEX.2"]
    assert [one.length for one in found] == [8, 8, 9, 9, 8]


def test_files_get_ids_that_xml_can_have(described: Define) -> None:
    (table,) = described.tables
    names = ("a b", "a_b", "ü", "g")
    tables = tuple(dataclasses.replace(table, name=name, oid=f"IG.{name}", href=f"{name}.xpt") for name in names)
    root = etree.fromstring(define.write(changed(described, tables=tables)))
    assert [one.get("ID") for one in root.iter(f"{DEF}leaf")] == [
        "LF.a_b", "LF.a_b.2", "LF._", "LF.g.2", "LF.acrf", "LF.g",
    ]  # fmt: skip


def test_a_data_set_without_a_file_has_no_leaf(described: Define) -> None:
    (table,) = described.tables
    root = etree.fromstring(define.write(changed(described, tables=(dataclasses.replace(table, href="", title=""),))))
    group = root.find(f".//{ODM}ItemGroupDef")
    assert group.find(f"{DEF}leaf") is None
    assert group.get(f"{DEF}ArchiveLocationID") is None


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"tables": ()}, "no data set"),
        ({"context": "submission"}, "knows no context submission"),
        ({"created": "yesterday"}, "no time of creation"),
        ({"language": "english language"}, "no language"),
        ({"oid": ""}, "OID or name is empty"),
        ({"study": define.Study("S.1", "")}, "study's OID or name is empty"),
        ({"comments": ()}, "no comment COM.1"),
        ({"methods": ()}, "DM.AGE: there is no method MT.1"),
        ({"standards": ()}, "no standard STD.1"),
        ({"lists": ()}, "DM.SEX: there is no code list CL.SEX"),
        ({"documents": (define.Document("a b", "x", "x"),)}, "'a b' is no ID"),
        ({"description": "\x07"}, "XML"),
    ],
)
def test_what_is_wrong_is_not_written(described: Define, words: dict[str, Any], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        define.write(changed(described, **words))


KINDS = sorted(terms.TYPES)
ORIGINS = st.builds(
    define.Origin, st.sampled_from(sorted(terms.ORIGINS)), st.sampled_from(["", *sorted(terms.SOURCES)]), TEXT
)
EVENTS = define.Observation("EVENTS", (("ADVERSE EVENT", "EVENTS"),))


def maybe(oid: str) -> st.SearchStrategy[str]:
    return st.sampled_from(["", oid])


@st.composite
def items(draw: st.DrawFn, name: str, place: int) -> Item:
    type = draw(st.sampled_from(KINDS))
    variable = Variable(
        name, kind(type) or DataType.STRING, draw(TEXT), draw(NUMBER), draw(TEXT),
        key=draw(st.sampled_from([None, place])), oid=f"IT.{place}",
        code_list=draw(st.sampled_from(["", "CL.1", "CL.2"])), role=draw(TEXT),
    )  # fmt: skip
    return Item(
        variable, type, draw(NUMBER), draw(st.booleans()), tuple(draw(st.lists(ORIGINS, max_size=2))),
        draw(maybe("MT.1")), draw(maybe("COM.1")), draw(st.booleans()), draw(st.booleans()),
    )  # fmt: skip


@st.composite
def tables(draw: st.DrawFn) -> Table:
    names = draw(st.lists(NAME, min_size=1, max_size=4, unique=True))
    href = draw(st.sampled_from(["", "a.xpt"]))
    return Table(
        draw(NAME), tuple(draw(items(name, place)) for place, name in enumerate(names, 1)), draw(TEXT), "IG.1",
        draw(TEXT), draw(TEXT), draw(TEXT), draw(st.sampled_from([None, EVENTS])), draw(st.booleans()),
        draw(st.booleans()), draw(maybe("STD.1")), draw(st.booleans()), draw(st.booleans()), draw(maybe("COM.1")),
        href, "a title" if href else "",
    )  # fmt: skip


@st.composite
def definitions(draw: st.DrawFn) -> Define:
    values = draw(st.lists(TEXT, min_size=1, max_size=4, unique=True))
    decoded = draw(st.booleans())
    codes = tuple(define.Code(one, draw(TEXT) if decoded else None, draw(TEXT), draw(st.booleans())) for one in values)
    lists = (
        define.CodeList("CL.1", draw(NAME), codes, type=draw(st.sampled_from(sorted(terms.LISTED))), code=draw(TEXT)),
        define.CodeList("CL.2", draw(NAME), external=define.External(draw(TEXT), draw(TEXT))),
    )
    return Define(
        define.Study(draw(NAME), draw(NAME), draw(NAME), draw(TEXT)), (draw(tables()),), "2026-03-01T12:00:00Z", lists,
        (define.Standard("STD.1", "ADaMIG", draw(NAME)),), (define.Method("MT.1", draw(NAME), draw(TEXT)),),
        (define.Comment("COM.1", draw(TEXT)),), oid=draw(NAME), name=draw(NAME), description=draw(TEXT),
        file_oid=draw(NAME), originator=draw(TEXT),
    )  # fmt: skip


@given(definitions())
@settings(max_examples=100)
def test_any_description_comes_back(made: Define) -> None:
    assert define.read(define.write(made)) == made


def test_something_else_may_be_said_of_a_variable(described: Define) -> None:
    made = with_item(described, "AGE", no_data=True, non_standard=True, digits=0)
    assert define.read(define.write(made)) == made
