"""Keeps links to files of exports: whoever has one fetches the file without an account, so often and so long.

A link's secret is `hilum_share_<organization>_<row>_<43 characters>`; its digest is kept, never itself.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import re
import secrets
import uuid

import sqlalchemy as sa

from hilum import clock
from hilum.errors import Conflict, Gone, NotFound
from hilum.model.audit import Change
from hilum.model.identifier import new
from hilum.store.exports import Export
from hilum.store.schema_datasets import export_link

MOST = 50
"""Links that one export may have at once."""

_SHAPE = re.compile(r"hilum_share_([0-9]{1,18})_([0-9]{1,18})_([A-Za-z0-9_-]{43})")
_GONE = "this link does not hold: it was revoked, used up, or its time is over"


@dataclasses.dataclass(frozen=True, slots=True)
class Link:
    """A row. Times are microseconds; `most` None: any number of downloads."""

    id: int
    uuid: uuid.UUID
    organization: int
    export: int
    digest: bytes
    receiver: str
    most: int | None
    used: int
    made_by: str
    made_name: str
    created_at: int
    expires_at: int
    revoked_at: int | None

    def holds(self, now: int) -> bool:
        spent = self.most is not None and self.used >= self.most
        return self.revoked_at is None and not spent and self.expires_at > now


@dataclasses.dataclass(frozen=True, slots=True)
class Token:
    """What somebody came with."""

    organization: int
    number: int
    digest: bytes


def read(text: str) -> Token:
    """Raises NotFound where it is no link."""
    found = _SHAPE.fullmatch(text)
    if found is None:
        raise NotFound("there is no such link")
    return Token(int(found[1]), int(found[2]), _digest(found[3]))


def create(
    connection: sa.Connection, one: Export, receiver: str, seconds: int, most: int | None, by: tuple[str, str]
) -> Change:
    """Its result is the row and the secret, the only time that it is seen. Raises Conflict."""
    if len([each for each in of(connection, one) if each.holds(clock.micros())]) >= MOST:
        raise Conflict(f"this export has {MOST} links already: revoke some")
    secret, now = secrets.token_urlsafe(32), clock.micros()
    values = {
        "uuid": new(now), "organization": one.organization, "export": one.id, "digest": _digest(secret),
        "receiver": receiver, "most": most, "used": 0, "made_by": by[0], "made_name": by[1], "created_at": now,
        "expires_at": min(now + seconds * 1_000_000, one.expires_at or now),
    }  # fmt: skip
    number = connection.execute(export_link.insert().values(values).returning(export_link.c.id)).scalar_one()
    made = _one(connection, export_link.c.id == number)
    assert made is not None  # noqa: S101 - it was made just now
    told = {"receiver": receiver, "downloads": most, "expires_at": clock.iso(made.expires_at), "export": str(one.uuid)}
    return Change((made, f"hilum_share_{one.organization}_{number}_{secret}"), f"export-link/{made.uuid}", None, told)


def of(connection: sa.Connection, one: Export) -> list[Link]:
    """Those of an export, the newest first."""
    where = (export_link.c.organization == one.organization, export_link.c.export == one.id)
    query = sa.select(export_link).where(*where).order_by(export_link.c.id.desc())
    return [Link(**row._mapping) for row in connection.execute(query)]


def find(connection: sa.Connection, one: Export, identifier: uuid.UUID) -> Link:
    """Raises NotFound."""
    found = [each for each in of(connection, one) if each.uuid == identifier]
    if not found:
        raise NotFound(f"there is no link {identifier}")
    return found[0]


def revoke(connection: sa.Connection, one: Export, identifier: uuid.UUID) -> Change:
    """From now on it opens nothing. Raises NotFound, Conflict."""
    link = find(connection, one, identifier)
    where = (export_link.c.id == link.id, export_link.c.revoked_at.is_(None))
    if not connection.execute(export_link.update().where(*where).values(revoked_at=clock.micros())).rowcount:
        raise Conflict(f"the link {identifier} was revoked before")
    return Change(None, f"export-link/{link.uuid}", {"revoked": False}, {"revoked": True})


def matched(connection: sa.Connection, token: Token) -> Link:
    """The link that somebody has, whether it still holds or not. Raises NotFound."""
    found = _one(connection, export_link.c.id == token.number)
    if found is None or found.organization != token.organization or not hmac.compare_digest(found.digest, token.digest):
        raise NotFound("there is no such link")
    return found


def check(link: Link) -> None:
    """Raises Gone where it does not hold any more."""
    if not link.holds(clock.micros()):
        raise Gone(_GONE)


def use(connection: sa.Connection, link: Link) -> None:
    """One more download. Raises Gone where somebody else took the last one."""
    room = sa.or_(export_link.c.most.is_(None), export_link.c.used < export_link.c.most)
    where = (export_link.c.id == link.id, export_link.c.revoked_at.is_(None), room)
    if not connection.execute(export_link.update().where(*where).values(used=export_link.c.used + 1)).rowcount:
        raise Gone(_GONE)


def _one(connection: sa.Connection, where: sa.ColumnElement[bool]) -> Link | None:
    row = connection.execute(sa.select(export_link).where(where)).first()
    return None if row is None else Link(**row._mapping)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
