"""A message is shown with the standard's names, whole and safely."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from hilum.cli.tree import differences, message_tree

MESSAGE = b"\r".join([
    rb"MSH|^~\&|HIS|SITE|LAB||20260504101500||ORU^R01^ORU_R01|7|P|2.5",
    rb'PID|1||4711^^^SITE&1.2.3&ISO^MR~0815^^^OTHER||D\T\E^Jane||19700101|""|F',
    rb"OBX|1|CE|X^Y^L||A^Alpha^L||||||F",
    rb"OBX|2|NM|GLU^Glucose^L||5.4|mmol/L|||||F",
    rb"ZXX|local^value",
])  # fmt: skip


def shown(body: bytes) -> list[str]:
    """The tree's lines without their guides, single-spaced."""
    console = Console(file=io.StringIO(), width=200)
    console.print(message_tree(body))
    file = console.file
    assert isinstance(file, io.StringIO)
    return [" ".join(line.lstrip("│├└─ ").split()) for line in file.getvalue().splitlines()]


def test_segments_fields_and_components_have_names() -> None:
    lines = shown(MESSAGE)
    for wanted in (
        "MSH Message Header",
        "MSH-2 Encoding Characters ^~\\&",
        "PID Patient Identification",
        "PID-3[1] Patient Identifier List",
        "PID-3[1].1 Id number 4711",
        "PID-3[1].4 Assigning Authority",
        "PID-3[1].4.2 Universal ID 1.2.3",
        "PID-3[2].1 Id number 0815",
        "PID-5.1 Family Name D&E",
        'PID-8 Administrative Sex "" (delete it)',
        "OBX[1] Observation/Result",
        "OBX[2]-5 Observation Value 5.4",
        "ZXX",
        "ZXX-1.2 value",
    ):
        assert wanted in lines, wanted
    assert "OBX[1]-5.2 Text Alpha" in lines, "a value is read as the data type that OBX-2 says"


def test_codes_are_explained() -> None:
    assert "OBX[2]-2 Value Type NM Numeric" in shown(MESSAGE)


def test_values_cannot_steer_the_terminal_nor_flood_it() -> None:
    lines = shown(MESSAGE + b"\rNTE|1||\x1b[2J\rNTE|2||" + b"x" * 100_000)
    text = "\n".join(lines)
    assert "\x1b" not in text
    assert "\\x1b[2J" in text
    assert len(text) < 10_000
    assert "100,000 characters, whole with --raw" in text


@given(st.binary(max_size=300))
def test_any_message_can_be_shown(tail: bytes) -> None:
    first = shown(b"MSH|^~\\&|A|B\r" + tail)[0]
    assert first in ("MSH Message Header", "MSH[1] Message Header")


def test_differences_name_the_smallest_place() -> None:
    after = MESSAGE.replace(b"|LAB||", b"|LIS||").replace(b"^Jane", b"^JANE").replace(b"|5.4|", b"||")
    assert list(differences(MESSAGE, after)) == [
        ("MSH-5", "LAB", "LIS"), ("PID-5.2", "Jane", "JANE"), ("OBX[2]-5", "5.4", ""),
    ]  # fmt: skip
    assert list(differences(MESSAGE, MESSAGE)) == []
