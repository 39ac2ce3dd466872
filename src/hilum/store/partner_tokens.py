"""Keeps tokens that must outlive the process: a refresh token that was rotated is the only one that still holds."""

from __future__ import annotations

import sqlalchemy as sa

from hilum import clock
from hilum.store.schema import partner_token


def place(organization: int, key: str) -> bytes:
    """What `sealed` is bound to."""
    return b"partner_token|%d|%s" % (organization, key.encode())


def read(connection: sa.Connection, organization: int, key: str) -> bytes | None:
    """Sealed; None where nothing was kept."""
    where = (partner_token.c.organization == organization, partner_token.c.key == key)
    found: bytes | None = connection.execute(sa.select(partner_token.c.sealed).where(*where)).scalar()
    return found


def write(connection: sa.Connection, organization: int, key: str, sealed: bytes) -> None:
    """In place of what was kept before."""
    where = (partner_token.c.organization == organization, partner_token.c.key == key)
    values = {"sealed": sealed, "stamp": clock.micros()}
    if not connection.execute(partner_token.update().where(*where).values(values)).rowcount:
        connection.execute(partner_token.insert().values(organization=organization, key=key, **values))


def remove(connection: sa.Connection, organization: int, key: str) -> None:
    where = (partner_token.c.organization == organization, partner_token.c.key == key)
    connection.execute(partner_token.delete().where(*where))
