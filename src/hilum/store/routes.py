"""Keeps routes as people see them: found, listed, saved, retired, every version. The engine's side is configuration.py.

A route belongs to the studies of the integrations at its ends: whoever may see all of them sees it.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from hilum.errors import Conflict, NotFound, Stale
from hilum.model.access import Scope
from hilum.model.audit import Act, Change
from hilum.store import configuration, endpoints, mappings
from hilum.store.schema import integration, organization, route_version

_NAMESPACE = uuid.UUID("4f1d6f5e-3b1a-5c0e-9f64-7d1b6a2f8c31")


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """A version of a route; `document` is pinned (intake/routing.py). `created_at` is in microseconds."""

    id: int
    organization: int
    name: str
    number: int
    managed_by: str
    document: dict[str, Any]
    created_at: int
    created_by: str
    reason: str
    current: bool

    @property
    def route(self) -> dict[str, Any]:
        """What was configured."""
        found: dict[str, Any] = self.document["route"]
        return found


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """What a list is narrowed by; None: not. `source` and `destination`: an integration, or one endpoint of it."""

    source: str | None = None
    destination: str | None = None
    managed_by: str | None = None
    text: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Ends:
    """What the integrations at a route's ends say. `environment` is production where one of them is."""

    studies: frozenset[int | None]
    names: tuple[str, ...]  # the studies', None's left out
    gxp: bool
    environment: str
    entity: str  # of the GxP one where there is one, else of the source


def identity(organization: int, name: str) -> uuid.UUID:
    """A route's id: it is its name, which never changes and is never another's."""
    return uuid.uuid5(_NAMESPACE, f"{organization}/{name}")


def entity(organization: int, name: str) -> str:
    """As the audit trail names it."""
    return f"route/{identity(organization, name)}"


def references(route: Mapping[str, Any]) -> tuple[str, ...]:
    """The endpoints at its ends, the source first."""
    return tuple(dict.fromkeys([route["from"], *route.get("to", ()), *route.get("otherwise", ())]))


def listed(
    connection: sa.Connection, scope: Scope, wanted: Wanted, offset: int, limit: int
) -> tuple[list[Row], int]:  # fmt: skip
    """The current ones within, by name, and how many there are."""
    table = route_version.c
    where = [table.organization == scope.organization, table.current == 1]
    if wanted.managed_by is not None:
        where.append(table.managed_by == wanted.managed_by)
    seen = _Seen(connection, scope)
    query = sa.select(table.id, table.document["route"]).where(*where).order_by(table.name)  # without what is pinned
    ids = [number for number, route in connection.execute(query) if _fits(route, wanted) and seen(route)]
    page = ids[offset : offset + limit]
    rows = connection.execute(sa.select(route_version).where(table.id.in_(page)).order_by(table.name))
    return [_view(row) for row in rows], len(ids)


def find(connection: sa.Connection, scope: Scope, name: str) -> Row:
    """The version that new messages take. Raises NotFound."""
    found = current(connection, scope.organization, name)
    if found is None or not _Seen(connection, scope)(found.route):
        raise NotFound(f"there is no route {name}")
    return found


def current(connection: sa.Connection, organization: int, name: str) -> Row | None:
    where = (route_version.c.organization == organization, route_version.c.name == name, route_version.c.current == 1)
    row = connection.execute(sa.select(route_version).where(*where)).first()
    return None if row is None else _view(row)


def named(connection: sa.Connection, organization: int, identifier: uuid.UUID) -> Row | None:
    """The current version of the route of this id."""
    where = (route_version.c.organization == organization, route_version.c.current == 1)
    names = connection.execute(sa.select(route_version.c.name).where(*where)).scalars()
    name = next((one for one in names if identity(organization, one) == identifier), None)
    return None if name is None else current(connection, organization, name)


def versions(
    connection: sa.Connection, scope: Scope, name: str, offset: int, limit: int
) -> tuple[list[Row], int]:  # fmt: skip
    """Those within, the newest first, and how many there are; a retired route's too. Raises NotFound."""
    where = (route_version.c.organization == scope.organization, route_version.c.name == name)
    seen = _Seen(connection, scope)
    query = sa.select(route_version).where(*where).order_by(route_version.c.number.desc())
    found = [one for row in connection.execute(query) if seen((one := _view(row)).route)]
    if not found:
        raise NotFound(f"there is no route {name}")
    return found[offset : offset + limit], len(found)


def version(connection: sa.Connection, scope: Scope, name: str, number: int) -> Row:
    """Raises NotFound."""
    where = (route_version.c.organization == scope.organization, route_version.c.name == name)
    row = connection.execute(sa.select(route_version).where(*where, route_version.c.number == number)).first()
    if row is None or not _Seen(connection, scope)(row.document["route"]):
        raise NotFound(f"route {name} has no version {number}")
    return _view(row)


class Around:
    """The integrations of an organization, which say where its routes are."""

    def __init__(self, connection: sa.Connection, owner: int) -> None:
        home = connection.execute(sa.select(organization.c.document).where(organization.c.id == owner)).scalar() or {}
        self._environment = str(home.get("environment", ""))
        self._known = _integrations(connection, owner)

    def ends(self, *told: Mapping[str, Any]) -> Ends:
        """Of several routes, or several versions of one."""
        named = [self._known.get(one.partition("/")[0]) for route in told for one in references(route)]
        found = [one for one in named if one is not None]
        places = {one.environment or self._environment for one in found}
        first = next((one for one in found if one.gxp), found[0] if found else None)
        return Ends(
            frozenset(None if one is None else one.study for one in named),
            tuple(dict.fromkeys(str(one.document["study"]) for one in found if one.document.get("study"))),
            any(one.gxp for one in found), "production" if "production" in places else next(iter(sorted(places)), ""),
            "" if first is None else f"integration/{first.uuid}",
        )  # fmt: skip


def ends(connection: sa.Connection, owner: int, *told: Mapping[str, Any]) -> Ends:
    """Of several routes, or several versions of one."""
    return Around(connection, owner).ends(*told)


def save(
    connection: sa.Connection, act: Act, name: str, version: int | None, pinned: dict[str, Any]
) -> Change:  # fmt: skip
    """A new version; `version` None: a new route. Raises Conflict, NotFound, Stale."""
    owner = act.organization
    before = current(connection, owner, name)
    _check(name, before, version)
    wanted = references(pinned["route"])
    if gone := sorted({*wanted} - endpoints.numbers(connection, owner, wanted).keys()):
        raise Conflict(f"{gone[0]} was removed meanwhile")
    mappings.hold(connection, owner, pinned.get("mappings", {}))
    try:
        configuration.put_route(connection, owner, name, pinned, "api", act)
    except sa.exc.IntegrityError:  # another process was quicker
        raise Conflict(f"route {name} was changed meanwhile: try again") from None
    after = current(connection, owner, name)
    return Change(after, entity(owner, name), shown(before), shown(after))


def repin(connection: sa.Connection, act: Act, name: str, version: int, pinned: dict[str, Any]) -> None:
    """What a route uses was changed: a new version, managed as it was. Raises Stale where it moved on meanwhile."""
    _check(name, current(connection, act.organization, name), version)
    configuration.put_route(connection, act.organization, name, pinned, None, act)


def retire(connection: sa.Connection, act: Act, name: str, version: int) -> Change:
    """New messages take it no more. Raises NotFound, Stale."""
    before = current(connection, act.organization, name)
    _check(name, before, version)
    configuration.retire_route(connection, act.organization, name)
    return Change(None, entity(act.organization, name), shown(before), None)


def shown(one: Row | None) -> dict[str, Any] | None:
    """As the audit trail shows it: without its examples, which are messages."""
    return None if one is None else {"version": one.number, "route": brief(one.route)}


def brief(value: Any) -> Any:
    """A document with the number of its examples in their place."""
    if isinstance(value, dict):
        return {
            key: len(one) if key == "examples" and isinstance(one, list) else brief(one) for key, one in value.items()
        }
    return [brief(one) for one in value] if isinstance(value, list) else value


def _check(name: str, before: Row | None, version: int | None) -> None:
    if version is None:
        if before is not None:
            raise Conflict(f"there is a route {name} already")
        return
    if before is None:
        raise NotFound(f"there is no route {name}")
    if before.number != version:
        raise Stale("it was changed since it was read: read it again")


class _Seen:
    """Whether somebody may see a route."""

    def __init__(self, connection: sa.Connection, scope: Scope) -> None:
        self._scope = scope
        self._known = {} if scope.studies is None else _integrations(connection, scope.organization)

    def __call__(self, route: Mapping[str, Any]) -> bool:
        if self._scope.studies is None:
            return True
        found = [self._known.get(one.partition("/")[0]) for one in references(route)]
        return all(one is not None and self._scope.admits(one.study) for one in found)


@dataclasses.dataclass(frozen=True, slots=True)
class _Integration:
    uuid: uuid.UUID
    study: int | None
    environment: str | None
    document: dict[str, Any]

    @property
    def gxp(self) -> bool:
        return bool(self.document.get("gxp"))


def _integrations(connection: sa.Connection, owner: int) -> dict[str, _Integration]:
    table = integration.c
    query = sa.select(table.name, table.uuid, table.study, table.environment, table.document)
    rows = connection.execute(query.where(table.organization == owner))
    return {row.name: _Integration(row.uuid, row.study, row.environment, row.document) for row in rows}


def _fits(route: Mapping[str, Any], wanted: Wanted) -> bool:
    def among(asked: str | None, given: Iterable[str]) -> bool:
        return asked is None or any(asked in (one, one.partition("/")[0]) for one in given)

    source, *destinations = references(route)
    text = "" if wanted.text is None else wanted.text.lower()
    return (
        among(wanted.source, [source])
        and among(wanted.destination, destinations)
        and any(text in one for one in (route["name"], source, *destinations))
    )


def _view(row: sa.Row[Any]) -> Row:
    return Row(
        row.id, row.organization, row.name, row.number, row.managed_by, row.document, row.created_at,
        row.created_by or "", row.reason or "", bool(row.current),
    )  # fmt: skip
