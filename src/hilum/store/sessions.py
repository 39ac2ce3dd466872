"""Keeps sessions: what somebody signed in to. An ended one stays as a row, for the evidence."""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any

import sqlalchemy as sa

from hilum import clock
from hilum.errors import NotFound, Unauthenticated
from hilum.model.access import Binding, Role
from hilum.model.audit import Change
from hilum.model.organization import Settings
from hilum.security.seal import KeyedHash
from hilum.security.tickets import OVER
from hilum.store import principals
from hilum.store.schema import organization as organizations
from hilum.store.schema_people import role_binding, session, user


@dataclasses.dataclass(frozen=True, slots=True)
class Session:
    """A session's row. `kind` is cookie or token; times are microseconds."""

    id: int
    uuid: str
    organization: int
    user: int
    kind: str
    digest: bytes
    generation: int
    created_at: int
    seen_at: int
    expires_at: int
    proved_at: int
    signed_at: int | None
    ended_at: int | None
    ended_why: str
    source: str

    @property
    def entity(self) -> str:
        return f"session/{self.uuid}"


@dataclasses.dataclass(frozen=True, slots=True)
class Standing:
    """A session, whose it is and what they may do: all that a request needs to know."""

    session: Session
    user_uuid: str
    user_name: str
    user_state: str
    password_at: int | None
    second_factor: bool
    bindings: tuple[Binding, ...]
    organization_uuid: str
    organization_name: str
    organization_archived: bool
    settings: Settings


def start(
    connection: sa.Connection, keyed: KeyedHash, organization: int, owner: int, kind: str, identifier: uuid.UUID,
    digest: bytes, *, seconds: int, source: str,
) -> int:  # fmt: skip
    """Insert a session; its row's number."""
    now = clock.micros()
    values = {
        "uuid": identifier, "organization": organization, "user": owner, "kind": kind, "digest": digest,
        "generation": 1, "created_at": now, "seen_at": now, "expires_at": now + seconds * 1_000_000, "proved_at": now,
        "ended_why": "", "source": source,
    }  # fmt: skip
    number: int = connection.execute(session.insert().values(values)).inserted_primary_key[0]  # type: ignore[index]  # one row
    principals.add(connection, keyed, "session", identifier.bytes, organization, number)
    return number


def standing(connection: sa.Connection, keyed: KeyedHash, identifier: uuid.UUID) -> Standing | None:
    """Before the organization is known. None where there is no such session."""
    for found in principals.find(connection, keyed, "session", identifier.bytes):
        where = (session.c.id == found.number, session.c.organization == found.organization)
        row = connection.execute(sa.select(session).where(*where, session.c.uuid == identifier)).first()
        if row is not None:
            return _standing(connection, _view(row))
    return None


def _standing(connection: sa.Connection, one: Session) -> Standing:
    who = connection.execute(
        sa.select(user.c.uuid, user.c.name, user.c.state, user.c.password_at, user.c.totp).where(
            user.c.id == one.user, user.c.organization == one.organization
        )
    ).one()
    home = connection.execute(sa.select(organizations).where(organizations.c.id == one.organization)).one()
    return Standing(
        one, str(who.uuid), who.name, who.state, who.password_at, who.totp is not None,
        bindings(connection, one.organization, one.user), str(home.uuid or ""), home.name,
        home.archived_at is not None, Settings.model_validate(home.settings or {}),
    )  # fmt: skip


def bindings(connection: sa.Connection, organization: int, owner: int) -> tuple[Binding, ...]:
    """The roles of a user."""
    query = sa.select(role_binding.c.role, role_binding.c.study).where(
        role_binding.c.organization == organization, role_binding.c.user == owner
    )
    return tuple(Binding(Role(row.role), row.study) for row in connection.execute(query.order_by(role_binding.c.id)))


def get(connection: sa.Connection, organization: int, number: int) -> Session:
    """Raises NotFound."""
    where = (session.c.organization == organization, session.c.id == number)
    row = connection.execute(sa.select(session).where(*where)).first()
    if row is None:
        raise NotFound("there is no such session")
    return _view(row)


def of_user(connection: sa.Connection, organization: int, owner: int) -> list[Session]:
    """Those that hold, the newest first."""
    where = (session.c.organization == organization, session.c.user == owner, session.c.ended_at.is_(None))
    query = sa.select(session).where(*where, session.c.expires_at > clock.micros()).order_by(session.c.id.desc())
    return [_view(row) for row in connection.execute(query)]


def rotate(connection: sa.Connection, organization: int, number: int, shown: bytes, digest: bytes) -> Change:
    """Put a new refresh token's digest in the place of the one that was shown.

    Raises Unauthenticated where that is not the newest, or the session has ended.
    """
    found, generation = get(connection, organization, number), session.c.generation
    values = {"digest": digest, "generation": generation + 1, "seen_at": clock.micros()}
    where = (session.c.organization == organization, session.c.id == number, session.c.ended_at.is_(None))
    query = session.update().where(*where, session.c.digest == shown).values(values)
    if not connection.execute(query).rowcount:
        raise Unauthenticated(OVER)
    return Change(None, found.entity, {"generation": found.generation}, {"generation": found.generation + 1})


def seen(connection: sa.Connection, organization: int, number: int, stamp: int) -> None:
    """It was used."""
    _set(connection, organization, number, seen_at=stamp)


def proved(connection: sa.Connection, organization: int, number: int, stamp: int) -> None:
    """All components were given again."""
    _set(connection, organization, number, proved_at=stamp)


def end(connection: sa.Connection, organization: int, number: int, why: str) -> Change:
    """End a session, with the evidence of it. `result`: whether it had not ended before. Raises NotFound."""
    found = get(connection, organization, number)
    if found.ended_at is None:
        _set(connection, organization, number, ended_at=clock.micros(), ended_why=why)
    before, after = {"ended": found.ended_at is not None}, {"ended": True, "why": found.ended_why or why}
    return Change(found.ended_at is None, found.entity, before, after, "session.end")


def end_all(connection: sa.Connection, organization: int, owner: int, why: str, *, but: int = 0) -> int:
    """End a user's sessions, all or all but one; how many."""
    where = (session.c.organization == organization, session.c.user == owner, session.c.ended_at.is_(None))
    query = session.update().where(*where, session.c.id != but)
    return connection.execute(query.values(ended_at=clock.micros(), ended_why=why)).rowcount


def _set(connection: sa.Connection, organization: int, number: int, **values: Any) -> None:
    where = (session.c.organization == organization, session.c.id == number)
    connection.execute(session.update().where(*where).values(values))


def _view(row: sa.Row[Any]) -> Session:
    return Session(
        row.id, str(row.uuid), row.organization, row.user, row.kind, bytes(row.digest), row.generation, row.created_at,
        row.seen_at, row.expires_at, row.proved_at, row.signed_at, row.ended_at, row.ended_why, row.source,
    )  # fmt: skip
