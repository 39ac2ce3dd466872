"""One-time links: whoever holds one sets a password. Its digest is kept, not the token, and it holds once.

A token is `hilum_link_<row>_<43 characters>`: the row is found by its number, so that no index of secrets is needed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import secrets

import sqlalchemy as sa

from hilum import clock
from hilum.errors import NotFound
from hilum.store.schema_people import link

PREFIX = "hilum_link_"
DAY = 86_400  # seconds
GONE = "this link does not hold: it was used, is too old, or there is a newer one"


@dataclasses.dataclass(frozen=True, slots=True)
class Link:
    """`user` None: it makes the hub's first administrator. Times are microseconds."""

    id: int
    organization: int
    user: int | None
    expires_at: int


def make(connection: sa.Connection, organization: int, user: int | None, seconds: int = DAY) -> str:
    """Make a link and return its token, the only time that it is seen. The user's older ones end."""
    secret, now = secrets.token_urlsafe(32), clock.micros()
    end(connection, organization, user)
    values = {
        "organization": organization, "user": user, "digest": _digest(secret), "created_at": now,
        "expires_at": now + seconds * 1_000_000,
    }  # fmt: skip
    (number,) = connection.execute(link.insert().values(values)).inserted_primary_key  # type: ignore[misc]  # one row
    return f"{PREFIX}{number}_{secret}"


def look(connection: sa.Connection, token: str) -> Link:
    """What a token is good for. Raises NotFound where it no longer is. For the hub's own work: before all is known."""
    number, _, secret = token.removeprefix(PREFIX).partition("_")
    if not token.startswith(PREFIX) or not number.isdecimal() or len(number) > 18:
        raise NotFound(GONE)
    row = connection.execute(sa.select(link).where(link.c.id == int(number))).first()
    if row is None or not hmac.compare_digest(row.digest, _digest(secret)):
        raise NotFound(GONE)
    if row.used_at is not None or row.expires_at <= clock.micros():
        raise NotFound(GONE)
    return Link(row.id, row.organization, row.user, row.expires_at)


def use(connection: sa.Connection, token: str) -> Link:
    """As `look`, and the last time that it holds. Raises NotFound."""
    found = look(connection, token)
    query = link.update().where(link.c.id == found.id, link.c.used_at.is_(None)).values(used_at=clock.micros())
    if not connection.execute(query).rowcount:  # another process was faster
        raise NotFound(GONE)
    return found


def end(connection: sa.Connection, organization: int, user: int | None) -> int:
    """Let a user's links hold no longer; how many did."""
    where = (link.c.organization == organization, link.c.user.is_(None) if user is None else link.c.user == user)
    return connection.execute(
        link.update().where(*where, link.c.used_at.is_(None)).values(used_at=clock.micros())
    ).rowcount


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
