"""Keeps export plans: what is asked for again and again, when next, with whose rights, what came of it last."""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any

import sqlalchemy as sa

from hilum import clock
from hilum.errors import Conflict, NotFound
from hilum.model.access import Scope
from hilum.model.audit import Change
from hilum.model.identifier import new
from hilum.store import versions
from hilum.store.exports import Export
from hilum.store.schema import organization as organizations
from hilum.store.schema_datasets import export_plan


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """A row. Times are microseconds; `cron` and `next_at` are both None where nobody but people start it."""

    id: int
    uuid: uuid.UUID
    organization: int
    study: int | None
    name: str
    kind: str
    definition: dict[str, Any]
    cron: str | None
    next_at: int | None
    last: int | None
    problem: str | None
    owner: str
    owner_name: str
    version: int
    created_at: int

    @property
    def entity(self) -> str:
        """As the audit trail names it."""
        return f"export-plan/{self.uuid}"


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """A plan to be. `owner` is whose rights it runs with."""

    study: int | None
    name: str
    kind: str
    definition: dict[str, Any]
    cron: str | None
    next_at: int | None
    owner: str
    owner_name: str


_COLUMNS = [export_plan.c[one.name] for one in dataclasses.fields(Plan)]
_THERE = export_plan.c.archived_at.is_(None)


def listed(connection: sa.Connection, scope: Scope, offset: int, limit: int) -> tuple[list[Plan], int]:
    """Those within, by name, and how many there are."""
    where = [export_plan.c.organization == scope.organization, _THERE]
    if scope.studies is not None:
        where.append(export_plan.c.study.in_(scope.studies))
    total: int = connection.execute(sa.select(sa.func.count()).select_from(export_plan).where(*where)).scalar_one()
    query = sa.select(*_COLUMNS).where(*where).order_by(export_plan.c.folded).offset(offset).limit(limit)
    return [_view(row) for row in connection.execute(query)], total


def find(connection: sa.Connection, scope: Scope, identifier: uuid.UUID) -> Plan:
    """Raises NotFound, of what is not within too."""
    where = (export_plan.c.organization == scope.organization, export_plan.c.uuid == identifier, _THERE)
    row = connection.execute(sa.select(*_COLUMNS).where(*where)).first()
    missing = f"there is no export plan {identifier}"
    scope.check(None if row is None else row.study, missing)
    if row is None:
        raise NotFound(missing)
    return _view(row)


def create(connection: sa.Connection, organization: int, wanted: Wanted) -> Change:
    """Raises Conflict (the name)."""
    now = clock.micros()
    identifier = new(now)
    fresh = {"uuid": identifier, "organization": organization, "version": 1, "created_at": now}
    try:
        connection.execute(export_plan.insert().values(**fresh, **_values(wanted)))
    except sa.exc.IntegrityError:
        raise Conflict(f"there is an export plan {wanted.name} already") from None
    made = find(connection, Scope(organization), identifier)
    return Change(made, made.entity, None, shown(made))


def replace(connection: sa.Connection, before: Plan, version: int, wanted: Wanted) -> Change:
    """All of it, whose rights it runs with as well; its problem is one of what it was. Raises Stale, Conflict."""
    try:
        versions.advance(connection, export_plan, before.id, version, problem=None, **_values(wanted))
    except sa.exc.IntegrityError:
        raise Conflict(f"there is an export plan {wanted.name} already") from None
    after = find(connection, Scope(before.organization), before.uuid)
    return Change(after, after.entity, shown(before), shown(after))


def archive(connection: sa.Connection, scope: Scope, identifier: uuid.UUID) -> Change:
    """It comes no more; its exports stay. Raises NotFound."""
    found = find(connection, scope, identifier)
    gone = {"archived_at": clock.micros(), "folded": None, "next_at": None}
    versions.advance(connection, export_plan, found.id, found.version, **gone)
    return Change(None, found.entity, shown(found), None)


def due(connection: sa.Connection, now: int) -> list[Plan]:
    """Those of all organizations whose time has come, the oldest time first."""
    home = sa.and_(organizations.c.id == export_plan.c.organization, organizations.c.archived_at.is_(None))
    query = sa.select(*_COLUMNS).join(organizations, home).where(_THERE, export_plan.c.next_at <= now)
    return [_view(row) for row in connection.execute(query.order_by(export_plan.c.next_at, export_plan.c.id))]


def ran(connection: sa.Connection, one: Plan, outcome: Export | str, next_at: int) -> bool:
    """What came of its time, an export or a problem, and when it comes next; no version changes.

    False where it is not as it was read: another process was quicker, or somebody changed it.
    """
    values: dict[str, Any] = {"next_at": next_at, "problem": outcome if isinstance(outcome, str) else None}
    if isinstance(outcome, Export):
        values |= {"last": outcome.id, "study": outcome.study}
    as_read = (export_plan.c.version == one.version, export_plan.c.next_at == one.next_at)
    where = (export_plan.c.id == one.id, *as_read)
    return bool(connection.execute(export_plan.update().where(*where).values(values)).rowcount)


def asked(connection: sa.Connection, one: Plan, made: Export) -> None:
    """Somebody started it now: its own times stay."""
    connection.execute(export_plan.update().where(export_plan.c.id == one.id).values(last=made.id))


def shown(one: Plan) -> dict[str, Any]:
    """As the audit trail shows it: what conditions compare with may name a patient."""
    return {"name": one.name, "kind": one.kind, "wish": _unnamed(one.definition), "cron": one.cron, "owner": one.owner}


def _unnamed(wish: dict[str, Any]) -> dict[str, Any]:
    told = {**wish, "where": [{**one, "value": None} for one in wish["where"]]} if wish.get("where") else wish
    return {**told, "items": [_unnamed(one) for one in wish["items"]]} if wish.get("items") else told


def _values(wanted: Wanted) -> dict[str, Any]:
    values = {field.name: getattr(wanted, field.name) for field in dataclasses.fields(wanted)}
    return values | {"folded": wanted.name.casefold()}


def _view(row: sa.Row[Any]) -> Plan:
    return Plan(**row._mapping)
