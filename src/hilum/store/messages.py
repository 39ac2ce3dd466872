"""Reads and keeps messages: list, show, search by key."""

from __future__ import annotations

import dataclasses
import functools
import json
import re
import uuid
from collections.abc import Callable, Collection, Sequence
from typing import Any, Literal, NamedTuple

import sqlalchemy as sa

from hilum import telemetry
from hilum.errors import Conflict, StoreError
from hilum.model.identifier import row_of, text_of
from hilum.model.message import Disposition, Message
from hilum.security.seal import Sealer
from hilum.store.hot import body_place, note_place
from hilum.store.keys import unpack
from hilum.store.looking_back import MOST, look_back
from hilum.store.prepared import Prepared
from hilum.store.schema import body, delivery, message
from hilum.store.schema_retention import archived

log = telemetry.logger("store")
ATTENTION = (Disposition.RECEIVED, Disposition.ERROR, Disposition.REVIEW)  # these have an index


_ESCAPE = "/"


@dataclasses.dataclass(frozen=True, slots=True)
class Filter:
    """What a list of messages is narrowed to; None narrows nothing. Times are microseconds."""

    endpoint: int | None = None
    disposition: Disposition | None = None
    type: str | None = None
    since: int | None = None
    until: int | None = None
    ids: Sequence[int] | None = None
    endpoints: Collection[int] | None = None  # those that whoever asks may see
    state: Literal["pending", "delivered", "failed", "skipped", "discarded"] | None = None  # of its deliveries
    synthetic: bool | None = None

    @property
    def indexed(self) -> bool:
        """Whether an index leads to what is rare, or the rows are named: then there is nothing to look through."""
        return self.ids is not None or self.disposition in ATTENTION or self.state in _ENDED

    def shape(self) -> Filter:
        """The same for all filters that make the same statement."""
        return Filter(
            None if self.endpoint is None else 0, self.disposition, None if self.type is None else "",
            None if self.since is None else 0, None if self.until is None else 0,
            None if self.ids is None else (0,) * len(self.ids),
            None if self.endpoints is None else (0,) * len(self.endpoints), self.state, self.synthetic,
        )  # fmt: skip

    def values(self) -> dict[str, Any]:
        """What the statement compares with, by the names of its parameters."""
        given: dict[str, Any] = {"endpoint": self.endpoint, "since": self.since, "until": self.until, "type": self.type}
        given |= {f"ids_{number}": one for number, one in enumerate(self.ids or ())}
        given |= {f"endpoints_{number}": one for number, one in enumerate(self.endpoints or ())}
        if self.type is not None:
            given["type_start"] = re.sub(r"[/%_]", rf"{_ESCAPE}\g<0>", f"{self.type}^")
        return given


class MessageRow(NamedTuple):
    """A row of a list, by the columns of its table: SQLAlchemy's own rows take ten times as long to be read."""

    id: int
    uuid: bytes
    organization: int
    endpoint: int
    received_at: int
    disposition: int
    ack: str
    type: str
    control_id: str
    body_hash: bytes
    origin: int | None
    first_delivery: int | None
    deliveries: int
    routes: str
    note: bytes | None
    synthetic: int


def newest(
    connection: sa.Connection, organization: int, where: Filter, *, before: int | None = None, limit: int = 20
) -> list[MessageRow]:
    """Rows below id `before`, newest first; where few are like that, maybe not all (looking_back.py)."""
    return page(connection, organization, where, before=before, limit=limit)[0]


def page(
    connection: sa.Connection, organization: int, where: Filter, *, before: int | None = None, limit: int = 20
) -> tuple[list[MessageRow], int | None]:
    """Rows below id `before`, newest first, and below which id to look on; None: no need, or there is nothing more."""
    values = {**where.values(), "organization": organization}
    query = _newest(where.shape())

    def look(top: int, floor: int, most: int) -> list[MessageRow]:
        return list(map(MessageRow._make, query.all(connection, {**values, "top": top, "floor": floor, "limit": most})))

    top = _above(connection, organization) if before is None else before
    most = MOST if where.state is None else MOST // 4  # each is looked up among the deliveries as well
    return (look(top, 0, limit), None) if where.indexed else look_back(look, top, limit, most)


def _above(connection: sa.Connection, organization: int) -> int:
    """An id that none of an organization's messages reaches."""
    owned = connection.dialect.name == "postgresql"  # there each has an index of its own, see schema.py
    found = (_LAST_OWN if owned else _LAST).all(connection, {"organization": organization} if owned else {})
    return (found[0][0] or 0) + 1


def matching(connection: sa.Connection, organization: int, where: Filter, limit: int) -> list[int]:
    """Ids of rows, oldest first."""
    query = _narrow(sa.select(message.c.id), where).order_by(message.c.id).limit(limit)
    return list(connection.execute(query, {**where.values(), "organization": organization}).scalars())


_LAST = Prepared(sa.select(sa.func.max(message.c.id)))
_LAST_OWN = Prepared(sa.select(sa.func.max(message.c.id)).where(message.c.organization == sa.bindparam("organization")))


@functools.lru_cache(maxsize=256)
def _newest(shape: Filter) -> Prepared:
    """Kept, because writing the statement anew took longer than the database does."""
    query = _narrow(sa.select(*(message.c[name] for name in MessageRow._fields)), shape)
    query = query.where(message.c.id < sa.bindparam("top"), message.c.id >= sa.bindparam("floor"))
    return Prepared(query.order_by(message.c.id.desc()).limit(sa.bindparam("limit")))


def _narrow(query: sa.Select[Any], where: Filter) -> sa.Select[Any]:
    """With the conditions of a filter; what it compares with are parameters of the statement."""
    query = query.where(message.c.organization == sa.bindparam("organization"))
    if where.ids is not None:
        query = query.where(_among(message.c.id, "ids", where.ids))
    if where.endpoints is not None:
        query = query.where(_among(message.c.endpoint, "endpoints", where.endpoints))
    if where.endpoint is not None:
        query = query.where(message.c.endpoint == sa.bindparam("endpoint"))
    if where.disposition is not None:
        # a constant in the text, and the index's own condition word by word, so that the partial index can be used
        query = query.where(sa.literal_column("disposition") == sa.literal_column(str(int(where.disposition))))
        if where.disposition in ATTENTION:
            query = query.where(sa.text("message.disposition IN (0, 4, 5)"))
    if where.synthetic is not None:
        query = query.where(message.c.synthetic == sa.literal_column(str(int(where.synthetic))))
    if where.type is not None:
        starts = message.c.type.startswith(sa.bindparam("type_start"), escape=_ESCAPE)
        query = query.where(sa.or_(message.c.type == sa.bindparam("type"), starts))
    if where.since is not None:
        query = query.where(message.c.received_at >= sa.bindparam("since"))
    if where.until is not None:
        query = query.where(message.c.received_at < sa.bindparam("until"))
    return query if where.state is None else query.where(*_in_state(where.state))


def _among(column: sa.Column[int], name: str, values: Collection[int]) -> sa.ColumnElement[bool]:
    """Each value is a parameter of its own; without any nothing is found."""
    parameters = [sa.bindparam(f"{name}_{number}", type_=column.type) for number in range(len(values))]
    return column.in_(parameters) if parameters else sa.false()


# constants in the text, and the index's own condition word by word, so that the partial index can be used
_ENDED = {
    "failed": "delivery.state > 1 AND delivery.state IN (2, 3)",
    "skipped": "delivery.state > 1 AND delivery.state = 4",
    "discarded": "delivery.state > 1 AND delivery.state = 5",
}


def _in_state(state: str) -> list[sa.ColumnElement[bool]]:
    """Conditions on a message's deliveries. What failed is rare and has an index; the rest is looked up by range."""
    if state in _ENDED:
        return [message.c.id.in_(sa.select(delivery.c.message).where(sa.text(_ENDED[state])))]
    mine = sa.and_(
        delivery.c.id >= message.c.first_delivery, delivery.c.id < message.c.first_delivery + message.c.deliveries
    )
    delivering = message.c.disposition == int(Disposition.DELIVERING)

    def some(condition: sa.ColumnElement[bool]) -> sa.Exists:
        return sa.select(delivery.c.id).where(mine, condition).correlate(message).exists()

    if state == "pending":
        return [delivering, some(delivery.c.state == 0), ~some(sa.or_(delivery.c.state == 2, delivery.c.state == 3))]
    return [delivering, ~some(delivery.c.state != 1)]


def uuids(connection: sa.Connection, ids: Sequence[int]) -> dict[int, str]:
    """The UUIDs of rows."""
    rows = connection.execute(sa.select(message.c.id, message.c.uuid).where(message.c.id.in_(ids)))
    return {row.id: text_of(row.uuid) for row in rows}


def find(connection: sa.Connection, organization: int, identifier: uuid.UUID) -> sa.Row[Any] | None:
    """The row of a UUID, or None: also where another organization has it."""
    row = connection.execute(sa.select(message).where(message.c.id == row_of(identifier))).first()
    if row is None or row.uuid != identifier.bytes or row.organization != organization:
        return None
    return row


def by_ids(connection: sa.Connection, ids: Sequence[int]) -> list[sa.Row[Any]]:
    return list(connection.execute(sa.select(message).where(message.c.id.in_(ids)).order_by(message.c.id.desc())))


def bodies(connection: sa.Connection, sealer: Sealer, ids: Sequence[int]) -> dict[int, bytes]:
    """The bodies that are still kept, by message id."""
    rows = connection.execute(sa.select(body).where(body.c.message.in_(ids))).all()
    return {row.message: sealer.open(row.sealed, body_place(row.message)) for row in rows}


def view(row: sa.Row[Any] | MessageRow, sealer: Sealer, kept: bytes | None = None) -> Message:
    """A row as people and the API see it."""
    note, attributes = noted(row, sealer)
    return Message(
        id=row.id, uuid=text_of(row.uuid), organization=row.organization, endpoint=row.endpoint,
        routes=tuple(map(int, row.routes.split())), received_at=row.received_at,
        disposition=Disposition(row.disposition), ack=row.ack, type=row.type, control_id=row.control_id,
        body_hash=row.body_hash, first_delivery=row.first_delivery, deliveries=row.deliveries, origin=row.origin,
        note=note, attributes=attributes, body=kept, synthetic=bool(row.synthetic),
    )  # fmt: skip


def noted(row: sa.Row[Any] | MessageRow, sealer: Sealer) -> tuple[str, dict[str, str]]:
    """A row's note and attributes, opened."""
    if row.note is None:
        return "", {}
    note, attributes = json.loads(sealer.open(row.note, note_place(row.id)))
    return note, attributes


def unrouted(connection: sa.Connection, endpoint: int) -> list[sa.Row[Any]]:
    """Messages of an endpoint that were stored before they were routed, oldest first."""
    query = sa.select(message).where(sa.literal_column("disposition = 0"), message.c.endpoint == endpoint)
    return list(connection.execute(query.order_by(message.c.id)))


def all_delivered(connection: sa.Connection, one: int) -> bool | None:
    """True: every delivery of a message was taken; False: one failed for good; None: some are open."""
    row = connection.execute(sa.select(message).where(message.c.id == one)).first()
    if row is None or row.first_delivery is None:
        return row is not None
    mine = sa.and_(delivery.c.id >= row.first_delivery, delivery.c.id < row.first_delivery + row.deliveries)
    states = set(connection.execute(sa.select(delivery.c.state).where(mine)).scalars())
    return False if states - {0, 1} else None if 0 in states else True


def reroute(
    connection: sa.Connection,
    row: int,
    disposition: Disposition,
    routes: str,
    first: int | None,
    count: int,
    note: bytes | None,
) -> None:
    """Write what became of a message that was stored before it was routed. Raises Conflict where it was routed."""
    values: dict[str, Any] = {
        "disposition": int(disposition), "routes": routes, "first_delivery": first, "deliveries": count,
    }  # fmt: skip
    if note is not None:
        values["note"] = note
    query = message.update().where(message.c.id == row, sa.literal_column("disposition = 0"))
    if not connection.execute(query.values(values)).rowcount:
        raise Conflict(f"message {row} was routed already")


def tally(connection: sa.Connection, after: int) -> list[tuple[int, int, int]]:
    """(endpoint, disposition, count) of the messages with ids above `after`."""
    query = (
        sa.select(message.c.endpoint, message.c.disposition, sa.func.count())
        .where(message.c.id > after)
        .group_by(message.c.endpoint, message.c.disposition)
    )
    return [(one, two, three) for one, two, three in connection.execute(query)]


def rebuild(
    connection: sa.Connection, after: int, limit: int, sealer: Sealer, keys: Callable[[Message], Sequence[int]]
) -> list[tuple[int, int, Sequence[int]]]:
    """(id, received_at, keys) of the messages above `after`, made again from their rows and bodies.

    What an archive took has its keys there. A message that no longer opens has no keys: it must not keep the hub from
    starting.
    """
    rows = list(connection.execute(sa.select(message).where(message.c.id > after).order_by(message.c.id).limit(limit)))
    ids = [row.id for row in rows]
    found = connection.execute(sa.select(body).where(body.c.message.in_(ids)))
    sealed = {row.message: row.sealed for row in found}
    found = connection.execute(sa.select(archived).where(archived.c.message.in_(ids)))
    left = {row.message: unpack(row.search_keys) for row in found if row.search_keys}

    def again(row: sa.Row[Any]) -> Sequence[int]:
        if row.id not in sealed and row.id in left:
            return left[row.id]
        try:
            kept = sealer.open(sealed[row.id], body_place(row.id)) if row.id in sealed else None
            return keys(view(row, sealer, kept))
        except StoreError as error:
            log.error("a message cannot be found by its keys", message=row.id, reason=str(error))
            return ()

    return [(row.id, row.received_at, again(row)) for row in rows]
