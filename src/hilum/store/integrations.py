"""Keeps integrations as people see them: found, listed, made, replaced, moved along their lifecycle, archived.

What the engine and configuration files need of them is in configuration.py; both write the same rows.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from hilum import clock, telemetry
from hilum.errors import Conflict, NotFound
from hilum.model.access import Scope
from hilum.model.audit import Act, Change
from hilum.model.configuration import Integration
from hilum.model.lifecycle import RUNS, Health, Lifecycle, check
from hilum.security.seal import Sealer
from hilum.store import configuration, versions
from hilum.store.schema import endpoint, integration, integration_history

SORTS = {"name": integration.c.name, "created_at": integration.c.created_at, "updated_at": integration.c.updated_at}
LONGEST = 1_024  # bytes of an error that are kept


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """An integration. Times are microseconds; `last_error` is sealed for `place`."""

    id: int
    uuid: uuid.UUID
    organization: int
    name: str
    study: int | None
    environment: str | None
    document: dict[str, Any]
    managed_by: str
    version: int
    lifecycle: Lifecycle
    health: Health
    health_at: int | None
    failures: int
    last_error: bytes | None
    created_at: int | None
    created_by: str | None
    updated_at: int | None
    archived_at: int | None
    endpoints: dict[str, UUID] = dataclasses.field(default_factory=dict)  # by name

    @property
    def model(self) -> Integration:
        """What was configured, as it works."""
        return Integration.model_validate(self.document)

    @property
    def title(self) -> str:
        """What people call it."""
        return str(self.document.get("title") or self.name)


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """What a list is narrowed by; None: not."""

    type: str | None = None
    protocol: str | None = None
    lifecycle: tuple[Lifecycle, ...] = ()
    health: str | None = None
    provider: str | None = None
    environment: str | None = None
    study: str | None = None
    tag: str | None = None
    text: str | None = None
    archived: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Move:
    """A step of a lifecycle. `before` None: it was made."""

    stamp: int
    before: str | None
    after: str
    actor: str
    reason: str


def place(number: int, what: str) -> bytes:
    """What a sealed column is bound to."""
    return b"integration|%d|%s" % (number, what.encode())


def entity(one: Row) -> str:
    """As the audit trail names it."""
    return f"integration/{one.uuid}"


def listed(
    connection: sa.Connection, scope: Scope, wanted: Wanted, sort: str, offset: int, limit: int
) -> tuple[list[Row], int]:
    """Those within, and how many there are. `sort`: a key of SORTS, `-` before it: the last first."""
    where = [*_within(scope, archived=wanted.archived), *_narrowed(wanted)]
    total: int = connection.execute(sa.select(sa.func.count()).select_from(integration).where(*where)).scalar_one()
    column = SORTS[sort.removeprefix("-")]
    order = column.desc() if sort.startswith("-") else column.asc()
    query = sa.select(integration).where(*where).order_by(order, integration.c.id).offset(offset).limit(limit)
    return _with_endpoints(connection, [_view(row) for row in connection.execute(query)]), total


def find(connection: sa.Connection, scope: Scope, identifier: uuid.UUID, *, archived: bool = False) -> Row:
    """Raises NotFound, of an archived one too unless they are asked for."""
    where = _within(scope, archived=archived)
    row = connection.execute(sa.select(integration).where(*where, integration.c.uuid == identifier)).first()
    if row is None:
        raise NotFound(f"Integration not found: {identifier}")
    return _with_endpoints(connection, [_view(row)])[0]


def get(connection: sa.Connection, number: int) -> Row:
    """By its number."""
    row = connection.execute(sa.select(integration).where(integration.c.id == number)).one()
    return _with_endpoints(connection, [_view(row)])[0]


def handles(connection: sa.Connection, organization: int) -> set[str]:
    """Every name that is taken, archived ones' too."""
    query = sa.select(integration.c.name).where(integration.c.organization == organization)
    return set(connection.execute(query).scalars())


def create(
    connection: sa.Connection, act: Act, identifier: UUID, document: Mapping[str, Any], lifecycle: Lifecycle,
    shown: Mapping[str, Any],
) -> Change:  # fmt: skip
    """Store what `Integration` accepts. `shown`: for the audit trail. Raises Conflict (the name, the title)."""
    name, now = document["name"], clock.micros()
    if name in handles(connection, act.organization):
        raise Conflict(f"there is an integration {name} already")
    values = {"uuid": identifier, "created_at": now, "created_by": act.principal.id, "lifecycle": lifecycle}
    stored = {**document, "active": lifecycle in RUNS}  # what the engine goes by
    try:
        configuration.put_integration(connection, act.organization, name, stored, "api", values, act)
    except sa.exc.IntegrityError:
        raise Conflict(f"there is an integration {document.get('title') or name} in this environment already") from None
    made = _named(connection, act.organization, name)
    _put_endpoints(connection, made)
    made = get(connection, made.id)
    return Change(made, entity(made), None, dict(shown))


def replace(
    connection: sa.Connection, act: Act, found: Row, version: int, document: Mapping[str, Any],
    before: Mapping[str, Any], after: Mapping[str, Any],
) -> Change:  # fmt: skip
    """Store another document under the same name. Raises Stale, Conflict (the title)."""
    values = {**_columns(connection, act.organization, document), "document": dict(document),
              "updated_at": clock.micros()}  # fmt: skip
    try:
        versions.advance(connection, integration, found.id, version, **values)
    except sa.exc.IntegrityError:
        raise Conflict(f"there is an integration {document.get('title')} in this environment already") from None
    changed = get(connection, found.id)
    _put_endpoints(connection, changed)
    changed = get(connection, found.id)
    return Change(changed, entity(changed), dict(before), dict(after))


def move(
    connection: sa.Connection, act: Act, found: Row, after: Lifecycle, *, version: int | None = None
) -> Change:  # fmt: skip
    """Along the lifecycle. Raises Conflict where `after` may not follow, Stale."""
    current = get(connection, found.id)
    if after is not current.lifecycle:
        check(current.lifecycle, after)
    values: dict[str, Any] = {
        "lifecycle": after, "document": {**current.document, "active": after in RUNS}, "updated_at": clock.micros(),
    }  # fmt: skip
    if after is Lifecycle.ARCHIVED:
        values |= {"archived_at": clock.micros(), "title": None}
        for name in current.endpoints:
            configuration.remove_endpoint(connection, act.organization, f"{current.name}/{name}", draining=False)
    elif current.archived_at is not None:
        values |= {"archived_at": None, **_columns(connection, act.organization, current.document)}
    if after is Lifecycle.ACTIVE:
        values["failures"] = 0
    try:
        versions.advance(connection, integration, current.id, version or current.version, **values)
    except sa.exc.IntegrityError:
        raise Conflict(f"there is an integration {current.title} in this environment already") from None
    if after is not current.lifecycle:
        configuration.remember(connection, act, current.organization, current.id, current.lifecycle, after)
    moved = get(connection, current.id)
    if current.archived_at is not None:
        _put_endpoints(connection, moved)
        moved = get(connection, current.id)
    told = {"reason": act.reason} if act.reason else {}
    return Change(moved, entity(moved), {"status": current.lifecycle}, {"status": after, **told})


def seal_error(sealer: Sealer, number: int, text: str) -> bytes:
    """A `last_error`: no secret in it, and 1 KiB at most (S2-60)."""
    kept = telemetry.mask(text).encode("utf-8", "replace")[:LONGEST].decode("utf-8", "ignore")
    return sealer.seal(kept.encode(), place(number, "last_error"))


def feel(connection: sa.Connection, number: int, health: Health, sealed: bytes | None, *, failures: int) -> None:
    """What a check found. No version changes: nobody's edit is in its way."""
    values = {"health": health, "health_at": clock.micros(), "failures": failures}
    if health is Health.HEALTHY or sealed is not None:
        values["last_error"] = sealed  # cleared by the next success (S2-60)
    connection.execute(integration.update().where(integration.c.id == number).values(values))


def history(connection: sa.Connection, number: int, offset: int, limit: int) -> tuple[list[Move], int]:
    """Every move, the newest first, and how many there are."""
    table, where = integration_history, integration_history.c.integration == number
    total: int = connection.execute(sa.select(sa.func.count()).select_from(table).where(where)).scalar_one()
    query = sa.select(table).where(where).order_by(table.c.id.desc()).offset(offset).limit(limit)
    found = [Move(row.stamp, row.before, row.after, row.actor, row.reason) for row in connection.execute(query)]
    return found, total


def _columns(connection: sa.Connection, organization: int, document: Mapping[str, Any]) -> dict[str, Any]:
    """What a document says that is looked for."""
    return configuration.columns(connection, organization, document)


def _put_endpoints(connection: sa.Connection, one: Row) -> None:
    """As the document has them; what it does not have any more is removed, and does not drain."""
    kept = set()
    for each in one.model.endpoints:
        reference = f"{one.name}/{each.name}"
        kept.add(each.name)
        values = each.model_dump(mode="json", by_alias=True)
        configuration.put_endpoint(connection, one.organization, reference, each.direction, values)
    for name in one.endpoints.keys() - kept:
        configuration.remove_endpoint(connection, one.organization, f"{one.name}/{name}", draining=False)


def named(connection: sa.Connection, scope: Scope, name: str) -> Row | None:
    """One by what configurations call it; None: there is none within."""
    row = connection.execute(
        sa.select(integration).where(*_within(scope, archived=False), integration.c.name == name)
    ).first()
    return None if row is None else _with_endpoints(connection, [_view(row)])[0]


def _named(connection: sa.Connection, organization: int, name: str) -> Row:
    where = (integration.c.organization == organization, integration.c.name == name)
    return _view(connection.execute(sa.select(integration).where(*where)).one())


def _within(scope: Scope, *, archived: bool) -> list[sa.ColumnElement[bool]]:
    where = [integration.c.organization == scope.organization]
    if not archived:
        where.append(integration.c.archived_at.is_(None))
    if scope.studies is not None:
        where.append(integration.c.study.in_(scope.studies))
    return where


def _narrowed(wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    document, where = integration.c.document, []
    for key in ("type", "protocol", "provider", "study"):
        if (value := getattr(wanted, key)) is not None:
            where.append(document[key].as_string() == value)
    if wanted.lifecycle:
        where.append(integration.c.lifecycle.in_(wanted.lifecycle))
    if wanted.health is not None:
        where.append(integration.c.health == wanted.health)
    if wanted.environment is not None:
        where.append(integration.c.environment == wanted.environment)
    if wanted.tag is not None:
        where.append(sa.cast(document["tags"], sa.Text).contains(f'"{wanted.tag}"', autoescape=True))
    if wanted.text is not None:
        texts = (integration.c.name, *(document[key].as_string() for key in ("title", "description", "provider")))
        where.append(sa.or_(*(sa.func.lower(one).contains(wanted.text.lower(), autoescape=True) for one in texts)))
    return where


def _with_endpoints(connection: sa.Connection, rows: Sequence[Row]) -> list[Row]:
    """The identifiers of their endpoints, by name."""
    if not rows:
        return []
    found: dict[str, dict[str, uuid.UUID]] = {}
    owner = rows[0].organization
    names = sa.or_(*(endpoint.c.reference.startswith(f"{one.name}/", autoescape=True) for one in rows))
    query = sa.select(endpoint.c.reference, endpoint.c.uuid).where(
        endpoint.c.organization == owner, endpoint.c.removed_at.is_(None), names
    )
    for reference, identifier in connection.execute(query):
        name, _, part = reference.partition("/")
        found.setdefault(name, {})[part] = identifier
    return [dataclasses.replace(one, endpoints=found.get(one.name, {})) for one in rows]


def _view(row: sa.Row[Any]) -> Row:
    return Row(
        row.id, row.uuid, row.organization, row.name, row.study, row.environment, row.document, row.managed_by,
        row.version, Lifecycle(row.lifecycle), Health(row.health), row.health_at, row.failures, row.last_error,
        row.created_at, row.created_by, row.updated_at, row.archived_at,
    )  # fmt: skip
