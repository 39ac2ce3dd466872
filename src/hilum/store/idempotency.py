"""Idempotency keys: reserved, answered, given back, forgotten. Answers are sealed: they may show a new key, once."""

from __future__ import annotations

import sqlalchemy as sa

from hilum.security.seal import Sealer
from hilum.store.schema_evidence import idempotency

_PLACE = b"idempotency|"


def reserve(
    connection: sa.Connection, organization: int, digest: bytes, fingerprint: bytes, now: int, dead: int
) -> tuple[bytes, int | None, bytes | None] | None:
    """Reserve a key; else its fingerprint, status and sealed answer.

    What began before `dead` and has no answer is taken over. Stamps are microseconds.
    """
    row = connection.execute(sa.select(idempotency).where(idempotency.c.digest == digest)).one_or_none()
    if row is not None and (row.status is not None or row.created_at >= dead):
        return row.fingerprint, row.status, row.sealed
    if row is not None:
        connection.execute(idempotency.delete().where(idempotency.c.digest == digest))
    connection.execute(
        idempotency.insert().values(digest=digest, organization=organization, fingerprint=fingerprint, created_at=now)
    )
    return None


def keep(connection: sa.Connection, sealer: Sealer, digest: bytes, status: int, answer: bytes) -> None:
    """Keep what was answered."""
    sealed = sealer.seal(answer, _PLACE + digest)
    connection.execute(idempotency.update().where(idempotency.c.digest == digest).values(status=status, sealed=sealed))


def opened(sealer: Sealer, digest: bytes, sealed: bytes) -> bytes:
    """An answer as it was kept. Raises StoreError where it was changed."""
    return sealer.open(sealed, _PLACE + digest)


def release(connection: sa.Connection, digest: bytes) -> None:
    """Give a key back that has no answer."""
    connection.execute(idempotency.delete().where(idempotency.c.digest == digest, idempotency.c.status.is_(None)))


def purge(connection: sa.Connection, before: int, most: int) -> int:
    """Forget up to `most` keys that were first used before a stamp; how many there were."""
    old = sa.select(idempotency.c.digest).where(idempotency.c.created_at < before).limit(most)
    return connection.execute(idempotency.delete().where(idempotency.c.digest.in_(old))).rowcount
