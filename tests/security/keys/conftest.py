"""Small servers that stand for key services: they answer over real sockets and keep what they were asked."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

Answer = Callable[[str, dict[str, str], dict[str, Any], bytes], tuple[int, Any]]


@dataclasses.dataclass
class Service:
    """`asked` has the path, the headers (names in lower case) and the JSON of every request."""

    url: str
    asked: list[tuple[str, dict[str, str], dict[str, Any]]]


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], Service]]:
    """Starts a server that answers as a function says: (path, headers, JSON, raw body) -> status, JSON or text."""
    servers: list[ThreadingHTTPServer] = []

    def start(answer: Answer) -> Service:
        asked: list[tuple[str, dict[str, str], dict[str, Any]]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked.append((self.path, headers, json.loads(raw)))
                status, found = answer(self.path, headers, json.loads(raw), raw)
                content = found.encode() if isinstance(found, str) else json.dumps(found).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                """Nothing to the terminal."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return Service(f"http://127.0.0.1:{server.server_address[1]}", asked)

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
