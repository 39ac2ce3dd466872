"""Finds out whose something is before anybody is known: an e-mail address, a key's id, a session.

The index holds keyed hashes and row numbers only, so that it may be read for every organization. Kinds: email, oidc,
api_key, session; revoked (revoked.py). A hash has 64 bits: whoever finds a row compares what it holds.
"""

from __future__ import annotations

import dataclasses

import sqlalchemy as sa

from hilum.security.seal import KeyedHash
from hilum.store.schema_people import principal_index


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """Row `number` of an organization."""

    organization: int
    number: int


def add(
    connection: sa.Connection, keyed: KeyedHash, kind: str, value: str | bytes, organization: int, number: int
) -> None:
    """`keyed` is the store's hash. An e-mail address is given in lower case."""
    values = {"hash": _hash(keyed, kind, value), "kind": kind, "organization": organization, "number": number}
    connection.execute(principal_index.insert().values(values))


def find(connection: sa.Connection, keyed: KeyedHash, kind: str, value: str | bytes) -> list[Found]:
    """Every row that may be meant, the oldest organization's first."""
    index = principal_index.c
    query = (
        sa.select(index.organization, index.number)
        .where(index.hash == _hash(keyed, kind, value), index.kind == kind)
        .order_by(index.organization, index.number)
    )
    return [Found(row.organization, row.number) for row in connection.execute(query)]


def remove(connection: sa.Connection, kind: str, organization: int, *numbers: int) -> None:
    """Forget all that led to rows, such as an address that one no longer has."""
    index = principal_index.c
    where = (index.kind == kind, index.organization == organization, index.number.in_(numbers))
    connection.execute(principal_index.delete().where(*where))


def _hash(keyed: KeyedHash, kind: str, value: str | bytes) -> int:
    return keyed(f"is:{kind}", value.encode() if isinstance(value, str) else value)
