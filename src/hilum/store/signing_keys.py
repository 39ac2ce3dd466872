"""Keeps the keys that access tokens are signed with: their public halves open, their private ones sealed."""

from __future__ import annotations

import uuid

import sqlalchemy as sa

from hilum import clock
from hilum.errors import Conflict
from hilum.model.audit import Change
from hilum.security.seal import Sealer
from hilum.security.tokens import SigningKey
from hilum.store.schema import setting
from hilum.store.schema_people import signing_key


def read(connection: sa.Connection, sealer: Sealer) -> list[SigningKey]:
    """All of them, the oldest first."""
    return [
        SigningKey(row.kid, sealer.open(bytes(row.sealed), _place(row.kid)), row.created_at, row.retired_at)
        for row in connection.execute(sa.select(signing_key).order_by(signing_key.c.id))
    ]


def issuer(connection: sa.Connection) -> str:
    """Who signs: this life of the store. After a restore it is another one, and what was signed before is void."""
    value = connection.execute(sa.select(setting.c.value).where(setting.c.name == "generation")).scalar_one()
    return f"urn:uuid:{uuid.UUID(hex=value)}"


def replace(connection: sa.Connection, sealer: Sealer, made: SigningKey, before: str | None) -> Change:
    """Sign with `made` from now on; the others retire. `before` is the kid that was current, None where none was.

    Raises Conflict where another process was faster.
    """
    holds = signing_key.c.retired_at.is_(None)
    query = sa.select(signing_key.c.kid).where(holds).order_by(signing_key.c.id.desc())
    if connection.execute(query).scalar() != before:
        raise Conflict("the signing key was replaced already")
    connection.execute(signing_key.update().where(holds).values(retired_at=clock.micros()))
    sealed = sealer.seal(made.private, _place(made.kid))
    values = {"kid": made.kid, "public": made.public, "sealed": sealed, "created_at": made.created_at}
    connection.execute(signing_key.insert().values(values))
    return Change(None, f"signing-key/{made.kid}", {"kid": before} if before else None, {"kid": made.kid})


def forget(connection: sa.Connection, before: int) -> int:
    """Remove those that retired before a moment (microseconds): no token of theirs holds any more."""
    return connection.execute(signing_key.delete().where(signing_key.c.retired_at < before)).rowcount


def _place(kid: str) -> bytes:
    return f"signing_key|{kid}".encode()
