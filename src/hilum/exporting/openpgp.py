"""OpenPGP in a process of its own: the library holds the interpreter while it waits for a pipe, and nobody fills it.

    python -m hilum.exporting.openpgp

It reads 8 bytes of length, certificates as JSON and the plain file, and writes the message.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Iterable
from typing import Any, Protocol

from hilum.errors import HilumError

_LENGTH = struct.Struct(">Q")
_PIECE = 1 << 16


class Sink(Protocol):
    """Where bytes go."""

    def write(self, content: bytes, /) -> Any: ...


def encrypt(certificates: list[str], pieces: Iterable[bytes], sink: Sink) -> None:
    """Write the pieces as one message to all of them. Raises HilumError, and what the pieces or the sink raise."""
    head = json.dumps(certificates).encode()
    command = [sys.executable, "-m", __name__]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as child:  # noqa: S603 - this very module
        feeder = _Feeder(child, [_LENGTH.pack(len(head)), head], pieces)
        feeder.start()
        assert child.stdout is not None and child.stderr is not None  # noqa: S101, PT018 - pipes, as asked for
        try:
            while piece := child.stdout.read(_PIECE):
                sink.write(piece)
            told = child.stderr.read().decode(errors="replace").strip()
        except BaseException:
            child.kill()
            raise
        finally:
            feeder.join()
    if feeder.problem is not None:
        raise feeder.problem
    if child.returncode:
        raise HilumError(f"OpenPGP: {told.splitlines()[-1] if told else child.returncode}")


class _Feeder(threading.Thread):
    """Writes what a process reads, and ends it where there is nothing to write any more."""

    def __init__(self, child: subprocess.Popen[bytes], head: list[bytes], pieces: Iterable[bytes]) -> None:
        super().__init__(name="hilum-openpgp", daemon=True)
        self._child, self._head, self._pieces = child, head, pieces
        self.problem: BaseException | None = None

    def run(self) -> None:
        stream: Any = self._child.stdin
        try:
            stream.writelines(self._head)
            stream.writelines(self._pieces)
            stream.close()
        except BrokenPipeError:
            pass  # its exit code says why
        except BaseException as error:
            self.problem = error
            self._child.kill()  # half a message must not look like a whole one


def main() -> None:
    """The process."""
    import pysequoia

    (length,) = _LENGTH.unpack(_exactly(_LENGTH.size))
    recipients = [pysequoia.Cert.from_bytes(one.encode()) for one in json.loads(_exactly(length))]
    pysequoia.encrypt_file("/dev/stdin", "/dev/stdout", recipients=recipients, armor=False)


def _exactly(count: int) -> bytes:
    """From the descriptor itself, so that nothing behind it is read."""
    found = b""
    while len(found) < count:
        piece = os.read(0, count - len(found))
        if not piece:
            raise SystemExit("nothing to encrypt came")
        found += piece
    return found


if __name__ == "__main__":
    main()
