"""Reads whole trails back, some rows at a time: for exports and for the hub's check of itself.

Every function here blocks and is meant for a thread. No snapshot is held between two pages: what is read was only
ever added to.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import sqlalchemy as sa

from hilum import clock
from hilum.errors import Conflict, StoreError
from hilum.security.chain import Checkpoint
from hilum.security.seal import Sealer
from hilum.security.verdict import Sealed, Stored
from hilum.store import chain
from hilum.store.database import Database
from hilum.store.hot import body_place
from hilum.store.schema import body, message
from hilum.store.schema_evidence import audit_event, audit_seal, checkpoint
from hilum.store.within import narrowed
from hilum.store.writer import explain

T = TypeVar("T")
_PAGE = 500
_PAUSE = 0.002  # seconds between pages: others want to work as well
_SLACK = 120_000_000  # microseconds that an event may be committed after newer ones (PostgreSQL)


class Reader:
    """One organization's trail."""

    def __init__(
        self, database: Database, sealer: Sealer, organization: int, stopped: Callable[[], bool] = bool
    ) -> None:
        """`stopped` is asked before each page: a thread that reads for minutes must not hold the hub's end."""
        self._stopped = stopped
        self._database = database
        self._sealer = sealer
        self._organization = organization

    def name(self) -> str:
        """What the chain is called. Raises Conflict where the organization has no UUID yet."""
        found = self._read(chain.names).get(self._organization)
        if found is None:
            raise Conflict("this organization has no audit chain yet; it begins with the next run of the hub")
        return found

    def events(self, after: int = 0) -> Iterator[Sealed]:
        """Sealed events above a position, in order."""
        while rows := self._read(_sealed, self._organization, after):
            yield from rows
            after = rows[-1].position
            time.sleep(_PAUSE)

    def unsealed(self) -> list[tuple[str, bool]]:
        """Texts of events that have no position, and whether that is odd: newer ones have theirs."""
        return self._read(_unsealed, self._organization, self._database.embedded)

    def messages(self, *, bodies: bool) -> Iterator[Stored]:
        """All messages by their rows; `bodies`: those that are still kept are opened and hashed again."""
        after = 0
        while True:
            found = self._read(_messages, self._organization, after, bodies)
            for row in found:
                yield self._stored(row) if bodies else Stored(bytes(row.uuid), bytes(row.body_hash))
            if len(found) < _PAGE:
                return
            after = found[-1].id
            time.sleep(_PAUSE)

    def checkpoints(self) -> Iterator[Checkpoint]:
        """The copies that are kept here."""
        after = 0
        while found := self._read(chain.copies, self._organization, after=after, limit=_PAGE):
            yield from found
            after = found[-1].number

    def since(self, stamp: int) -> int:
        """The first event of the checkpoint that was being filled at a moment (microseconds): 1 or above."""
        return self._read(_since, self._organization, stamp)

    def _stored(self, row: sa.Row[Any]) -> Stored:
        identifier, digest = bytes(row.uuid), bytes(row.body_hash)
        if row.sealed is None:
            return Stored(identifier, digest)
        try:
            opened = self._sealer.open(bytes(row.sealed), body_place(row.id))
        except StoreError:
            return Stored(identifier, digest, unreadable=True)
        return Stored(identifier, digest, hashlib.sha256(opened).digest())

    def _read(self, function: Callable[..., T], *arguments: Any, **options: Any) -> T:
        if self._stopped():
            raise StoreError("the hub is stopping")
        try:
            with self._database.own.connect() as connection, narrowed(connection, self._organization):
                return function(connection, *arguments, **options)
        except sa.exc.SQLAlchemyError as error:
            raise explain(error) from None


def _sealed(connection: sa.Connection, organization: int, after: int) -> list[Sealed]:
    query = (
        sa.select(audit_seal.c.position, audit_seal.c.hash, audit_event)
        .outerjoin(audit_event, audit_event.c.id == audit_seal.c.event)
        .where(audit_seal.c.organization == organization, audit_seal.c.position > after)
        .order_by(audit_seal.c.position)
        .limit(_PAGE)
    )
    return [
        Sealed(row.position, bytes(row.hash), row.document, _unlike(row) if row.document is not None else ())
        for row in connection.execute(query)
    ]


def _unlike(row: sa.Row[Any]) -> tuple[str, ...]:
    """Columns that say otherwise than the text that they were made of."""
    try:
        said = json.loads(row.document)
        moment = clock.from_micros(row.stamp).isoformat(timespec="microseconds").replace("+00:00", "Z")
        pairs = {
            "organization": (row.organization, said["organization"]), "time": (moment, said["time"]),
            "action": (row.action, said["action"]), "actor": (row.actor, said["actor"]["id"]),
            "entity": (row.entity, said["entity"]), "outcome": (row.outcome, said["outcome"]),
        }  # fmt: skip
    except (ValueError, KeyError, TypeError, OverflowError):
        return ()  # its hash tells
    return tuple(name for name, (column, text) in pairs.items() if column != text)


def _unsealed(connection: sa.Connection, organization: int, ordered: bool) -> list[tuple[str, bool]]:
    """`ordered`: ids come in the order of commits, so that one without a seal among sealed ones is never right."""
    newest = chain.newest_sealed(connection)
    stamp = connection.execute(sa.select(audit_event.c.stamp).where(audit_event.c.id == newest)).scalar() or 0
    query = (
        sa.select(audit_event.c.id, audit_event.c.stamp, audit_event.c.document)
        .outerjoin(audit_seal, audit_seal.c.event == audit_event.c.id)
        .where(audit_event.c.organization == organization, audit_seal.c.event.is_(None))
        .order_by(audit_event.c.id)
    )
    return [
        (row.document, row.id < newest and (ordered or row.stamp < stamp - _SLACK)) for row in connection.execute(query)
    ]


def _messages(connection: sa.Connection, organization: int, after: int, bodies: bool) -> list[sa.Row[Any]]:
    columns: list[Any] = [message.c.id, message.c.uuid, message.c.body_hash]
    query = sa.select(*columns, body.c.sealed) if bodies else sa.select(*columns)
    if bodies:
        query = query.outerjoin(body, body.c.message == message.c.id)
    query = query.where(message.c.organization == organization, message.c.id > after)
    return list(connection.execute(query.order_by(message.c.id).limit(_PAGE)))


def _since(connection: sa.Connection, organization: int, stamp: int) -> int:
    query = sa.select(sa.func.max(checkpoint.c.position)).where(
        checkpoint.c.organization == organization, checkpoint.c.stamp < stamp
    )
    last: int = connection.execute(query).scalar() or 0
    return last + 1
