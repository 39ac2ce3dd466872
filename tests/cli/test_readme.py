"""The README's way into the API works as it is written, from the link that the first start prints."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hilum.cli.demo.partners import reliable

PAGE = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
PASSWORD = "correct horse battery staple"


@pytest.fixture(autouse=True)
def _loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub may reach this machine, as the demo's may."""
    monkeypatch.setenv("HILUM_EGRESS_ALLOW", "127.0.0.1/32")


def block(name: str) -> str:
    """The shell block with this name."""
    (found,) = re.findall(rf"^```sh runnable {name}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def bash(text: str) -> str:
    """What it prints."""
    ended = subprocess.run(
        ["bash", "-e", "-o", "pipefail"], input=text, capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 0, f"{text}\n{ended.stdout}{ended.stderr}"
    return ended.stdout


def answers(text: str) -> list[Any]:
    """JSON texts, one after the other."""
    found, decoder = [], json.JSONDecoder()
    while text := text.lstrip():
        value, end = decoder.raw_decode(text)
        found.append(value)
        text = text[end:]
    return found


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl absent: the README's example is not run")
def test_the_first_administrator_signs_in_and_uses_the_api(
    hub: Any, adt: Callable[..., bytes], wait_until: Callable[..., Any]
) -> None:
    command = wait_until(lambda: re.search(r"^curl .*/auth/link .*$", hub.process.text, re.MULTILINE), "the link")[0]
    bash(command.replace("CHOOSE ONE", PASSWORD).replace("Your Name", "Grace H."))
    with socket.create_connection(("127.0.0.1", hub.inbound), 20) as partner:
        partner.sendall(b"\x0b" + adt("1") + b"\x1c\r")
        assert b"MSA|AA|1" in partner.recv(1_000)
    text = block("api").replace("127.0.0.1:8080", f"127.0.0.1:{hub.http}").replace("CHOOSE ONE", PASSWORD)
    invited, message, trail = answers(bash(text))
    assert (invited["user"]["email"], invited["user"]["state"]) == ("ada@example.org", "invited")
    assert invited["link"]["token"].startswith("hilum_link_")
    assert message["control_id"] == "1"
    assert message.get("body") is None, "its key may see that it came, not what is in it"
    assert "items" in trail, trail
    [looked] = [one for one in trail["items"] if one["event"]["action"].startswith("message.")][:1]
    assert (looked["event"]["actor"]["name"], looked["event"]["outcome"]) == ("dashboard", "success")
    assert looked["event"]["entity"] == f"message/{message['id']}"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl absent: the README's example is not run")
def test_two_systems_are_connected_and_asked(
    hub: Any, partner: Callable[..., None], wait_until: Callable[..., Any]
) -> None:
    partner(hub.outbound, reliable)
    command = wait_until(lambda: re.search(r"^curl .*/auth/link .*$", hub.process.text, re.MULTILINE), "the link")[0]
    bash(command.replace("CHOOSE ONE", PASSWORD).replace("Your Name", "Grace H."))
    signed_in, _, _ = block("api").partition("# invite")
    text = (signed_in + block("integrations")).replace("127.0.0.1:8080", f"127.0.0.1:{hub.http}")
    found = answers(bash(text.replace("CHOOSE ONE", PASSWORD).replace("127.0.0.1:2577", f"127.0.0.1:{hub.outbound}")))
    assert len(found) == 12
    for checked, tested, executed, logs, health, analytics in (found[:6], found[6:]):
        assert (checked["valid"], checked["errors"]) == (True, [])
        assert tested["overall"] == {
            "success": True, "totalEndpoints": 1, "successfulEndpoints": 1, "failedEndpoints": 0
        }  # fmt: skip
        assert executed.get("status") == "completed", executed
        assert logs["items"][0]["executionId"] == executed["id"]
        assert health["status"] == "healthy"
        assert analytics["metrics"]["totalRequests"] == 1
        assert (executed["response"]["status"], executed["response"]["success"]) == (200, True)
        assert "PID" not in json.dumps(executed), "what is in a message is for others than administrators"
