"""Keeps certificates: chains, which are public, beside private keys, which the caller has sealed."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from hilum import clock
from hilum.errors import Conflict, NotFound
from hilum.model.access import Scope
from hilum.model.audit import Change
from hilum.store import versions
from hilum.store.audit import HIDDEN
from hilum.store.credentials import DAY, taken
from hilum.store.schema_people import certificate

TABLE = certificate.name
WARNINGS = (60, 30, 14, 7, 1)
"""Days before a certificate ends at which it is said, once each."""


@dataclasses.dataclass(frozen=True, slots=True)
class Certificate:
    """A row. Times are microseconds. `fingerprint` is empty while it is only requested."""

    id: int
    uuid: uuid.UUID
    organization: int
    study: int | None
    name: str
    subject: str
    issuer: str
    fingerprint: str
    not_before: int | None
    not_after: int | None
    chain: str
    request: str
    sealed: bytes | None = dataclasses.field(repr=False)
    key: int | None
    warned: int
    version: int
    created_at: int


def listed(connection: sa.Connection, scope: Scope, *, offset: int, limit: int) -> tuple[list[Certificate], int]:
    """Those within, what ends first first, and how many there are."""
    where = _within(scope)
    total: int = connection.execute(sa.select(sa.func.count()).select_from(certificate).where(*where)).scalar_one()
    order = (certificate.c.not_after.is_(None), certificate.c.not_after, certificate.c.id)
    query = sa.select(certificate).where(*where).order_by(*order).offset(offset).limit(limit)
    return [_view(row) for row in connection.execute(query)], total


def find(connection: sa.Connection, scope: Scope, identifier: uuid.UUID) -> Certificate:
    """Raises NotFound."""
    row = connection.execute(sa.select(certificate).where(*_within(scope), certificate.c.uuid == identifier)).first()
    if row is None:
        raise NotFound(f"there is no certificate {identifier}")
    return _view(row)


def named(connection: sa.Connection, organization: int, names: Collection[str]) -> dict[str, Certificate]:
    """Those of these names, by name."""
    query = sa.select(certificate).where(*_within(Scope(organization)), certificate.c.name.in_(names))
    return {row.name: _view(row) for row in connection.execute(query)}


def insert(connection: sa.Connection, organization: int, values: dict[str, Any]) -> Change:
    """`values` has the columns that `Certificate` has. Raises Conflict where the name is taken."""
    name = values["name"]
    try:
        if taken(connection, organization, name):
            raise Conflict(f"there is a credential or certificate {name} already")
        own = {"organization": organization, "version": 1, "warned": 0, "created_at": clock.micros()}
        connection.execute(certificate.insert().values(**values, **own))
    except sa.exc.IntegrityError:  # another process was quicker
        raise Conflict(f"there is a credential or certificate {name} already") from None
    made = find(connection, Scope(organization), values["uuid"])
    return Change(made, entity(made), None, _shown(made, made.sealed is not None))


def change(
    connection: sa.Connection, scope: Scope, identifier: uuid.UUID, version: int, values: dict[str, Any]
) -> Change:
    """Raises NotFound, Stale."""
    before = find(connection, scope, identifier)
    versions.advance(connection, certificate, before.id, version, **values)
    after = find(connection, Scope(scope.organization), identifier)
    touched = "sealed" in values
    return Change(after, entity(after), _shown(before, touched), _shown(after, touched))


def archive(connection: sa.Connection, scope: Scope, identifier: uuid.UUID, version: int) -> Change:
    """Its private key is gone for good and its name is free again. Raises NotFound, Stale."""
    before = find(connection, scope, identifier)
    gone = {"sealed": None, "key": None, "name": f"{before.name}~{before.id}", "archived_at": clock.micros()}
    versions.advance(connection, certificate, before.id, version, **gone)
    return Change(None, entity(before), _shown(before, False), None)


def ending(connection: sa.Connection, before: int) -> list[Certificate]:
    """Those of every organization that end before a moment."""
    where = (certificate.c.not_after < before, certificate.c.archived_at.is_(None))
    return [_view(row) for row in connection.execute(sa.select(certificate).where(*where).order_by(certificate.c.id))]


def warned(connection: sa.Connection, one: Certificate, days: int) -> Change | None:
    """Say that of the threshold `days` was warned. None: somebody did so, or it was renewed, meanwhile."""
    where = (certificate.c.id == one.id, certificate.c.warned == one.warned, certificate.c.not_after == one.not_after)
    if not connection.execute(certificate.update().where(*where).values(warned=days)).rowcount:
        return None
    return Change(None, entity(one), {"warned": one.warned}, {"warned": days}, topic="certificate.expiring")


def threshold(one: Certificate, now: int) -> int | None:
    """The threshold, in days, that was passed last and not warned of yet; None: nothing is to be said now."""
    if one.not_after is None:
        return None
    passed = [days for days in WARNINGS if one.not_after - now <= days * DAY]
    if not passed or (one.warned and one.warned <= passed[-1]):
        return None
    return passed[-1]


def entity(one: Certificate) -> str:
    """As the audit trail names it."""
    return f"certificate/{one.uuid}"


def _shown(one: Certificate, touched: bool) -> dict[str, Any]:
    """As the audit trail shows it."""
    key: dict[str, Any] = {"set": one.sealed is not None}
    if touched:
        key["value"] = HIDDEN
    ends = clock.from_micros(one.not_after).isoformat() if one.not_after is not None else None
    return {
        "name": one.name, "study": one.study, "subject": one.subject, "issuer": one.issuer, "key": key,
        "fingerprint": one.fingerprint, "not_after": ends, "version": one.version,
        "requested": bool(one.request),
    }  # fmt: skip


def _within(scope: Scope) -> list[sa.ColumnElement[bool]]:
    where = [certificate.c.organization == scope.organization, certificate.c.archived_at.is_(None)]
    if scope.studies is not None:
        where.append(certificate.c.study.in_(scope.studies))
    return where


def _view(row: sa.Row[Any]) -> Certificate:
    return Certificate(
        row.id, row.uuid, row.organization, row.study, row.name, row.subject, row.issuer, row.fingerprint,
        row.not_before, row.not_after, row.chain, row.request, row.sealed, row.key, row.warned, row.version,
        row.created_at,
    )  # fmt: skip
