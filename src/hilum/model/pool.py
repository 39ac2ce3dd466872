"""The connections that a store reads over: how many there may be, and how they are used."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Pool:
    """`size` are kept, `overflow` more opened where all are in use; `timeout`: seconds to wait for one."""

    size: int = 4
    overflow: int = 0
    timeout: int = 10

    @property
    def most(self) -> int:
        return self.size + self.overflow


@dataclasses.dataclass(frozen=True, slots=True)
class PoolUse:
    """How a pool is used now; `timeouts`: how often nobody gave one back in time, since the start."""

    pool: Pool
    in_use: int
    idle: int
    timeouts: int
