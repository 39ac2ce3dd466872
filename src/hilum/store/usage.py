"""Who refers to an entry of the vault: an organization's integrations, and removed endpoints that still deliver."""

from __future__ import annotations

import dataclasses
from typing import Any

import sqlalchemy as sa

from hilum.errors import ConfigError
from hilum.model.access import Scope
from hilum.security.references import references
from hilum.store.schema import endpoint, integration


@dataclasses.dataclass(frozen=True, slots=True)
class Use:
    """`where` is the place in the integration's document, `field` what stands behind the entry's name, if anything."""

    integration: str
    study: int | None
    where: str
    field: str


def uses(connection: sa.Connection, organization: int) -> dict[str, list[Use]]:
    """Every use, by the name of the entry."""
    found: dict[str, list[Use]] = {}
    rows = connection.execute(
        sa.select(integration.c.name, integration.c.study, integration.c.document)
        .where(integration.c.organization == organization, integration.c.archived_at.is_(None))
        .order_by(integration.c.name)
    )
    for row in rows:
        _collect(found, row.name, row.study, row.document)
    draining = sa.select(endpoint.c.reference, endpoint.c.document).where(
        endpoint.c.organization == organization, endpoint.c.removed_at.is_not(None), endpoint.c.draining == 1
    )
    for reference, document in connection.execute(draining):
        owner, _, part = reference.partition("/")
        _collect(found, owner, None, {f"{part} (removed, still delivers)": document})
    return found


@dataclasses.dataclass(frozen=True, slots=True)
class Usage:
    """The uses of one entry that somebody may see, and how many `others` there are."""

    items: list[Use]
    others: int

    def __str__(self) -> str:
        """The integrations, for people."""
        names = sorted({one.integration for one in self.items})[:10]
        return ", ".join([*names, *(["integrations of other studies"] if self.others else [])])


def of(connection: sa.Connection, scope: Scope, name: str) -> Usage:
    """The uses of one entry."""
    every = uses(connection, scope.organization).get(name, [])
    seen = [one for one in every if scope.admits(one.study)]
    return Usage(seen, len(every) - len(seen))


def _collect(found: dict[str, list[Use]], owner: str, study: int | None, document: dict[str, Any]) -> None:
    try:
        named = references(document)
    except ConfigError:  # what is malformed was refused when it came
        return
    for one in named:
        if one.kind == "secret":
            entry, _, field = one.name.partition(".")
            found.setdefault(entry, []).append(Use(owner, study, one.where, field))
