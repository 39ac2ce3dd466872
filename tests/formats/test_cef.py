"""Lines read as CEF 0 has them, whatever is put into them.

The reader is made from the rules of the implementation standard ("Implementing ArcSight Common Event Format"): seven
pipes, none of them escaped; `\\|` and `\\\\` in the header; `\\=`, `\\\\`, `\\n`, `\\r` in values; keys without spaces.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.formats import cef

ESCAPED = re.compile(r"\\(.)", re.DOTALL)
PAIR = re.compile(r"(?:^| )([A-Za-z0-9]+)=((?:\\.|[^\\=])*?)(?= [A-Za-z0-9]+=|$)")
KEYS = st.from_regex(r"[a-z][A-Za-z0-9]{0,11}", fullmatch=True)
SILENT = re.compile(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f]")  # has no escape: becomes a space
PIECES = ["|", "\\", "=", "\n", "\r", " a=b", "\\=", "\\|", "x", " ", "é", "\x00"]
TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.lists(st.sampled_from(PIECES)).map("".join)


def plain(text: str) -> str:
    return ESCAPED.sub(lambda found: {"n": "\n", "r": "\r"}.get(found[1], found[1]), text)


def read(line: str) -> tuple[list[str], dict[str, str]]:
    """The header's fields and the extension. Raises ValueError for what is no CEF."""
    parts = re.split(r"(?<!\\)((?:\\\\)*)\|", line, maxsplit=7)
    fields = [first + second for first, second in zip(parts[0:14:2], parts[1:14:2], strict=True)]
    if len(parts) != 15 or fields[0] != "CEF:0":
        raise ValueError("seven pipes and a version")
    pairs = list(PAIR.finditer(parts[14]))
    if "".join(one[0] for one in pairs) != parts[14]:
        raise ValueError(f"no pairs: {parts[14]!r}")
    return [plain(one) for one in fields[1:]], {one[1]: plain(one[2]) for one in pairs}


@given(TEXTS, TEXTS, st.dictionaries(KEYS, TEXTS, min_size=1))
def test_what_is_put_in_comes_out(kind: str, name: str, extension: dict[str, str]) -> None:
    line = cef.line("1.0", kind, name, 5, dict(extension))
    assert "\n" not in line
    assert "\r" not in line
    fields, found = read(line)
    flat = [SILENT.sub(" ", re.sub(r"\r\n|[\r\n]", " ", one)) for one in (kind, name)]
    assert fields == ["Hilum", "Hilum", "1.0", *flat, "5"]
    assert found == {key: SILENT.sub(" ", value) for key, value in extension.items()}


def test_each_escape_by_itself() -> None:
    line = cef.line("1|0", "a\\b", "two\nlines", 3, {"msg": "a=b|c\\d\r\ne", "cn1": 7})
    assert line == "CEF:0|Hilum|Hilum|1\\|0|a\\\\b|two lines|3|msg=a\\=b|c\\\\d\\r\\ne cn1=7"


def event(**changes: Any) -> dict[str, Any]:
    actor = {"kind": "user", "id": "019a0000-0000-7000-8000-000000000007", "name": "Ada Example"}
    base = {
        "id": "019a0000-0000-7000-8000-000000000001", "time": "2026-05-04T10:20:30.123999Z", "organization": 7,
        "actor": actor, "action": "user.change", "entity": "user/1", "outcome": "success", "request_id": "r-1",
        "source": "10.0.0.9",
    }  # fmt: skip
    return base | changes


def test_an_event_with_everything() -> None:
    changes = {"before": {"name": "A|b"}, "after": {"name": "a=b"}, "details": {"n": 1}, "reason": "asked\nfor"}
    fields, found = read(cef.event(event(**changes), 5, "1.2.3"))
    assert fields == ["Hilum", "Hilum", "1.2.3", "user.change", "user change", "1"]
    assert found == {
        "rt": "1777890030123", "externalId": "019a0000-0000-7000-8000-000000000001", "cat": "UPDATE",
        "act": "user.change", "outcome": "success", "suser": "Ada Example",
        "suid": "019a0000-0000-7000-8000-000000000007", "src": "10.0.0.9", "msg": "asked\nfor",
        "cn1": "5", "cn1Label": "position", "cn2": "7", "cn2Label": "organization",
        "cs1": "r-1", "cs1Label": "request_id", "cs2": "user/1", "cs2Label": "entity",
        "cs3": '{"n":1}', "cs3Label": "details", "cs4": '{"name":"A|b"}', "cs4Label": "before",
        "cs5": '{"name":"a=b"}', "cs5Label": "after", "cs6": "user", "cs6Label": "actor",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("source", "keys"),
    [
        ("10.0.0.9", {"src": "10.0.0.9"}),
        ("fd00::1", {"c6a2": "fd00::1", "c6a2Label": "Source IPv6 Address"}),
        ("local:ada", {"shost": "local:ada"}),
        ("", {}),
    ],
)
def test_where_it_came_from(source: str, keys: dict[str, str]) -> None:
    _, found = read(cef.event(event(source=source), 1, "1.0"))
    assert {key: value for key, value in found.items() if key in ("src", "c6a2", "c6a2Label", "shost")} == keys


def test_what_failed_is_graver_and_says_why() -> None:
    fields, found = read(cef.event(event(outcome="denied", code="INT003", error="no | such = thing"), 1, "1.0"))
    assert (fields[-1], found["outcome"], found["reason"]) == ("5", "denied", "INT003 no | such = thing")


def test_what_is_too_long_is_cut_before_it_is_escaped() -> None:
    _, found = read(cef.event(event(reason="=" * 5_000, after={"name": "\\" * 9_000}), 1, "1.0"))
    assert found["msg"] == "=" * 1_023
    assert found["cs5"] == json.dumps({"name": "\\" * 9_000}, separators=(",", ":"))[:4_000]
