"""Access tokens that hold no more although their session goes on: by their ids (`jti`), until they would have ended."""

from __future__ import annotations

import sqlalchemy as sa

from hilum import clock
from hilum.model.audit import Change
from hilum.security.seal import KeyedHash
from hilum.security.tokens import Claims
from hilum.store import principals
from hilum.store.schema_people import principal_index

KIND = "revoked"
_SECOND = 1_000_000


def add(connection: sa.Connection, keyed: KeyedHash, organization: int, claims: Claims) -> Change:
    """It holds no more. Those whose time is over are forgotten."""
    index = principal_index.c
    over = (index.kind == KIND, index.organization == organization, index.number < clock.micros() // _SECOND)
    connection.execute(principal_index.delete().where(*over))
    if not holds_no_more(connection, keyed, claims.id):
        principals.add(connection, keyed, KIND, claims.id, organization, claims.expires_at)
    return Change(None, f"session/{claims.session}", {"token": claims.id}, {"token": None})


def holds_no_more(connection: sa.Connection, keyed: KeyedHash, identifier: str) -> bool:
    """Whether a token's id is on the list. A hash has 64 bits: in 2^64 tokens one is taken for another's."""
    return bool(principals.find(connection, keyed, KIND, identifier))
