"""Keeps credentials: what may be seen of them beside what may not, which is sealed by the caller."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Collection, Iterable
from typing import Any

import sqlalchemy as sa

from hilum import clock
from hilum.errors import Conflict, NotFound
from hilum.model.access import Scope
from hilum.model.audit import Change
from hilum.store import versions
from hilum.store.audit import HIDDEN
from hilum.store.schema_people import certificate, credential

TABLE = credential.name
DAY = 86_400_000_000


@dataclasses.dataclass(frozen=True, slots=True)
class Credential:
    """A row. Times are microseconds. `secrets`: name to when it was set, by whom, how often, its last four."""

    id: int
    uuid: uuid.UUID
    organization: int
    study: int | None
    name: str
    kind: str
    fields: dict[str, Any]
    secrets: dict[str, dict[str, Any]]
    sealed: bytes = dataclasses.field(repr=False)
    key: int
    version: int
    created_at: int
    rotated_at: int
    rotate_every: int | None  # days
    used_at: int | None
    reminded_at: int | None

    @property
    def due_at(self) -> int | None:
        """When it should be rotated."""
        return None if self.rotate_every is None else self.rotated_at + self.rotate_every * DAY


@dataclasses.dataclass(frozen=True, slots=True)
class NewCredential:
    """What a row is made of. `uuid` is made by the caller: it is bound into `sealed`."""

    uuid: uuid.UUID
    study: int | None
    name: str
    kind: str
    fields: dict[str, Any]
    secrets: dict[str, dict[str, Any]]
    sealed: bytes = dataclasses.field(repr=False)
    key: int
    rotate_every: int | None


def listed(
    connection: sa.Connection, scope: Scope, *, offset: int, limit: int, kind: str | None = None
) -> tuple[list[Credential], int]:
    """Those within, by name, and how many there are."""
    where = _within(scope)
    if kind is not None:
        where.append(credential.c.kind == kind)
    total: int = connection.execute(sa.select(sa.func.count()).select_from(credential).where(*where)).scalar_one()
    query = sa.select(credential).where(*where).order_by(credential.c.name).offset(offset).limit(limit)
    return [_view(row) for row in connection.execute(query)], total


def find(connection: sa.Connection, scope: Scope, identifier: uuid.UUID) -> Credential:
    """Raises NotFound."""
    row = connection.execute(sa.select(credential).where(*_within(scope), credential.c.uuid == identifier)).first()
    if row is None:
        raise NotFound(f"there is no credential {identifier}")
    return _view(row)


def named(connection: sa.Connection, organization: int, names: Collection[str]) -> dict[str, Credential]:
    """Those of these names, by name."""
    query = sa.select(credential).where(*_within(Scope(organization)), credential.c.name.in_(names))
    return {row.name: _view(row) for row in connection.execute(query)}


def taken(connection: sa.Connection, organization: int, name: str) -> bool:
    """Whether a credential or a certificate is called so: references name either."""
    return any(
        connection.execute(
            sa.select(table.c.id).where(table.c.organization == organization, table.c.name == name)
        ).first()
        for table in (credential, certificate)
    )


def insert(connection: sa.Connection, organization: int, made: NewCredential) -> Change:
    """Raises Conflict where the name is taken."""
    if taken(connection, organization, made.name):
        raise Conflict(f"there is a credential or certificate {made.name} already")
    now = clock.micros()
    values = {field.name: getattr(made, field.name) for field in dataclasses.fields(made)}
    values |= {"organization": organization, "version": 1, "created_at": now, "rotated_at": now}
    try:
        connection.execute(credential.insert().values(values))
    except sa.exc.IntegrityError:  # another process was quicker
        raise Conflict(f"there is a credential or certificate {made.name} already") from None
    stored = find(connection, Scope(organization), made.uuid)
    return Change(stored, entity(stored), None, _shown(stored, stored.secrets))


def change(
    connection: sa.Connection,
    scope: Scope,
    identifier: uuid.UUID,
    version: int,
    touched: Collection[str],
    values: dict[str, Any],
) -> Change:
    """`touched`: names of secrets that were set anew or cleared. Raises NotFound, Stale."""
    before = find(connection, scope, identifier)
    versions.advance(connection, credential, before.id, version, **values)
    after = find(connection, Scope(scope.organization), identifier)
    return Change(after, entity(after), _shown(before, touched), _shown(after, touched))


def archive(connection: sa.Connection, scope: Scope, identifier: uuid.UUID, version: int) -> Change:
    """Its secrets are gone for good and its name is free again. Raises NotFound, Stale."""
    before = find(connection, scope, identifier)
    gone = {"sealed": b"", "secrets": {}, "name": f"{before.name}~{before.id}", "archived_at": clock.micros()}
    versions.advance(connection, credential, before.id, version, **gone)
    return Change(None, entity(before), _shown(before, ()), None)


def used(connection: sa.Connection, organization: int, ids: Iterable[int], stamp: int) -> None:
    """They were taken out for a connection; written down once an hour at the most."""
    seen = sa.or_(credential.c.used_at.is_(None), credential.c.used_at < stamp - 3_600_000_000)
    own = (credential.c.organization == organization, credential.c.id.in_(list(ids)))
    connection.execute(credential.update().where(*own, seen).values(used_at=stamp))


def rotating(connection: sa.Connection) -> list[Credential]:
    """Those of every organization that are to be rotated from time to time."""
    query = sa.select(credential).where(credential.c.rotate_every.is_not(None), credential.c.archived_at.is_(None))
    return [_view(row) for row in connection.execute(query.order_by(credential.c.id))]


def reminded(connection: sa.Connection, one: Credential, stamp: int) -> Change | None:
    """Say that somebody was told that it is due. None: it was rotated, or somebody else told, meanwhile."""
    same = credential.c.reminded_at.is_not_distinct_from(one.reminded_at)
    where = (credential.c.id == one.id, credential.c.rotated_at == one.rotated_at, same)
    if not connection.execute(credential.update().where(*where).values(reminded_at=stamp)).rowcount:
        return None
    return Change(None, entity(one), None, {"name": one.name, "due_at": one.due_at}, topic="credential.rotation_due")


def entity(one: Credential) -> str:
    """As the audit trail names it."""
    return f"credential/{one.uuid}"


def _shown(one: Credential, touched: Collection[str]) -> dict[str, Any]:
    """As the audit trail shows it: that a secret is there, and whether it was touched, never what it is."""
    secrets = {name: {"set": True, "version": meta["version"]} for name, meta in one.secrets.items()}
    for name in touched:
        if name in secrets:
            secrets[name]["value"] = HIDDEN
    return {
        "name": one.name, "kind": one.kind, "study": one.study, "fields": one.fields, "secrets": secrets,
        "rotate_every": one.rotate_every, "version": one.version,
    }  # fmt: skip


def _within(scope: Scope) -> list[sa.ColumnElement[bool]]:
    where = [credential.c.organization == scope.organization, credential.c.archived_at.is_(None)]
    if scope.studies is not None:
        where.append(credential.c.study.in_(scope.studies))
    return where


def _view(row: sa.Row[Any]) -> Credential:
    return Credential(
        row.id, row.uuid, row.organization, row.study, row.name, row.kind, row.fields, row.secrets, row.sealed,
        row.key, row.version, row.created_at, row.rotated_at, row.rotate_every, row.used_at,
        row.reminded_at,
    )  # fmt: skip
