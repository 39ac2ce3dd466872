"""Keeps vendors. Integrations name theirs in `provider`; that alone links them."""

from __future__ import annotations

import dataclasses
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from hilum import clock
from hilum.errors import Conflict, NotFound
from hilum.model.access import Scope
from hilum.model.audit import Change
from hilum.model.identifier import new
from hilum.model.vendor import Vendor
from hilum.store import versions
from hilum.store.schema import integration, vendor


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """A row. Times are microseconds."""

    id: int
    uuid: UUID
    organization: int
    document: dict[str, Any]
    warned: dict[str, int]
    version: int
    created_at: int

    @property
    def model(self) -> Vendor:
        return Vendor.model_validate(self.document)


def listed(
    connection: sa.Connection, organization: int, text: str | None, offset: int, limit: int
) -> tuple[list[Row], int]:
    """Those that are not archived, by name, and how many there are; `text`: that have it in their name."""
    where = [vendor.c.organization == organization, vendor.c.archived_at.is_(None)]
    if text:
        where.append(vendor.c.folded.contains(text.casefold(), autoescape=True))
    total: int = connection.execute(sa.select(sa.func.count()).select_from(vendor).where(*where)).scalar_one()
    query = sa.select(vendor).where(*where).order_by(vendor.c.folded).offset(offset).limit(limit)
    return [_view(row) for row in connection.execute(query)], total


def find(connection: sa.Connection, organization: int, identifier: UUID) -> Row:
    """Raises NotFound."""
    where = (vendor.c.organization == organization, vendor.c.uuid == identifier, vendor.c.archived_at.is_(None))
    row = connection.execute(sa.select(vendor).where(*where)).first()
    if row is None:
        raise NotFound(f"there is no vendor {identifier}")
    return _view(row)


def create(connection: sa.Connection, organization: int, wanted: Vendor) -> Change:
    """Raises Conflict (the name)."""
    now = clock.micros()
    identifier = new(now)
    values = {"uuid": identifier, "organization": organization, "version": 1, "created_at": now, **_columns(wanted)}
    try:
        connection.execute(vendor.insert().values(values))
    except sa.exc.IntegrityError:
        raise Conflict(f"there is a vendor {wanted.name} already") from None
    made = find(connection, organization, identifier)
    return Change(made, entity(made), None, made.document)


def replace(connection: sa.Connection, organization: int, identifier: UUID, version: int, wanted: Vendor) -> Change:
    """Raises NotFound, Stale, Conflict (the name)."""
    before = find(connection, organization, identifier)
    try:
        versions.advance(connection, vendor, before.id, version, **_columns(wanted))
    except sa.exc.IntegrityError:
        raise Conflict(f"there is a vendor {wanted.name} already") from None
    after = find(connection, organization, identifier)
    return Change(after, entity(after), before.document, after.document)


def archive(connection: sa.Connection, organization: int, identifier: UUID) -> Change:
    """Raises NotFound, Conflict while integrations name it."""
    found = find(connection, organization, identifier)
    users = [name for name, _ in linked(connection, Scope(organization), found.model.name)]
    if users:
        raise Conflict(f"integrations name it: {', '.join(users[:10])}; name another provider there first")
    versions.advance(connection, vendor, found.id, found.version, archived_at=clock.micros(), folded=None)
    return Change(None, entity(found), found.document, None)


def linked(connection: sa.Connection, scope: Scope, name: str) -> list[tuple[str, UUID]]:
    """Name and identifier of the integrations within that name it, as far as they are not archived."""
    columns = (integration.c.name, integration.c.uuid, integration.c.study, integration.c.document)
    query = sa.select(*columns).where(
        integration.c.organization == scope.organization, integration.c.archived_at.is_(None)
    )
    return [
        (row.name, row.uuid) for row in connection.execute(query.order_by(integration.c.name))
        if str(row.document.get("provider") or "").casefold() == name.casefold() and scope.admits(row.study)
    ]  # fmt: skip


def every(connection: sa.Connection) -> list[Row]:
    """Those of every organization."""
    query = sa.select(vendor).where(vendor.c.archived_at.is_(None)).order_by(vendor.c.id)
    return [_view(row) for row in connection.execute(query)]


def warned(connection: sa.Connection, one: Row, told: dict[str, int]) -> Change | None:
    """People are told that something ends; None: another process told them meanwhile."""
    before = vendor.c.version == one.version
    values = {"warned": {**one.warned, **told}}
    if not connection.execute(vendor.update().where(vendor.c.id == one.id, before).values(values)).rowcount:
        return None
    return Change(None, entity(one), None, {"name": one.model.name, "days_left": told}, topic="vendor.agreement_ending")


def entity(one: Row) -> str:
    """As the audit trail names it."""
    return f"vendor/{one.uuid}"


def _columns(wanted: Vendor) -> dict[str, Any]:
    document = wanted.model_dump(mode="json")
    return {"name": wanted.name, "folded": wanted.name.casefold(), "document": document, "warned": {}}


def _view(row: sa.Row[Any]) -> Row:
    return Row(row.id, row.uuid, row.organization, row.document, row.warned, row.version, row.created_at)
