"""What commands print: tables for people, JSON for programs, one red line for an error.

Everything that came from outside goes through `plain` first, so that a message cannot steer the terminal.
"""

from __future__ import annotations

import datetime
import json
import os
import sys
import unicodedata
from typing import Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hilum import clock
from hilum.errors import ConfigError

PIPED = 160  # columns where nobody says how many there are


def _console(*, stderr: bool = False) -> Console:
    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(
        stderr=stderr, highlight=False, markup=False, emoji=False,
        width=None if terminal or "COLUMNS" in os.environ else PIPED,
    )  # fmt: skip


out = _console()
err = _console(stderr=True)

STYLES = {
    "delivered": "green", "healthy": "green", "idle": "green", "sending": "green", "running": "green", "AA": "green",
    "pending": "yellow", "delivering": "yellow", "received": "yellow", "unrouted": "yellow", "degraded": "yellow",
    "retrying": "yellow", "holding": "yellow", "half-open": "yellow", "warning": "yellow", "change": "yellow",
    "failed": "red", "error": "red", "dead": "red", "expired": "red", "unhealthy": "red", "blocked": "red",
    "open": "red", "AE": "red", "AR": "red", "remove": "red", "create": "green", "review": "magenta",
    "active": "green", "invited": "yellow", "locked": "red", "disabled": "dim", "removed": "dim", "revoked": "dim",
    "filtered": "dim", "skipped": "dim", "discarded": "dim", "paused": "dim", "stopped": "dim", "info": "dim",
}  # fmt: skip


def plain(value: Any) -> str:
    """Text that is safe on a terminal: control and direction characters become visible."""
    text = "" if value is None else str(value)
    if text.isascii() and text.isprintable():
        return text
    return "".join(one if one == "\n" or unicodedata.category(one)[0] != "C" else _visible(one) for one in text)


def _visible(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def state(word: str) -> Text:
    """A word in its colour."""
    return Text(plain(word), STYLES.get(word, ""))


def table(*columns: str, right: tuple[str, ...] = (), whole: tuple[str, ...] = ()) -> Table:
    """A table with these headings; numbers in `right`, what must never be cut in `whole`."""
    made = Table(box=box.SIMPLE_HEAD, header_style="bold", padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", no_wrap=column in whole,
                        overflow="fold")  # fmt: skip
    return made


def kind(type: str) -> str:
    """ADT^A01 of ADT^A01^ADT_A01: the structure follows from the rest."""
    return plain("^".join(type.split("^")[:2]))


def moment(stamp: str | None) -> str:
    """`2026-05-04 10:20:34` in UTC, of an ISO time."""
    return "" if not stamp else plain(stamp)[:19].replace("T", " ")


def duration(seconds: float | None) -> str:
    """`4 s`, `3 min`, `5 h`, `2 d`."""
    if seconds is None:
        return ""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def since(text: str | None) -> str | None:
    """`90s`, `15m`, `2h` or `3d` ago, or a date or time in ISO 8601, as an ISO time in UTC. Raises ConfigError."""
    if text is None:
        return None
    units = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
    try:
        if text[-1:] in units and text[:-1].isdigit():
            return (clock.now() - datetime.timedelta(seconds=int(text[:-1]) * units[text[-1]])).isoformat()
        found = datetime.datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise ConfigError(f"{text!r} is no time; write 15m, 2h, 3d or 2026-05-04T10:20") from None
    return (found if found.tzinfo else found.replace(tzinfo=datetime.UTC)).astimezone(datetime.UTC).isoformat()


def show_json(value: Any) -> None:
    """For programs."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    typer.echo(text.encode("utf-8", "replace"))


def raw(content: bytes) -> None:
    """Bytes as they are; on a terminal readable, a segment a line."""
    stream = typer.get_binary_stream("stdout")
    if sys.stdout.isatty():
        lines = content.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
        content = plain(lines).encode("utf-8", "replace") + b"\n"
    stream.write(content)
    stream.flush()


def hint(text: str) -> None:
    """What to do next."""
    out.print(Text(text, "dim"), soft_wrap=True)


def failure(reason: str) -> None:
    """The one red line."""
    err.print(Text.assemble(("error: ", "bold red"), (plain(reason), "red")), soft_wrap=True)
