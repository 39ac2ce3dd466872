"""The audit trail: what was done is recorded, and shown to those who may see it, with the proof that it stood so."""

from __future__ import annotations

import dataclasses
import datetime
import uuid
from collections.abc import Iterator
from typing import Any

from hilum.errors import NotFound
from hilum.model.access import Scope
from hilum.model.audit import Act, Kind, Outcome, kind_of
from hilum.security import chain as hashes
from hilum.security.canonical import canonical
from hilum.services import audit_export
from hilum.store import Connection, Store, audit, chain
from hilum.store.audit import EventFilter, SealedEvent
from hilum.store.trail import Reader


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """An event. `position` and `hash` are its place in the chain: None for a second, until it is sealed.

    `kind` is which of the four kinds it is; `event.action` says it exactly.
    """

    event: dict[str, Any]
    kind: Kind
    position: int | None
    hash: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class Page:
    """Newest first; `next` goes into `before` for the page after this one."""

    items: list[Event]
    next: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class Proof:
    """Leads from an event's hash to the root that a checkpoint was signed over (RFC 6962 2.1.1)."""

    index: int  # of the event in its checkpoint
    count: int
    path: list[str]
    checkpoint: dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Detail(Event):
    """One event. `text` is what was hashed after `follows`; `proof` None: no checkpoint covers it yet."""

    text: str
    follows: str | None
    proof: Proof | None


@dataclasses.dataclass(frozen=True, slots=True)
class Key:
    """The public half of the key that checkpoints are signed with."""

    id: str
    algorithm: str
    pem: str


class Trail:
    """One set a hub."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def record(self, act: Act, *, outcome: Outcome = Outcome.SUCCESS, code: str = "", error: str = "") -> None:
        """Store the event of an act that changed nothing. Returns once it is on disk."""
        await self._store.journal.record(audit.event(act, outcome=outcome, code=code, error=error))
        act.recorded = True

    async def page(self, scope: Scope, where: EventFilter, *, before: int | None = None, limit: int = 20) -> Page:
        """The newest events below `before`; with a `next` it may hold fewer than it could (looking_back.py)."""
        found, rest = await self._store.within(scope.organization).read(
            audit.page, scope.organization, where, before=before, limit=limit + 1
        )
        last = found[limit - 1].id if len(found) > limit else rest
        more = None if last is None else str(last)
        return Page([_event(one) for one in found[:limit]], more)

    async def show(self, scope: Scope, identifier: uuid.UUID) -> Detail:
        """One event and the way to what was signed about it. Raises NotFound."""
        within = self._store.within(scope.organization)
        found = await within.read(audit.find, scope.organization, identifier)
        if found is None:
            raise NotFound(f"there is no audit event {identifier}")
        text = canonical(found.document).decode()
        shown = _event(found)
        if found.position is None:
            return Detail(shown.event, shown.kind, None, None, text, None, None)
        follows, proof = await within.read(_proven, scope.organization, found.position)
        return Detail(shown.event, shown.kind, shown.position, shown.hash, text, follows, proof)

    async def checkpoints(self, scope: Scope, *, after: int = 0, limit: int = 20) -> list[dict[str, Any]]:
        """Copies of signed checkpoints, the oldest first; their originals lie in files."""
        found = await self._store.within(scope.organization).read(
            chain.copies, scope.organization, after=after, limit=limit
        )
        return [one.whole() for one in found]

    def key(self) -> Key:
        public = self._store.evidence.public
        return Key(public.id, "Ed25519", public.pem)

    def export(self, scope: Scope, since: datetime.datetime | None = None) -> Iterator[bytes]:
        """A zip of the trail, piece by piece, for a thread: whole, or from the checkpoint of a moment on."""
        reader = Reader(self._store.database, self._store.sealer, scope.organization)
        stamp = None if since is None else micros(since)
        return audit_export.write(reader, self._store.evidence.public, stamp)


def micros(moment: datetime.datetime) -> int:
    """A stamp; a time without offset is UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
    return int(aware.timestamp() * 1_000_000)


def _event(one: SealedEvent) -> Event:
    kind = kind_of(str(one.document.get("action", "")))
    return Event(one.document, kind, one.position, one.hash.hex() if one.hash is not None else None)


def _proven(connection: Connection, organization: int, position: int) -> tuple[str | None, Proof | None]:
    """The hash before an event, and its proof."""
    if position == 1:
        name = chain.names(connection).get(organization, "")
        follows: str | None = hashes.genesis(name).hex()
    else:
        before = chain.hashes(connection, organization, position - 1, position - 1)
        follows = before[0].hex() if before else None
    covering = chain.covering(connection, organization, position)
    if covering is None:
        return follows, None
    leaves = chain.hashes(connection, organization, covering.first, covering.last)
    if len(leaves) != covering.count:
        return follows, None  # some are gone: a verification says which
    index = position - covering.first
    path = [one.hex() for one in hashes.proof(leaves, index)]
    return follows, Proof(index, covering.count, path, covering.whole())
