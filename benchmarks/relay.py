"""The yardstick: an MLLP relay that stores nothing and reads nothing but MSH-10.

Senders are acknowledged as soon as their message is in memory (`--ack delivered`: when the partner has
accepted it); one connection forwards in order with one message outstanding.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import signal
from collections import deque
from typing import cast

import uvloop

import adt


class Forward(asyncio.Protocol):
    """The one ordered connection to the partner."""

    transport: asyncio.Transport

    def __init__(self, lag: int) -> None:
        self.lag = lag
        self.waiting: deque[tuple[bytes, Receive | None, bytes]] = deque()
        self.paused: list[asyncio.Transport] = []
        self.idle = True
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's own class is not registered as one

    def put(self, frame: bytes, sender: Receive | None, control_id: bytes) -> None:
        self.waiting.append((frame, sender, control_id))
        if self.idle:
            self.idle = False
            self.transport.write(frame)

    def data_received(self, data: bytes) -> None:
        if self.buffer:
            data = self.buffer + data
        if not data.endswith(adt.END):
            self.buffer = data
            return
        self.buffer = b""
        waiting = self.waiting
        _, sender, control_id = waiting.popleft()
        if b"MSA|AA|" + control_id not in data:
            raise SystemExit(f"the partner did not accept {control_id.decode()}: {data!r}")
        if sender is not None:
            sender.answer(control_id)
        if waiting:
            self.transport.write(waiting[0][0])
        else:
            self.idle = True
        if self.paused and len(waiting) < self.lag:
            for transport in self.paused:
                transport.resume_reading()
            self.paused.clear()


class Receive(asyncio.Protocol):
    """One sender's connection."""

    transport: asyncio.Transport

    def __init__(self, forward: Forward, when_delivered: bool) -> None:
        self.forward = forward
        self.when_delivered = when_delivered
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's own class is not registered as one

    def answer(self, control_id: bytes) -> None:
        self.transport.write(adt.acknowledgement(control_id))

    def data_received(self, data: bytes) -> None:
        if self.buffer:
            data = self.buffer + data
        *frames, self.buffer = data.split(adt.END)
        forward = self.forward
        for frame in frames:
            control_id = frame.split(b"|", 10)[9]
            forward.put(frame + adt.END, self if self.when_delivered else None, control_id)
            if not self.when_delivered:
                self.answer(control_id)
        if len(forward.waiting) > forward.lag and not self.when_delivered:
            self.transport.pause_reading()
            forward.paused.append(self.transport)


async def serve(port: int, partner: int, when_delivered: bool, lag: int) -> None:
    """Relay until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    _, forward = await loop.create_connection(lambda: Forward(lag), "127.0.0.1", partner)
    await loop.create_server(lambda: Receive(forward, when_delivered), "127.0.0.1", port)
    await stop.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("partner", type=int, help="the partner's port")
    parser.add_argument("--ack", choices=["received", "delivered"], default="received")
    parser.add_argument("--lag", type=int, default=1000, help="read no more while this many messages wait")
    args = parser.parse_args()
    gc.freeze()
    uvloop.run(serve(args.port, args.partner, args.ack == "delivered", args.lag))


if __name__ == "__main__":
    main()
