"""Findings come as a table, the exit code tells whether there are errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_a_message_in_order(call: Callable[..., Any], adt: Callable[..., bytes], tmp_path: Path) -> None:
    (tmp_path / "one.hl7").write_bytes(adt("A"))
    shown = call("check-message", tmp_path / "one.hl7")
    assert (shown.code, shown.out) == (0, "ADT^A01 A version 2.5: no findings\n")


def test_errors_are_found_in_each_message(call: Callable[..., Any], adt: Callable[..., bytes], tmp_path: Path) -> None:
    broken = adt("B").replace(b"|19700101|", b"|soon|").replace(b"PV1|1|I|WARD1\r", b"")
    (tmp_path / "two.hl7").write_bytes(adt("A") + broken)
    shown = call("check-message", tmp_path / "two.hl7")
    assert shown.code == 1
    assert "A version 2.5: no findings" in shown.out
    assert "PID-7" in shown.out
    assert "segment-missing" in shown.out
    first, second = call("check-message", tmp_path / "two.hl7", "--json").json
    assert first["findings"] == []
    assert {one["path"] for one in second["findings"]} >= {"PID-7", "PV1"}


def test_a_profile_tightens(call: Callable[..., Any], adt: Callable[..., bytes], tmp_path: Path) -> None:
    (tmp_path / "one.hl7").write_bytes(adt("A"))
    (tmp_path / "site.yaml").write_text("fields:\n  PID-11: {required: true}\n")
    shown = call("check-message", tmp_path / "one.hl7", "--profile", tmp_path / "site.yaml")
    assert shown.code == 1
    assert "the profile requires a value" in shown.out
    (tmp_path / "site.yaml").write_text("fields: {PID: {}}\n")
    wrong = call("check-message", tmp_path / "one.hl7", "--profile", tmp_path / "site.yaml")
    assert wrong.code == 1
    assert wrong.err.startswith("error: ")
