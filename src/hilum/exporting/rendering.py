"""Renders pages in a process of their own: what sets them keeps 400 MB, and takes a whole process along if it fails.

    python -m hilum.exporting.rendering

It reads a pickled (report, format, paper) of its own parent, and writes each file as its name and content, with their
lengths before them. What is no page is written here, for it needs neither.
"""

from __future__ import annotations

import json
import pickle
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import IO, Any

from hilum.errors import ConfigError, DataError, HilumError
from hilum.formats.report import render
from hilum.formats.report.document import Report
from hilum.formats.report.pages import Paper

PAGES = frozenset({"pdf", "png", "svg"})
_FRAME = struct.Struct(">IQ")  # characters of the name, bytes of the content
_PROBLEM = "!"  # no file's name
_PIECE = 1 << 20


def rendered(report: Report, format: str, paper: Paper = Paper.A4) -> Iterator[tuple[str, Iterator[bytes]]]:
    """As `formats.report.render`. Raises ConfigError, DataError, HilumError where the process broke."""
    if format not in PAGES:
        yield from render.render(report, format, paper)
        return
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-m", __name__], stdin=pipe, stdout=pipe, stderr=pipe) as child:  # noqa: S603 - this very module
        feeder = threading.Thread(target=_feed, args=(child, (report, format, paper)), daemon=True)
        feeder.start()
        try:
            yield from _files(child)
        except BaseException:
            child.kill()
            raise
        finally:
            feeder.join()


def _feed(child: subprocess.Popen[bytes], asked: tuple[Report, str, Paper]) -> None:
    stream: Any = child.stdin
    try:
        pickle.dump(asked, stream)
        stream.close()
    except BrokenPipeError:
        pass  # its end says why
    except BaseException:
        child.kill()
        raise


def _files(child: subprocess.Popen[bytes]) -> Iterator[tuple[str, Iterator[bytes]]]:
    stream: Any = child.stdout
    while head := stream.read(_FRAME.size):
        if len(head) < _FRAME.size:
            break
        length, size = _FRAME.unpack(head)
        name = stream.read(length).decode()
        if name == _PROBLEM:
            raise _problem(json.loads(stream.read(size)))
        yield name, _pieces(stream, size)
    if child.wait():
        told = (child.stderr.read() if child.stderr else b"").decode(errors="replace").strip().splitlines()
        raise HilumError(f"the pages could not be set: {told[-1] if told else f'exit code {child.returncode}'}")


def _pieces(stream: IO[bytes], size: int) -> Iterator[bytes]:
    while size:
        piece = stream.read(min(size, _PIECE))
        if not piece:
            raise HilumError("the pages could not be set: their process ended amid a file")
        size -= len(piece)
        yield piece


def _problem(told: dict[str, Any]) -> HilumError:
    if told["kind"] == "data":
        return DataError(told["reason"], row=told["row"], variable=told["variable"])
    return ConfigError(told["reason"], where=told["where"])


def main() -> None:
    """The process."""
    report, format, paper = pickle.load(sys.stdin.buffer)  # noqa: S301 - its parent wrote it, nobody else can
    sink = sys.stdout.buffer
    try:
        for name, pieces in render.render(report, format, paper):
            _put(sink, name, b"".join(pieces))
    except DataError as error:
        told = {"kind": "data", "reason": error.reason, "row": error.row, "variable": error.variable}
        _put(sink, _PROBLEM, json.dumps(told).encode())
    except ConfigError as error:
        _put(sink, _PROBLEM, json.dumps({"kind": "config", "reason": error.reason, "where": error.where}).encode())
    sink.flush()


def _put(sink: IO[bytes], name: str, content: bytes) -> None:
    sink.write(_FRAME.pack(len(name.encode()), len(content)) + name.encode())
    sink.write(content)


if __name__ == "__main__":
    main()
