"""Hubs and partners as commands meet them: in processes and threads of their own, on free ports of loopback."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner

from hilum.cli import output
from hilum.cli.demo.partners import Partner, Temper
from hilum.cli.root import app
from hilum.sdk.testing import free_port

SOURCE = Path(__file__).parents[2] / "src"
BOUND = 30.0  # seconds that anything may take
COLUMNS = 160

CONFIG = """
version: 1
organization: test
environment: test
integrations:
  - name: adt-feed
    protocol: hl7_v2
    endpoints:
      - {{name: in, direction: inbound, url: "mllp://127.0.0.1:{inbound}"}}
  - name: lab
    protocol: hl7_v2
    endpoints:
      - {{name: out, direction: outbound, url: "mllp://127.0.0.1:{outbound}", retries: 2}}
routes:
  - name: adt-to-lab
    from: adt-feed/in
    steps:
      - filter: {{where: "MSH-9.1 == 'ADT'"}}
      - map: {{set: {{MSH-5: LAB}}, compute: {{PID-5.1: "upper(PID-5.1)"}}}}
    to: [lab/out]
"""


def wait_until(condition: Callable[[], Any], what: str) -> Any:
    """The first true value of `condition`."""
    end = time.monotonic() + BOUND
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    pytest.fail(f"not within {BOUND:.0f} s: {what}")


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on right now, all different."""
    found: set[int] = set()
    while len(found) < count:
        found.add(free_port())
    return list(found)


def adt(control: str, patient: str = "4711", family: str = "Doe") -> bytes:
    """An admission of an invented patient."""
    return (
        f"MSH|^~\\&|HIS|SITE|||20260504101500||ADT^A01^ADT_A01|{control}|P|2.5\r"
        f"EVN|A01|20260504101500\rPID|1||{patient}^^^SITE^MR||{family}^Jane||19700101|F\rPV1|1|I|WARD1\r"
    ).encode()


class Called:
    """What a command printed, and how it ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def call() -> Iterator[Callable[..., Called]]:
    """Run a command inside this process."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    output.out.width = output.err.width = COLUMNS

    def work(*arguments: object, stdin: str | None = None) -> Called:
        result = CliRunner().invoke(app, [str(one) for one in arguments], input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Called(result.exit_code, result.stdout, result.stderr)

    yield work
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


class Process:
    """`hilum …` as a process; `lines` is what it printed so far on both streams."""

    def __init__(self, *arguments: object, folder: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONUNBUFFERED": "1", "COLUMNS": str(COLUMNS)}
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "hilum", *map(str, arguments)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder,
            env=environment,
        )  # fmt: skip
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.popen.stdout is not None
        while line := self.popen.stdout.readline():
            self.lines.append(line)

    @property
    def text(self) -> str:
        return "".join(self.lines)

    def says(self, word: str) -> None:
        wait_until(lambda: word in self.text or self.popen.poll() is not None, f"{word!r} in:\n{self.text}")
        assert word in self.text, self.text

    def tell(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)

    def end(self, number: signal.Signals | None = signal.SIGTERM) -> int:
        """Its exit code, after the signal."""
        if number is not None and self.popen.poll() is None:
            self.popen.send_signal(number)
        try:
            code = self.popen.wait(BOUND)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            pytest.fail(f"it did not end:\n{self.text}")
        self._reader.join(BOUND)
        assert self.popen.stdout is not None
        self.popen.stdout.close()
        return code


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Start a command as a process; all of them are ended after the test."""
    started: list[Process] = []

    def work(*arguments: object) -> Process:
        started.append(Process(*arguments, folder=tmp_path))
        return started[-1]

    yield work
    for one in started:
        if not one.popen.stdout or not one.popen.stdout.closed:
            one.end()


class Hub:
    """A running hub with one feed (`inbound`) and one destination (`outbound`)."""

    def __init__(self, process: Process, data: Path, config: Path, inbound: int, outbound: int, http: int) -> None:
        self.process = process
        self.data = data
        self.config = config
        self.inbound = inbound
        self.outbound = outbound
        self.http = http


@pytest.fixture
def hub(start: Callable[..., Process], tmp_path: Path) -> Hub:
    """A hub that serves; nobody listens at its destination yet."""
    inbound, outbound, http = free_ports(3)
    config, data = tmp_path / "hub.yaml", tmp_path / "data"
    config.write_text(CONFIG.format(inbound=inbound, outbound=outbound), "utf-8")
    process = start("serve", "--config", config, "--data", data, "--http", f"127.0.0.1:{http}")
    process.says("source runs")
    wait_until((data / "hub.sock").exists, "the socket")
    return Hub(process, data, config, inbound, outbound, http)


@pytest.fixture
def partner() -> Iterator[Callable[[int, Temper], None]]:
    """Let a partner listen, in a loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    listening: list[Partner] = []

    def work(port: int, temper: Temper) -> None:
        one = Partner(port, temper)
        asyncio.run_coroutine_threadsafe(one.start(), loop).result(BOUND)
        listening.append(one)

    yield work
    for one in listening:
        asyncio.run_coroutine_threadsafe(one.stop(), loop).result(BOUND)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(BOUND)
    loop.close()


@pytest.fixture(name="adt")
def _adt() -> Callable[..., bytes]:
    """Make an admission."""
    return adt


@pytest.fixture(name="wait_until")
def _wait_until() -> Callable[[Callable[[], Any], str], Any]:
    """Wait for a condition."""
    return wait_until


@pytest.fixture(name="free_ports")
def _free_ports() -> Callable[[int], list[int]]:
    """Find ports."""
    return free_ports
