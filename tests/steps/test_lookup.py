"""Codes are translated by a table, and what the table lacks is told."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from hilum.errors import ConfigError, StepError
from hilum.model.message import Disposition
from hilum.sdk.contracts import Turned, Work
from hilum.steps.lookup import Lookup

TABLE = {"I": "IMP", "O": "AMB"}


@pytest.mark.ledger_part("S2-123", "lookup and code map")
def test_a_code_becomes_its_translation(make: Any, adt: Work) -> None:
    assert make(Lookup, {"path": "PV1-2", "table": TABLE}).run(adt) is adt
    assert adt.message["PV1-2"] == "IMP"


def test_a_translation_goes_elsewhere(make: Any, adt: Work) -> None:
    make(Lookup, {"path": "PV1-2", "into": "PV1-18", "table": TABLE}).run(adt)
    assert (adt.message["PV1-2"], adt.message["PV1-18"]) == ("I", "IMP")


@pytest.mark.parametrize(
    ("path", "into", "table", "check", "result"),
    [
        ("OBX[*]-3.1", None, {"GLU": "2345-7", "HB": "718-7"}, "OBX[*]-3.1", ["2345-7", "718-7"]),
        ("OBX[*]-3.1", "OBX[*]-3.4", {"GLU": "2345-7", "HB": "718-7"}, "OBX[*]-3.4", ["2345-7", "718-7"]),
        ("PID-3[*].4", None, {"MRN": "M", "NHS": "N"}, "PID-3[*].4", ["M", "N"]),
        ("PID-3[*].4", "PID-3[*].5", {"MRN": "M", "NHS": "N"}, "PID-3[*].5", ["M", "N"]),
    ],
)
def test_every_place_is_translated(
    make: Any, adt: Work, path: str, into: str | None, table: dict[str, str], check: str, result: list[str]
) -> None:
    make(Lookup, {"path": path, "into": into, "table": table}).run(adt)
    assert adt.message[check] == result


@pytest.mark.parametrize("body", [b"MSH|^~\\&\r", b"MSH|^~\\&\rPV1|1|\r", b'MSH|^~\\&\rPV1|1|""\r'])
def test_no_code_no_translation(make: Any, body: bytes) -> None:
    work = Work(body)
    assert make(Lookup, {"path": "PV1-2", "table": TABLE}).run(work).body == body


def test_what_the_table_lacks(make: Any, adt: Work) -> None:
    def run(**values: Any) -> Any:
        return make(Lookup, {"path": "PV1-2", "table": {"X": "Y"}, **values}).run(adt)

    with pytest.raises(StepError, match=r"^PV1-2: the code is not in the table$"):
        run()
    assert run(unmapped="review") == Turned(Disposition.REVIEW, "PV1-2: the code is not in the table")
    assert run(unmapped="keep").message["PV1-2"] == "I"
    assert run(unmapped="keep", into="PV1-18").message["PV1-18"] == "I"
    assert run(unmapped={"fixed": "U"}).message["PV1-2"] == "U"


@pytest.mark.parametrize(
    ("name", "text", "more"),
    [
        ("t.csv", "local,national\nI,IMP\nO,AMB\n", {}),
        ("t.csv", '\ufefflocal,national\n"I",IMP\n\nI,IMP\nO,AMB\n', {}),
        ("t.csv", "national,note,local\nIMP,x,I\nAMB,,O\n", {"key": "local", "value": "national"}),
        ("t.yaml", "I: IMP\nO: AMB\n", {}),
        ("t.json", json.dumps({"O": "AMB", "I": "IMP"}), {}),
    ],
)
def test_a_table_in_a_file(make: Any, adt: Work, name: str, text: str, more: dict[str, str]) -> None:
    step = make(Lookup, {"path": "PV1-2", "file": name, **more}, files={name: text})
    assert step.run(adt).message["PV1-2"] == "IMP"
    assert step.digest == make(Lookup, {"path": "PV1-2", "table": TABLE}).digest, "the same table, however written"
    assert step.digest != make(Lookup, {"path": "PV1-2", "table": {}}).digest


@pytest.mark.parametrize(
    ("values", "text", "where", "reason"),
    [
        ({}, "", "", "either table or file"),
        ({"table": {}, "file": "t.csv"}, "", "", "either table or file"),
        ({"table": {"I": 1}}, "", ".table.I", "string"),
        ({"table": {}, "path": "PV1"}, "", ".path", "no field"),
        ({"table": {}, "path": "MSH-2"}, "", ".path", "no field"),
        ({"table": {}, "path": "PV1-"}, "", ".path", "not an HL7 path"),
        ({"table": {}, "into": "OBX[*]-4"}, "", ".into", "where path has it"),
        ({"table": {}, "into": "PID-3[*]"}, "", ".into", "where path has it"),
        ({"table": {}, "unmapped": "drop"}, "", ".unmapped.literal['keep','error','review']", "keep"),
        ({"file": "t.txt"}, "x", ".file", "a .csv, .yaml or .json file"),
        ({"file": "t.yaml"}, "a: [", ".file", "cannot be read"),
        ({"file": "t.yaml"}, "- a", ".file", "no table"),
        ({"file": "t.yaml"}, "I: 1", ".file", "in quotes"),
        ({"file": "t.yaml"}, "no: x", ".file", "in quotes"),
        ({"file": "t.json"}, "{", ".file", "cannot be read"),
        ({"file": "t.csv"}, "a\nb\n", ".file", "row 2: has 1 columns"),
        ({"file": "t.csv"}, "a,b\nx,y\nx,z\n", ".file", "row 3: 'x' has two translations"),
        ({"file": "t.csv"}, 'a,b\n"x,y\n', ".file", "cannot be read"),
        ({"file": "t.csv", "key": "c"}, "a,b\n", ".file", "no column 'c'"),
        ({"file": "absent.csv"}, None, None, "absent.csv is no file"),
    ],
)
def test_what_is_no_lookup(make: Any, values: dict[str, Any], text: str | None, where: str | None, reason: str) -> None:
    files = {values.get("file", ""): text} if text is not None else {}
    with pytest.raises(ConfigError, match=re.escape(reason)) as caught:
        make(Lookup, {"path": "PV1-2", **values}, files=files)
    if where is not None:
        assert caught.value.where == f"routes[r].steps[0].verb{where}"


def test_a_translation_that_the_message_cannot_hold(make: Any, adt: Work) -> None:
    with pytest.raises(StepError, match="character set"):
        make(Lookup, {"path": "PV1-2", "table": {"I": "ż"}}).run(adt)
