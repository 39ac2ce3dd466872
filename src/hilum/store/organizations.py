"""Keeps organizations, and what each decides for itself. Those of a configuration file come by `configuration`."""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any

import sqlalchemy as sa

from hilum import clock
from hilum.errors import Conflict, NotFound
from hilum.model.audit import Change
from hilum.model.configuration import RESERVED, Retention
from hilum.model.identifier import new
from hilum.model.organization import Settings
from hilum.store import versions
from hilum.store.schema import organization


@dataclasses.dataclass(frozen=True, slots=True)
class Organization:
    """A row. Its name never changes: configuration files say it."""

    id: int
    uuid: uuid.UUID
    name: str
    title: str
    environment: str
    settings: Settings
    version: int


def listed(connection: sa.Connection, offset: int, limit: int) -> tuple[list[Organization], int]:
    """All of them, by name, and how many there are. For the hub's operator."""
    total: int = connection.execute(sa.select(sa.func.count()).select_from(organization)).scalar_one()
    query = sa.select(organization).order_by(organization.c.name).offset(offset).limit(limit)
    return [_view(row) for row in connection.execute(query)], total


def every(connection: sa.Connection) -> list[Organization]:
    """All of them, for the hub's own work."""
    return [_view(row) for row in connection.execute(sa.select(organization).order_by(organization.c.id))]


def get(connection: sa.Connection, number: int) -> Organization:
    """Raises NotFound."""
    return _one(connection, organization.c.id == number, "there is no organization yet: create one")


def find(connection: sa.Connection, identifier: uuid.UUID) -> Organization:
    """Raises NotFound."""
    return _one(connection, organization.c.uuid == identifier, f"there is no organization {identifier}")


def settings(connection: sa.Connection, number: int) -> Settings:
    """What an organization decided; the defaults where it did not. Raises NotFound."""
    return get(connection, number).settings


def lock(connection: sa.Connection, number: int) -> None:
    """Let nobody else change the people of an organization until the transaction ends. Raises NotFound.

    Rules about several rows (the last administrator, two keys of a name) hold only so where other processes write too.
    """
    query = sa.select(organization.c.id).where(organization.c.id == number)
    if connection.execute(query.with_for_update(key_share=True)).first() is None:
        raise NotFound("there is no organization yet: create one")


def create(connection: sa.Connection, name: str, title: str) -> Organization:
    """Raises Conflict where the name is taken or the hub's own. For the hub's own work: it is nobody's row yet."""
    if name == RESERVED:
        raise Conflict(f"{RESERVED} is the hub's own name")
    taken = Conflict(f"there is an organization {name} already")
    if connection.execute(sa.select(organization.c.id).where(organization.c.name == name)).first() is not None:
        raise taken
    identifier = new(clock.micros())
    values = {"uuid": identifier, "name": name, "title": title, "settings": {}, "version": 1}
    try:
        connection.execute(organization.insert().values(document=_DOCUMENT, **values))
    except sa.exc.IntegrityError:  # another process was quicker
        raise taken from None
    return find(connection, identifier)


def change(connection: sa.Connection, number: int, version: int, values: dict[str, Any]) -> Change:
    """Set a `title` or a whole `settings` document. Raises NotFound, Stale."""
    before = get(connection, number)
    versions.advance(connection, organization, number, version, **values)
    after = get(connection, number)
    return Change(after, entity(after), shown(before), shown(after))


def entity(one: Organization) -> str:
    """As the audit trail names it."""
    return f"organization/{one.uuid}"


def shown(one: Organization) -> dict[str, Any]:
    """As the audit trail shows it."""
    settings = one.settings.model_dump(mode="json", exclude_defaults=True)
    return {"name": one.name, "title": one.title, "settings": settings}


_DOCUMENT = {"environment": "production", "retention": Retention().model_dump(mode="json")}  # until a file says it


def _one(connection: sa.Connection, where: sa.ColumnElement[bool], missing: str) -> Organization:
    row = connection.execute(sa.select(organization).where(where)).first()
    if row is None:
        raise NotFound(missing)
    return _view(row)


def _view(row: sa.Row[Any]) -> Organization:
    settings = Settings.model_validate(row.settings or {})
    environment = str(row.document.get("environment", "production"))
    return Organization(row.id, row.uuid, row.name, row.title, environment, settings, row.version)
