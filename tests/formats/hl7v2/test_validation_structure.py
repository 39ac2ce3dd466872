"""The order of segments: every message that a structure allows is accepted, and each fault gets its name."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.formats.hl7v2 import Message
from hilum.formats.hl7v2.automaton import Automaton
from hilum.formats.hl7v2.definitions import VERSIONS, definitions
from hilum.formats.hl7v2.structure import ANY, Matcher, Node, node
from hilum.formats.hl7v2.validation import validate


def walk(tree: Node, chance: random.Random) -> list[str]:
    """A random message of the structure."""
    if not tree.children:
        return ["NTE" if tree.name == ANY else tree.name]
    found: list[str] = []
    for child in [chance.choice(tree.children)] if tree.choice else tree.children:
        most = child.min + 1 if child.max < 0 else child.max
        for _ in range(1 if tree.choice else chance.choice((child.min, child.min, most))):
            found += walk(child, chance)
    return found


def match(version: str, structure: str, text: str) -> list[tuple[str, str]]:
    tree = definitions(version).structure(structure)
    assert tree is not None
    return [(one.fault, one.segment) for one in Matcher(tree).match(text.split())]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(VERSIONS), st.randoms(use_true_random=False))
def test_whatever_a_structure_allows_is_accepted(version: str, chance: random.Random) -> None:
    known = definitions(version)
    name = chance.choice(("ADT_A01", "ORU_R01", "ORM_O01", "OML_O21", "OMG_O19", "RDE_O11", "SIU_S12"))
    tree = known.structure(name)
    if tree is None:
        return
    names = walk(tree, chance)
    assert known.automaton(name).accepts(names)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(VERSIONS), st.randoms(use_true_random=False))
def test_what_the_matcher_passes_is_of_the_structure(version: str, chance: random.Random) -> None:
    known = definitions(version)
    tree = known.structure("ORU_R01")
    assert tree is not None
    names = walk(tree, chance)
    for _ in range(2):
        names[chance.randrange(len(names))] = chance.choice(sorted(tree.names))
    if not Matcher(tree).match(names):
        assert known.automaton("ORU_R01").accepts(names)


@pytest.mark.parametrize(
    ("segments", "faults"),
    [
        ("MSH EVN PID PV1", []),
        ("MSH EVN PID PD1 ROL NK1 PV1 PV2 ROL OBX AL1 DG1 PR1 ROL PR1 GT1 IN1 IN2 IN1 PDA", []),
        ("MSH EVN PV1", [("missing", "PID")]),
        ("MSH", [("missing", "EVN"), ("missing", "PID"), ("missing", "PV1")]),
        ("MSH EVN PID PID PV1", [("repeats", "PID")]),
        ("MSH PV1 EVN PID", [("order", "PV1")]),
        ("MSH EVN PID PV1 AL1 DG1 AL1", [("order", "AL1")]),
        ("MSH EVN PID PV1 OBR", [("unexpected", "OBR")]),
        ("MSH EVN PID PV1 IN2", [("missing", "IN1")]),
        ("MSH EVN PID PV1 ACC ACC", [("repeats", "ACC")]),
        ("EVN PID PV1", [("missing", "MSH")]),
        ("", [("missing", "MSH"), ("missing", "EVN"), ("missing", "PID"), ("missing", "PV1")]),
    ],
)
def test_an_admission(segments: str, faults: list[tuple[str, str]]) -> None:
    assert match("2.5", "ADT_A01", segments) == faults


@pytest.mark.parametrize(
    ("segments", "faults"),
    [
        ("MSH PID OBR OBX OBX NTE OBR OBX SPM OBX", []),
        ("MSH PID ORC OBR OBX ORC OBR OBX PID OBR OBX DSC", []),
        ("MSH OBR", []),
        ("MSH PID", [("missing", "OBR")]),
        ("MSH PID ORC OBX", [("missing", "OBR")]),
        ("MSH PID OBX OBR", [("order", "OBX")]),
        ("MSH PID OBR OBX PV1", [("order", "PV1")]),
    ],
)
def test_a_result(segments: str, faults: list[tuple[str, str]]) -> None:
    assert match("2.5.1", "ORU_R01", segments) == faults


def test_an_order_begins_the_next_order_not_a_prior_result() -> None:
    orders = "MSH PID PV1 SPM ORC TQ1 OBR SPM ORC TQ1 OBR ORC TQ1 OBR"
    assert match("2.5", "OML_O33", orders) == []


def test_the_order_detail_is_a_choice() -> None:
    assert match("2.5", "ORM_O01", "MSH PID ORC RXO ORC OBR OBX") == []
    assert match("2.5", "ORM_O01", "MSH PID ORC OBR RXO")[0] == ("repeats", "RXO")


def test_an_ambiguous_structure_is_decided_by_all_its_readings() -> None:
    tree = node("SUR", [["FAC", 1, 1, [["FAC", 1, 1], ["PSH", 1, 1, [["PSH", 1, 1], ["PDC", 1, 1]]]]]])
    assert Automaton(tree).accepts(["FAC", "PSH", "PDC"])
    assert not Automaton(tree).accepts(["FAC", "PSH"])
    assert not Automaton(tree).accepts([])
    known = definitions("2.5")
    report = ["FAC", "PSH", "PDC", "PSH", "FAC", "PDC", "NTE"]
    names = ["MSH", *report, *report]
    assert known.automaton("SUR_P09").accepts(names)
    tree = known.structure("SUR_P09") or tree
    assert Matcher(tree).match(names), "no longer an example of an ambiguous structure"
    text = "\r".join([r"MSH|^~\&|A|B|C|D|2025||SUR^P09^SUR_P09|1|P|2.5", *(f"{name}|x" for name in names[1:])])
    assert not [one for one in validate(Message.parse(text.encode())) if one.rule.startswith("segment-")]


def test_any_segment_may_follow_the_definition_of_a_query() -> None:
    assert match("2.5.1", "RSP_K11", "MSH MSA QAK QPD PID ORC RXA OBX ORC RXA OBX") == []


def test_ten_thousand_results_take_one_pass() -> None:
    names = ["MSH", "PID", "OBR", *["OBX"] * 10_000]
    tree = definitions("2.5").structure("ORU_R01")
    assert tree is not None
    assert Matcher(tree).match(names) == []
    assert definitions("2.5").automaton("ORU_R01").accepts(names)
    strays = Matcher(tree).match([*names, *["PV1"] * 10_000])
    assert len(strays) == 10_000
    assert {one.fault for one in strays} == {"order"}
