"""Reads what people call things: organizations and endpoints by name, without their whole configuration."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterable

import sqlalchemy as sa

from hilum.store.schema import endpoint, integration, organization


@dataclasses.dataclass(frozen=True, slots=True)
class Known:
    """An endpoint that is or was configured; `serves` is false once it was removed and has drained."""

    number: int
    organization: int
    reference: str
    direction: str
    url: str
    serves: bool
    study: int | None  # of its integration


def organizations(connection: sa.Connection) -> dict[str, int]:
    """Every organization's number by name, the oldest first."""
    query = sa.select(organization.c.name, organization.c.id).order_by(organization.c.id)
    return {row.name: row.id for row in connection.execute(query)}


def read(connection: sa.Connection) -> list[Known]:
    """Every endpoint of every organization, removed ones too: messages point to them."""
    query = sa.select(integration.c.organization, integration.c.name, integration.c.study)
    studies = {(row.organization, row.name): row.study for row in connection.execute(query)}
    return [
        Known(
            row.id, row.organization, row.reference, row.direction, str(row.document.get("url", "")),
            row.removed_at is None or bool(row.draining),
            studies.get((row.organization, row.reference.partition("/")[0])),
        )
        for row in connection.execute(sa.select(endpoint).order_by(endpoint.c.reference))
    ]  # fmt: skip


def numbers(connection: sa.Connection, organization: int, references: Iterable[str]) -> dict[str, int]:
    """The numbers of endpoints that serve, by reference."""
    query = sa.select(endpoint.c.reference, endpoint.c.id).where(
        endpoint.c.organization == organization, endpoint.c.reference.in_(list(references)),
        endpoint.c.removed_at.is_(None),
    )  # fmt: skip
    return {row.reference: row.id for row in connection.execute(query)}


def known(connection: sa.Connection, organization: int, numbers: Iterable[int]) -> dict[int, tuple[str, uuid.UUID]]:
    """Reference and UUID of endpoints, also of removed ones."""
    query = sa.select(endpoint.c.id, endpoint.c.reference, endpoint.c.uuid).where(
        endpoint.c.organization == organization, endpoint.c.id.in_(list(numbers))
    )
    return {row.id: (row.reference, row.uuid) for row in connection.execute(query)}
