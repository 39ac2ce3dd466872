"""Each party of a benchmark is a process of its own; what it used is read from Linux's /proc.

CPU is user and system time, `written` what the process caused to be sent to the disk, both with its children.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

HERE = Path(__file__).parent
TICKS = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True)
class Usage:
    """CPU seconds, bytes written to disk and resident bytes of a process and its children."""

    cpu: float
    written: int
    resident: int


class Party:
    """A started process; `log` holds what it said."""

    def __init__(self, name: str, command: list[str], log: Path, environment: dict[str, str] | None = None) -> None:
        self.name = name
        self.log = log
        if not Path(command[0]).exists():
            raise RuntimeError(f"{name} is not installed: no {Path(command[0]).name} beside this Python")
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=log.parent,
                env=(os.environ | environment) if environment else None,
            )

    def wait_for(self, port: int, seconds: float = 60.0) -> None:
        """Return once the port accepts connections; RuntimeError with the log's end otherwise."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self.process.poll() is not None:
                break
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.05)
        said = self.log.read_text(errors="replace").strip()[-1500:]
        raise RuntimeError(f"{self.name} does not listen on port {port} (exit {self.process.poll()}): {said}")

    def usage(self) -> Usage:
        """What it used since it started."""
        cpu, written, resident = 0.0, 0, 0
        for pid in _family(self.process.pid):
            proc = Path("/proc") / str(pid)
            fields = (proc / "stat").read_text().rpartition(")")[2].split()
            cpu += (int(fields[11]) + int(fields[12])) / TICKS
            resident += int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
            lines = (proc / "io").read_text().splitlines()
            written += int(next(line for line in lines if line.startswith("write_bytes")).split()[1])
        return Usage(cpu, written, resident)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL after 20 s."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _family(pid: int) -> list[int]:
    """The process and its descendants."""
    found = [pid]
    for task in (Path("/proc") / str(pid) / "task").iterdir():
        for child in (task / "children").read_text().split():
            found += _family(int(child))
    return found


def script(name: str, *arguments: object) -> list[str]:
    """The command line of a script beside this one."""
    return [sys.executable, str(HERE / name), *map(str, arguments)]


class Sink(Party):
    """The partner (sink.py) with its control line."""

    def __init__(self, folder: Path) -> None:
        self.port, control = free_port(), free_port()
        super().__init__("sink", script("sink.py", self.port, control), folder / "sink.log")
        self.wait_for(control)
        self.line = socket.create_connection(("127.0.0.1", control))
        self.reader = self.line.makefile("rb")

    def ask(self, what: str = "counts") -> dict[str, float]:
        """Its counts, after a `reset` if asked for."""
        self.line.sendall(what.encode() + b"\n")
        counts: dict[str, float] = json.loads(self.reader.readline())
        return counts

    def stop(self) -> None:
        self.reader.close()
        self.line.close()
        super().stop()


def load(port: int, senders: int, name: str, seconds: float = 0.0, count: int = 0) -> dict[str, Any]:
    """Run load.py to its end and return its figures; RuntimeError if it failed or a message was refused."""
    command = script(
        "load.py",
        port,
        "--senders",
        senders,
        "--seconds",
        seconds,
        "--count",
        count,
        "--name",
        name,
        "--json",
    )
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise RuntimeError(f"the load generator failed: {run.stderr.strip()[-1500:]}")
    figures: dict[str, Any] = json.loads(run.stdout)
    if figures["refused"]:
        raise RuntimeError(f"{figures['refused']} messages refused, the first: {figures['first_refusal']}")
    return figures
