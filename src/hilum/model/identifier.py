"""UUIDv7 (RFC 9562) that carry their row's number, so that no index is needed to find the row.

48 bits of milliseconds, version, 12 random bits, variant, 20 random bits, 42 bits of row number. Whoever
looks a row up compares the whole UUID, so a guessed one finds nothing.
"""

from __future__ import annotations

import random
import uuid

_random = random.Random()  # noise against collisions, not a secret
_ROW = (1 << 42) - 1


def identify(row: int, stamp: int) -> uuid.UUID:
    """A UUID for row number `row`, made at `stamp` (microseconds since 1970)."""
    noise = _random.getrandbits(32)
    value = (stamp // 1000 & 0xFFFF_FFFF_FFFF) << 80 | 7 << 76 | (noise >> 20) << 64
    return uuid.UUID(int=value | 2 << 62 | (noise & 0xF_FFFF) << 42 | row & _ROW)


def row_of(identifier: uuid.UUID) -> int:
    """The row number that an identifier carries."""
    return identifier.int & _ROW


def parse(text: str) -> uuid.UUID | None:
    """None where `text` is no UUID."""
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
