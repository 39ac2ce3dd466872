"""An MLLP load generator: N senders, each waits for the acknowledgement before its next message.

It does next to nothing else, so that on two cores it measures the receiver and not itself. Every MSA-1 and
MSA-2 is checked; MSH-10 is unique in every message.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
import time
from array import array
from functools import partial
from typing import cast

import uvloop
from rich.console import Console
from rich.table import Table

import adt

STALLED = 30.0  # seconds without an acknowledgement after the end, then the run has failed


class Run:
    """What all senders of one run share: when to stop, and what they saw."""

    def __init__(self, until: float, count: int) -> None:
        self.until = until
        self.left = count
        self.latencies = array("d")
        self.refused: list[str] = []
        self.done = asyncio.get_running_loop().create_future()
        self.senders = 0

    def finished(self) -> None:
        self.senders -= 1
        if not self.senders and not self.done.done():
            self.done.set_result(None)

    def failed(self, error: object) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError(str(error)))


class Sender(asyncio.Protocol):
    """One connection with one message under way."""

    transport: asyncio.Transport

    def __init__(self, run: Run, name: bytes) -> None:
        self.run = run
        self.name = name
        self.sequence = 0
        self.buffer = b""
        self.control_id = b""
        self.sent_at = 0.0
        self.over = False
        run.senders += 1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's own class is not registered as one
        self.send()

    def send(self) -> None:
        run = self.run
        now = time.monotonic()
        if now >= run.until or run.left <= 0:
            self.over = True
            self.transport.close()
            return
        run.left -= 1
        self.sequence += 1
        self.control_id = b"%b-%d" % (self.name, self.sequence)
        self.sent_at = now
        self.transport.write(adt.frame(self.control_id, self.sequence))

    def data_received(self, data: bytes) -> None:
        if self.buffer:
            data = self.buffer + data
        if not data.endswith(adt.END):
            self.buffer = data
            return
        self.buffer = b""
        self.run.latencies.append(time.monotonic() - self.sent_at)
        answer = data[data.find(b"\rMSA|") + 1 :].split(b"\r", 1)[0].split(b"|")
        if answer[1:3] != [b"AA", self.control_id] or data.count(adt.START) != 1:
            self.run.refused.append(f"{self.control_id.decode()}: {data[:300]!r}")
        self.send()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.over:
            self.run.finished()
        else:
            self.run.failed(f"the receiver closed the connection of {self.name.decode()}: {exc}")


def percentile(sorted_values: list[float], share: float) -> float:
    """The value below which this share of the sorted values lies; 0 for none."""
    count = len(sorted_values)
    return sorted_values[min(count - 1, int(count * share))] if count else 0.0


async def load(host: str, port: int, senders: int, seconds: float, count: int, name: str) -> dict[str, float | str]:
    """Send for that many seconds, or that many messages in all (`count` > 0); latencies are milliseconds."""
    loop = asyncio.get_running_loop()
    started = time.monotonic()
    run = Run(started + seconds if not count else float("inf"), count or sys.maxsize)
    loop.set_exception_handler(lambda _, context: run.failed(context))
    for number in range(senders):
        await loop.create_connection(partial(Sender, run, f"{name}.{number}".encode()), host, port)
    # A count has no end in time: it is stalled when a whole period brought no acknowledgement.
    while not run.done.done():
        before = len(run.latencies)
        await asyncio.wait([run.done], timeout=STALLED + (0 if count else seconds))
        if not run.done.done() and len(run.latencies) == before:
            raise TimeoutError(f"no acknowledgement for {STALLED:.0f} s after {before} messages")
    run.done.result()
    took = time.monotonic() - started
    values = sorted(run.latencies)
    return {
        "started": started,
        "seconds": took,
        "acknowledged": len(values) - len(run.refused),
        "refused": len(run.refused),
        "first_refusal": run.refused[0] if run.refused else "",
        "rate": len(values) / took,
        "p50": percentile(values, 0.5) * 1000,
        "p99": percentile(values, 0.99) * 1000,
        "max": values[-1] * 1000 if values else 0.0,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--senders", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--count", type=int, default=0, help="stop after this many messages instead")
    parser.add_argument("--name", default="L", help="prefix of MSH-10; unique per run")
    parser.add_argument("--json", action="store_true", help="print one JSON line")
    args = parser.parse_args()
    gc.freeze()
    result = uvloop.run(load(args.host, args.port, args.senders, args.seconds, args.count, args.name))
    if args.json:
        print(json.dumps(result))
        return
    table = Table("senders", "acknowledged", "refused", "messages/s", "p50 ms", "p99 ms", "max ms")
    figures = [f"{result[key]:,.2f}" for key in ("rate", "p50", "p99", "max")]
    table.add_row(str(args.senders), str(result["acknowledged"]), str(result["refused"]), *figures)
    Console().print(table)
    if result["refused"]:
        sys.exit(f"first refusal: {result['first_refusal']}")


if __name__ == "__main__":
    main()
