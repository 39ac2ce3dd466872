"""Where each chain stands: found from the database and the checkpoint file when the hub starts to seal it.

The file decides. What the database has less of, it lost; the chain goes on from where the file knows it was, so that
the loss stays visible for ever.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from collections.abc import Sequence

from hilum import telemetry
from hilum.engine.checkpoints import Checkpoints
from hilum.errors import FormatError
from hilum.security.chain import Checkpoint, EvidenceKey, genesis, link
from hilum.store import Connection, Store, chain

log = telemetry.logger("evidence")
_COPIES = 500


@dataclasses.dataclass(slots=True)
class Standing:
    """One chain. `hashes` are those of the events that no checkpoint covers yet."""

    number: int  # the organization's
    name: str
    position: int
    tip: bytes
    newest: Checkpoint | None = None  # of either kind
    covered: int = 0
    ranges: tuple[tuple[int, int], ...] = ()  # messages that the newest covering checkpoint has
    hashes: list[bytes] = dataclasses.field(default_factory=list)
    faults: list[int] = dataclasses.field(default_factory=list)
    lost: str = ""  # what the database no longer has

    def extend(self, event: bytes) -> None:
        self.position, self.tip = self.position + 1, event
        self.hashes.append(event)

    def cover(self, made: Checkpoint) -> None:
        """A checkpoint is in the file."""
        self.newest = made
        if not made.start:
            self.hashes = self.hashes[made.count :]
            self.covered, self.ranges, self.faults = made.last, made.ranges, []


async def find(store: Store, files: Checkpoints, number: int, name: str) -> Standing:
    """Bring file and copies together, then read what no checkpoint covers. Raises StoreError, OSError, FormatError."""
    await asyncio.to_thread(files.mend, name)
    copied = await store.read(chain.newest, number)
    filed = await asyncio.to_thread(_after, files, name, copied.number if copied else 0)
    if filed.missing:
        await store.write(chain.keep, [(number, one) for one in filed.missing])
    elif copied is not None and (filed.newest is None or filed.newest.number < copied.number):
        await _complete(store, files, number, name, filed.newest)
    newest, covering = await asyncio.to_thread(_newest, files, name)
    standing = Standing(number, name, 0, genesis(name), newest)
    if covering is not None:
        standing.position, standing.tip = covering.last, bytes.fromhex(covering.last_hash)
        standing.covered = covering.last
        missing = {span for one in filed.missing for span in one.ranges}  # the frontier may not know of any of them
        standing.ranges = tuple(sorted(missing | set(covering.ranges)))
    await _read_on(store, files, standing)
    return standing


@dataclasses.dataclass(frozen=True, slots=True)
class _Filed:
    newest: Checkpoint | None
    missing: list[Checkpoint]  # the database has no copy of them, the oldest first


def _after(files: Checkpoints, name: str, number: int) -> _Filed:
    found = list(itertools.takewhile(lambda one: one.number > number, files.newest(name)))
    newest = found[0] if found else next(files.newest(name), None)
    return _Filed(newest, found[::-1])


def _newest(files: Checkpoints, name: str) -> tuple[Checkpoint | None, Checkpoint | None]:
    newest: Checkpoint | None = None
    for one in files.newest(name):
        newest = newest or one
        if not one.start:
            return newest, one
    return newest, None


async def _complete(store: Store, files: Checkpoints, number: int, name: str, newest: Checkpoint | None) -> None:
    """Another process went on with this chain, with a folder of its own: its checkpoints are signed, so they count."""
    key = store.evidence.public
    while copies := await store.read(chain.copies, number, after=newest.number if newest else 0, limit=_COPIES):
        lines = []
        for one in copies:
            if not one.holds(key) or one.previous != (newest.digest() if newest else ""):
                raise FormatError(f"the copy of checkpoint {one.number} in the database is not what was signed")
            lines.append(one.line())
            newest = one
        await asyncio.to_thread(files.append, name, lines)


async def _read_on(store: Store, files: Checkpoints, standing: Standing) -> None:
    """Take up what was sealed, but not covered when the hub ended."""

    def read(connection: Connection) -> tuple[int, Sequence[chain.Stands]]:
        tip = chain.tip(connection, standing.number)
        last = tip[0] if tip else 0
        return last, chain.stands(connection, standing.number, standing.covered + 1, last)

    last, rows = await store.read(read)
    if last < standing.covered and (last or not await asyncio.to_thread(_emptied, files, standing)):
        standing.lost = f"events {last + 1} to {standing.covered}"
        log.error("the database lost sealed events", chain=standing.name, events=standing.lost)
    for row in rows:
        while standing.position + 1 < row.position:  # a seal is gone: its place stays empty
            standing.faults.append(standing.position + 1)
            standing.extend(bytes(32))
        if not _sound(store.evidence, standing, row):
            standing.faults.append(row.position)
        standing.extend(row.hash)


def _emptied(files: Checkpoints, standing: Standing) -> bool:
    """Whether everything that was covered was removed after its time."""
    start = next((one for one in files.newest(standing.name) if one.start), None)
    return start is not None and start.last == standing.covered


def _sound(key: EvidenceKey, standing: Standing, row: chain.Stands) -> bool:
    if row.text is None or not key.witnessed(row.text, row.witness):
        return False
    return link(standing.tip, row.position, row.text) == row.hash
