"""How far each audit feed of an organization is: positions in its chain."""

from __future__ import annotations

import sqlalchemy as sa

from hilum.store.schema import setting


def position(connection: sa.Connection, organization: int, feed: str) -> tuple[int, int]:
    """The last event that was sent, and the last one that is known to be there: from behind it it is sent again."""
    found: str | None = connection.execute(
        sa.select(setting.c.value).where(setting.c.name == _name(organization, feed))
    ).scalar()
    sent, _, confirmed = (found or "0 0").partition(" ")
    return int(sent), int(confirmed)


def advance(connection: sa.Connection, organization: int, feed: str, sent: int, confirmed: int) -> None:
    name, value = _name(organization, feed), f"{sent} {confirmed}"
    query = setting.update().where(setting.c.name == name)
    if not connection.execute(query.values(value=value)).rowcount:
        connection.execute(setting.insert().values(name=name, value=value))


def _name(organization: int, feed: str) -> str:
    """The feed without a name is the one of when there was one only."""
    return f"audit_feed/{organization}" + (f"/{feed}" if feed else "")
