"""The partner at the end of the path: accepts every message and proves order and completeness.

For each sender (the part of MSH-10 before the dash) MSH-13 must rise by one. A second port answers each line
with a line of JSON: `counts`, or `reset` (forget everything, then the counts).
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import signal
import time
from typing import cast

import uvloop

import adt


class Ledger:
    """What arrived; `last` is the monotonic second of the last arrival."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.count = 0
        self.doubled = 0
        self.missing = 0
        self.unmapped = 0
        self.last = 0.0
        self.sequences: dict[bytes, int] = {}

    def counts(self) -> dict[str, float]:
        names = ("count", "doubled", "missing", "unmapped", "last")
        return {name: getattr(self, name) for name in names} | {"senders": len(self.sequences)}


class Partner(asyncio.Protocol):
    """One MLLP connection: acknowledges as it reads, in order."""

    transport: asyncio.Transport

    def __init__(self, ledger: Ledger, delay: float) -> None:
        self.ledger = ledger
        self.delay = delay
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's own class is not registered as one

    def data_received(self, data: bytes) -> None:
        if self.buffer:
            data = self.buffer + data
        *frames, self.buffer = data.split(adt.END)
        for frame in frames:
            self.received(frame)

    def received(self, frame: bytes) -> None:
        ledger = self.ledger
        fields = frame.split(b"\r", 1)[0].split(b"|")
        control_id = fields[9]
        sender, sequence = control_id.split(b"-")[0], int(fields[12])
        expected = ledger.sequences.get(sender, 0) + 1
        if sequence == expected:
            ledger.sequences[sender] = sequence
            ledger.count += 1
        elif sequence < expected:
            ledger.doubled += 1
        else:
            ledger.missing += sequence - expected
            ledger.sequences[sender] = sequence
            ledger.count += 1
        if fields[4] != b"XFORMED":
            ledger.unmapped += 1
        ledger.last = time.monotonic()
        answer = adt.acknowledgement(control_id)
        if self.delay:
            asyncio.get_running_loop().call_later(self.delay, self.transport.write, answer)
        else:
            self.transport.write(answer)


async def control(ledger: Ledger, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each line with the counts, after a reset if the line asks for one."""
    while line := await reader.readline():
        if line.strip() == b"reset":
            ledger.reset()
        writer.write(json.dumps(ledger.counts()).encode() + b"\n")
        await writer.drain()
    writer.close()


async def serve(port: int, control_port: int, delay: float) -> Ledger:
    """Listen until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    ledger = Ledger()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await loop.create_server(lambda: Partner(ledger, delay), "127.0.0.1", port)
    await asyncio.start_server(lambda r, w: control(ledger, r, w), "127.0.0.1", control_port)
    await stop.wait()
    return ledger


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("control_port", type=int)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each acknowledgement")
    args = parser.parse_args()
    gc.freeze()
    print(json.dumps(uvloop.run(serve(args.port, args.control_port, args.delay)).counts()))


if __name__ == "__main__":
    main()
