"""Seals audit events into their chains every second, and signs checkpoints of chains and messages into files.

One process does it (see `store.chain.Sealership`). What is signed is what this process itself sealed, not what the
database says a minute later. A checkpoint is on the disk in its file before its copy is in the database.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hilum import __version__, clock, telemetry
from hilum.engine import coverage, standing
from hilum.engine.checkpoints import Checkpoints
from hilum.engine.coverage import Cover
from hilum.engine.standing import Standing
from hilum.errors import ConfigError, FormatError, StoreError
from hilum.model.access import HUB, SYSTEM, Scope
from hilum.model.audit import Act, Outcome
from hilum.security.chain import EMPTY, Checkpoint, link, root
from hilum.security.verdict import Signed, Verdict, judge
from hilum.store import Connection, Store, audit, chain
from hilum.store.chain import Frontier, Link, OwnDatabase, Sealership, Unsealed
from hilum.store.legal_holds import Holds
from hilum.store.trail import Reader

SEAL = 0.25  # seconds between looks for events: small parts at a time, so that no request waits long for a commit
PERIOD = 60.0  # seconds between checkpoints
EVENTS = 1_000  # of one chain that make a checkpoint come sooner
_PAGE = 100  # events of one step: whoever waits for a commit meanwhile waits for no more than these
_LATE = 120.0  # seconds that a transaction may take on PostgreSQL after it took its event's number
_WINDOW = 100_000  # events that are looked through for such ones at start
log = telemetry.logger("evidence")


class Evidence:
    """The keeper of all chains of a hub."""

    def __init__(self, store: Store, folder: Path, owner: str | None = None, *, period: float = PERIOD) -> None:
        """`folder` holds the checkpoint files; `owner` is the address of a role that may purge (PostgreSQL)."""
        self._store = store
        self._files = Checkpoints(folder)
        self._owner = OwnDatabase(store.database, owner)
        self._sealership = Sealership(store.database)
        self._period = period
        self._standings: dict[int, Standing] = {}
        self._frontier: Frontier | None = None
        self._copies: list[tuple[int, Checkpoint]] = []  # in their files, but not in the database yet
        self._reached: list[tuple[float, int]] = []  # when everything up to which event had been looked at
        self._refused: set[int] = set()
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._mine = False
        self._signed_at = clock.monotonic()
        self.problem = ""  # why evidence waits
        self.broken = ""  # what the last check found

    @property
    def trouble(self) -> str:
        """What somebody should look at, empty where there is nothing."""
        return self.problem or self.broken

    @property
    def mine(self) -> bool:
        """Whether this process is the one that seals."""
        return self._mine

    async def start(self) -> None:
        """Begin to seal. Raises OSError where the folder of the checkpoints cannot be written."""
        await self.prepare()
        self._task = asyncio.create_task(self._work())

    async def prepare(self) -> None:
        """Make the folder, with the public key in it."""
        await asyncio.to_thread(self._files.prepare, self._store.evidence.public)

    async def leave(self) -> None:
        """Let another process seal."""
        self._mine = False
        await asyncio.to_thread(self._sealership.release)

    async def stop(self) -> None:
        """Seal and sign what is there, then let another process go on."""
        if self._task is None:
            return
        self._stopping.set()
        await self._task
        self._task = None
        await self.look(sign=True)
        await self.leave()

    async def look(self, *, sign: bool = False) -> None:
        """Seal what is there; checkpoints follow where their time has come, or where asked for."""
        try:
            async with self._lock:
                await self._look(sign)
            self.problem = ""
        except (StoreError, OSError, FormatError) as error:
            if self.problem != str(error):
                log.error("evidence waits", reason=str(error))
            self.problem = str(error)

    async def _work(self) -> None:
        while not self._stopping.is_set():
            await self.look()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), SEAL)

    async def _look(self, sign: bool) -> None:
        taken = await asyncio.to_thread(self._sealership.take)
        if taken and not self._mine:
            await self._begin()
        self._mine = taken
        if not taken:
            return
        await self._seal()
        due = clock.monotonic() - self._signed_at >= self._period
        if sign or due or any(len(one.hashes) >= EVENTS for one in self._standings.values()):
            await self._sign()

    async def _begin(self) -> None:
        """This process is the one that seals, from now on."""
        self._standings.clear()
        self._copies.clear()
        self._frontier = await self._store.read(chain.frontier)
        newest = await self._store.read(chain.newest_sealed)
        embedded = self._store.database.embedded
        self._reached = [(clock.monotonic(), newest if embedded else max(newest - _WINDOW, 0))]
        await self._store.write(chain.identify)
        for number, name in (await self._store.read(chain.names)).items():
            await self._found(number, name)

    async def _found(self, number: int, name: str) -> Standing:
        found = await standing.find(self._store, self._files, number, name)
        self._standings[number] = found
        if found.lost:
            await self._note(number, "audit.lose", f"the database no longer has {found.lost}", {"events": found.lost})
        return found

    async def _standing(self, number: int) -> Standing | None:
        """None where there is no such organization."""
        if number not in self._standings:
            names = await self._store.read(chain.names)
            if number not in names:
                await self._store.write(chain.identify)
                names = await self._store.read(chain.names)
            if number not in names:
                return None
            return await self._found(number, names[number])
        return self._standings[number]

    # Sealing

    async def _seal(self) -> None:
        after = self._floor()
        while True:
            rows = await self._store.read(chain.unsealed, self._store.evidence, after, _PAGE)
            await self._seal_some([row for row in rows if row.id not in self._refused])
            after = rows[-1].id if rows else after
            if len(rows) < _PAGE:
                break
        if after > self._reached[-1][1]:
            before = [] if self._store.database.embedded else self._reached
            self._reached = [*before, (clock.monotonic(), after)]

    def _floor(self) -> int:
        """Below it nothing can appear any more."""
        if self._store.database.embedded:
            return self._reached[-1][1]
        now = clock.monotonic()
        while len(self._reached) > 1 and self._reached[1][0] < now - _LATE:
            self._reached.pop(0)
        return self._reached[0][1]

    async def _seal_some(self, rows: Sequence[Unsealed]) -> None:
        links: list[Link] = []
        ends: dict[int, tuple[int, bytes]] = {}
        for row in rows:
            chained = await self._standing(row.organization) if row.genuine else None
            if chained is None:
                await self._refuse(row)
                continue
            position, before = ends.get(row.organization, (chained.position, chained.tip))
            made = link(before, position + 1, row.text)
            ends[row.organization] = (position + 1, made)
            links.append(Link(row.organization, position + 1, row.id, made))
        if not links:
            return
        try:
            await self._store.write(chain.seal, links)
        except StoreError:
            self._mine = False  # somebody else sealed, or it is not known whether we did: read anew where it stands
            raise
        for one in links:
            self._standings[one.organization].extend(one.hash)

    async def _refuse(self, row: Unsealed) -> None:
        """An event that the hub did not write, or of an organization that there is not."""
        self._refused.add(row.id)
        why = "the hub did not write it" if not row.genuine else "there is no such organization"
        log.error("an audit event is not sealed", row=row.id, organization=row.organization, reason=why)
        known = row.organization if row.organization in self._standings else SYSTEM
        await self._note(known, "audit.refuse", f"an event is not sealed: {why}", {"row": row.id})

    # Checkpoints

    async def _sign(self) -> None:
        assert self._frontier is not None  # noqa: S101 - read by _begin
        found = await coverage.look(self._store, self._frontier, self._standings)
        for number in found.covers:
            await self._standing(number)
        for number, one in list(self._standings.items()):
            cover = found.covers.get(number)
            if one.hashes or cover is not None:
                await self._append(one, self._checkpoint(one, cover or Cover()))
        self._frontier = found.reached
        await self._copy()
        self._signed_at = clock.monotonic()

    def _checkpoint(self, one: Standing, cover: Cover) -> Checkpoint:
        return Checkpoint(
            chain=one.name, number=one.newest.number + 1 if one.newest else 1,
            previous=one.newest.digest() if one.newest else "", first=one.covered + 1, last=one.position,
            last_hash=one.tip.hex(), events_root=root(one.hashes).hex(), ranges=tuple(cover.ranges),
            messages=cover.tree.count, messages_root=cover.tree.root().hex(), time=_now(), hub=__version__, key="",
            faults=tuple(one.faults),
        ).signed(self._store.evidence)  # fmt: skip

    async def _append(self, one: Standing, made: Checkpoint) -> None:
        await asyncio.to_thread(self._files.append, one.name, [made.line()])
        one.cover(made)
        self._copies.append((one.number, made))

    async def _copy(self) -> None:
        copies, reached = list(self._copies), self._frontier
        assert reached is not None  # noqa: S101 - read by _begin

        def write(connection: Connection) -> None:
            if copies:
                chain.keep(connection, copies)
            chain.save_frontier(connection, reached)

        await self._store.write(write)
        self._copies = self._copies[len(copies) :]

    # What jobs ask for

    async def purge(self, number: int, cutoff: int, holds: Holds | None) -> int:
        """Remove an organization's events of before `cutoff` (microseconds), behind a signed start; how many.

        Raises ConfigError where the database does not let us, Conflict where `holds` no longer stand: then nothing was
        signed either.
        """
        async with self._lock:
            if not self._mine:
                return 0
            last = await self._store.read(chain.purgeable, number, cutoff)
            covering = await self._store.read(chain.covering, number, last) if last else None
            one = self._standings.get(number)
            if covering is None or one is None or one.newest is None:
                return 0
            if not self._owner.there and not await self._store.read(chain.may_purge):
                raise ConfigError("the hub's role may not remove audit events: set HILUM_DATABASE_OWNER")
            nothing = EMPTY.hex()
            start = Checkpoint(
                one.name, one.newest.number + 1, one.newest.digest(), last + 1, last, covering.last_hash, nothing, (),
                0, nothing, _now(), __version__, "", start=True,
            ).signed(self._store.evidence)  # fmt: skip
            details = {"through": last, "before": clock.from_micros(cutoff).isoformat(), "checkpoint": start.number}
            act = Act(HUB, Scope(number), "audit.purge", entity=f"checkpoint/{start.number}", details=details)

            def sign() -> None:
                self._files.append(one.name, [start.line()])
                one.cover(start)

            arguments = (number, start, self._store.evidence, audit.event(act), holds, sign)
            if self._owner.there:
                return await asyncio.to_thread(self._owner.purge, *arguments)
            return await self._store.write(chain.purge, *arguments)

    async def check(self) -> list[Verdict]:
        """Judge every chain as it stands now by the checkpoint files, and record what was found."""
        verdicts, self.broken = [], ""
        for number, one in list(self._standings.items()):
            verdict = await asyncio.to_thread(self._judge, number, one.name)
            verdicts.append(verdict)
            outcome = Outcome.SUCCESS if verdict.intact else Outcome.FAILURE
            details = {"events": verdict.events, "messages": verdict.messages, "checkpoints": verdict.checkpoints}
            why = verdict.faults[0].what if verdict.faults else ""
            if why:
                self.broken = self.broken or f"the audit trail of {one.name} is broken: {why}"
                log.error("the audit trail is broken", chain=one.name, reason=why, faults=len(verdict.faults))
            await self._note(number, "audit.check", why, details, outcome)
        return verdicts

    def _judge(self, number: int, name: str) -> Verdict:
        signed = Signed(name, self._store.evidence.public, self._files.lines(name))
        reader = Reader(self._store.database, self._store.sealer, number, self._stopping.is_set)
        return judge(signed, reader.events(), reader.messages(bodies=False), reader.unsealed())

    async def _note(
        self, number: int, action: str, error: str, details: dict[str, Any], outcome: Outcome = Outcome.FAILURE
    ) -> None:
        act = Act(HUB, Scope(number), action, details=details)
        await self._store.journal.record(audit.event(act, outcome=outcome, error=error))


def _now() -> str:
    return clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
