"""Answers "certainly not seen" from memory, so that de-duplication asks the disk about repeats alone.

A row of Bloom filters, the newest filled, the oldest dropped once all it knows is older than the window.
Keys are uniform 64-bit numbers already, so their own bits serve as the probes.
"""

from __future__ import annotations

_FIRST = 1 << 22  # bits of the first filter; each next one has twice as many, up to _LAST
_LAST = 1 << 28
_BITS_PER_KEY = 16  # 4 probes at 16 bits a key: about 0.24 % false alarms


class Bloom:
    """Not thread-safe; `add` on one thread with `__contains__` on another is fine."""

    def __init__(self, window: int, *, ready: bool = True) -> None:
        """`window` in microseconds. While not `ready` it answers "maybe" to everything."""
        self.ready = ready
        self._window = window
        self._filters: list[tuple[bytearray, int]] = []  # bits, mask
        self._room = 0
        self._since: list[int] = []  # when the filter took its last key

    def add(self, key: int, stamp: int) -> None:
        if not self._room:
            self._grow(stamp)
        self._room -= 1
        self._since[-1] = stamp
        bits, mask = self._filters[-1]
        key &= 0xFFFF_FFFF_FFFF_FFFF
        step = (key >> 32) | 1
        for _ in range(4):
            place = key & mask
            bits[place >> 3] |= 1 << (place & 7)
            key += step

    def __contains__(self, key: int) -> bool:
        if not self.ready:
            return True
        key &= 0xFFFF_FFFF_FFFF_FFFF
        step = (key >> 32) | 1
        for bits, mask in self._filters:
            place = key
            for _ in range(4):
                at = place & mask
                if not bits[at >> 3] & (1 << (at & 7)):
                    break
                place += step
            else:
                return True
        return False

    def _grow(self, stamp: int) -> None:
        while self._since and self._since[0] < stamp - self._window:
            self._since.pop(0)
            self._filters.pop(0)
        size = min(_FIRST << len(self._filters), _LAST)
        self._filters.append((bytearray(size // 8), size - 1))
        self._since.append(stamp)
        self._room = size // _BITS_PER_KEY
