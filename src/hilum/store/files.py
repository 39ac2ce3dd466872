"""Files beside the rows: whole or not there, and on the disk before a row names them.

Each lies in the data folder as kind/organization/identifier.sealed, readable by its owner alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import uuid
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO

ARCHIVES, EXPORTS = "archive", "exports"
DATASETS, IMPORTS, PACKAGES = "datasets", "imports", "packages"
BACKED_UP = (ARCHIVES, EXPORTS, DATASETS)
"""What a backup takes along. An export of a data set can be made again, a file that waits can be sent again."""

SUFFIX, PARTIAL = ".sealed", ".partial"
_CHUNK = 1 << 20


def path_of(folder: Path, kind: str, organization: uuid.UUID, identifier: uuid.UUID) -> Path:
    """Where a row's file lies."""
    return folder / kind / str(organization) / f"{identifier}{SUFFIX}"


@contextlib.contextmanager
def written(path: Path) -> Iterator[IO[bytes]]:
    """A file that is there, whole and synced, when the block has ended; where it fails nothing is. Raises OSError."""
    _make(path.parent)
    partial = path.with_name(path.name + PARTIAL)
    try:
        with private(partial) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        sync(path.parent)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def digest(path: Path) -> tuple[int, bytes]:
    """Bytes and SHA-256 of a file. Raises OSError."""
    found, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            found.update(piece)
            size += len(piece)
    return size, found.digest()


def remove(path: Path) -> None:
    """Gone from the disk as well. A missing one is no error."""
    path.unlink(missing_ok=True)
    if path.parent.is_dir():
        sync(path.parent)


def sweep(folder: Path, kind: str, organization: uuid.UUID, known: Collection[uuid.UUID]) -> int:
    """Remove what a crash left: files of which no row knows. How many."""
    names, gone = {str(one) for one in known}, 0
    below = folder / kind / str(organization)
    for path in sorted(below.iterdir()) if below.is_dir() else ():
        if path.name.partition(".")[0] not in names:
            remove(path)
            gone += 1
    return gone


def sync(folder: Path) -> None:
    """The names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make(folder: Path) -> None:
    """With what is above it; each name is on the disk."""
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        sync(folder.parent)


def private(path: Path) -> IO[bytes]:
    """A file to write that its owner alone may read; it may be there in part. Raises OSError."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
