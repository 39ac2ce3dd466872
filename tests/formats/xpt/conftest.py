"""Transport files made byte by byte, as TS-140 and TS-140-2 describe them, without any code of ours."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

Make = Callable[..., Path]
Variable = tuple[Any, ...]  # kind (1 number, 2 text), bytes, name, label, format, width, decimals, justify, informat


def card(data: bytes) -> bytes:
    assert len(data) <= 80
    return data.ljust(80)


def head(word: str, rest: str = "0" * 30) -> bytes:
    return card(f"HEADER RECORD*******{word:<8}HEADER RECORD!!!!!!!{rest}".encode())


def filled(data: bytes) -> bytes:
    return data + b" " * (-len(data) % 80)


def namestr(number: int, position: int, variable: Variable, size: int, long: bool) -> bytes:
    label, form, width, decimals, justify, informat = (*variable[3:], *("", "", 0, 0, 0, "")[len(variable) - 3 :])
    kind, length, name = variable[:3]
    data = struct.pack(">hhhh", kind, 0, length, number) + name[:8].encode().ljust(8)
    data += (label if isinstance(label, bytes) else label.encode())[:40].ljust(40)
    data += form[:8].encode().ljust(8) + struct.pack(">hhhh", width, decimals, justify, 0)
    data += informat.encode().ljust(8) + struct.pack(">hhi", 0, 0, position)
    return data + (name.encode().ljust(32) + bytes(20) if long else bytes(52))[: size - 88]


def member(
    name: str,
    variables: Sequence[Variable],
    rows: bytes,
    *,
    size: int = 140,
    v8: bool = False,
    count: str = "0" * 30,
    between: bytes = b"",
    label: bytes = b"",
    kind: bytes = b"",
) -> bytes:
    parts = [
        head("MEMBV8" if v8 else "MEMBER", f"00000000000000000160000000{size:04}"),
        head("DSCPTV8" if v8 else "DSCRPTR"),
    ]
    parts.append(
        card(
            b"SAS     "
            + name.encode().ljust(32 if v8 else 8)
            + b"SASDATA 9.4     Linux\0\0\0"
            + (b"" if v8 else b" " * 24)
            + b"02JAN26:03:04:05"
        )
    )
    parts.append(card(b"02JAN26:03:04:06".ljust(32) + label.ljust(40) + kind))
    parts.append(head("NAMSTV8" if v8 else "NAMESTR", f"0000{len(variables):06}" + "0" * 20))
    position, block = 0, b""
    for number, variable in enumerate(variables, 1):
        block += namestr(number, position, variable, size, v8)
        position += variable[1]
    return b"".join([*parts, filled(block), between, head("OBSV8" if v8 else "OBS", count), rows])


@pytest.fixture
def made(tmp_path: Path) -> Make:
    """Writes a file of members: (name, variables, rows, and what else `member` takes)."""

    def make(*members: tuple[str, Sequence[Variable], bytes, dict[str, Any]], v8: bool = False) -> Path:
        path = tmp_path / "made.xpt"
        start = (
            head("LIBV8" if v8 else "LIBRARY")
            + card(b"SAS     SAS     SASLIB  9.4     Linux".ljust(64) + b"02JAN26:03:04:05")
            + card(b"02JAN26:03:04:05")
        )
        path.write_bytes(start + b"".join(member(*one[:3], v8=v8, **one[3]) for one in members))
        return path

    return make


@pytest.fixture
def long_labels() -> Callable[..., bytes]:
    """A LABELV8 or LABELV9 section: (number, name, label, format, informat) of each."""

    def make(word: str, *entries: tuple[Any, ...]) -> bytes:
        body = b""
        for number, *texts in entries:
            body += struct.pack(f">{len(texts) + 1}h", number, *map(len, texts)) + "".join(texts).encode()
        return head(word, str(len(entries))) + filled(body)

    return make
