"""The demo's traffic: invented patients who are admitted, examined and sent home."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path

from hilum import clock
from hilum.connectors.mllp import Config, MllpDestination
from hilum.outbound.dialer import Dialer
from hilum.sdk.contracts import Outbound
from hilum.sdk.outcome import Ambiguous, Delivered, Outcome
from hilum.security.egress import Policy, named

PATIENTS = (
    ("4711", "Doe", "Jane", "19700101", "F"),
    ("4712", "Winter", "Ole", "19581124", "M"),
    ("4713", "Sommer", "Mia", "20140730", "F"),
    ("4714", "Brook", "Sam", "19910215", "M"),
    ("4715", "Fjord", "Liv", "19830609", "F"),
    ("4716", "Berg", "Tom", "19490318", "M"),
)
EVENTS = ("A01", "A08", "A02", "A08", "A03")
TESTS = (("GLU", "Glucose", "mmol/L", 52), ("NA", "Sodium", "mmol/L", 1400), ("K", "Potassium", "mmol/L", 41))


def adt() -> Iterator[bytes]:
    """Admissions, updates, transfers and discharges, without end."""
    for number in itertools.count():
        event = EVENTS[number % len(EVENTS)]
        structure = {"A02": "ADT_A02", "A03": "ADT_A03"}.get(event, "ADT_A01")
        yield _message(
            _header("HIS", f"ADT^{event}^{structure}", f"ADT{number:04}"),
            f"EVN|{event}|{_now()}",
            _patient(number // 2),
            f"PV1|1|I|WARD{number % 4 + 1}^01^1||||0815^Nightingale^Flora||||||||||||V{9000 + number // 2}",
        )


def oru() -> Iterator[bytes]:
    """Results; every third is preliminary, which the demo's route filters."""
    for number in itertools.count():
        status = "P" if number % 3 == 1 else "F"
        order = f"O{5000 + number}"
        results = (
            f"OBX|{at}|NM|{code}^{name}^L||{(base + (number * 7 + at) % 9) / 10:.1f}|{unit}|||||{status}"
            for at, (code, name, unit, base) in enumerate(TESTS, start=1)
        )
        yield _message(
            _header("ANALYSER", "ORU^R01^ORU_R01", f"ORU{number:04}"),
            _patient(number),
            f"OBR|1|{order}|{order}|BMP^Basic metabolic panel^L|||{_now()}||||||||||||||||||{status}",
            *results,
        )


def files() -> Iterator[bytes]:
    """Updates as files; every fourth is no HL7 at all, as happens in shared folders."""
    for number in itertools.count():
        if number % 4 == 3:
            yield b"Dear colleague, I left the list on the other drive.\n"
            continue
        header = _header("ARCHIVE", "ADT^A08^ADT_A01", f"DRP{number:04}")
        yield _message(header, f"EVN|A08|{_now()}", _patient(number), "PV1|1|O")


async def feed(messages: Iterator[bytes], port: int, every: float) -> None:
    """Send for ever, each message until it is acknowledged, as a good sender does."""
    config = Config(url=f"mllp://127.0.0.1:{port}")
    destination = MllpDestination(config, Dialer([], Policy(named(config.url))))
    try:
        for body in messages:
            outcome: Outcome = Ambiguous("not sent yet")
            while not isinstance(outcome, Delivered):
                outcome = await destination.send(Outbound("", body))
                await asyncio.sleep(every)
    finally:
        await destination.close()


async def drop(messages: Iterator[bytes], folder: Path, every: float) -> None:
    """Leave a file now and then, whole at once."""
    for number, body in enumerate(messages):
        path = folder / f"update-{_now()}-{number:04}.hl7"
        await asyncio.to_thread(_leave, path, body)
        await asyncio.sleep(every)


def _leave(path: Path, body: bytes) -> None:
    part = path.with_suffix(".part")
    part.write_bytes(body)
    part.rename(path)


def _message(*segments: str) -> bytes:
    return "".join(f"{one}\r" for one in segments).encode()


def _header(sender: str, kind: str, control: str) -> str:
    run = f"{clock.micros() // 1_000_000 % 0x100000:05X}"  # a demo that is started again repeats no control id
    return f"MSH|^~\\&|{sender}|SITE|||{_now()}||{kind}|{control}-{run}|T|2.5"  # nobody is to take it for real


def _patient(number: int) -> str:
    identifier, family, given, born, sex = PATIENTS[number % len(PATIENTS)]
    return f"PID|1||{identifier}^^^SITE^MR||{family}^{given}||{born}|{sex}"


def _now() -> str:
    return clock.now().strftime("%Y%m%d%H%M%S")
