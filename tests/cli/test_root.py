"""Every command explains itself; an error is one line and an exit code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import hilum
from hilum.cli.root import app


def commands(group: Any, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*prefix, name))
        else:
            yield (*prefix, name)


COMMANDS = sorted(commands(typer.main.get_command(app)))


def test_the_commands_are_there() -> None:
    words = {" ".join(one) for one in COMMANDS}
    assert words >= {
        "serve", "demo", "check", "plan", "apply", "release", "config schema", "send", "check-message", "status",
        "messages list", "messages search", "messages show", "replay", "lanes retry", "lanes skip", "connectors",
        "new-connector", "backup", "restore", "service install",
    }  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_has_an_example(call: Callable[..., Any], words: tuple[str, ...]) -> None:
    shown = call(*words, "--help")
    assert shown.code == 0
    assert "Example" in shown.out
    assert f"hilum {' '.join(words)}" in " ".join(shown.out.split())


def test_version(call: Callable[..., Any]) -> None:
    assert call("--version").out == f"hilum {hilum.__version__}\n"


@pytest.mark.parametrize(
    "words",
    [("messages", "list"), ("messages", "search", "--patient", "1"), ("lanes",), ("status",), ("plan", "hub.yaml"),
     ("replay", "x"), ("backup", "--to", "x")],
    ids=" ".join,
)  # fmt: skip
def test_without_a_hub_the_next_step_is_named(
    call: Callable[..., Any], words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hub.yaml").write_text("version: 1\n")
    shown = call(*words)
    assert shown.code == 1
    assert shown.err == (
        "error: no hub in hilum-data; start one with: hilum serve --config hub.yaml --data hilum-data\n"
    )
    assert not (tmp_path / "hilum-data").exists()


def test_a_missing_file_is_one_line(call: Callable[..., Any], tmp_path: Path) -> None:
    shown = call("check-message", tmp_path / "none.hl7")
    assert (shown.code, shown.err) == (1, f"error: {tmp_path / 'none.hl7'}: No such file or directory\n")


def test_a_wrong_option_is_a_usage_error(call: Callable[..., Any]) -> None:
    assert call("send", "x.hl7").code == 2
    assert call("messages", "list", "--state", "gone").code == 2
    assert call("messages", "search").code == 2
    assert call("messages", "search", "--key", "order").code == 2


def test_completion_is_offered(call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMP_WORDS", "hilum messages s")
    monkeypatch.setenv("COMP_CWORD", "2")
    monkeypatch.setenv("_HILUM_COMPLETE", "complete_bash")
    shown = call()
    assert {"search", "show"} <= set(shown.out.split())
