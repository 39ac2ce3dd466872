"""Messages of a real hub: listed, found, shown, sent again; its lanes, retried and skipped."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hilum.cli import output
from hilum.cli.demo.partners import reliable

Call = Callable[..., Any]


@pytest.fixture
def deliver(call: Call, hub: Any, adt: Callable[..., bytes], tmp_path: Path) -> Callable[..., None]:
    """Send an admission to the hub."""

    def work(control: str, body: bytes | None = None, **values: str) -> None:
        path = tmp_path / "message.hl7"
        path.write_bytes(body or adt(control, **values))
        assert call("send", path, "--to", f"mllp://127.0.0.1:{hub.inbound}").code == 0

    return work


@pytest.fixture
def newest(call: Call, hub: Any, wait_until: Callable[..., Any]) -> Callable[[str], dict[str, Any]]:
    """The newest message, once it is in this state."""

    def work(state: str) -> dict[str, Any]:
        def found() -> Any:
            items = call("messages", "list", "--data", hub.data, "--json").json["items"]
            return items[0] if items and items[0]["state"] == state else None

        one: dict[str, Any] = wait_until(found, f"the newest message is {state}")
        return one

    return work


def refuse(control: str) -> tuple[str, str]:
    return "AR", "no such ward"


def busy(control: str) -> tuple[str, str]:
    return "AE", "busy"


def test_an_empty_hub_says_what_to_do(call: Call, hub: Any) -> None:
    assert "hilum send" in call("messages", "list", "--data", hub.data).out
    assert call("messages", "list", "--data", hub.data, "--state", "failed").out == "No message is like that.\n"
    assert "No message has that patient" in call("messages", "search", "--patient", "1", "--data", hub.data).out


def test_list_and_search(
    call: Call, hub: Any, deliver: Callable[..., None], newest: Callable[[str], Any], partner: Callable[..., None]
) -> None:
    partner(hub.outbound, reliable)
    for number in range(3):
        deliver(f"MSG{number}", patient=str(4711 + number % 2))
    last = newest("delivered")
    data = ("--data", hub.data)
    listed = call("messages", "list", *data)
    assert last["id"] in listed.out
    assert [
        one for one in ("MSG0", "MSG1", "MSG2", "adt-feed/in", "ADT^A01", "delivered") if one not in listed.out
    ] == []
    output.out.width = 80
    narrow = call("messages", "list", *data).out
    assert last["id"] in narrow
    assert max(map(len, narrow.splitlines())) <= 80
    page = call("messages", "list", *data, "-n", 2)
    assert f"--before {page.out.split()[-1]}" in page.out
    older = call("messages", "list", *data, "--before", page.out.split()[-1], "--json").json["items"]
    assert [one["control_id"] for one in older] == ["MSG0"]
    found = call("messages", "search", "--patient", "4711", *data, "--json").json["items"]
    assert [one["control_id"] for one in found] == ["MSG2", "MSG0"]
    assert "MSG1" in call("messages", "search", "--control", "MSG1", *data).out
    assert "MSG1" in call("messages", "search", "--key", "patient", "--value", "4712", *data).out
    assert call("messages", "list", *data, "--since", "1h", "--type", "ORU", "--json").json["items"] == []
    assert len(call("messages", "list", *data, "--real", "--json").json["items"]) == 3
    assert call("messages", "list", *data, "--synthetic").out == "No message is like that.\n"


@pytest.mark.ledger_part("S2-126", "received, each step in and out, what was sent and its answers, shown for a message")
def test_show(
    call: Call, hub: Any, deliver: Callable[..., None], newest: Callable[[str], Any], partner: Callable[..., None],
    adt: Callable[..., bytes],
) -> None:  # fmt: skip
    partner(hub.outbound, refuse)
    deliver("MSG1", family="Brook")
    one = newest("failed")
    data = ("--data", hub.data)
    shown = call("messages", "show", one["id"], *data)
    assert shown.code == 0
    for word in ("ADT^A01 MSG1", "from adt-feed/in", "adt-to-lab v1", "lab/out", "dead", "AR: no such ward",
                 "PID  Patient Identification", "Family Name", "Brook"):  # fmt: skip
        assert word in shown.out, word
    assert call("messages", "show", one["id"], *data, "--raw").out.encode() == adt("MSG1", family="Brook")
    steps = call("messages", "show", one["id"], *data, "--steps").out
    assert "steps[0].filter" in steps
    assert "PID-5.1      Brook → BROOK" in steps
    assert "MSH-5        (empty) → LAB" in steps
    sent = call("messages", "show", one["id"], *data, "--sent", 1, "--raw").out
    assert "|BROOK^Jane|" in sent
    assert "BROOK" in call("messages", "show", one["id"], *data, "--sent", 1).out
    assert call("messages", "show", one["id"], *data, "--json").json["deliveries"][0]["state"] == "dead"
    assert call("messages", "show", one["id"], *data, "--sent", 2).code == 1
    assert call("messages", "show", "019a0000-0000-7000-8000-000000000000", *data).code == 1


@pytest.mark.ledger_part("S2-126", "reprocess one with a link to the original; edit and resend with a reason")
def test_replay_one_and_edited(
    call: Call, hub: Any, deliver: Callable[..., None], newest: Callable[[str], Any], partner: Callable[..., None],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    partner(hub.outbound, reliable)
    deliver("MSG1")
    original = newest("delivered")["id"]
    data = ("--data", hub.data)
    replayed = call("replay", original, *data, "--json").json["id"]
    assert call("messages", "show", replayed, *data, "--json").json["origin"] == original

    editor = tmp_path / "editor.py"
    editor.write_text(
        "import pathlib, sys\np = pathlib.Path(sys.argv[1])\np.write_text(p.read_text().replace('Doe', 'Roe'))\n"
    )
    monkeypatch.setenv("EDITOR", f"{sys.executable} {editor}")
    monkeypatch.delenv("VISUAL", raising=False)
    assert call("replay", original, "--edit", *data).code == 2
    edited = call("replay", original, "--edit", "--reason", "misspelt", *data, "--json").json["id"]
    detail = call("messages", "show", edited, *data, "--json").json
    assert (detail["origin"], detail["note"]) == (original, "misspelt")
    assert "||Roe^Jane|" in detail["body"]
    assert detail["body"].count("\r") == 4

    editor.write_text("")
    unchanged = call("replay", original, "--edit", "--reason", "none", *data)
    assert (unchanged.code, "nothing was changed" in unchanged.err) == (1, True)
    monkeypatch.setenv("EDITOR", "false")
    assert "ended with 1; nothing was sent" in call("replay", original, "--edit", "--reason", "none", *data).err


@pytest.mark.ledger_part("S2-126", "reprocess many")
def test_replay_many(
    call: Call, hub: Any, deliver: Callable[..., None], newest: Callable[[str], Any], partner: Callable[..., None]
) -> None:
    partner(hub.outbound, refuse)
    for number in range(3):
        deliver(f"MSG{number}")
    newest("failed")
    data = ("--data", hub.data)
    assert call("replay", *data).code == 2
    assert call("replay", "--state", "failed", *data).code == 2
    asked = call("replay", "--state", "failed", "--reason", "fixed", *data)
    assert (asked.code, "--yes" in asked.err) == (1, True)
    found = call("replay", "--state", "failed", "--reason", "ward was added", "--yes", *data, "--json").json
    assert found["replayed"] == 3
    notes = [one["note"] for one in call("messages", "list", *data, "-n", 3, "--json").json["items"]]
    assert notes == ["ward was added"] * 3
    none = call("replay", "--control", "nobody", "--reason", "x", *data)
    assert (none.code, none.out) == (0, "No message is like that; nothing was sent.\n")


def test_lanes_are_shown_retried_and_skipped(
    call: Call, hub: Any, deliver: Callable[..., None], newest: Callable[[str], Any], partner: Callable[..., None],
    wait_until: Callable[..., Any],
) -> None:  # fmt: skip
    data = ("--data", hub.data)
    assert "lab/out" in call("lanes", *data).out
    nothing = call("lanes", "skip", "lab/out", "--reason", "x", *data)
    assert (nothing.code, nothing.err) == (1, "error: nothing waits at lab/out\n")
    deliver("MSG1")
    deliver("MSG2")

    def holding() -> bool:
        (one,) = call("lanes", *data, "--json").json["items"]
        return one["state"] == "holding" and one["backlog"] == 2 and bool(one["stuck"])

    wait_until(holding, "the lane holds")
    shown = call("lanes", *data).out
    assert "cannot connect" in shown
    assert "hilum lanes skip lab/out --reason WHY" in shown
    assert call("status", *data).code == 1
    assert call("lanes", "skip", "lab/out", *data).code == 2
    skipped = call("lanes", "skip", "lab/out", "--reason", "patient was merged", *data)
    assert (skipped.code, skipped.err, skipped.out) == (0, "", "Skipped; the lane goes on.\n")
    first = call("messages", "list", *data, "--state", "skipped", "--json").json["items"]
    assert [one["control_id"] for one in first] == ["MSG1"]
    partner(hub.outbound, reliable)
    assert call("lanes", "retry", "lab/out", *data).code == 0
    assert newest("delivered")["control_id"] == "MSG2"
    assert call("lanes", "retry", "nobody/out", *data).code == 1


def test_status(call: Call, hub: Any) -> None:
    data = ("--data", hub.data)
    shown = call("status", *data)
    assert shown.code == 0
    assert "The hub runs." in shown.out
    assert "adt-feed/in" in shown.out
    hub.process.end()
    stopped = call("status", *data)
    assert (stopped.code, "The hub is stopped." in stopped.out) == (1, True)
    assert call("lanes", "retry", "lab/out", *data).err.startswith("error: no hub runs in this folder")


def test_a_stopped_hub_is_read_in_its_folder(
    call: Call, hub: Any, deliver: Callable[..., None], newest: Callable[[str], Any], partner: Callable[..., None]
) -> None:
    partner(hub.outbound, reliable)
    deliver("MSG1")
    one = newest("delivered")
    hub.process.end()
    assert "Family Name" in call("messages", "show", one["id"], "--data", hub.data).out
    replayed = call("replay", one["id"], "--data", hub.data)
    assert replayed.code == 0
    assert newest("pending")["origin"] == one["id"]


def test_what_is_no_hl7_is_shown_as_text(
    call: Call, hub: Any, deliver: Callable[..., None], newest: Callable[[str], Any], tmp_path: Path
) -> None:
    drop = hub.config.parent / "drop"
    drop.mkdir()
    text = hub.config.read_text("utf-8")
    more = (
        "  - name: drop\n    protocol: file_transfer\n    endpoints:\n"
        f'      - {{name: in, direction: inbound, url: "file://{drop}", poll: 50, stable_for: 10}}\n'
    )
    hub.config.write_text(text.replace("routes:\n", more + "routes:\n"))
    (drop / "note.txt").write_text("Dear colleague\x1b[2J")
    assert call("apply", hub.config, "--data", hub.data).code == 0
    shown = call("messages", "show", newest("error")["id"], "--data", hub.data).out
    assert "Not HL7 v2" in shown
    assert "Dear colleague\\x1b[2J" in shown
