"""The hot statements: the only SQL that is written once for each database.

Each writes in id order, takes whole batches, and is called on the writer's thread with the driver's own
connection: what SQLAlchemy adds to a statement costs more here than the statement.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import sqlalchemy as sa

from hilum.model.delivery import SHARDS, Pending, Settled
from hilum.model.identifier import identify
from hilum.model.message import NewMessage
from hilum.security.seal import Sealer
from hilum.store import schema


class Hot(Protocol):
    """What the writer needs of a database. `raw` is the driver's connection (see `driver`)."""

    def start(self, raw: Any) -> None:
        """Read where ids and positions stand: at start, and after a batch that failed."""

    def save(self) -> Any:
        """What `undo` goes back to when a SAVEPOINT was rolled back."""

    def undo(self, saved: Any) -> None: ...

    def begin(self, raw: Any) -> None: ...

    def commit(self, raw: Any) -> None: ...

    def append(self, raw: Any, messages: Sequence[NewMessage]) -> None: ...

    def enqueue(self, raw: Any, deliveries: Sequence[Pending]) -> None: ...

    def settle(self, raw: Any, results: Results) -> None: ...


@dataclasses.dataclass(slots=True, eq=False)
class Results:
    """How deliveries ended; `marks` are (watermark, more delivered, more failed) by destination."""

    settled: Sequence[Settled]
    marks: Mapping[int, tuple[int, int, int]]


def driver(connection: sa.Connection) -> Any:
    """The driver's own connection under SQLAlchemy's, inside the same transaction."""
    return connection.connection.dbapi_connection


def body_place(message: int) -> bytes:
    return b"body|%d" % message


def note_place(message: int) -> bytes:
    return b"note|%d" % message


def delivery_place(delivery: int) -> bytes:
    return b"delivery|%d" % delivery


def seal_note(sealer: Sealer, message: int, note: str, attributes: Mapping[str, str] | None) -> bytes | None:
    """Note and attributes may name a patient, so they are sealed together; None where there is neither."""
    if not note and not attributes:
        return None
    return sealer.seal(json.dumps([note, dict(attributes or {})]).encode(), note_place(message))


def storable(text: str) -> str:
    """Text that both databases and UTF-8 can hold: one odd control id must not fail the whole batch."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


class Rows:
    """Turns what intake hands over into rows: seals, and knows the column order."""

    def __init__(self, sealer: Sealer) -> None:
        self.sealer = sealer

    def message(self, one: NewMessage) -> tuple[Any, ...]:
        identifier = identify(one.id, one.received_at)
        one.uuid = str(identifier)
        note = seal_note(self.sealer, one.id, one.note, one.attributes)
        deliveries = one.deliveries
        return (
            one.id, identifier.bytes, one.organization, one.endpoint, one.received_at, one.disposition.value, one.ack,
            storable(one.type), storable(one.control_id), one.body_hash, one.origin,
            deliveries[0].id if deliveries else None, len(deliveries), one.routes, note,
        )  # fmt: skip

    def body(self, one: NewMessage) -> tuple[int, bytes]:
        return one.id, self.sealer.seal(one.body, body_place(one.id))

    def delivery(self, one: Pending, position: int) -> tuple[Any, ...]:
        sealed = self.sealer.seal(one.body or b"", delivery_place(one.id)) if one.keep else None
        return (
            one.id, one.message, one.organization, one.destination, one.route, one.ordinal, one.shard, position,
            one.lane, one.digest, sealed, 0, 0, None, "",
        )  # fmt: skip

    def adopt(self, messages: Sequence[NewMessage]) -> list[Pending]:
        """Give the deliveries of a batch what they need to know of their messages, after ids were given."""
        found: list[Pending] = []
        for one in messages:
            for delivery in one.deliveries:
                delivery.message, delivery.organization = one.id, one.organization
                delivery.queued_at = one.received_at
                found.append(delivery)
        return found


# SQLite gives up the interpreter for each row that it steps through, and the loop takes it: a statement for many
# rows is worth more than it looks. `{}` are the rows.
_INSERT_MESSAGE, _INSERT_BODY, _INSERT_DELIVERY = (
    f"INSERT INTO {table.name} ({', '.join(column.name for column in table.columns)}) VALUES {{}}"
    for table in (schema.message, schema.body, schema.delivery)
)
_SETTLE_SQLITE = """
UPDATE delivery SET state = r.column2, attempts = r.column3, done_at = r.column4, detail = r.column5
FROM (VALUES {}) AS r WHERE delivery.id = r.column1
"""
_MOVE = "UPDATE shard SET tail = r.column2, through = r.column3 FROM (VALUES {}) AS r WHERE shard.id = r.column1"
_ADVANCE = """
INSERT INTO progress (destination, watermark, delivered, failed) VALUES {}
ON CONFLICT (destination) DO UPDATE SET watermark = excluded.watermark,
delivered = progress.delivered + excluded.delivered, failed = progress.failed + excluded.failed
"""
TOGETHER = 32  # rows of one statement


def _together(raw: Any, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    for start in range(0, len(rows), TOGETHER):
        some = rows[start : start + TOGETHER]
        raw.execute(_statement(statement, len(some), len(some[0])), list(itertools.chain.from_iterable(some)))


@functools.lru_cache(maxsize=512)
def _statement(statement: str, rows: int, columns: int) -> str:
    row = f"({', '.join('?' * columns)})"
    return statement.format(", ".join([row] * rows))


class SqliteHot:
    """SQLite: one writer, so ids and positions are counted in memory and completed from the rows at start."""

    def __init__(self, sealer: Sealer) -> None:
        self._rows = Rows(sealer)
        self._message = self._delivery = 0
        self._tails = [0] * SHARDS
        self._moved: set[int] = set()  # shards whose tail is newer than its row

    def start(self, raw: Any) -> None:
        def one(statement: str) -> int:
            return raw.execute(statement).fetchone()[0] or 0

        self._message = max(
            one("SELECT max(id) FROM message"),
            one("SELECT CAST(value AS INTEGER) FROM setting WHERE name='message_floor'"),
        )
        self._delivery = max(one("SELECT max(id) FROM delivery"), one("SELECT max(through) FROM shard"))
        for shard, tail in raw.execute("SELECT id, tail FROM shard"):
            self._tails[shard] = tail
        rows = raw.execute(
            "SELECT shard, max(position) FROM delivery WHERE id > (SELECT max(through) FROM shard) GROUP BY shard"
        )
        self._moved = set()
        for shard, tail in rows:
            self._tails[shard] = tail
            self._moved.add(shard)

    def save(self) -> Any:
        return self._message, self._delivery, self._tails.copy(), self._moved.copy()

    def undo(self, saved: Any) -> None:
        self._message, self._delivery, self._tails, self._moved = saved

    def append(self, raw: Any, messages: Sequence[NewMessage]) -> None:
        for one in messages:
            self._message += 1
            one.id = self._message
        deliveries = self._rows.adopt(messages)
        if deliveries:
            self.enqueue(raw, deliveries)
        rows = [self._rows.message(one) for one in messages]
        bodies = [self._rows.body(one) for one in messages]
        _together(raw, _INSERT_MESSAGE, rows)
        _together(raw, _INSERT_BODY, bodies)
        for one in messages:
            for delivery in one.deliveries:
                delivery.uuid = one.uuid

    def enqueue(self, raw: Any, deliveries: Sequence[Pending]) -> None:
        rows = []
        for one in deliveries:
            self._delivery += 1
            one.id = self._delivery
            self._tails[one.shard] += 1
            self._moved.add(one.shard)
            rows.append(self._rows.delivery(one, self._tails[one.shard]))
        _together(raw, _INSERT_DELIVERY, rows)

    def settle(self, raw: Any, results: Results) -> None:
        rows = [
            (one.delivery, one.state.value, one.attempts, one.done_at, storable(one.detail)) for one in results.settled
        ]
        _together(raw, _SETTLE_SQLITE, rows)
        _together(raw, _ADVANCE, [(one, *mark) for one, mark in results.marks.items()])
        tails = [(shard, self._tails[shard], self._delivery) for shard in self._moved or (0,)]
        _together(raw, _MOVE, tails)
        self._moved.clear()

    def begin(self, raw: Any) -> None:
        raw.execute("BEGIN IMMEDIATE")

    def commit(self, raw: Any) -> None:
        raw.execute("COMMIT")


_BLOCK = 1000  # ids are fetched from a sequence in blocks of this size


class PostgresHot:
    """PostgreSQL: several writers may exist, so ids come in blocks and positions from the shard's row."""

    def __init__(self, sealer: Sealer) -> None:
        self._rows = Rows(sealer)
        self._ids = {"message": range(0), "delivery": range(0)}
        self._insert = {
            "message": _unnest(schema.message),
            "body": _unnest(schema.body),
            "delivery": _unnest(schema.delivery),
        }

    def start(self, raw: Any) -> None:
        """Nothing is counted in memory."""

    def save(self) -> Any:
        """Nothing is counted in memory."""

    def undo(self, saved: Any) -> None:
        """Nothing is counted in memory."""

    def append(self, raw: Any, messages: Sequence[NewMessage]) -> None:
        for one in messages:
            (one.id,) = self._take(raw, "message", 1)
        deliveries = self._rows.adopt(messages)
        if deliveries:
            self.enqueue(raw, deliveries)
        self._many(raw, "message", [self._rows.message(one) for one in messages])
        self._many(raw, "body", [self._rows.body(one) for one in messages])
        keys = {(key, one.id) for one in messages for key in one.keys}
        if keys:
            hashes, ids = zip(*keys, strict=True)
            raw.execute(
                "INSERT INTO search_key SELECT * FROM unnest(%s::bigint[], %s::bigint[])", (list(hashes), list(ids))
            )
        for one in messages:
            for delivery in one.deliveries:
                delivery.uuid = one.uuid

    def enqueue(self, raw: Any, deliveries: Sequence[Pending]) -> None:
        wanted = Counter(one.shard for one in deliveries)
        rows = raw.execute(_TAILS, (list(wanted), list(wanted.values())))
        tails = {shard: tail - wanted[shard] for shard, tail in rows}
        made = []
        for _, siblings in itertools.groupby(deliveries, key=lambda one: one.message):
            mine = list(siblings)
            for one, number in zip(mine, self._take(raw, "delivery", len(mine)), strict=True):
                one.id = number
                tails[one.shard] += 1
                made.append(self._rows.delivery(one, tails[one.shard]))
        self._many(raw, "delivery", made)

    def settle(self, raw: Any, results: Results) -> None:
        rows = sorted(
            (one.delivery, one.state.value, one.attempts, one.done_at, storable(one.detail)) for one in results.settled
        )
        if rows:
            raw.execute(_SETTLE, tuple(list(column) for column in zip(*rows, strict=True)))
        for destination, mark in sorted(results.marks.items()):
            raw.execute(_ADVANCE.format("(%s, %s, %s, %s)"), (destination, *mark))

    def begin(self, raw: Any) -> None:
        """psycopg begins with the first statement."""

    def commit(self, raw: Any) -> None:
        raw.commit()

    def _many(self, raw: Any, table: str, rows: list[tuple[Any, ...]]) -> None:
        raw.execute(self._insert[table], tuple(list(column) for column in zip(*rows, strict=True)))

    def _take(self, raw: Any, table: str, count: int) -> range:
        """`count` ids in a row: a message's deliveries are neighbours. What is left of a short block is given up."""
        left = self._ids[table]
        while len(left) < count:
            first = raw.execute(f"SELECT nextval('{table}_ids')").fetchone()[0]
            begin = left.start if left and left.stop == first else first
            left = range(begin, first + _BLOCK)
        self._ids[table] = left[count:]
        return left[:count]


# Rows are locked in shard order, so that two writers never wait for each other in a circle.
_TAILS = """
WITH wanted AS (SELECT * FROM unnest(%s::smallint[], %s::bigint[]) AS w(id, n)),
locked AS (SELECT s.id FROM shard s JOIN wanted USING (id) ORDER BY s.id FOR UPDATE OF s)
UPDATE shard s SET tail = s.tail + w.n FROM wanted w JOIN locked l ON l.id = w.id WHERE s.id = w.id
RETURNING s.id, s.tail
"""

_SETTLE = """
UPDATE delivery d SET state = r.state, attempts = r.attempts, done_at = r.done_at, detail = r.detail
FROM unnest(%s::bigint[], %s::smallint[], %s::int[], %s::bigint[], %s::text[])
AS r(id, state, attempts, done_at, detail)
WHERE d.id = r.id
"""


def _unnest(table: sa.Table) -> str:
    kinds = {"SMALLINT": "smallint", "INTEGER": "int", "BIGINT": "bigint", "TEXT": "text", "BLOB": "bytea"}
    columns = [f"%s::{kinds[str(column.type)]}[]" for column in table.columns]
    return f"INSERT INTO {table.name} SELECT * FROM unnest({', '.join(columns)})"
