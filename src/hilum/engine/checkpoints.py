"""The files outside the database that checkpoints are kept in: a line each, a file for each chain, never rewritten.

The folder may be on another disk, a share or a store that only takes appends. What lies there is what the database is
judged by.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from hilum.security.chain import Checkpoint, PublicKey, read_checkpoint

_BLOCK = 1 << 16
KEY = "evidence.pub"


class Checkpoints:
    """Every method blocks and is meant for a thread. Raises OSError where the folder cannot be written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self, key: PublicKey) -> None:
        """Make the folder, and put the public key beside the files that it checks."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        path = self.folder / KEY
        if not path.exists() or path.read_text() != key.pem:
            fresh = path.with_name(f"{KEY}.new")
            fresh.write_text(key.pem)
            fresh.replace(path)
            _sync(self.folder)

    def path(self, chain: str) -> Path:
        return self.folder / f"{chain}.jsonl"

    def append(self, chain: str, lines: Sequence[str]) -> None:
        """On the disk when it returns. Where it raises, nothing of it is left."""
        path = self.path(chain)
        fresh = not path.exists()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        try:
            size = os.fstat(descriptor).st_size
            content = "".join(f"{line}\n" for line in lines).encode()
            try:
                while content:
                    content = content[os.write(descriptor, content) :]
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)
        if fresh:
            _sync(self.folder)

    def mend(self, chain: str) -> None:
        """Take out a line that was cut short when the hub was killed."""
        path = self.path(chain)
        if not path.exists():
            return
        with path.open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            end = size
            while end:
                begin = max(end - _BLOCK, 0)
                file.seek(begin)
                found = file.read(end - begin).rfind(b"\n")
                if found >= 0:
                    end = begin + found + 1
                    break
                end = begin
            if end < size:
                file.truncate(end)
                os.fsync(file.fileno())

    def newest(self, chain: str) -> Iterator[Checkpoint]:
        """From the last one back to the first. Raises FormatError at a line that is no checkpoint."""
        path = self.path(chain)
        if not path.exists():
            return
        with path.open("rb") as file:
            end, left = file.seek(0, os.SEEK_END), b""
            while end:
                begin = max(end - _BLOCK, 0)
                file.seek(begin)
                first, *lines = (file.read(end - begin) + left).split(b"\n")
                for line in reversed(lines):
                    if line:
                        yield read_checkpoint(line.decode("utf-8", "replace"))
                end, left = begin, first
            if left:
                yield read_checkpoint(left.decode("utf-8", "replace"))

    def lines(self, chain: str) -> Iterator[str]:
        """As they stand, with their ends."""
        path = self.path(chain)
        if path.exists():
            with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
                yield from file


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
