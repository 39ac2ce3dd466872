"""One process holds a data folder. The lock is the kernel's: it goes with the process, however that ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Self

from hilum.errors import StoreLocked


class FolderLock:
    """Holds DIR/hub.lock, which names its holder's pid."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "hub.lock"
        self._descriptor = -1

    def acquire(self) -> Self:
        """Raises StoreLocked naming the process that holds the folder."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise StoreLocked(f"{self._path.parent} is in use by another hub (pid {holder})") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        self._descriptor = descriptor
        return self

    def release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
