"""Keeps electronic signatures: added, found, used once. The statement and its seal never change."""

from __future__ import annotations

import dataclasses
import json
import uuid
from typing import Any

import sqlalchemy as sa

from hilum.model.access import Scope
from hilum.store.schema import organization
from hilum.store.schema_evidence import signature
from hilum.store.schema_people import session, study, user


@dataclasses.dataclass(frozen=True, slots=True)
class Signature:
    """A signature's row. `text` is the statement that `seal` is over, the columns are there to find it by."""

    id: int
    uuid: uuid.UUID
    organization: int
    study: int | None
    user: int
    operation: str
    entity: str
    version: int
    stamp: int
    text: str
    seal: bytes
    used_at: int | None

    @property
    def document(self) -> dict[str, Any]:
        """What the statement says; nothing where somebody made it unreadable."""
        try:
            stated = json.loads(self.text)
        except ValueError:
            return {}
        return stated if isinstance(stated, dict) else {}


@dataclasses.dataclass(frozen=True, slots=True)
class Home:
    """What policy asks of an organization. `study` is the name of the study that was asked about."""

    uuid: uuid.UUID | None
    name: str
    environment: str
    settings: dict[str, Any]
    version: int
    study: str | None


def home(connection: sa.Connection, owner: int, of: int | None = None) -> Home | None:
    """An organization, and the name of its study number `of`."""
    row = connection.execute(sa.select(organization).where(organization.c.id == owner)).first()
    if row is None:
        return None
    named = sa.select(study.c.name).where(study.c.organization == owner, study.c.id == of)
    name = connection.execute(named).scalar() if of is not None else None
    environment = str(row.document.get("environment") or "production")
    return Home(row.uuid, row.name, environment, row.settings or {}, row.version, name)


@dataclasses.dataclass(frozen=True, slots=True)
class Person:
    """Who signs: id, printed name, and whether an authenticator belongs to it."""

    id: str
    name: str
    second_factor: bool


def signer(connection: sa.Connection, owner: int, number: int) -> Person | None:
    query = sa.select(user).where(user.c.organization == owner, user.c.id == number)
    row = connection.execute(query).first()
    return None if row is None else Person(str(row.uuid), row.name, row.totp is not None)


def signed_before(connection: sa.Connection, owner: int, number: int, session_number: int) -> bool:
    """Whether a user gave all components of a signature in this session already."""
    query = sa.select(session.c.signed_at).where(
        session.c.organization == owner, session.c.user == number, session.c.id == session_number,
        session.c.ended_at.is_(None),
    )  # fmt: skip
    return connection.execute(query).scalar() is not None


def add(connection: sa.Connection, session_number: int, **values: Any) -> None:
    """Store one, and that its session has one now."""
    connection.execute(signature.insert().values(values))
    mine = (session.c.organization == values["organization"], session.c.id == session_number)
    connection.execute(
        session.update().where(*mine, session.c.signed_at.is_(None)).values(signed_at=values["stamp"])
    )  # fmt: skip


def find(connection: sa.Connection, scope: Scope, identifier: uuid.UUID) -> Signature | None:
    """None: also where it is another organization's, or of a study outside of `scope`."""
    row = connection.execute(_narrow(sa.select(signature), scope).where(signature.c.uuid == identifier)).first()
    return None if row is None else _signature(row)


def newest(
    connection: sa.Connection, scope: Scope, entity: str | None, offset: int, limit: int
) -> tuple[list[Signature], int]:
    """Signatures of an entity, or all; the newest first, and how many there are."""
    query = _narrow(sa.select(signature), scope)
    if entity is not None:
        query = query.where(signature.c.entity == entity)
    total = connection.execute(sa.select(sa.func.count()).select_from(query.subquery())).scalar() or 0
    rows = connection.execute(query.order_by(signature.c.id.desc()).offset(offset).limit(limit))
    return [_signature(row) for row in rows], total


def use(connection: sa.Connection, owner: int, number: int, now: int) -> bool:
    """The operation that it is for is being done. False: it was done already."""
    mine = (signature.c.organization == owner, signature.c.id == number, signature.c.used_at.is_(None))
    return connection.execute(signature.update().where(*mine).values(used_at=now)).rowcount == 1


def _narrow(query: sa.Select[Any], scope: Scope) -> sa.Select[Any]:
    query = query.where(signature.c.organization == scope.organization)
    return query if scope.studies is None else query.where(signature.c.study.in_(scope.studies))


def _signature(row: sa.Row[Any]) -> Signature:
    return Signature(
        row.id, row.uuid, row.organization, row.study, row.user, row.operation, row.entity, row.entity_version,
        row.stamp, row.document, row.seal, row.used_at,
    )  # fmt: skip
