"""The packed definitions: complete against hl7apy, readable, and found by the nearest version."""

from __future__ import annotations

import importlib
from importlib.resources import files
from typing import Any

import pytest

from hilum.formats.hl7v2.definitions import UNBOUNDED, VERSIONS, definitions, nearest
from hilum.formats.hl7v2.structure import ANY, Node


def source(version: str, part: str) -> dict[str, Any]:
    found = importlib.import_module(f"hl7apy.v{version.replace('.', '_')}.{part.lower()}")
    facts: dict[str, Any] = getattr(found, part)
    return facts


@pytest.mark.parametrize("version", VERSIONS)
def test_every_segment_and_field_of_the_source_is_there(version: str) -> None:
    known = definitions(version)
    for name, reference in source(version, "SEGMENTS").items():
        if name == "ANYHL7SEGMENT" or len(reference) < 2:
            continue
        children = reference[1] if isinstance(reference[0], str) else reference
        segment = known.segment(name)
        assert segment is not None
        assert segment.title
        for child in children:
            number = int(child[0].rpartition("_")[2])
            field = known.field(name, number)
            assert field is not None
            assert field.name
            assert field.max == child[2][1]
            assert field.min <= child[2][0]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_structure_of_the_source_has_the_same_segments(version: str) -> None:
    known = definitions(version)
    groups = source(version, "GROUPS")

    def names(reference: Any) -> set[str]:
        found: set[str] = set()
        for name, inside, _, kind in reference[1]:
            found |= names(inside or groups[name]) if kind == "GRP" else {name}
        return found

    for name, reference in source(version, "MESSAGES").items():
        tree = known.structure(name)
        assert tree is not None
        assert tree.names - {ANY} == names(reference) - {"ANYHL7SEGMENT"}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_data_type_ends_in_primitive_ones(version: str) -> None:
    known = definitions(version)

    def depth(datatype: str) -> int:
        inner = [depth(one.datatype) for one in known.components(datatype) if one]
        return 1 + max(inner, default=0)

    facts = importlib.import_module(f"hl7apy.v{version.replace('.', '_')}.datatypes").DATATYPES_STRUCTS
    assert all(known.components(name) for name in facts)
    assert max(depth(name) for name in facts) <= 6


def test_what_a_tree_of_a_message_shows() -> None:
    known = definitions("2.5")
    assert known.segment_name("PID") == "Patient Identification"
    assert known.segment_name("ZPI") == "ZPI"
    name = known.field("PID", 5)
    assert name is not None
    assert (name.name, name.datatype, name.required, name.max) == ("Patient Name", "XPN", True, UNBOUNDED)
    sex = known.field("PID", 8)
    assert sex is not None
    assert (sex.datatype, sex.length, sex.table) == ("IS", 1, "0001")
    given = known.components("XPN")[1]
    assert given is not None
    assert given.name == "Given Name"
    table = known.table("0001")
    assert table is not None
    assert table.codes["F"] == "Female"
    assert known.field("PID", 999) is None
    assert known.field("PID", 0) is None
    assert known.datatype("ST") is None


@pytest.mark.parametrize(
    ("version", "kind", "event", "structure"),
    [
        ("2.5", "ADT", "A04", "ADT_A01"),
        ("2.5.1", "ADT", "A31", "ADT_A05"),
        ("2.3.1", "ADT", "A31", "ADT_A01"),
        ("2.2", "ADT", "A04", "ADT_A04"),
        ("2.8.2", "ADT", "A40", "ADT_A39"),
        ("2.5", "ORU", "R01", "ORU_R01"),
        ("2.5", "SIU", "S26", "SIU_S12"),
        ("2.5", "MDM", "T04", "MDM_T02"),
        ("2.5", "PPR", "PC2", "PPR_PC1"),
        ("2.5", "ACK", "A01", "ACK"),
        ("2.5", "ACK", "", "ACK"),
        ("2.5", "ORU", "X99", None),
        ("2.5", "XXX", "", None),
    ],
)
def test_the_structure_of_an_event(version: str, kind: str, event: str, structure: str | None) -> None:
    assert definitions(version).event_structure(kind, event) == structure


@pytest.mark.parametrize("version", VERSIONS)
def test_every_event_has_a_structure_of_its_version(version: str) -> None:
    known = definitions(version)
    for kind, event in (("ADT", "A01"), ("ADT", "A08"), ("ORU", "R01"), ("ORM", "O01"), ("ADT", "A03")):
        name = known.event_structure(kind, event)
        if name is not None:
            assert isinstance(known.structure(name), Node)
    assert known.event_structure("ADT", "A01") == "ADT_A01"


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("2.5", "2.5"),
        ("2.7.1", "2.7"),
        ("2.9", "2.8.2"),
        ("2.0", "2.1"),
        ("2", "2.1"),
        ("3.0", None),
        ("x", None),
    ],
)
def test_the_nearest_version(given: str, used: str | None) -> None:
    assert nearest(given) == used


def test_what_names_no_version_is_read_all_the_same() -> None:
    assert definitions("").version == "2.5.1"
    assert definitions("2.3.z").version == "2.3"
    assert definitions("2.7.1") is definitions("2.7")


def test_patterns_and_lists_in_a_table_leave_it_open() -> None:
    known = definitions("2.5.1")
    for number, closed in (("0001", True), ("0103", True), ("0203", False), ("0396", False), ("0335", False)):
        table = known.table(number)
        assert table is not None
        assert table.closed is closed
    assert known.table("0361") is None
    ranges = definitions("2.5").table("0141")
    assert ranges is not None
    assert {"E1", "E9"} <= set(ranges.codes)


def test_the_packed_files_stay_small() -> None:
    folder = files("hilum.formats.hl7v2").joinpath("data")
    assert sum(len(one.read_bytes()) for one in folder.iterdir()) < 1_500_000
