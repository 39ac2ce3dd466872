"""Endpoints and route versions as people call them, for the columns of tables."""

from __future__ import annotations

import sqlalchemy as sa

from hilum.store.listings.listing import Window
from hilum.store.schema import endpoint, integration, route_version


def seen(connection: sa.Connection, window: Window) -> dict[int, str]:
    """References of endpoints by number, removed ones too; where studies narrow it, of theirs alone."""
    query = sa.select(endpoint.c.id, endpoint.c.reference).where(endpoint.c.organization == window.organization)
    found = {row.id: row.reference for row in connection.execute(query)}
    if window.studies is None:
        return found
    within = sa.select(integration.c.name).where(
        integration.c.organization == window.organization, integration.c.study.in_(window.studies)
    )
    names = set(connection.execute(within).scalars())
    return {number: reference for number, reference in found.items() if reference.partition("/")[0] in names}


def routes(connection: sa.Connection, window: Window) -> dict[int, str]:
    """Versions of routes by number, as NAME@VERSION."""
    columns = (route_version.c.id, route_version.c.name, route_version.c.number)
    query = sa.select(*columns).where(route_version.c.organization == window.organization)
    return {row.id: f"{row.name}@{row.number}" for row in connection.execute(query)}
