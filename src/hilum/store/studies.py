"""Keeps studies: parts of an organization that people and keys can be bound to."""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any

import sqlalchemy as sa

from hilum import clock
from hilum.errors import Conflict, NotFound
from hilum.model.audit import Change
from hilum.model.identifier import new
from hilum.store import versions
from hilum.store.schema import integration
from hilum.store.schema_people import study


@dataclasses.dataclass(frozen=True, slots=True)
class Study:
    """A row. Its name never changes: configuration files say it. Times are microseconds."""

    id: int
    uuid: uuid.UUID
    name: str
    title: str
    version: int
    created_at: int


def listed(
    connection: sa.Connection, organization: int, within: frozenset[int] | None, offset: int, limit: int
) -> tuple[list[Study], int]:
    """Those that are not archived, by name, and how many there are; `within` not None: of these alone."""
    where = [study.c.organization == organization, study.c.archived_at.is_(None)]
    if within is not None:
        where.append(study.c.id.in_(within))
    total: int = connection.execute(sa.select(sa.func.count()).select_from(study).where(*where)).scalar_one()
    query = sa.select(study).where(*where).order_by(study.c.name).offset(offset).limit(limit)
    return [_view(row) for row in connection.execute(query)], total


def find(connection: sa.Connection, organization: int, identifier: uuid.UUID) -> Study:
    """Raises NotFound, of an archived one too."""
    where = (study.c.organization == organization, study.c.uuid == identifier, study.c.archived_at.is_(None))
    row = connection.execute(sa.select(study).where(*where)).first()
    if row is None:
        raise NotFound(f"there is no study {identifier}")
    return _view(row)


def numbers(connection: sa.Connection, organization: int) -> dict[str, int]:
    """The numbers of those that are not archived, by name."""
    where = (study.c.organization == organization, study.c.archived_at.is_(None))
    return {row.name: row.id for row in connection.execute(sa.select(study.c.name, study.c.id).where(*where))}


def names(connection: sa.Connection, organization: int) -> dict[int, str]:
    """The names of all, archived ones too, by number."""
    query = sa.select(study.c.id, study.c.name).where(study.c.organization == organization)
    return {row.id: row.name for row in connection.execute(query)}


def create(connection: sa.Connection, organization: int, name: str, title: str) -> Change:
    """Raises Conflict where there is, or was, one of that name."""
    taken = _named(connection, organization, name)
    if taken is not None:
        kind = "a study" if taken.archived_at is None else "an archived study"
        raise Conflict(f"there is {kind} {name} already")
    try:
        made = find(connection, organization, _insert(connection, organization, name, title))
    except sa.exc.IntegrityError:  # another process was quicker
        raise Conflict(f"there is a study {name} already") from None
    return Change(made, entity(made), None, shown(made))


def change(
    connection: sa.Connection, organization: int, identifier: uuid.UUID, version: int, values: dict[str, Any]
) -> Change:
    """Raises NotFound, Stale."""
    before = find(connection, organization, identifier)
    versions.advance(connection, study, before.id, version, **values)
    after = find(connection, organization, identifier)
    return Change(after, entity(after), shown(before), shown(after))


def archive(connection: sa.Connection, organization: int, identifier: uuid.UUID) -> Change:
    """Raises NotFound, Conflict while integrations belong to it. Roles and keys that are bound to it reach nothing."""
    found = find(connection, organization, identifier)
    where = (integration.c.organization == organization, integration.c.study == found.id)
    users = [row.name for row in connection.execute(sa.select(integration.c.name).where(*where).order_by("name"))]
    if users:
        raise Conflict(f"integrations belong to {found.name}: {', '.join(users[:10])}; take them out first")
    versions.advance(connection, study, found.id, found.version, archived_at=clock.micros())
    return Change(None, entity(found), shown(found), None)


def ensure(connection: sa.Connection, organization: int, name: str) -> int:
    """The number of the study that a configuration file names: made, or brought back, where it is not there."""
    found = _named(connection, organization, name)
    if found is None:
        identifier = _insert(connection, organization, name, "")
        return find(connection, organization, identifier).id
    if found.archived_at is not None:
        versions.advance(connection, study, found.id, found.version, archived_at=None)
    number: int = found.id
    return number


def entity(one: Study) -> str:
    """As the audit trail names it."""
    return f"study/{one.uuid}"


def shown(one: Study) -> dict[str, Any]:
    """As the audit trail shows it."""
    return {"name": one.name, "title": one.title}


def _named(connection: sa.Connection, organization: int, name: str) -> sa.Row[Any] | None:
    where = (study.c.organization == organization, study.c.name == name)
    return connection.execute(sa.select(study).where(*where)).first()


def _insert(connection: sa.Connection, organization: int, name: str, title: str) -> uuid.UUID:
    now = clock.micros()
    identifier = new(now)
    values = {"organization": organization, "name": name, "title": title, "version": 1, "created_at": now}
    connection.execute(study.insert().values(uuid=identifier, **values))
    return identifier


def _view(row: sa.Row[Any]) -> Study:
    return Study(row.id, row.uuid, row.name, row.title, row.version, row.created_at)
