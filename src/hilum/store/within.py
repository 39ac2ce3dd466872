"""The store as one organization sees it: the database hides the others' rows, whatever is asked.

On PostgreSQL row level security does, for reads and writes; on SQLite views do, for reads. The functions of the store
narrow by the organization that they are given as well, on both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa

from hilum.model.audit import Act, AuditEvent, Change
from hilum.store import audit, outbox, own_views

if TYPE_CHECKING:
    from hilum.store.store import Store

P = ParamSpec("P")
T = TypeVar("T")
_SET = sa.text("SELECT set_config('hilum.organization', :organization, true)")


@contextmanager
def narrowed(connection: sa.Connection, organization: int | None) -> Iterator[None]:
    """Let the rest of this block see the rows of one organization alone. None: of all of them."""
    if organization is None:
        yield
        return
    if connection.dialect.name != "postgresql":
        own_views.choose(connection, organization)
        try:
            yield
        finally:
            own_views.choose(connection, None)
        return
    connection.execute(_SET, {"organization": str(organization)})
    yield
    connection.execute(_SET, {"organization": "*"})  # where the block failed, its SAVEPOINT takes the setting back


class Within:
    """What is done for one organization, and the audit trail of it. None: for the hub, across all of them."""

    def __init__(self, store: Store, organization: int | None) -> None:
        self._store = store
        self.organization = organization

    async def read(self, function: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `function(connection, …)` on a snapshot; it may be begun twice (readers.py). Raises StoreError."""
        work = self._narrowed(function, *args, **kwargs)
        return await self._store.readers.read_small(work, own=self.organization is not None)

    async def load(self, function: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`read` for what may be large, such as bodies: the loop never waits for it."""
        work = self._narrowed(function, *args, **kwargs)
        return await self._store.readers.read(work, own=self.organization is not None)

    def write(
        self, function: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Future[T]:
        """Run `function(connection, …)` in the next group commit. For what needs no audit event of its own."""
        return self._store.write(self._narrowed(function, *args, **kwargs))

    def _narrowed(
        self, function: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Callable[[sa.Connection], T]:
        def work(connection: sa.Connection) -> T:
            with narrowed(connection, self.organization):
                return function(connection, *args, **kwargs)

        return work

    async def change(
        self, act: Act, function: Callable[Concatenate[sa.Connection, P], Change], *args: P.args, **kwargs: P.kwargs
    ) -> Any:
        """Run `function`, and insert its audit event and outbox row with it: all three, or none of them.

        Returns the change's `result`.
        """
        done = await self.begin(act, function, *args, **kwargs)
        act.recorded, act.entity = True, done.entity
        self._store.signal("outbox")
        self._store.signal(f"changed/{done.entity.partition('/')[0]}")  # whoever remembers such things forgets them
        return done.result

    def begin(
        self, act: Act, function: Callable[Concatenate[sa.Connection, P], Change], *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Future[Change]:
        """`change`, for those who look at the future themselves: `act.recorded` is theirs to set after it."""

        def work(connection: sa.Connection) -> Change:
            with narrowed(connection, self.organization):
                while act.conditions:
                    act.conditions.pop(0)(connection)
                done = function(connection, *args, **kwargs)
                audit.insert(connection, self._store.evidence, [audit.event(act, change=done)])
                outbox.insert(connection, act.organization, done.topic or act.action, done.entity)
                return done

        return self._store.write(work)


class Journal:
    """Stores the events of what changed nothing: hot rows, written with whatever else the next commit has."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def record(self, event: AuditEvent) -> None:
        """Returns once it is on disk. Raises StoreError."""
        await self._store.writer.note(audit.row(self._store.evidence, event))
