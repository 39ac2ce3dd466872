"""What a message costs: MLLP in -> map -> one ordered MLLP destination, on disk before it is acknowledged.

Relay (stores nothing) and hub run in turn, so that a noisy machine slows both; medians of the rounds are
compared with the design's budget. Nothing here is a test: it prints, and exits 0 even where a budget is
missed.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.table import Table

import commits
import path
import processes

HUB = Path(sys.executable).parent / "hilum"
CONFIG = """\
version: 1
organization: demo
environment: development
integrations:
  - name: adt-feed
    type: HL7
    protocol: hl7_v2
    endpoints:
      - {{name: in, direction: inbound, url: "mllp://127.0.0.1:{inbound}"}}
  - name: lab
    type: LAB_SYSTEM
    protocol: hl7_v2
    endpoints:
      - {{name: out, direction: outbound, url: "mllp://127.0.0.1:{outbound}"}}
routes:
  - name: adt-to-lab
    from: adt-feed/in
    steps:
      - map: {{set: {{MSH-5: "XFORMED"}}}}
    to: [lab/out]
"""


class Hub(path.Subject):
    """`hilum serve` in a folder of its own, with encryption and indexes as they come."""

    def __init__(self, folder: Path, partner: int) -> None:
        self.port, http = processes.free_port(), processes.free_port()
        config = folder / "hub.yaml"
        config.write_text(CONFIG.format(inbound=self.port, outbound=partner))
        serve = [
            "serve",
            "--config",
            str(config),
            "--data",
            str(folder / "data"),
            "--http",
            f"127.0.0.1:{http}",
        ]
        super().__init__("hub", [str(HUB), *serve], folder / "hub.log")
        self.wait_for(self.port)


class Relay(path.Subject):
    """The yardstick (relay.py)."""

    def __init__(self, folder: Path, partner: int) -> None:
        self.port = processes.free_port()
        super().__init__("relay", processes.script("relay.py", self.port, partner), folder / "relay.log")
        self.wait_for(self.port)


class Rounds:
    """Relay, disk and hub in turn; every figure of every round."""

    def __init__(self, folder: Path, sink: processes.Sink, seconds: float) -> None:
        self.folder = folder
        self.sink = sink
        self.seconds = seconds
        self.commits: list[float] = []
        self.found: dict[tuple[str, int], list[path.Figures]] = {}

    def add(self, hub: Hub | None, console: Console) -> None:
        """One more round, with eight senders and with one."""
        self.commits.append(commits.sqlite_commits(self.folder, min(self.seconds, 2.0)))
        console.print(f"raw SQLite FULL commits {self.commits[-1]:,.0f}/s")
        for senders in (8, 1):
            with Relay(self.folder, self.sink.port) as relay:
                self._measure(relay, senders, console, mapped=False)
            if hub is not None:
                self._measure(hub, senders, console, mapped=True)

    def _measure(self, subject: path.Subject, senders: int, console: Console, *, mapped: bool) -> None:
        one = path.measure(subject, self.sink, senders, self.seconds, mapped=mapped)
        self.found.setdefault((subject.name, senders), []).append(one)
        console.print(f"{senders} sender(s): {subject.name} {one.rate:,.0f}/s, ACK p99 {one.p99:.2f} ms")

    def median(self, subject: str, senders: int) -> path.Figures:
        return path.median(self.found[subject, senders])


class Budget:
    """The design's budget beside what was measured."""

    def __init__(self) -> None:
        self.table = Table("what", "budget", "measured", "ratio", "met")

    def at_least(self, what: str, share: float, of: str, yardstick: float, measured: float) -> None:
        """`measured` must be this share of a yardstick from the same run."""
        ratio = measured / yardstick
        self._row(
            what,
            f"≥ {share} of {of} ({yardstick:,.0f}/s)",
            f"{measured:,.0f}/s",
            f"{ratio:.2f}",
            ratio >= share,
        )

    def at_most(self, what: str, limit: float, unit: str, measured: float) -> None:
        """`measured` must stay below a fixed limit."""
        self._row(
            what,
            f"≤ {limit:g} {unit}",
            f"{measured:.3g} {unit}",
            f"{measured / limit:.2f}",
            measured <= limit,
        )

    def _row(self, what: str, budget: str, measured: str, ratio: str, met: bool) -> None:
        self.table.add_row(what, budget, measured, ratio, "[green]yes" if met else "[bold red]no")


def budget_table(rounds: Rounds, stored: int) -> Table:
    """The rows of the design's section 8 that this benchmark measures."""
    budget = Budget()
    eight, one, relay = rounds.median("hub", 8), rounds.median("hub", 1), rounds.median("relay", 8)
    raw = statistics.median(rounds.commits)
    budget.at_least("8 senders, end to end", 0.5, "the relay", relay.rate, eight.rate)
    budget.at_least("8 senders, end to end", 1, "the expected rate", 4500, eight.rate)
    budget.at_most("8 senders, ACK p99", 15, "ms", eight.p99)
    budget.at_most("8 senders, CPU a message", 0.22, "ms", eight.cpu)
    budget.at_most("8 senders, written a message", 15, "KB", eight.written)
    budget.at_least("1 sender, end to end", 0.28, "SQLite FULL commits", raw, one.rate)
    budget.at_most("1 sender, ACK p50", 0.7, "ms", one.p50)
    budget.at_most("1 sender, written a message", 32, "KB", one.written)
    budget.at_most(f"memory after {stored:,} messages", 150, "MB", max(eight.resident, one.resident))
    return budget.table


def run(console: Console, folder: Path, args: argparse.Namespace) -> None:
    """Measure and print."""
    with ExitStack() as stack:
        sink = processes.Sink(folder)
        stack.callback(sink.stop)
        hub: Hub | None = None
        if not args.relay_only:
            hub = Hub(folder, sink.port)
            stack.callback(hub.stop)
        if hub is not None and args.rows:
            console.print(f"storing {args.rows:,} messages first ...")
            sent, _ = path.feed(hub, sink, 8, count=args.rows)
            console.print(f"stored at {sent['rate']:,.0f}/s")
        rounds = Rounds(folder, sink, args.seconds)
        for _ in range(args.rounds):
            rounds.add(hub, console)
        console.print(path.table(rounds.found))
        if hub is not None:
            measured = sum(one.messages for senders in (8, 1) for one in rounds.found["hub", senders])
            console.print(budget_table(rounds, args.rows + int(measured)))


def in_scratch(parent: Path, keep: bool, use: Callable[[Path], object]) -> None:
    """Call with a new folder on the disk to be measured; removed afterwards unless it is to be kept."""
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=parent)).resolve()
    try:
        use(folder)
    finally:
        if keep:
            print(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=0, help="messages to store before anything is measured")
    parser.add_argument("--folder", type=Path, default=processes.HERE.parent / "build", help="on the disk to measure")
    parser.add_argument("--relay-only", action="store_true", help="only the yardstick")
    parser.add_argument("--keep", action="store_true", help="keep the data folder and the logs")
    args = parser.parse_args()
    if not Path("/proc/self/io").exists():
        sys.exit("not measured: needs Linux's /proc")
    console = Console(width=None if sys.stdout.isatty() else 120)
    try:
        in_scratch(args.folder, args.keep, lambda folder: run(console, folder, args))
    except RuntimeError as error:
        sys.exit(f"not measured: {error}")


if __name__ == "__main__":
    main()
