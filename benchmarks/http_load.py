"""An HTTP/1.1 load generator: N connections, each waits for its answer before it asks again.

It reads Content-Length answers alone and does next to nothing else, so that on two cores it measures the server and
not itself. Any status but the expected one ends the run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from array import array

import uvloop


class Run:
    """What all connections of one run share."""

    def __init__(self, until: float, args: argparse.Namespace) -> None:
        self.until = until
        self.expected = f"HTTP/1.1 {args.status} ".encode()
        self.latencies = array("d")
        self.open = args.connections
        self.asked = 0
        self.done = asyncio.get_running_loop().create_future()
        lines = [f"{args.method} {args.path} HTTP/1.1", "host: 127.0.0.1", *args.header]
        self._head = "\r\n".join(lines).encode() + b"\r\n"
        self._body = args.body

    def request(self) -> bytes:
        """The next request; `{n}` in the body becomes its number."""
        self.asked += 1
        if not self._body:
            return self._head + b"\r\n"
        body = self._body.replace("{n}", f"{time.time_ns():x}-{self.asked}").encode()
        return self._head + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body


class Client(asyncio.Protocol):
    """One connection with one request under way."""

    transport: asyncio.Transport

    def __init__(self, run: Run) -> None:
        self.run = run
        self.buffer = b""
        self.asked_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.ask()

    def ask(self) -> None:
        self.asked_at = time.perf_counter()
        self.transport.write(self.run.request())

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.buffer[:end].lower()
        place = head.find(b"content-length:")
        length = int(head[place + 15 :].split(b"\r\n", 1)[0]) if place >= 0 else 0
        if len(self.buffer) < end + 4 + length:
            return
        if not self.buffer.startswith(self.run.expected):
            self.failed(self.buffer[:400].decode(errors="replace"))
            return
        self.buffer = self.buffer[end + 4 + length :]
        now = time.perf_counter()
        self.run.latencies.append(now - self.asked_at)
        if now < self.run.until:
            self.ask()
            return
        self.transport.close()
        self.run.open -= 1
        if not self.run.open and not self.run.done.done():
            self.run.done.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if time.perf_counter() < self.run.until:
            self.failed(f"the connection ended: {error}")

    def failed(self, why: str) -> None:
        if not self.run.done.done():
            self.run.done.set_exception(ConnectionError(why))


async def load(args: argparse.Namespace) -> dict[str, float]:
    """Requests a second and latencies in milliseconds."""
    began = time.perf_counter()
    run = Run(began + args.seconds, args)
    loop = asyncio.get_running_loop()
    for _ in range(args.connections):
        await loop.create_connection(lambda: Client(run), "127.0.0.1", args.port)
    await asyncio.wait_for(run.done, args.seconds + 30)
    took = time.perf_counter() - began
    times = sorted(run.latencies)
    return {
        "rate": len(times) / took,
        "p50": times[len(times) // 2] * 1000,
        "p95": times[int(len(times) * 0.95)] * 1000,
        "p99": times[int(len(times) * 0.99)] * 1000,
        "requests": len(times),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("path")
    parser.add_argument("--method", default="GET")
    parser.add_argument("--header", action="append", default=[])
    parser.add_argument("--body", default="", help="JSON; {n} is another text in each request")
    parser.add_argument("--status", type=int, default=200)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=5.0)
    print(json.dumps(uvloop.run(load(parser.parse_args()))))


if __name__ == "__main__":
    main()
