"""Keeps every try to make an integration work: its steps with their times, sealed, for a partner speaks in there.

A try is a saga. Its row is there before its first step and says what was done, so that one whose process is gone can
be ended by another (`interrupt`). Whoever ends it does so once: the other is told that it came too late.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import uuid
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from hilum import clock, telemetry
from hilum.errors import Conflict
from hilum.model.audit import Act, Change
from hilum.model.identifier import new
from hilum.model.lifecycle import RUNS, Health, Lifecycle
from hilum.security.seal import Sealer
from hilum.store import integrations
from hilum.store.integrations import Row
from hilum.store.schema import initialization, integration

LEASE = 90.0
"""Seconds after which nobody goes on with a try: its process is gone, or could not write down how it ended."""

INTERRUPTED = "interrupted: the hub stopped while it was initialized; initialize it again"
GOING = "it is being initialized right now: its initializations say how far that is"


class State(enum.IntEnum):
    """Of a try, as it is stored."""

    FAILED = 0
    SUCCEEDED = 1
    RUNNING = 2


@dataclasses.dataclass(frozen=True, slots=True)
class Try:
    """One row. `sealed` holds JSON; `stamp` is when it began, in microseconds."""

    uuid: uuid.UUID
    organization: int
    integration: int | None
    stamp: int
    actor: str
    state: State
    sealed: bytes = dataclasses.field(repr=False)


def place(identifier: uuid.UUID) -> bytes:
    """What `sealed` is bound to."""
    return b"initialization|%s" % identifier.bytes


def name() -> uuid.UUID:
    """The identifier of a try that is about to be stored."""
    return new(clock.micros())


def seal(sealer: Sealer, identifier: uuid.UUID, told: dict[str, Any]) -> bytes:
    """`told` (steps, validation, connectivity, error, signs, held), without secrets."""
    return sealer.seal(telemetry.mask(json.dumps(told, default=str)).encode(), place(identifier))


def told(sealer: Sealer, one: Try) -> dict[str, Any]:
    """What `seal` sealed. Raises StoreError where it does not open."""
    found: dict[str, Any] = json.loads(sealer.open(one.sealed, place(one.uuid)))
    return found


def insert(
    connection: sa.Connection, organization: int, number: int | None, actor: str, identifier: uuid.UUID,
    sealed: bytes, state: State,
) -> None:  # fmt: skip
    """`number` None: what was asked for was not valid, so there is no integration."""
    values = {
        "uuid": identifier, "organization": organization, "integration": number, "stamp": clock.micros(),
        "actor": actor, "succeeded": int(state), "sealed": sealed,
    }  # fmt: skip
    connection.execute(initialization.insert().values(values))


def begin(
    connection: sa.Connection, organization: int, number: int, actor: str, identifier: uuid.UUID, sealed: bytes
) -> None:
    """Raises Conflict while another one runs: an integration has one at a time."""
    connection.execute(sa.select(integration.c.id).where(integration.c.id == number).with_for_update())
    if connection.execute(_running().where(initialization.c.integration == number)).first() is not None:
        raise Conflict(GOING)
    insert(connection, organization, number, actor, identifier, sealed, State.RUNNING)


def note(connection: sa.Connection, identifier: uuid.UUID, sealed: bytes, state: State = State.RUNNING) -> None:
    """How far it is, or how it ended. Raises Conflict where somebody else ended it."""
    mine = (initialization.c.uuid == identifier, initialization.c.succeeded == State.RUNNING)
    changed = connection.execute(
        initialization.update().where(*mine).values(sealed=sealed, succeeded=int(state))
    )  # fmt: skip
    if not changed.rowcount:
        raise Conflict(INTERRUPTED)


def end(
    connection: sa.Connection, sealer: Sealer, act: Act, number: int, error: str | None, health: Health | None = None,
    *, held: bool,
) -> Change:  # fmt: skip
    """Move the integration to where a try leaves it, and set what its test found. `health` None: it found nothing.

    `held`: only a person may switch it on for the first time.
    """
    current = integrations.get(connection, number)
    sealed = None if error is None else integrations.seal_error(sealer, number, error)
    failures = 0 if error is None else current.failures + 1
    integrations.feel(connection, number, health or current.health, sealed, failures=failures)
    after = _after(connection, current, error, held=held)
    if after is not current.lifecycle:
        return integrations.move(connection, act, current, after)
    current = integrations.get(connection, number)
    return Change(current, integrations.entity(current), None, {"success": error is None})


def interrupt(connection: sa.Connection, sealer: Sealer, act: Act, one: Try, now: str) -> Change:
    """End a try that nobody goes on with: it failed, and what it had begun is taken back. Raises Conflict (it ended).

    `now`: RFC 3339, for the step that it stands at. An integration where messages flow keeps its lifecycle.
    """
    assert one.integration is not None  # noqa: S101 - without an integration none is ever begun
    known = told(sealer, one)
    known["error"] = INTERRUPTED
    for step in known["steps"][-1:]:
        step.update({"endedAt": now, "success": False, "error": INTERRUPTED})
    note(connection, one.uuid, seal(sealer, one.uuid, known), State.FAILED)
    current = integrations.get(connection, one.integration)
    if current.lifecycle in (Lifecycle.INITIALIZING, Lifecycle.TESTING):
        return end(connection, sealer, act, one.integration, INTERRUPTED, held=known["held"])
    return Change(current, integrations.entity(current), None, {"success": False})


def running(connection: sa.Connection, before: int) -> list[Try]:
    """Those of all organizations that began before a moment (microseconds) and have not ended."""
    last = sa.select(sa.func.max(initialization.c.id)).group_by(initialization.c.integration)
    query = _running().where(initialization.c.id.in_(last), initialization.c.stamp < before)
    return [_view(row) for row in connection.execute(query)]


def newest(connection: sa.Connection, numbers: Collection[int]) -> dict[int, Try]:
    """The last try of each of these integrations that has ended, by their numbers."""
    table = initialization.c
    ended = (table.integration.in_(numbers), table.succeeded != State.RUNNING)
    last = sa.select(sa.func.max(table.id)).where(*ended).group_by(table.integration)
    query = sa.select(initialization).where(table.id.in_(last)) if numbers else None
    rows = [] if query is None else connection.execute(query).all()
    return {row.integration: _view(row) for row in rows}


def listed(connection: sa.Connection, number: int, offset: int, limit: int) -> tuple[list[Try], int]:
    """Those of an integration, the newest first, and how many there are."""
    where = initialization.c.integration == number
    total: int = connection.execute(sa.select(sa.func.count()).select_from(initialization).where(where)).scalar_one()
    query = sa.select(initialization).where(where).order_by(initialization.c.id.desc()).offset(offset).limit(limit)
    return [_view(row) for row in connection.execute(query)], total


def _running() -> sa.Select[Any]:
    return sa.select(initialization).where(initialization.c.succeeded == State.RUNNING)


def _after(connection: sa.Connection, current: Row, error: str | None, *, held: bool) -> Lifecycle:
    """Where its lifecycle goes. What a person switched off, or has to switch on, is switched on by a person alone."""
    usual = Lifecycle.ACTIVE if error is None else Lifecycle.ERROR
    if current.lifecycle in RUNS:
        return usual
    before: str | None = current.lifecycle  # initializing: its process ended before it was tested
    if current.lifecycle is Lifecycle.TESTING:
        (move, *_), _ = integrations.history(connection, current.id, 0, 1)
        before = move.before
    if before == Lifecycle.INITIALIZING:
        return Lifecycle.INACTIVE if held else usual
    return Lifecycle.INACTIVE if current.lifecycle is Lifecycle.TESTING else current.lifecycle


def _view(row: sa.Row[Any]) -> Try:
    return Try(row.uuid, row.organization, row.integration, row.stamp, row.actor, State(row.succeeded), row.sealed)
