"""The crash-proof mark: which deliveries were taken by their destination but have no row saying so yet.

A ring of delivery ids in a memory-mapped file. A store into the page cache survives SIGKILL, so a delivery
is marked right after the partner's answer and its row may follow in a batch. A power cut may lose the ring,
and what was sent since the last batch is then sent again. The ring belongs to one generation of the store:
after a restore it is not believed.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

_SLOTS = 8192
_HEADER = 16
_ID = struct.Struct("<Q")


class Mark:
    """Not thread-safe: the event loop's alone."""

    def __init__(self, path: Path, generation: bytes) -> None:
        """`generation` is 16 bytes that name this life of the store; another one's ring is emptied."""
        size = _HEADER + _SLOTS * _ID.size
        if not path.exists() or path.stat().st_size != size:
            path.write_bytes(bytes(size))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), size)
        if self._map[:_HEADER] != generation:
            self._map[:] = generation + bytes(size - _HEADER)
        self.left = [one for (one,) in _ID.iter_unpack(self._map[_HEADER:]) if one]  # found at start
        self._free = list(range(_HEADER, size, _ID.size))

    @property
    def full(self) -> bool:
        return not self._free

    def add(self, delivery: int) -> int:
        """Mark a delivery as taken. Returns the slot to `clear` once its row says so."""
        slot = self._free.pop()
        _ID.pack_into(self._map, slot, delivery)
        return slot

    def clear(self, slots: list[int]) -> None:
        for slot in slots:
            _ID.pack_into(self._map, slot, 0)
        self._free.extend(slots)

    def empty(self) -> None:
        """Forget what was found at start: its rows are written."""
        self._map[_HEADER:] = bytes(len(self._map) - _HEADER)
        self.left = []

    def close(self) -> None:
        self._map.close()
