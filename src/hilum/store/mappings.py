"""Keeps stored mappings: found, listed, saved, archived, every version; and what they are to routes and endpoints."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from hilum import clock
from hilum.errors import Conflict, NotFound, Stale
from hilum.model.audit import Act, Change
from hilum.model.configuration import Endpoint
from hilum.model.identifier import new
from hilum.store import versions as locking
from hilum.store.schema import endpoint, integration, route_version
from hilum.store.schema_mappings import mapping, mapping_version

KEYS = ("data_mapping", "response_mapping")


@dataclasses.dataclass(frozen=True, slots=True)
class Text:
    """What a version says."""

    description: str
    timezone: str
    document: dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """A version of a mapping. `newest` and `current` are numbers of the mapping's versions; times: microseconds."""

    id: int
    uuid: uuid.UUID
    name: str
    newest: int
    current: int | None
    number: int
    draft: bool
    text: Text
    created_at: int
    created_by: str
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class Users:
    """What uses a mapping: current routes with their version and document, and endpoints; `integrations` own those."""

    routes: dict[str, tuple[int, dict[str, Any]]]
    endpoints: tuple[str, ...]
    integrations: frozenset[str]


def entity(one: Row) -> str:
    """As the audit trail names it."""
    return f"mapping/{one.uuid}"


def shown(one: Row | None) -> dict[str, Any] | None:
    """As the audit trail shows it: without its examples, which are messages."""
    if one is None:
        return None
    document = {key: value for key, value in one.text.document.items() if key != "examples"}
    told = {"description": one.text.description, "timezone": one.text.timezone, "document": document}
    return {"name": one.name, "version": one.number, "draft": one.draft, **told,
            "examples": len(one.text.document.get("examples", ()))}  # fmt: skip


def listed(
    connection: sa.Connection, organization: int, text: str | None, offset: int, limit: int
) -> tuple[list[Row], int]:  # fmt: skip
    """The newest version of each, by name, and how many there are. Archived ones are left out."""
    where = [mapping.c.organization == organization, mapping.c.archived_at.is_(None)]
    if text is not None:
        both = (mapping.c.name, mapping_version.c.description)
        where.append(sa.or_(*(sa.func.lower(one).contains(text.lower(), autoescape=True) for one in both)))
    newest = sa.and_(mapping_version.c.mapping == mapping.c.id, mapping_version.c.number == mapping.c.version)
    joined = mapping.join(mapping_version, newest)
    total: int = connection.execute(sa.select(sa.func.count()).select_from(joined).where(*where)).scalar_one()
    query = _joined().where(*where, mapping_version.c.number == mapping.c.version).order_by(mapping.c.name)
    return [_view(row) for row in connection.execute(query.offset(offset).limit(limit))], total


def find(connection: sa.Connection, organization: int, name: str) -> Row:
    """The newest version. Raises NotFound."""
    query = _joined().where(
        mapping.c.organization == organization, mapping.c.name == name, mapping.c.archived_at.is_(None),
        mapping_version.c.number == mapping.c.version,
    )  # fmt: skip
    row = connection.execute(query).first()
    if row is None:
        raise NotFound(f"there is no mapping {name}")
    return _view(row)


def get(connection: sa.Connection, organization: int, identifier: uuid.UUID) -> Row | None:
    """The newest version of the mapping of this id."""
    where = (mapping.c.organization == organization, mapping.c.uuid == identifier, mapping.c.archived_at.is_(None))
    name = connection.execute(sa.select(mapping.c.name).where(*where)).scalar()
    return None if name is None else find(connection, organization, name)


def versions(
    connection: sa.Connection, organization: int, name: str, offset: int, limit: int
) -> tuple[list[Row], int]:  # fmt: skip
    """The newest first, and how many there are; an archived mapping's too. Raises NotFound."""
    where = (mapping.c.organization == organization, mapping.c.name == name)
    query = _joined().where(*where).order_by(mapping_version.c.number.desc())
    counted = sa.select(sa.func.count()).select_from(_joined().where(*where).subquery())
    total: int = connection.execute(counted).scalar_one()
    if not total:
        raise NotFound(f"there is no mapping {name}")
    return [_view(row) for row in connection.execute(query.offset(offset).limit(limit))], total


def version(connection: sa.Connection, organization: int, name: str, number: int) -> Row:
    """Raises NotFound."""
    where = (mapping.c.organization == organization, mapping.c.name == name, mapping_version.c.number == number)
    row = connection.execute(_joined().where(*where)).first()
    if row is None:
        raise NotFound(f"mapping {name} has no version {number}")
    return _view(row)


def known(connection: sa.Connection, organization: int, wanted: Iterable[str]) -> dict[str, dict[str, Any]]:
    """What routes are given, by NAME (its current version) and NAME@3; what there is not, and drafts, are left out."""
    names = {one: one.partition("@")[0] for one in wanted}
    where = (mapping.c.organization == organization, mapping.c.name.in_(set(names.values())))
    query = _joined().where(*where, mapping.c.archived_at.is_(None), mapping_version.c.draft == 0)
    rows = [_view(row) for row in connection.execute(query)] if names else []
    by = {one.name: one for one in rows if one.number == one.current}
    by |= {f"{one.name}@{one.number}": one for one in rows}
    return {one: {"version": by[one].number, "document": by[one].text.document} for one in names if one in by}


def inlined(connection: sa.Connection, organization: int, one: Endpoint) -> Endpoint:
    """An endpoint with the documents of the mappings that it names; a name that there is not stays."""
    names = {key: value for key in KEYS if isinstance(value := getattr(one, key), str)}
    found = known(connection, organization, names.values()) if names else {}
    return one.model_copy(update={key: found[name]["document"] for key, name in names.items() if name in found})


def hold(connection: sa.Connection, organization: int, pinned: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises Conflict where a mapping that a route was compiled with is another one by now, or gone."""
    found = known(connection, organization, pinned)
    for name, one in pinned.items():
        if name not in found or found[name]["version"] != one["version"]:
            raise Conflict(f"mapping {name} was changed meanwhile: try again")


def users(connection: sa.Connection, organization: int, name: str) -> Users:
    """Whatever names it, with a version or without."""
    ids = [number for number, _, names in _routes(connection, organization) if name in names]
    query = sa.select(route_version).where(route_version.c.id.in_(ids)).order_by(route_version.c.name)
    routes = {row.name: (row.number, row.document) for row in connection.execute(query)} if ids else {}
    found = tuple(one for one, names in _endpoints(connection, organization) if name in names)
    return Users(routes, found, frozenset(one.partition("/")[0] for one in found))


def usage(connection: sa.Connection, organization: int) -> Callable[[str], tuple[list[str], list[str]]]:
    """By the name of a mapping: the routes and the endpoints that name it."""
    routes = [(route, names) for _, route, names in _routes(connection, organization)]
    ends = list(_endpoints(connection, organization))

    def of(name: str) -> tuple[list[str], list[str]]:
        return [one for one, names in routes if name in names], [one for one, names in ends if name in names]

    return of


def gxp(connection: sa.Connection, organization: int, names: frozenset[str]) -> bool:
    """Whether one of these integrations is a GxP one."""
    where = (integration.c.organization == organization, integration.c.name.in_(names))
    return any(row.document.get("gxp") for row in connection.execute(sa.select(integration.c.document).where(*where)))


def save(
    connection: sa.Connection, act: Act, name: str, version: int | None, text: Text, *, draft: bool
) -> Change:  # fmt: skip
    """A new version; `version` None: a new mapping, or an archived one again. Raises Conflict, NotFound, Stale."""
    owner, now = act.organization, clock.micros()
    where = (mapping.c.organization == owner, mapping.c.name == name)
    row = connection.execute(sa.select(mapping).where(*where)).first()
    if version is None and row is not None and row.archived_at is None:
        raise Conflict(f"there is a mapping {name} already")
    before = None if version is None else find(connection, owner, name)
    if row is None:
        if version is not None:
            raise NotFound(f"there is no mapping {name}")
        values = {"uuid": new(now), "organization": owner, "name": name, "version": 1, "created_at": now}
        try:
            number = connection.execute(mapping.insert().values(values)).inserted_primary_key[0]  # type: ignore[index]  # one row
        except sa.exc.IntegrityError:  # another process was quicker
            raise Conflict(f"there is a mapping {name} already") from None
        newest = 1
    else:
        number, newest = row.id, row.version + 1
        locking.advance(connection, mapping, row.id, row.version if version is None else version, archived_at=None)
    made = {"organization": owner, "mapping": number, "number": newest, "draft": int(draft), "created_at": now,
            "created_by": act.principal.name, "reason": act.reason, **dataclasses.asdict(text)}  # fmt: skip
    connection.execute(mapping_version.insert().values(made))
    if not draft:
        connection.execute(mapping.update().where(mapping.c.id == number).values(current=newest))
    after = find(connection, owner, name)
    return Change(after, entity(after), shown(before), shown(after))


def archive(connection: sa.Connection, act: Act, name: str, version: int) -> Change:
    """Raises NotFound, Stale, Conflict while something uses it."""
    found = find(connection, act.organization, name)
    used = users(connection, act.organization, name)
    if used.routes or used.endpoints:
        raise Conflict(f"it is used by {', '.join([*used.routes, *used.endpoints])}: take it out of them first")
    if found.newest != version:
        raise Stale("it was changed since it was read: read it again")
    values = {"archived_at": clock.micros(), "current": None}
    connection.execute(mapping.update().where(mapping.c.id == found.id).values(values))
    return Change(None, entity(found), shown(found), None)


def _routes(connection: sa.Connection, organization: int) -> Iterator[tuple[int, str, set[str]]]:
    """Current routes: number, name, the mappings that they use. What else they are pinned with is not read."""
    table = route_version.c
    query = sa.select(table.id, table.name, table.document["mappings"])
    for number, name, used in connection.execute(
        query.where(table.organization == organization, table.current == 1).order_by(table.name)
    ):
        yield number, name, {one.partition("@")[0] for one in used or ()}


def _endpoints(connection: sa.Connection, organization: int) -> Iterator[tuple[str, set[str]]]:
    """References of those that serve, and the mappings that they name."""
    where = (endpoint.c.organization == organization, endpoint.c.removed_at.is_(None))
    for row in connection.execute(sa.select(endpoint).where(*where).order_by(endpoint.c.reference)):
        given = (row.document.get(key) for key in KEYS)
        yield row.reference, {one.partition("@")[0] for one in given if isinstance(one, str)}


def _joined() -> sa.Select[Any]:
    own = (mapping.c.id, mapping.c.uuid, mapping.c.name, mapping.c.version, mapping.c.current)
    names = ("number", "draft", "description", "timezone", "document", "created_at", "created_by", "reason")
    theirs = [getattr(mapping_version.c, key) for key in names]
    return sa.select(*own, *theirs).join_from(mapping, mapping_version, mapping_version.c.mapping == mapping.c.id)


def _view(row: sa.Row[Any]) -> Row:
    text = Text(row.description, row.timezone, row.document)
    return Row(
        row.id, row.uuid, row.name, row.version, row.current, row.number, bool(row.draft), text, row.created_at,
        row.created_by, row.reason,
    )  # fmt: skip
