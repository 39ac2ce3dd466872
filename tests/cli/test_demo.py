"""The demo shows traffic, a retry and a dead letter by itself, whatever ports are taken, and without a terminal."""

from __future__ import annotations

import signal
import socket
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hilum.cli import demo
from hilum.cli.demo import feeds
from hilum.cli.demo.partners import Moody
from hilum.formats.hl7v2 import Message
from hilum.formats.hl7v2.validation import validate


@pytest.mark.ledger_part("S4-132", "demo data: one command shows a hub at work, and what to try next")
def test_it_shows_what_a_hub_does(start: Callable[..., Any], call: Callable[..., Any], tmp_path: Path) -> None:
    process = start("demo", "--data", "demo", "--seconds", 8)
    assert process.end(None) == 0, process.text
    for word in ("received", "mapped", "delivered", "retry", "dead letter", "filtered", "Try next", "messages list",
                 "recovery key", "/health/ready"):  # fmt: skip
        assert word in process.text, f"{word}: {process.text}"
    failed = call("messages", "list", "--state", "failed", "--data", tmp_path / "demo", "--json").json["items"]
    assert failed
    assert failed[0]["id"] in process.text, "what to try next names a real message"
    found = call("messages", "search", "--patient", "4711", "--data", tmp_path / "demo", "--json").json["items"]
    assert found


def test_it_ends_when_told_and_goes_on_in_its_folder(start: Callable[..., Any]) -> None:
    for _ in range(2):
        process = start("demo", "--data", "demo")
        process.says("delivered")
        assert process.end(signal.SIGINT) == 0, process.text
        assert "All of it stays in demo" in process.text


def test_a_taken_port_is_avoided(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert demo.free_port(port) != port
    config = demo.write_config(tmp_path, {**demo.PORTS, "adt-feed": 40001, "lab": 40002})
    text = config.read_text("utf-8")
    assert "mllp://127.0.0.1:40001" in text
    assert "mllp://127.0.0.1:40002" in text
    assert f"file://{tmp_path.resolve()}/files/drop" in text


def test_its_configuration_is_in_order(call: Callable[..., Any], tmp_path: Path) -> None:
    shown = call("check", demo.write_config(tmp_path, demo.PORTS))
    assert shown.code == 0, shown.out


@pytest.mark.parametrize("feed", [feeds.adt, feeds.oru])
def test_its_messages_are_in_order(feed: Callable[[], Any]) -> None:
    for body, _ in zip(feed(), range(12), strict=False):
        message = Message.parse(body)
        found = [one for one in validate(message) if one.severity == "error"]
        assert found == [], body


def test_the_moody_partner_keeps_to_its_moods() -> None:
    moody = Moody()
    first = [moody(str(number)) for number in range(1, 31)]
    codes = Counter("down" if one is None else one[0] for one in first)
    assert codes == {"AA": 22, "AE": 4, "AR": 3, "down": 1}
    assert moody("2") == ("AA", "")
    assert moody("4") == ("AR", "no such record")
    assert moody("15") == ("AA", "")
