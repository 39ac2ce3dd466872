"""Records as they are signed: one JSON document and a version for an entity such as credential/019a…

What is in a document is what a person means by the record. Never a secret, and nothing that the hub itself writes in
passing (when it was used, under which key it is sealed): that must not make a signature look superseded.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from hilum.model.access import Scope
from hilum.model.identifier import parse
from hilum.security.references import references
from hilum.store import mappings, messages, routes
from hilum.store.schema import endpoint, integration, organization, route_version
from hilum.store.schema_datasets import export
from hilum.store.schema_people import credential, role_binding, study, user
from hilum.store.schema_retention import legal_hold


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """`study` is its row, None where it is of none or of several; `gxp`: a GxP integration is concerned.

    `document` has a canonical text (RFC 8785). `studies`: all that it is of, where there are several.
    """

    version: int
    study: int | None
    document: dict[str, Any]
    gxp: bool = False
    studies: frozenset[int | None] = frozenset()

    def within(self, scope: Scope) -> bool:
        """Whether somebody may see it."""
        return all(scope.admits(one) for one in self.studies or (self.study,))


Read = Callable[[sa.Connection, int, uuid.UUID], Record | None]


def read(connection: sa.Connection, owner: int, entity: str) -> Record | None:
    """The record of an organization's entity (noun/uuid); None where there is none, or nothing that can be signed."""
    noun, _, text = entity.partition("/")
    identifier, one = parse(text), READERS.get(noun)
    if identifier is None or one is None or text != str(identifier):  # one spelling, so that signatures are found
        return None
    return one(connection, owner, identifier)


def _credential(connection: sa.Connection, owner: int, identifier: uuid.UUID) -> Record | None:
    row = _row(connection, credential, owner, identifier)
    if row is None:
        return None
    told = {"name": row.name, "kind": row.kind, "fields": row.fields, "secrets": sorted(row.secrets),
            "rotated_at": row.rotated_at, "rotate_every": row.rotate_every, "archived_at": row.archived_at}  # fmt: skip
    return _record(row, row.study, told, gxp=_in_gxp(connection, owner, row.name))


def _integration(connection: sa.Connection, owner: int, identifier: uuid.UUID) -> Record | None:
    row = _row(connection, integration, owner, identifier)
    if row is None:
        return None
    told = {"name": row.name, "document": row.document}
    return _record(row, row.study, told, gxp=bool(row.document.get("gxp")))


def _organization(connection: sa.Connection, owner: int, identifier: uuid.UUID) -> Record | None:
    row = _own(connection, owner, identifier)
    if row is None:
        return None
    told = {"name": row.name, "title": row.title, "document": row.document, "settings": row.settings,
            "archived_at": row.archived_at}  # fmt: skip
    return _record(row, None, told)


def _export(connection: sa.Connection, owner: int, identifier: uuid.UUID) -> Record | None:
    """Its file stands for itself by its digest; before there is one, there is nothing to sign."""
    row = _row(connection, export, owner, identifier)
    if row is None or row.sha256 is None:
        return None
    told = {"definition": row.definition, "file": row.file, "bytes": row.size, "sha256": row.sha256.hex(),
            "facts": {name: value for name, value in row.facts.items() if name != "placed"}}  # fmt: skip
    return Record(row.version, row.study, {"id": str(row.uuid), **plain(told)})


def _user(connection: sa.Connection, owner: int, identifier: uuid.UUID) -> Record | None:
    row = _row(connection, user, owner, identifier)
    if row is None:
        return None
    bound = (
        sa.select(role_binding.c.role, study.c.name)
        .outerjoin(study, study.c.id == role_binding.c.study)
        .where(role_binding.c.organization == owner, role_binding.c.user == row.id)
    )
    roles = sorted([role, name or ""] for role, name in connection.execute(bound))
    told = {"email": row.email, "name": row.name, "state": row.state, "identity_proofed": bool(row.identity_proofed),
            "roles": roles}  # fmt: skip
    return _record(row, None, told)


def _message(connection: sa.Connection, owner: int, identifier: uuid.UUID) -> Record | None:
    """A message never changes: its version is 1. The body stands for itself by its digest."""
    row = messages.find(connection, owner, identifier)
    if row is None:
        return None
    reference = connection.execute(sa.select(endpoint.c.reference).where(endpoint.c.id == row.endpoint)).scalar() or ""
    of = sa.select(integration.c.study, integration.c.document).where(
        integration.c.organization == owner, integration.c.name == reference.partition("/")[0]
    )
    source = connection.execute(of).first()
    told = {"endpoint": reference, "received_at": row.received_at, "type": row.type, "control_id": row.control_id,
            "body_sha256": row.body_hash.hex()}  # fmt: skip
    belongs, gxp = (None, False) if source is None else (source.study, bool(source.document.get("gxp")))
    return Record(1, belongs, {"id": str(identifier), **plain(told)}, gxp)


def _legal_hold(connection: sa.Connection, owner: int, identifier: uuid.UUID) -> Record | None:
    row = _row(connection, legal_hold, owner, identifier)
    if row is None:
        return None
    names = ("name", "reason", "patient", "endpoint", "since", "until", "placed_by", "placed_at", "lifted_at")
    return _record(row, None, {name: getattr(row, name) for name in names})


def _configuration(connection: sa.Connection, owner: int, identifier: uuid.UUID) -> Record | None:
    """All that an organization's file can say, under the organization's id and version."""
    row = _own(connection, owner, identifier)
    if row is None:
        return None
    mine = sa.select(integration.c.name, integration.c.document).where(integration.c.organization == owner)
    ways = sa.select(route_version.c.name, route_version.c.number, route_version.c.document).where(
        route_version.c.organization == owner, route_version.c.current == 1
    )
    gxp = any(one.document.get("gxp") for one in connection.execute(mine))
    told = {
        "organization": row.document,
        "integrations": {row.name: row.document for row in connection.execute(mine)},
        "routes": {name: {"version": number, **document} for name, number, document in connection.execute(ways)},
    }
    return _record(row, None, told, gxp=gxp)


def _route(connection: sa.Connection, owner: int, identifier: uuid.UUID) -> Record | None:
    """As it is pinned: with the mappings, tables and scripts that it uses."""
    row = routes.named(connection, owner, identifier)
    if row is None:
        return None
    ends = routes.ends(connection, owner, row.route)
    study = next(iter(ends.studies)) if len(ends.studies) == 1 else None
    told = {"id": str(identifier), "name": row.name, "document": row.document}
    return Record(row.number, study, plain(told), ends.gxp, ends.studies)


def _mapping(connection: sa.Connection, owner: int, identifier: uuid.UUID) -> Record | None:
    row = mappings.get(connection, owner, identifier)
    if row is None:
        return None
    told = {"id": str(identifier), "name": row.name, "draft": row.draft, **dataclasses.asdict(row.text)}
    return Record(row.number, None, plain(told))


READERS: dict[str, Read] = {
    "configuration": _configuration,
    "credential": _credential,
    "export": _export,
    "integration": _integration,
    "legal-hold": _legal_hold,
    "mapping": _mapping,
    "message": _message,
    "organization": _organization,
    "route": _route,
    "user": _user,
}
"""What can be signed, by noun."""


def _row(connection: sa.Connection, table: sa.Table, owner: int, identifier: uuid.UUID) -> sa.Row[Any] | None:
    return connection.execute(
        sa.select(table).where(table.c.organization == owner, table.c.uuid == identifier)
    ).first()  # fmt: skip


def _own(connection: sa.Connection, owner: int, identifier: uuid.UUID) -> sa.Row[Any] | None:
    return connection.execute(
        sa.select(organization).where(organization.c.id == owner, organization.c.uuid == identifier)
    ).first()  # fmt: skip


def _in_gxp(connection: sa.Connection, owner: int, name: str) -> bool:
    """Whether a GxP integration refers to the credential of this name."""
    rows = connection.execute(sa.select(integration.c.document).where(integration.c.organization == owner))
    return any(
        one.kind == "secret" and (one.name == name or one.name.startswith(f"{name}."))
        for row in rows
        if row.document.get("gxp")
        for one in references(row.document)
    )


def _record(row: sa.Row[Any], of: int | None, told: dict[str, Any], *, gxp: bool = False) -> Record:
    return Record(row.version, of, {"id": str(row.uuid), **plain(told)}, gxp)


def plain(value: Any) -> Any:
    """With a canonical text: numbers that not every language writes alike become text."""
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, float) or (isinstance(value, int) and abs(value) >= 2**53):
        return repr(value)
    return value
