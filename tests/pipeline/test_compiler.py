"""A route compiles whole or says where it does not; what it was compiled from is kept with it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from hilum.errors import ConfigError, ConfigErrors
from hilum.pipeline.compiler import MAX_MATERIAL

BODY = b"MSH|^~\\&|HIS||LAB\rPV1|1|I\r"
LOOKUP = {"lookup": {"path": "PV1-2", "file": "tables/x.csv"}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An operator's folder with one table, and something beside it."""
    (tmp_path / "outside.csv").write_text("a,b\nI,STOLEN\n", encoding="utf-8")
    inside = tmp_path / "config"
    (inside / "tables").mkdir(parents=True)
    (inside / "tables" / "x.csv").write_text("a,b\nI,IMP\n", encoding="utf-8")
    return inside


@pytest.mark.parametrize(
    ("steps", "more", "where", "reason"),
    [
        ([{"filter": {"where": "x"}}], {}, "routes[r].steps[0].filter.where", "stands in quotes"),
        ([{"map": {}}, {"drop": {}}], {}, "routes[r].steps[1].drop", "no step is called 'drop'"),
        ([{"map": {"set": {"MSH-1": ""}}}], {}, "routes[r].steps[0].map.set.MSH-1", "delimiters"),
        ([{"map": None}], {}, "routes[r].steps[0].map", "dictionary"),
        ([], {"to": ("lab/out", "lab/in")}, "routes[r].to[1]", "no outbound endpoint lab/in"),
        ([], {"otherwise": ("x/y",)}, "routes[r].otherwise[0]", "no outbound endpoint x/y"),
        ([], {"to": ("lab/out", "lab/out")}, "routes[r].to[1]", "named twice"),
        ([], {"to": ("ward/out",), "key": "PID-"}, "ward/out.lane.key", "not an HL7 path"),
        ([], {"to": ("ward/out",), "key": "PID-3[*]"}, "ward/out.lane.key", "one key"),
        ([], {"to": ("ward/out",), "key": "PID"}, "ward/out.lane.key", "one key"),
        ([], {"zone": "Mars/Base"}, "hub/in.timezone", "no time zone 'Mars/Base'"),
        ([], {"zone": "../etc/passwd"}, "hub/in.timezone", "no time zone"),
        ([LOOKUP], {}, "routes[r].steps[0].lookup", "no configuration folder"),
        ([LOOKUP], {"materials": {}}, "routes[r].steps[0].lookup", "not among the route's stored files"),
    ],
)
def test_what_does_not_compile_says_where(
    compiled: Any, steps: list[Any], more: dict[str, Any], where: str, reason: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(reason)) as caught:
        compiled(steps, **more)
    assert caught.value.where == where


def test_all_steps_and_destinations_are_looked_at(compiled: Any) -> None:
    steps = [{"dance": {}}, {"map": {}}, {"map": {"set": {"MSH": "x"}}}, {"map": {"use": "codes"}}]
    with pytest.raises(ConfigErrors) as caught:
        compiled(steps, to=("lab/out", "lab/none"), otherwise=("lab/out", "lab/out"))
    assert [one.where for one in caught.value.problems] == [
        "routes[r].steps[0].dance", "routes[r].steps[2].map.set.MSH", "routes[r].steps[3].map.use", "routes[r].to[1]",
        "routes[r].otherwise[1]",
    ]  # fmt: skip
    assert str(caught.value) == str(caught.value.problems[0])


def test_stored_mappings_are_pinned(compiled: Any) -> None:
    codes = {"version": 3, "document": {"set": {"PV1-2": "IMP"}}}
    known = {"codes": codes, "codes@2": {"version": 2, "document": {}}, "other": {"version": 1, "document": {}}}
    pipeline = compiled([{"map": {"use": "codes"}}, {"map": {"use": "codes@2"}}], mappings=known)
    assert pipeline.mappings == {"codes": codes, "codes@2": known["codes@2"]}
    again = compiled([{"map": {"use": "codes"}}], mappings=pipeline.mappings)
    assert b"|IMP" in again.run(BODY).outputs[0].body
    with pytest.raises(ConfigError, match="name a field of it") as caught:
        compiled([{"map": {"use": "codes"}}], mappings={"codes": {"version": 1, "document": {"set": {"PID": "x"}}}})
    assert caught.value.where == "routes[r].steps[0].map.use.set.PID"


def test_a_stored_version_compiles_from_what_it_was_compiled_from(compiled: Any, folder: Path) -> None:
    first = compiled([LOOKUP], folder=folder)
    assert first.materials == {"tables/x.csv": "a,b\nI,IMP\n"}
    (folder / "tables" / "x.csv").write_text("a,b\nI,CHANGED\n", encoding="utf-8")
    again = compiled([LOOKUP], folder=folder, materials=first.materials)
    assert again.run(BODY) == first.run(BODY)
    assert again.materials == first.materials
    assert b"|IMP" in again.run(BODY).outputs[0].body
    assert b"|CHANGED" in compiled([LOOKUP], folder=folder).run(BODY).outputs[0].body


def test_materials_are_only_what_is_used(compiled: Any, folder: Path) -> None:
    assert compiled([], folder=folder, materials={"other.csv": ""}).materials == {}


def test_a_file_is_read_once(compiled: Any, folder: Path) -> None:
    assert list(compiled([LOOKUP, LOOKUP], folder=folder).materials) == ["tables/x.csv"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../outside.csv", "outside the configuration's folder"),
        ("tables/../../outside.csv", "outside the configuration's folder"),
        ("link.csv", "outside the configuration's folder"),
        ("tables", "no file in"),
        ("absent.csv", "no file in"),
        ("bytes.csv", "not UTF-8"),
        ("large.csv", "larger than 5,000,000 bytes"),
        ("a\0b.csv", "cannot be read"),
    ],
)
def test_no_file_leaves_the_folder(compiled: Any, folder: Path, name: str, reason: str) -> None:
    (folder / "link.csv").symlink_to(folder.parent / "outside.csv")
    (folder / "bytes.csv").write_bytes(b"a,b\n\xff,x\n")
    (folder / "large.csv").write_bytes(b" " * (MAX_MATERIAL + 1))
    with pytest.raises(ConfigError, match=reason) as caught:
        compiled([{"lookup": {"path": "PV1-2", "file": name}}], folder=folder)
    assert caught.value.where == "routes[r].steps[0].lookup"


def test_an_absolute_path_leaves_the_folder_too(compiled: Any, folder: Path) -> None:
    with pytest.raises(ConfigError, match="outside"):
        compiled([{"lookup": {"path": "PV1-2", "file": str(folder.parent / "outside.csv")}}], folder=folder)


def test_a_link_inside_the_folder_is_fine(compiled: Any, folder: Path) -> None:
    (folder / "link.csv").symlink_to(folder / "tables" / "x.csv")
    pipeline = compiled([{"lookup": {"path": "PV1-2", "file": "link.csv"}}], folder=folder)
    assert b"|IMP" in pipeline.run(BODY).outputs[0].body
