"""Two hubs on one database behind a balancer: either answers, and one that ends finishes what it was asked."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hilum.api.server import GRACE

ADA = {"email": "ada@example.org", "password": "correct horse battery staple"}


class Process:
    """One of them, and the way to it."""

    def __init__(self, started: Any, data: Path, port: int) -> None:
        self.started, self.data = started, data
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)

    def ask(self, method: str, path: str, expected: int, token: str = "", **options: Any) -> Any:
        headers = options.pop("headers", {}) | ({"authorization": f"Bearer {token}"} if token else {})
        response = self.http.request(method, f"/api/v1{path}", headers=headers, **options)
        assert response.status_code == expected, response.text
        return response.json() if response.content else None


@pytest.fixture
def both(
    start: Callable[..., Any], role_url: str, tmp_path: Path, free_ports: Callable[[int], list[int]],
    wait_until: Callable[..., Any], monkeypatch: pytest.MonkeyPatch,
) -> Iterator[tuple[Process, Process]]:  # fmt: skip
    """The second one has the first one's keys; a proxy that it trusts is on this machine."""
    made: list[Process] = []
    for name, port in zip(("a", "b"), free_ports(2), strict=True):
        data = tmp_path / name
        if made:
            data.mkdir(mode=0o700)
            shutil.copy(made[0].data / "hub.key", data / "hub.key")
            monkeypatch.setenv("HILUM_TRUSTED_PROXIES", "127.0.0.1")
        started = start("serve", "--data", data, "--http", f"127.0.0.1:{port}", "--database", role_url)
        wait_until((data / "hub.sock").exists, "the socket")
        made.append(Process(started, data, port))
    yield made[0], made[1]
    for each in made:
        each.http.close()


@pytest.mark.ledger("S0-55")
def test_whichever_answers_it_is_the_same_and_none_drops_what_it_was_asked(
    both: tuple[Process, Process], wait_until: Callable[..., Any]
) -> None:
    one, other = both
    for each in both:
        wait_until(lambda each=each: each.http.get("/health/ready").status_code == 200, "ready")
        assert each.http.get("/health/live").json() == {"status": "alive"}
    link = re.search(r"hilum_link_[\w-]+", other.started.text)  # the newest: each of them has made one
    assert link, other.started.text
    one.ask("POST", "/auth/link", 204, json={"token": link[0], "name": "Ada Lovelace", **ADA})

    tokens = one.ask("POST", "/auth/token", 200, json=ADA)
    assert other.ask("GET", "/auth/me", 200, tokens["access_token"])["name"] == "Ada Lovelace"
    newer = other.ask("POST", "/auth/refresh", 200, json={"refresh_token": tokens["refresh_token"]})
    token = newer["access_token"]
    keyed = {"headers": {"idempotency-key": "once"}, "json": {"name": "s-1"}}
    first = one.ask("POST", "/studies", 201, token, **keyed)
    assert other.ask("POST", "/studies", 201, token, **keyed) == first  # it is done once
    for each in both:
        assert [study["name"] for study in each.ask("GET", "/studies", 200, token)["items"]] == ["s-1"]

    told = {"x-forwarded-for": "198.51.100.7"}
    for each, source in ((one, "127.0.0.1"), (other, "198.51.100.7")):  # the second one trusts its neighbour
        each.ask("GET", "/studies", 200, token, headers={**told, "x-request-id": "forwarded-1"})
        event = each.ask("GET", "/audit?action=study.list&size=1", 200, token)["items"][0]["event"]
        assert (event["request_id"], event["source"]) == ("forwarded-1", source)

    asked = begin(one, "POST", "/api/v1/studies", token, {"name": "s-2"})
    one.started.tell(signal.SIGTERM)
    wait_until(lambda: closed(one), "the first one takes nothing new")
    assert one.started.popen.poll() is None, "it waits for what it was asked"
    assert GRACE == 30  # seconds at the most
    assert end(asked)["name"] == "s-2"
    assert one.started.end(None) == 0
    assert {study["name"] for study in other.ask("GET", "/studies", 200, token)["items"]} == {"s-1", "s-2"}
    other.ask("POST", "/auth/sign-out", 204, token)
    other.ask("GET", "/auth/me", 401, token)


def begin(one: Process, method: str, target: str, token: str, body: Any) -> tuple[socket.socket, bytes]:
    """Send a request but for the end of its body."""
    content = json.dumps(body).encode()
    asked = socket.create_connection((one.http.base_url.host, one.http.base_url.port or 0), timeout=20)
    head = f"{method} {target} HTTP/1.1\r\nhost: hub\r\nauthorization: Bearer {token}\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(content)}\r\nconnection: close\r\n\r\n"
    asked.sendall(head.encode() + content[:-1])
    time.sleep(0.3)  # until it has been read
    return asked, content[-1:]


def end(begun: tuple[socket.socket, bytes]) -> Any:
    """Send the rest; the answer."""
    asked, rest = begun
    asked.sendall(rest)
    answer = b""
    while piece := asked.recv(65_536):
        answer += piece
    asked.close()
    assert answer.startswith(b"HTTP/1.1 201 "), answer
    return json.loads(answer.partition(b"\r\n\r\n")[2])


def closed(one: Process) -> bool:
    try:
        httpx.get(f"{one.http.base_url}/health/live")
    except httpx.TransportError:
        return True
    return False
