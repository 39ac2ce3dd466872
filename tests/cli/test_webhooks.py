"""`hilum webhooks` against a hub that runs and one that does not."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

Call = Callable[..., Any]


class Hook(http.server.BaseHTTPRequestHandler):
    """Answers as its server was told."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.server.ids.append(self.headers["webhook-id"])  # type: ignore[attr-defined]  # the fixture's
        self.send_response(self.server.status)  # type: ignore[attr-defined]  # the fixture's
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture
def hook() -> Iterator[Any]:
    server: Any = http.server.HTTPServer(("127.0.0.1", 0), Hook)
    server.ids, server.status = [], 200
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a hub that is started after it."""
    monkeypatch.setenv("HILUM_EGRESS_ALLOW", "127.0.0.0/8")


def subscribed(hub: Any, port: int) -> str:
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(hub.data / "hub.sock")), base_url="http://hub") as client:
        body = {"url": f"http://127.0.0.1:{port}/hook", "events": ["study.*"]}
        made = client.post("/api/v1/webhooks/subscriptions", json=body)
    assert made.status_code == 201, made.text
    return str(made.json()["subscription"]["id"])


def test_list_test_and_replay(call: Call, hub: Any, hook: Any) -> None:
    assert "There is no webhook subscription" in call("webhooks", "list", "--data", hub.data).out
    one = subscribed(hub, hook.server_port)
    listed = call("webhooks", "list", "--data", hub.data)
    assert (listed.code, one in listed.out, "study.*" in listed.out) == (0, True, True)
    assert call("webhooks", "list", "--data", hub.data, "--json").json["total"] == 1
    tested = call("webhooks", "test", one, "--data", hub.data)
    assert (tested.code, tested.out.partition(" after")[0]) == (1, "no answer"), "nobody allowed the loopback"
    assert "only the hub's operator" in tested.out
    assert hook.ids == []
    none = call("webhooks", "replay", one, "--data", hub.data)
    assert (none.code, "nothing in that range" in none.err) == (1, True)
    again = call("webhooks", "replay", one, "--all", "--since", "2026-01-01T00:00:00Z", "--data", hub.data)
    assert (again.code, "Sent again: 1." in again.out) == (0, True)
    shown = call("webhooks", "test", one, "--data", hub.data, "--json").json
    single = call("webhooks", "replay", one, "--delivery", shown["delivery"]["id"], "--data", hub.data, "--json")
    assert single.json == {"deliveries": 1}


def test_a_test_shows_what_the_receiver_answered(call: Call, allowed: None, hub: Any, hook: Any) -> None:
    one = subscribed(hub, hook.server_port)
    assert call("webhooks", "test", one, "--data", hub.data).out.startswith("HTTP 200 after ")
    hook.status = 500
    failed = call("webhooks", "test", one, "--data", hub.data)
    assert (failed.code, failed.out.partition(" after")[0]) == (1, "HTTP 500")
    assert len(hook.ids) == 2
