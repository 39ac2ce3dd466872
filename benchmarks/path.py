"""One measurement: load -> subject -> sink, from the first byte sent until the sink has every message.

A subject is whatever listens for MLLP and forwards to the sink: the relay, the hub, a peer.
"""

from __future__ import annotations

import itertools
import statistics
import time
from dataclasses import dataclass, fields

from rich.table import Table

import processes

PATIENCE = 30.0  # seconds without one more message at the sink
SETTLE = 1.0  # seconds after the last delivery that still belong to its cost: results are written in batches
_runs = itertools.count(1)


@dataclass(frozen=True)
class Figures:
    """Messages per second end to end, ACK milliseconds, CPU ms and KB per message, resident MB, messages."""

    rate: float
    p50: float
    p99: float
    cpu: float
    written: float
    resident: float
    messages: float


class Subject(processes.Party):
    """A party that listens for MLLP on `port` and forwards to the sink."""

    port: int


def measure(subject: Subject, sink: processes.Sink, senders: int, seconds: float, *, mapped: bool) -> Figures:
    """Measure after one second of warm-up; RuntimeError if a message was lost, overtaken or not mapped."""
    feed(subject, sink, senders, seconds=1.0)
    before = subject.usage()
    sent, counts = feed(subject, sink, senders, seconds=seconds)
    time.sleep(SETTLE)
    after = subject.usage()
    messages = sent["acknowledged"]
    if mapped and counts["unmapped"]:
        raise RuntimeError(f"{subject.name}: {counts['unmapped']} messages arrived without the mapped MSH-5")
    return Figures(
        rate=messages / (counts["last"] - sent["started"]),
        p50=sent["p50"],
        p99=sent["p99"],
        cpu=(after.cpu - before.cpu) / messages * 1000,
        written=(after.written - before.written) / messages / 1024,
        resident=after.resident / 2**20,
        messages=messages,
    )


def feed(
    subject: Subject, sink: processes.Sink, senders: int, *, seconds: float = 0.0, count: int = 0
) -> tuple[dict[str, float], dict[str, float]]:
    """Send for so long, or so many, and wait for the sink; the load's figures and the sink's counts."""
    sink.ask("reset")
    name = f"R{next(_runs)}T{time.monotonic_ns() % 10**9}"  # no two runs share a control id
    sent = processes.load(subject.port, senders, name, seconds, count)
    counts = sink.ask()
    patience = time.monotonic() + PATIENCE
    while counts["count"] < sent["acknowledged"]:
        if time.monotonic() > patience:
            raise RuntimeError(f"{subject.name}: {counts['count']} of {sent['acknowledged']} messages arrived")
        time.sleep(0.02)
        seen, counts = counts["count"], sink.ask()
        if counts["count"] > seen:
            patience = time.monotonic() + PATIENCE
    if counts["missing"] or counts["doubled"]:
        raise RuntimeError(f"{subject.name}: order broken, {counts}")
    return sent, counts


def median(rounds: list[Figures]) -> Figures:
    """The median of each figure on its own."""
    return Figures(*(statistics.median(getattr(one, field.name) for one in rounds) for field in fields(Figures)))


def table(found: dict[tuple[str, int], list[Figures]]) -> Table:
    """Medians of everything measured, one row per subject and number of senders."""
    titles = ("ACK p50 ms", "ACK p99 ms", "CPU ms", "KB written", "RSS MB")
    result = Table("subject", "senders", "messages/s", "least - most", *titles)
    for column in result.columns[1:]:
        column.justify = "right"
    for (subject, senders), rounds in found.items():
        one = median(rounds)
        rates = [each.rate for each in rounds]
        spread = f"{min(rates):,.0f} - {max(rates):,.0f}"
        figures = [
            f"{one.p50:.2f}",
            f"{one.p99:.2f}",
            f"{one.cpu:.3f}",
            f"{one.written:.1f}",
            f"{one.resident:.0f}",
        ]
        result.add_row(subject, str(senders), f"{one.rate:,.0f}", spread, *figures)
    return result
