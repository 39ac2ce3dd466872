"""The hot statements: the only SQL that is written once for each database.

Each writes in id order, takes whole batches, and is called by the writer with the driver's own
connection: what SQLAlchemy adds to a statement costs more here than the statement.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import sqlalchemy as sa

from hilum.model.delivery import SHARDS, Pending, Settled
from hilum.model.identifier import identify
from hilum.model.message import NewMessage
from hilum.security.seal import Sealer
from hilum.store import schema


class Hot(Protocol):
    """What the writer needs of a database. `raw` is the driver's connection (see `driver`)."""

    local: bool  # it is a file of this machine: a row is written without waiting for anybody else

    def start(self, raw: Any) -> None:
        """Read where ids and positions stand: at start, and after a batch that failed."""

    def save(self) -> Any:
        """What `undo` goes back to when a SAVEPOINT was rolled back."""

    def undo(self, saved: Any) -> None: ...

    def write(self, raw: Any, batch: Batch, *, alone: bool) -> None:
        """Write a batch; `alone` in a transaction of its own, else in the one that is open."""

    def enqueue(self, raw: Any, deliveries: Sequence[Pending]) -> None: ...

    def settle(self, raw: Any, results: Results) -> None: ...


@dataclasses.dataclass(slots=True, eq=False)
class Results:
    """How deliveries ended; `marks` are (watermark, more delivered, more failed) by destination."""

    settled: Sequence[Settled]
    marks: Mapping[int, tuple[int, int, int]]


class EventRow(NamedTuple):
    """An audit event, by the columns of its table (see audit.row)."""

    organization: int
    stamp: int
    action: str
    actor: str
    entity: str
    outcome: str
    document: str
    witness: bytes


@dataclasses.dataclass(slots=True, eq=False)
class Batch:
    """What is hot in one transaction."""

    messages: Sequence[NewMessage] = ()
    results: Sequence[Results] = ()
    events: Sequence[EventRow] = ()


def driver(connection: sa.Connection) -> Any:
    """The driver's own connection under SQLAlchemy's, inside the same transaction."""
    return connection.connection.dbapi_connection


def put(connection: sa.Connection, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows by the driver alone: every change has two of these, and SQLAlchemy's part of each was 0.2 ms."""
    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join([mark] * len(columns))})"
    cursor = driver(connection).cursor()
    try:
        with driver_errors(connection):
            cursor.executemany(statement, rows)
    finally:
        cursor.close()


@contextlib.contextmanager
def driver_errors(connection: sa.Connection) -> Iterator[None]:
    """The driver's errors as SQLAlchemy's."""
    try:
        yield
    except connection.dialect.loaded_dbapi.Error as error:
        raise sa.exc.DBAPIError(None, None, error, hide_parameters=True) from error


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
            deliveries[0].id if deliveries else None, len(deliveries), one.routes, note, 1 if one.synthetic else 0,
        )  # fmt: skip

    def body(self, one: NewMessage) -> tuple[int, bytes]:
        return one.id, self.sealer.seal(one.body, body_place(one.id))

    def bodies(self, messages: Sequence[NewMessage]) -> list[bytes]:
        return self.sealer.seal_all([one.body for one in messages], [body_place(one.id) for one in messages])

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


# Python's sqlite3 gives up the interpreter at each statement, the event loop takes it, and the writer waits to get it
# back. So a batch is one statement, which is then its own transaction: an INSERT of all its rows, whatever their kind,
# into a view of the writer's connection whose triggers put each where it belongs.
MESSAGE, DELIVERY, SETTLED, PROGRESS, TAIL, EVENT = range(6)
_WIDTH = 17  # values of the widest kind of row
TOGETHER = 64  # rows of one statement


def _new(count: int, first: int = 1) -> str:
    return ", ".join(f"NEW.c{number}" for number in range(first, first + count))


_EVENT = ", ".join(EventRow._fields)
_VIEW = f"CREATE TEMP VIEW hot AS SELECT {', '.join(f'NULL AS c{number}' for number in range(_WIDTH + 1))}"
_TRIGGERS = {
    MESSAGE: f"INSERT INTO message VALUES ({_new(16)}); INSERT INTO body VALUES (NEW.c1, NEW.c17)",
    DELIVERY: f"INSERT INTO delivery VALUES ({_new(15)})",
    SETTLED: """UPDATE delivery SET state = NEW.c2, attempts = NEW.c3, done_at = NEW.c4, detail = NEW.c5
        WHERE id = NEW.c1""",
    PROGRESS: f"""INSERT INTO progress VALUES ({_new(4)}) ON CONFLICT (destination) DO UPDATE SET
        watermark = excluded.watermark, delivered = delivered + excluded.delivered,
        failed = failed + excluded.failed""",
    TAIL: "UPDATE shard SET tail = NEW.c2, through = NEW.c3 WHERE id = NEW.c1",
    EVENT: f"INSERT INTO audit_event ({_EVENT}) VALUES ({_new(len(EventRow._fields))})",
}


@functools.lru_cache(maxsize=TOGETHER)
def _insert(rows: int) -> str:
    row = f"({', '.join('?' * (_WIDTH + 1))})"
    return f"INSERT INTO hot VALUES {', '.join([row] * rows)}"


def _row(kind: int, values: tuple[Any, ...]) -> tuple[Any, ...]:
    return (kind, *values, *_PADDING[len(values)])


_PADDING = [(None,) * (_WIDTH - count) for count in range(_WIDTH + 1)]


class SqliteHot:
    """SQLite: one writer, so ids and positions are counted in memory and completed from the rows at start."""

    local = True

    def __init__(self, sealer: Sealer) -> None:
        self._rows = Rows(sealer)
        self._message = self._delivery = 0
        self._tails = [0] * SHARDS
        self._moved: set[int] = set()  # shards whose tail is newer than its row

    def start(self, raw: Any) -> None:
        if not raw.execute("SELECT 1 FROM temp.sqlite_master WHERE name = 'hot'").fetchone():
            raw.execute(_VIEW)
            for kind, body in _TRIGGERS.items():
                when = f"CREATE TEMP TRIGGER hot_{kind} INSTEAD OF INSERT ON hot WHEN NEW.c0 = {kind}"
                raw.execute(f"{when} BEGIN {body}; END")

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

    def write(self, raw: Any, batch: Batch, *, alone: bool) -> None:
        rows = self._append(batch.messages)
        for one in batch.results:
            rows += self._settle(one)
        rows += [_row(EVENT, one) for one in batch.events]
        if alone and len(rows) > TOGETHER:
            raw.execute("BEGIN IMMEDIATE")
            self._put(raw, rows)
            raw.execute("COMMIT")
        else:
            self._put(raw, rows)
        for message in batch.messages:
            for delivery in message.deliveries:
                delivery.uuid = message.uuid

    def enqueue(self, raw: Any, deliveries: Sequence[Pending]) -> None:
        self._put(raw, self._enqueue(deliveries))

    def settle(self, raw: Any, results: Results) -> None:
        self._put(raw, self._settle(results))

    def _put(self, raw: Any, rows: list[tuple[Any, ...]]) -> None:
        for start in range(0, len(rows), TOGETHER):
            some = rows[start : start + TOGETHER]
            raw.execute(_insert(len(some)), list(itertools.chain.from_iterable(some)))

    def _append(self, messages: Sequence[NewMessage]) -> list[tuple[Any, ...]]:
        for one in messages:
            self._message += 1
            one.id = self._message
        rows = self._enqueue(self._rows.adopt(messages))
        bodies = self._rows.bodies(messages)
        for one, body in zip(messages, bodies, strict=True):
            rows.append(_row(MESSAGE, (*self._rows.message(one), body)))
        return rows

    def _enqueue(self, deliveries: Sequence[Pending]) -> list[tuple[Any, ...]]:
        rows = []
        for one in deliveries:
            self._delivery += 1
            one.id = self._delivery
            self._tails[one.shard] += 1
            self._moved.add(one.shard)
            rows.append(_row(DELIVERY, self._rows.delivery(one, self._tails[one.shard])))
        return rows

    def _settle(self, results: Results) -> list[tuple[Any, ...]]:
        rows = [
            _row(SETTLED, (one.delivery, one.state.value, one.attempts, one.done_at, storable(one.detail)))
            for one in results.settled
        ]
        rows += [_row(PROGRESS, (one, *mark)) for one, mark in results.marks.items()]
        rows += [_row(TAIL, (shard, self._tails[shard], self._delivery)) for shard in self._moved or (0,)]
        self._moved.clear()
        return rows


_BLOCK = 1000  # ids are fetched from a sequence in blocks of this size


class PostgresHot:
    """PostgreSQL: several writers may exist, so ids come in blocks and positions from the shard's row."""

    local = False

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

    def write(self, raw: Any, batch: Batch, *, alone: bool) -> None:
        if batch.messages:
            self._append(raw, batch.messages)
        for one in batch.results:
            self.settle(raw, one)
        if batch.events:
            raw.execute(_EVENTS, tuple(list(column) for column in zip(*batch.events, strict=True)))
        if alone:
            raw.commit()

    def _append(self, raw: Any, messages: Sequence[NewMessage]) -> None:
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
            raw.execute(_ADVANCE, (destination, *mark))

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

_ADVANCE = """
INSERT INTO progress (destination, watermark, delivered, failed) VALUES (%s, %s, %s, %s)
ON CONFLICT (destination) DO UPDATE SET watermark = excluded.watermark,
delivered = progress.delivered + excluded.delivered, failed = progress.failed + excluded.failed
"""

_SETTLE = """
UPDATE delivery d SET state = r.state, attempts = r.attempts, done_at = r.done_at, detail = r.detail
FROM unnest(%s::bigint[], %s::smallint[], %s::int[], %s::bigint[], %s::text[])
AS r(id, state, attempts, done_at, detail)
WHERE d.id = r.id
"""


_EVENTS = f"""
INSERT INTO audit_event ({_EVENT}) SELECT * FROM unnest(
%s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bytea[])
"""


def _unnest(table: sa.Table) -> str:
    kinds = {"SMALLINT": "smallint", "INTEGER": "int", "BIGINT": "bigint", "TEXT": "text", "BLOB": "bytea"}
    columns = [f"%s::{kinds[str(column.type)]}[]" for column in table.columns]
    return f"INSERT INTO {table.name} SELECT * FROM unnest({', '.join(columns)})"
