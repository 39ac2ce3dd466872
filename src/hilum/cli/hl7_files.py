"""Messages from files as people keep them: one, many, a batch, with any line ends, or captured with their frames."""

from __future__ import annotations

import re
from pathlib import Path

import typer

from hilum.errors import FormatError
from hilum.formats import mllp
from hilum.formats.hl7v2 import Batch

_LINE_ENDS = re.compile(rb"\r\n|\n")


def read_messages(path: Path) -> list[bytes]:
    """The messages of a file (`-`: standard input), their segments ended by CR. Raises FormatError, OSError."""
    content = typer.get_binary_stream("stdin").read() if str(path) == "-" else path.read_bytes()
    try:
        return split_messages(content)
    except FormatError as error:
        raise FormatError(f"{path}: {error.reason}") from None


def split_messages(content: bytes) -> list[bytes]:
    """The same for bytes. Raises FormatError where there is no message."""
    if mllp.START in content:
        content = b"\r".join(one for one in mllp.Decoder().feed(content) if isinstance(one, bytes))
    content = _LINE_ENDS.sub(b"\r", content.removeprefix(b"\xef\xbb\xbf").lstrip())
    found = Batch.parse(content).messages
    if not found:
        raise FormatError("there is no message in it")
    return [one.rstrip(b"\r") + b"\r" for one in found]
