"""`hilum credentials`, `certificates` and `keys`: secrets come through standard input and are never printed."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

Call = Callable[..., Any]
CANARY = "kanarienvogel-4711-gelb-und-laut"


@pytest.fixture
def ask(hub: Any, call: Call) -> Call:
    """A command on a running hub; whatever it prints is searched for the secret."""

    def work(*words: object, code: int = 0, stdin: str | None = None) -> Any:
        done = call(*words, "--data", hub.data, stdin=stdin)
        assert done.code == code, done.err
        assert CANARY not in done.out + done.err
        return done

    return work


def test_a_secret_is_set_listed_and_rotated(ask: Call) -> None:
    assert "Add one" in ask("credentials", "list").out
    basic = ("--kind", "basic", "--field", "username=hub", "--rotate-every", "90")
    assert ask("credentials", "set", "lab", *basic, stdin=f"{CANARY}\n").out == "lab is set, version 1.\n"
    shown = ask("credentials", "list").out
    for word in ("lab", "basic", "password", "0 d", "never"):
        assert word in shown
    ask("credentials", "rotate", "lab", code=1, stdin=f"{CANARY}\n")
    assert ask("credentials", "rotate", "lab", stdin="the new one").out == "lab is rotated, version 2.\n"
    assert ask("credentials", "set", "lab", stdin=f"{CANARY}\n").out == "lab is set, version 3.\n"
    [one] = ask("credentials", "list", "--json").json["items"]
    assert (one["fields"], one["rotate_every"]) == ({"username": "hub"}, 90)
    assert one["secrets"]["password"]["version"] == 3
    ask("credentials", "set", "pins", "--secret", "pin", stdin="123456")


def test_mistakes_are_told_in_a_line(ask: Call) -> None:
    for words, stdin, why in (
        (("set", "lab"), "", "no secret came through standard input"),
        (("set", "lab", "--field", "x"), "s", "--field is NAME=VALUE, not x"),
        (("set", "lab", "--kind", "basic"), CANARY, "fields.username"),
        (("set", "lab", "--study", "none"), CANARY, "there is no study none"),
        (("rotate", "lab"), CANARY, "there is no credential lab"),
    ):
        assert why in ask("credentials", *words, code=1, stdin=stdin).err


def test_a_secret_that_is_typed_is_not_echoed(hub: Any, tmp_path: Path) -> None:
    """On a terminal it is asked for twice, and nothing of it appears there."""
    near, far = pty.openpty()
    command = [sys.executable, "-m", "hilum", "credentials", "set", "typed", "--kind", "bearer", "--data", hub.data]
    with subprocess.Popen([*map(str, command)], stdin=far, stdout=far, stderr=far, start_new_session=True) as process:
        os.close(far)
        seen = b""
        for _ in range(2):
            while not seen.endswith(b": "):
                seen += os.read(near, 1)
            os.write(near, f"{CANARY}\n".encode())
            seen += b"|"
        while b"version" not in seen:
            seen += os.read(near, 1)
        assert process.wait(30) == 0
    os.close(near)
    assert CANARY.encode() not in seen


def test_certificates(ask: Call, tmp_path: Path) -> None:
    leaf = trustme.CA().issue_cert("lab.example")
    leaf.cert_chain_pems[0].write_to_path(tmp_path / "chain.pem")
    leaf.private_key_pem.write_to_path(tmp_path / "key.pem")
    assert "Add one" in ask("certificates", "list").out
    added = ask("certificates", "add", "lab-tls", tmp_path / "chain.pem", "--key", tmp_path / "key.pem")
    assert "lab-tls is kept" in added.out
    shown = ask("certificates", "list").out
    assert "lab-tls" in shown
    assert "valid" in shown
    assert "cannot read" in ask("certificates", "add", "x", tmp_path / "none.pem", code=1).err


def test_keys(ask: Call) -> None:
    assert "the first secret makes one" in ask("keys", "list").out
    ask("credentials", "set", "lab", stdin=CANARY)
    assert "file" in ask("keys", "list").out
    assert ask("keys", "rotate").out == "New secrets are sealed under data key 2.\n"
    assert ask("keys", "rewrap", "--new-master").out == "Wrapped anew: 2.\n"
    assert {one["wrapped_by"] for one in ask("keys", "list", "--json").json["items"]} == {"2"}
