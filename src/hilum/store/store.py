"""The store's face: opens the data folder's database, writes in groups, reads beside the writer."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import sqlalchemy as sa

from hilum import clock, telemetry
from hilum.errors import StoreError, StoreFull
from hilum.model.audit import Act, Change
from hilum.model.delivery import Attempt, DeliveryState, Pending, Settled
from hilum.model.message import Disposition, Message, NewMessage
from hilum.model.pool import Pool
from hilum.security.chain import EvidenceKey
from hilum.security.keyring import Keyring
from hilum.security.seal import KeyedHash, Sealer
from hilum.security.signing import Signer
from hilum.store import deliveries, messages, schema, tallies
from hilum.store.checkpoint import Checkpointer
from hilum.store.database import USUAL, Database
from hilum.store.hot import Batch, PostgresHot, Results, SqliteHot, driver, seal_note
from hilum.store.keys import Keys, PostgresKeys, SqliteKeys
from hilum.store.mark import Mark
from hilum.store.migrate import prepare
from hilum.store.readers import Readers
from hilum.store.tallies import Tallies
from hilum.store.within import Journal, Within
from hilum.store.writer import Writer

P = ParamSpec("P")
T = TypeVar("T")
_CHECK = b"setting|key_check"
_REBUILD = 2_000  # messages whose search keys are made again in one go
Listener = Callable[[Sequence[Pending]], None]
log = telemetry.logger("store")


class Store:
    """One per process. `append` and `settle` are the hot ways in; `write` and `read` take a function of the store."""

    def __init__(
        self, folder: Path, keyring: Keyring, url: str | None = None, owner: str | None = None, pool: Pool = USUAL
    ) -> None:
        """`url` None: SQLite in `folder`; else postgresql://…, and `owner` the same as the role that owns the tables.

        Nothing is opened before `open`.
        """
        self._owner = owner
        self.folder = folder
        self.database = Database(url, folder, pool)
        self.sealer = Sealer(keyring)
        self.hash = KeyedHash(keyring.search)
        self.evidence = EvidenceKey(keyring.evidence)
        self.signer_id = Signer(keyring.evidence).key_id  # whose signatures this hub's are
        self.listeners: list[Listener] = []  # told the deliveries of each commit, on the loop
        self.tallies = Tallies()
        self.journal = Journal(self)
        self._routed: dict[asyncio.Future[Any], list[Pending]] = {}  # written, but not announced yet
        self._subscribers: dict[str, list[Callable[[], None]]] = {}
        self.readers = Readers(self.database)

    async def open(self, rebuild: Callable[[Message], Sequence[int]]) -> Self:
        """Migrate, recover, start the threads. `rebuild` makes a message's search keys again after a crash."""
        self.keys_again = rebuild
        await asyncio.to_thread(prepare, self.database, self._owner)
        hot = SqliteHot(self.sealer) if self.database.embedded else PostgresHot(self.sealer)
        self.keys: Keys = (
            SqliteKeys(self.folder / "keys.db") if self.database.embedded else PostgresKeys(self.database.reader)
        )
        self.writer = Writer(self.database.writer, hot, self.keys.add, self._announce)
        self.writer.start()
        try:
            generation = await self.write(_generation, self.sealer)
        except StoreError:
            await self.writer.close()
            self.keys.close()
            self.database.dispose()
            raise
        self.mark = Mark(self.folder / "hub.mark", generation)
        if self.mark.left:
            await self.settle_marked()
        received, standing = await self.read(_standing)
        self.tallies.load(received, standing)
        await asyncio.to_thread(self.keys.start, lambda after: self._missing(after, rebuild), received[1])
        self._checkpointer = Checkpointer(self.database.path, self.writer) if self.database.embedded else None
        if self._checkpointer:
            self._checkpointer.start()
        return self

    async def close(self) -> None:
        """Commit what is queued and close. The data folder can then be copied as it is."""
        try:
            await self.write(tallies.save, self.tallies.snapshot())
        except StoreFull as error:
            log.warning("counts are not saved; the next start counts", reason=str(error))
        if self._checkpointer:
            await asyncio.to_thread(self._checkpointer.close)
        await self.writer.close()
        await asyncio.to_thread(self.keys.close)
        self.readers.close()
        self.mark.close()
        self.database.dispose()

    def append(self, message: NewMessage) -> asyncio.Future[NewMessage]:
        """Store a message with its deliveries; resolves after the commit. Raises StoreFull, StoreError."""
        return self.writer.append(message)

    def put(self, message: NewMessage, told: Callable[[NewMessage | None, BaseException | None], None]) -> None:
        """`append` for the hot path: `told` is called right after the commit, with the message or why it failed."""
        self.writer.put(message, told)

    def write(
        self, function: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Future[T]:
        """Run `function(connection, …)` in the next group commit, under its own SAVEPOINT."""
        return self.writer.run(lambda connection: function(connection, *args, **kwargs))

    async def read(self, function: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `function(connection, …)` on a reader's snapshot. Raises StoreError where the store does not answer."""
        return await self.readers.read(lambda connection: function(connection, *args, **kwargs))

    async def read_small(
        self, function: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """`read` for what is mostly a few rows and may be begun twice: see readers.py."""
        return await self.readers.read_small(lambda connection: function(connection, *args, **kwargs))

    def within(self, organization: int | None) -> Within:
        """The store as one organization sees it: for whatever is done for somebody. None: as the hub itself does."""
        return Within(self, organization)

    def settle(
        self,
        settled: Sequence[Settled],
        tried: Sequence[Attempt],
        marks: Mapping[int, tuple[int, int, int]],
        unparked: Sequence[tuple[int, int, int]],
    ) -> asyncio.Future[Any]:
        """Write results, failed attempts, the destinations' progress, and (delivery, destination, lane) to unpark."""
        results = Results(settled, marks)
        snapshot = self.tallies.snapshot() if self.tallies.due() else None
        if not (tried or unparked or snapshot):
            return self.writer.settle(results)

        def write(connection: sa.Connection) -> None:
            self.writer.hot.settle(driver(connection), results)
            deliveries.add_attempts(connection, self.sealer, tried)
            for one, destination, lane in unparked:
                deliveries.unpark(connection, (one,), destination, lane)
            if snapshot:
                tallies.save(connection, snapshot)

        return self.writer.run(write)

    def refuse(self, judged: Attempt, destination: int) -> asyncio.Future[bool]:
        """A delivered delivery was refused afterwards (enhanced mode). False: it is not a delivered one."""

        def write(connection: sa.Connection) -> bool:
            if not deliveries.refuse(connection, judged.delivery):
                return False
            deliveries.add_attempts(connection, self.sealer, (judged,))
            watermark = deliveries.standing(connection).get(destination, (0, 0, 0))[0]
            deliveries.advance(connection, {destination: (watermark, -1, 1)})
            return True

        return self.write(write)

    async def settle_marked(self) -> None:
        """Write the rows of deliveries that were taken by their destination right before a crash."""
        marked = self.mark.left

        def write(connection: sa.Connection) -> None:
            open_ones = [one for one, state in deliveries.states(connection, marked).items() if not state.final]
            query = sa.select(schema.delivery).where(schema.delivery.c.id.in_(open_ones))
            now = clock.micros()
            rows = [
                Settled(
                    row.id, row.destination, row.message, DeliveryState.DELIVERED, 1, now, "acknowledged before a crash"
                )
                for row in connection.execute(query)
            ]
            done = Counter(row.destination for row in rows)
            standing = deliveries.standing(connection)
            marks = {one: (standing.get(one, (0,))[0], count, 0) for one, count in done.items()}
            self.writer.hot.settle(driver(connection), Results(rows, marks))
            connection.execute(schema.parked.delete().where(schema.parked.c.delivery.in_(marked)))

        await self.write(write)
        self.mark.empty()

    async def route(
        self, stored: Message | NewMessage, disposition: Disposition, made: list[Pending], routes: str, note: str
    ) -> None:
        """Write what became of a message that was stored before it was routed, and announce its deliveries."""
        # moved before it is written, so that no other snapshot of the counts can go to disk without it
        self.tallies.move(stored.endpoint, Disposition.RECEIVED, disposition)
        snapshot = self.tallies.snapshot()

        def write(connection: sa.Connection) -> None:
            if made:
                self.writer.hot.enqueue(driver(connection), made)
            sealed = seal_note(self.sealer, stored.id, note, stored.attributes)
            first = made[0].id if made else None
            messages.reroute(connection, stored.id, disposition, routes, first, len(made), sealed)
            tallies.save(connection, snapshot)

        future = self.write(write)
        self._routed[future] = made
        try:
            await future
        except Exception:  # not where only the waiting was cancelled: it is written all the same
            self.tallies.move(stored.endpoint, disposition, Disposition.RECEIVED)
            raise
        finally:
            if made is self._routed.pop(future, None) and not future.cancelled() and not future.exception():
                self._tell(made)

    async def replay(self, act: Act, entity: str, made: Sequence[NewMessage]) -> None:
        """Store messages that somebody sends again, with the audit event of it: both, or neither."""
        queued = [delivery for one in made for delivery in one.deliveries]

        def write(connection: sa.Connection) -> Change:
            self.writer.hot.write(driver(connection), Batch(made), alone=False)
            return Change(None, entity, after={"messages": [one.uuid for one in made]})

        future = self.within(act.organization).begin(act, write)
        self._routed[future] = queued
        try:
            await future
        finally:
            if queued is self._routed.pop(future, None) and not future.cancelled() and not future.exception():
                self._tell(queued)
        act.recorded = True
        self.keys.add(made)
        self.tallies.count(made)

    async def give_space_back(self) -> None:
        """Return free pages to the disk, some at a time (SQLite; PostgreSQL's autovacuum does it by itself)."""
        before, left = 0, 1 if self.database.embedded else 0
        while left and left != before:  # a database made elsewhere may not be able to give any back
            before, left = left, await self.write(_vacuum)

    def subscribe(self, topic: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Be told on the loop when someone signals `topic` (configuration, job). Call the result to end it."""
        self._subscribers.setdefault(topic, []).append(callback)

        def unsubscribe() -> None:
            left = self._subscribers.get(topic, [])
            if callback in left:
                left.remove(callback)
            if not left:
                self._subscribers.pop(topic, None)

        return unsubscribe

    def signal(self, topic: str) -> None:
        """Tell the subscribers that rows of `topic` changed. Call it after the commit."""
        for callback in tuple(self._subscribers.get(topic, ())):
            callback()

    def seal_hash(self, body: bytes) -> bytes:
        """SHA-256 of a body as it came, the evidence that checkpoints cover."""
        return hashlib.sha256(body).digest()

    def _announce(self, committed: Sequence[NewMessage]) -> None:
        self.tallies.count(committed)
        made = [delivery for one in committed for delivery in one.deliveries]
        if self._routed:  # their coroutines may only run after this commit: announce in the order of ids
            for future in [one for one in self._routed if one.done() and not one.cancelled() and not one.exception()]:
                made += self._routed.pop(future)
            made.sort(key=lambda one: one.id)
        self._tell(made)

    def _tell(self, made: Sequence[Pending]) -> None:
        if made:
            for listener in self.listeners:
                listener(made)

    def _missing(self, after: int, rebuild: Callable[[Message], Sequence[int]]) -> list[NewMessage]:
        with self.database.reader.connect() as connection:
            rows = messages.rebuild(connection, after, _REBUILD, self.sealer, rebuild)
        return [_key_carrier(one, stamp, keys) for one, stamp, keys in rows]


def _key_carrier(one: int, stamp: int, keys: Sequence[int]) -> NewMessage:
    return NewMessage(0, 0, stamp, Disposition.RECEIVED, "", "", "", b"", b"", keys=tuple(keys), id=one)


def _generation(connection: sa.Connection, sealer: Sealer) -> bytes:
    """16 bytes that name this life of the store. Raises StoreError where the keys are another store's."""
    sealed = _setting(connection, "key_check", lambda: sealer.seal(_CHECK, _CHECK).hex())
    try:
        sealer.open(bytes.fromhex(sealed), _CHECK)
    except StoreError:
        raise StoreError("hub.key does not belong to this store; bring back the one that it was written with") from None
    return bytes.fromhex(_setting(connection, "generation", lambda: secrets.token_hex(16)))


def _setting(connection: sa.Connection, name: str, make: Callable[[], str]) -> str:
    """A setting, made at first use."""
    table = schema.setting
    found: str | None = connection.execute(sa.select(table.c.value).where(table.c.name == name)).scalar()
    if found is None:
        found = make()
        connection.execute(table.insert().values(name=name, value=found))
    return found


def _standing(connection: sa.Connection) -> Any:
    return Tallies.read(connection), deliveries.standing(connection)


def _vacuum(connection: sa.Connection, /) -> int:
    """Frees up to 500 pages; returns how many are left."""
    driver(connection).execute("PRAGMA incremental_vacuum(500)").fetchall()  # each fetch frees a page
    left: int = connection.exec_driver_sql("PRAGMA freelist_count").scalar_one()
    return left
