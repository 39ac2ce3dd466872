"""Keeps what was configured: organizations, integrations, endpoints and every version of every route."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from hilum import clock
from hilum.errors import NotFound
from hilum.model.audit import Act
from hilum.model.configuration import Retention
from hilum.model.identifier import new
from hilum.model.lifecycle import Lifecycle, check
from hilum.store import studies
from hilum.store.schema import endpoint, integration, integration_history, organization, route_version


@dataclasses.dataclass(frozen=True, slots=True)
class RouteVersion:
    """A pinned route: its document holds the route, its tables and scripts, and what it needs of its endpoints."""

    id: int
    organization: int
    name: str
    number: int
    managed_by: str
    document: dict[str, Any]
    current: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Stored:
    """An organization's configuration as it stands. `endpoints` holds removed ones too: messages point to them."""

    id: int
    name: str
    document: dict[str, Any]
    integrations: dict[str, dict[str, Any]]
    managed_by: dict[str, str]  # `integration/<name>` or `route/<name>` to file or api
    endpoints: dict[str, int]  # reference to id
    active: frozenset[str]  # references that were not removed
    draining: dict[str, dict[str, Any]]  # removed, but what waits for them is still delivered: their documents
    routes: dict[str, RouteVersion]  # current versions


def read(connection: sa.Connection, name: str | None = None) -> list[Stored]:
    """Every organization, or the one named."""
    query = sa.select(organization).order_by(organization.c.id)
    if name is not None:
        query = query.where(organization.c.name == name)
    return [_read(connection, row) for row in connection.execute(query)]


def of(connection: sa.Connection, number: int) -> Stored:
    """The organization of that number. Raises NotFound."""
    row = connection.execute(sa.select(organization).where(organization.c.id == number)).first()
    if row is None:
        raise NotFound("there is no organization yet: create one")
    return _read(connection, row)


def _read(connection: sa.Connection, owner: sa.Row[Any]) -> Stored:
    every = list(connection.execute(sa.select(integration).where(integration.c.organization == owner.id)))
    integrations = [row for row in every if row.archived_at is None]
    endpoints = list(connection.execute(sa.select(endpoint).where(endpoint.c.organization == owner.id)))
    routes = {
        row.name: _version(row)
        for row in connection.execute(
            sa.select(route_version).where(route_version.c.organization == owner.id, route_version.c.current == 1)
        )
    }
    managed = {f"integration/{row.name}": row.managed_by for row in every}  # archived ones may still drain
    return Stored(
        id=owner.id,
        name=owner.name,
        document=owner.document,
        integrations={row.name: row.document for row in integrations},
        managed_by=managed | {f"route/{one.name}": one.managed_by for one in routes.values()},
        endpoints={row.reference: row.id for row in endpoints},
        active=frozenset(row.reference for row in endpoints if row.removed_at is None),
        draining={row.reference: row.document for row in endpoints if row.removed_at is not None and row.draining},
        routes=routes,
    )


def version(connection: sa.Connection, one: int) -> RouteVersion | None:
    """A pinned version, current or not."""
    row = connection.execute(sa.select(route_version).where(route_version.c.id == one)).first()
    return None if row is None else _version(row)


def retentions(connection: sa.Connection, owner: int) -> dict[int, int]:
    """Days that bodies are kept, by route version, where the route says so itself."""
    columns = (route_version.c.id, route_version.c.document)
    found = {}
    for number, document in connection.execute(sa.select(*columns).where(route_version.c.organization == owner)):
        if kept := document["route"].get("retention"):
            found[number] = Retention.model_validate(kept).bodies
    return found


def names(connection: sa.Connection) -> tuple[dict[int, str], dict[int, str]]:
    """Names of endpoints and of route versions by id, for people."""
    endpoints = {row.id: row.reference for row in connection.execute(sa.select(endpoint))}
    columns = (route_version.c.id, route_version.c.name, route_version.c.number)
    routes = {row.id: f"{row.name} v{row.number}" for row in connection.execute(sa.select(*columns))}
    return endpoints, routes


def put_organization(connection: sa.Connection, name: str, document: dict[str, Any]) -> int:
    """Create or update; returns its id."""
    found: int | None = connection.execute(sa.select(organization.c.id).where(organization.c.name == name)).scalar()
    if found is None:
        return _insert(connection, organization, uuid=new(clock.micros()), name=name, document=document)
    values = {"document": document, "version": organization.c.version + 1}
    connection.execute(organization.update().where(organization.c.id == found).values(values))
    return found


def put_integration(
    connection: sa.Connection,
    owner: int,
    name: str,
    document: dict[str, Any],
    managed_by: str,
    made: Mapping[str, Any] | None = None,
    act: Act | None = None,
) -> None:
    """Create or update, and make the study that it names where there is none of that name.

    `made`: what a new row has beside its document. What a file says of `active` is where its lifecycle stands; `act`:
    who moved it so. Raises Conflict where it cannot stand there.
    """
    where = (integration.c.organization == owner, integration.c.name == name)
    values = {"document": document, "managed_by": managed_by, **columns(connection, owner, document)}
    row = connection.execute(sa.select(integration).where(*where)).first()
    if row is None:
        first = {"uuid": uuid.uuid4(), "created_at": clock.micros(), "lifecycle": _lifecycle(document), **(made or {})}
        number = _insert(connection, integration, organization=owner, name=name, **first, **values)
        remember(connection, act, owner, number, None, first["lifecycle"])
        return
    changed = (row.document, row.study) != (document, values["study"])
    if changed or row.archived_at is not None:
        values |= {"version": row.version + 1, "updated_at": clock.micros(), "archived_at": None}
    before = Lifecycle(row.lifecycle)
    for after in _moves(row, document):
        check(before, after)
        remember(connection, act, owner, row.id, before, after)
        before = values["lifecycle"] = after
    connection.execute(integration.update().where(*where).values(**values))


def _moves(row: sa.Row[Any], document: Mapping[str, Any]) -> list[Lifecycle]:
    """Where its lifecycle goes with another document, step by step: what was archived comes back inactive."""
    wanted = _lifecycle(document)
    if row.archived_at is not None:
        return list(dict.fromkeys((Lifecycle.INACTIVE, wanted)))
    moves = row.document.get("active", True) != document.get("active", True) and wanted != row.lifecycle
    return [wanted] if moves else []


def remember(
    connection: sa.Connection, act: Act | None, owner: int, number: int, before: Lifecycle | None, after: Lifecycle
) -> None:
    """Note a step of an integration's life. `before` None: it was made."""
    if act is not None:
        _insert(
            connection, integration_history, organization=owner, integration=number, stamp=clock.micros(),
            before=before, after=after, actor=act.principal.name, reason=act.reason,
        )  # fmt: skip


def columns(connection: sa.Connection, owner: int, document: Mapping[str, Any]) -> dict[str, Any]:
    """What a document says that rows are looked for by."""
    belongs, title = document.get("study"), document.get("title")
    return {
        "study": None if belongs is None else studies.ensure(connection, owner, belongs),
        "environment": document.get("environment"),
        "title": title.casefold() if title else None,
    }


def _lifecycle(document: Mapping[str, Any]) -> Lifecycle:
    return Lifecycle.ACTIVE if document.get("active", True) else Lifecycle.INACTIVE


def remove_integration(connection: sa.Connection, owner: int, name: str, act: Act | None = None) -> None:
    """One that was used, or has a history, is archived: that, its executions and its log stay."""
    where = (integration.c.organization == owner, integration.c.name == name)
    row = connection.execute(sa.select(integration.c.id, integration.c.lifecycle).where(*where)).one()
    try:
        with connection.begin_nested():
            connection.execute(integration.delete().where(*where))
    except sa.exc.IntegrityError:  # they point to it
        values = {"archived_at": clock.micros(), "lifecycle": Lifecycle.ARCHIVED, "title": None}
        connection.execute(integration.update().where(*where).values(values))
        remember(connection, act, owner, row.id, Lifecycle(row.lifecycle), Lifecycle.ARCHIVED)


def put_endpoint(
    connection: sa.Connection, owner: int, reference: str, direction: str, document: dict[str, Any]
) -> int:
    """Create or update, or bring back a removed one under its old id: what waited for it goes on."""
    where = (endpoint.c.organization == owner, endpoint.c.reference == reference)
    values = {"direction": direction, "document": document, "removed_at": None, "draining": 0}
    found: int | None = connection.execute(sa.select(endpoint.c.id).where(*where)).scalar()
    if found is None:
        return _insert(connection, endpoint, uuid=uuid.uuid4(), organization=owner, reference=reference, **values)
    connection.execute(endpoint.update().where(*where).values(values))
    return found


def remove_endpoint(connection: sa.Connection, owner: int, reference: str, *, draining: bool) -> None:
    where = (endpoint.c.organization == owner, endpoint.c.reference == reference)
    connection.execute(endpoint.update().where(*where).values(removed_at=clock.micros(), draining=int(draining)))


def drained(connection: sa.Connection, one: int) -> None:
    """Nothing waits for a removed endpoint any more."""
    connection.execute(endpoint.update().where(endpoint.c.id == one).values(draining=0))


def put_route(
    connection: sa.Connection, owner: int, name: str, document: dict[str, Any], managed_by: str | None,
    act: Act | None = None,
) -> int:  # fmt: skip
    """A new version, unless the newest says the same: its number. `managed_by` None: as it was. `act`: whose it is."""
    where = (route_version.c.organization == owner, route_version.c.name == name)
    latest = connection.execute(sa.select(route_version).where(*where).order_by(route_version.c.number.desc())).first()
    managed_by = managed_by or (latest.managed_by if latest is not None else "api")
    if latest is not None and latest.document == document:
        values = {"current": 1, "managed_by": managed_by}
        connection.execute(route_version.update().where(route_version.c.id == latest.id).values(values))
        return int(latest.number)
    retire_route(connection, owner, name)
    number: int = 1 if latest is None else latest.number + 1
    by, reason = ("", "") if act is None else (act.principal.name, act.reason)
    _insert(
        connection, route_version, organization=owner, name=name, number=number, managed_by=managed_by,
        document=document, created_at=clock.micros(), current=1, created_by=by, reason=reason,
    )  # fmt: skip
    return number


def retire_route(connection: sa.Connection, owner: int, name: str) -> None:
    """New messages take it no more; its versions stay for what they routed."""
    where = (route_version.c.organization == owner, route_version.c.name == name)
    connection.execute(route_version.update().where(*where).values(current=0))


def release(connection: sa.Connection, owner: int, name: str) -> bool:
    """Hand an integration or a route of that name over from the file to the API. False: none has the name."""
    done = 0
    for table in (integration, route_version):
        where = (table.c.organization == owner, table.c.name == name)
        done += connection.execute(table.update().where(*where).values(managed_by="api")).rowcount
    return done > 0


def _insert(connection: sa.Connection, table: sa.Table, **values: Any) -> int:
    inserted: int = connection.execute(table.insert().values(values)).inserted_primary_key[0]  # type: ignore[index]  # one row
    return inserted


def _version(row: sa.Row[Any]) -> RouteVersion:
    return RouteVersion(row.id, row.organization, row.name, row.number, row.managed_by, row.document, bool(row.current))
