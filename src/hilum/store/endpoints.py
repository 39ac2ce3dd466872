"""Reads what people call things: organizations and endpoints by name, without their whole configuration."""

from __future__ import annotations

import dataclasses

import sqlalchemy as sa

from hilum.store.schema import endpoint, organization


@dataclasses.dataclass(frozen=True, slots=True)
class Known:
    """An endpoint that is or was configured; `serves` is false once it was removed and has drained."""

    number: int
    organization: int
    reference: str
    direction: str
    url: str
    serves: bool


def organizations(connection: sa.Connection) -> dict[str, int]:
    """Every organization's number by name, the oldest first."""
    query = sa.select(organization.c.name, organization.c.id).order_by(organization.c.id)
    return {row.name: row.id for row in connection.execute(query)}


def read(connection: sa.Connection) -> list[Known]:
    """Every endpoint of every organization, removed ones too: messages point to them."""
    return [
        Known(
            row.id, row.organization, row.reference, row.direction, str(row.document.get("url", "")),
            row.removed_at is None or bool(row.draining),
        )
        for row in connection.execute(sa.select(endpoint).order_by(endpoint.c.reference))
    ]  # fmt: skip
