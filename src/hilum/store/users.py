"""Keeps users and the roles that they are bound to. A row stays for good: signatures and the audit trail name it."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Sequence
from typing import Any, Literal

import sqlalchemy as sa

from hilum import clock
from hilum.errors import ConfigError, Conflict, NotFound, Refused
from hilum.model.access import Role
from hilum.model.audit import Change
from hilum.model.identifier import new
from hilum.security.seal import KeyedHash
from hilum.store import links, organizations, principals, sessions, studies, versions
from hilum.store.schema_people import role_binding, user

State = Literal["invited", "active", "disabled", "removed"]
THERE: tuple[State, ...] = ("invited", "active", "disabled")


@dataclasses.dataclass(frozen=True, slots=True)
class Grant:
    """A role, in a study (its name) or (None) the whole organization."""

    role: Role
    study: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class User:
    """A row without what proves who somebody is. Times are microseconds."""

    id: int
    uuid: uuid.UUID
    email: str
    name: str
    state: State
    grants: tuple[Grant, ...]
    identity_proofed: bool
    second_factor: bool
    locked_until: int | None
    version: int
    created_at: int
    signed_in_at: int | None

    @property
    def entity(self) -> str:
        """As the audit trail names it."""
        return f"user/{self.uuid}"

    def has(self, role: Role) -> bool:
        """Whether it has this role in the whole organization."""
        return Grant(role) in self.grants


@dataclasses.dataclass(frozen=True, slots=True)
class UserFilter:
    """What a list is narrowed to; None narrows nothing. Without `state` those that were removed are left out."""

    state: State | None = None
    role: Role | None = None
    q: str | None = None  # a part of the name or the address


@dataclasses.dataclass(frozen=True, slots=True)
class Might:
    """What the actor of a change may hand out, besides the roles of his organization."""

    operate: bool  # platform_operator
    administer: bool  # tenant_admin; machines may not

    def check(self, grants: Sequence[Grant]) -> None:
        """Raises Refused."""
        if not self.operate and any(one.role is Role.PLATFORM_OPERATOR for one in grants):
            raise Refused("only a platform operator decides about platform operators")
        if not self.administer and any(one.role is Role.TENANT_ADMIN for one in grants):
            raise Refused("only a person decides about administrators")


def listed(
    connection: sa.Connection, organization: int, wanted: UserFilter, offset: int, limit: int
) -> tuple[list[User], int]:
    """By name, and how many there are."""
    states = THERE if wanted.state is None else (wanted.state,)
    where = [user.c.organization == organization, user.c.state.in_(states)]
    if wanted.role is not None:
        having = (role_binding.c.organization == organization, role_binding.c.role == wanted.role.value)
        where.append(user.c.id.in_(sa.select(role_binding.c.user).where(*having)))
    if wanted.q is not None:
        part = wanted.q.lower()
        ways = (
            user.c.email.contains(part, autoescape=True),
            sa.func.lower(user.c.name).contains(part, autoescape=True),
            user.c.name.contains(wanted.q, autoescape=True),  # SQLite lowers ASCII alone
        )
        where.append(sa.or_(*ways))
    total: int = connection.execute(sa.select(sa.func.count()).select_from(user).where(*where)).scalar_one()
    query = sa.select(user).where(*where).order_by(sa.func.lower(user.c.name), user.c.id).offset(offset).limit(limit)
    rows = list(connection.execute(query))
    grants = _grants(connection, organization, [row.id for row in rows])
    return [_view(row, grants.get(row.id, ())) for row in rows], total


def find(connection: sa.Connection, organization: int, identifier: uuid.UUID) -> User:
    """Raises NotFound."""
    where = (user.c.organization == organization, user.c.uuid == identifier)
    row = connection.execute(sa.select(user).where(*where)).first()
    if row is None:
        raise NotFound(f"there is no user {identifier}")
    return _view(row, _grants(connection, organization, [row.id]).get(row.id, ()))


def add(
    connection: sa.Connection, keyed: KeyedHash, organization: int, email: str, name: str, grants: Sequence[Grant]
) -> User:
    """Insert a user who was invited. Raises Conflict where the address is taken, ConfigError for an unknown study."""
    taken = Conflict(f"there is a user {email} already")
    where = (user.c.organization == organization, user.c.email == email, user.c.state != "removed")
    if connection.execute(sa.select(user.c.id).where(*where)).first() is not None:
        raise taken
    now = clock.micros()
    identifier = new(now)
    values = {
        "uuid": identifier, "organization": organization, "email": email, "name": name, "state": "invited",
        "totp_step": 0, "failures": 0, "identity_proofed": 0, "version": 1, "created_at": now,
    }  # fmt: skip
    try:
        number: int = connection.execute(user.insert().values(values)).inserted_primary_key[0]  # type: ignore[index]  # one row
    except sa.exc.IntegrityError:  # another process was quicker
        raise taken from None
    principals.add(connection, keyed, "email", email, organization, number)
    _bind(connection, organization, number, grants)
    return find(connection, organization, identifier)


def invite(
    connection: sa.Connection,
    keyed: KeyedHash,
    organization: int,
    email: str,
    name: str,
    grants: Sequence[Grant],
    might: Might,
    seconds: int,
) -> Change:
    """The result is the user and the token of the link, which holds for `seconds`. Raises as `add` does, Refused."""
    might.check(grants)
    organizations.lock(connection, organization)
    made = add(connection, keyed, organization, email, name, grants)
    token = links.make(connection, organization, made.id, seconds)
    return Change((made, token), made.entity, None, shown(made))


def change(
    connection: sa.Connection,
    organization: int,
    identifier: uuid.UUID,
    version: int,
    might: Might,
    *,
    name: str | None = None,
    state: Literal["active", "disabled"] | None = None,
    identity_proofed: bool | None = None,
) -> Change:
    """Raises NotFound, Stale, Refused, and Conflict for the last administrator."""
    organizations.lock(connection, organization)
    before = _there(connection, organization, identifier)
    might.check(before.grants)
    values: dict[str, Any] = {}
    if name is not None:
        values["name"] = name
    if identity_proofed is not None:
        values["identity_proofed"] = int(identity_proofed)
    if state is not None and state != before.state:
        values["state"] = _turned(connection, organization, before, state)
    versions.advance(connection, user, before.id, version, **values)
    if values.get("state") == "disabled":
        _shut_out(connection, organization, before.id, "the user was disabled")
    after = find(connection, organization, identifier)
    return Change(after, after.entity, shown(before), shown(after))


def set_roles(
    connection: sa.Connection,
    organization: int,
    identifier: uuid.UUID,
    version: int,
    grants: Sequence[Grant],
    might: Might,
) -> Change:
    """Put these roles in the place of all others. Raises NotFound, Stale, Refused, ConfigError; Conflict as above."""
    organizations.lock(connection, organization)
    before = _there(connection, organization, identifier)
    might.check([*before.grants, *grants])
    if Grant(Role.TENANT_ADMIN) not in grants:
        _keep_an_administrator(connection, organization, before)
    versions.advance(connection, user, before.id, version)
    where = (role_binding.c.organization == organization, role_binding.c.user == before.id)
    connection.execute(role_binding.delete().where(*where))
    _bind(connection, organization, before.id, grants)
    if set(before.grants) - set(grants):
        sessions.end_all(connection, organization, before.id, "roles were taken away")
    after = find(connection, organization, identifier)
    return Change(after, after.entity, shown(before), shown(after))


def relink(connection: sa.Connection, organization: int, identifier: uuid.UUID, might: Might, seconds: int) -> Change:
    """A new link to set a password; sessions end. The result is the user and the token. Raises NotFound, Conflict."""
    found = _there(connection, organization, identifier)
    might.check(found.grants)
    if found.state == "disabled":
        raise Conflict("the user is disabled")
    token = links.make(connection, organization, found.id, seconds)
    sessions.end_all(connection, organization, found.id, "a new password is to be set")
    return Change((found, token), found.entity, None, {"link": "***"})


def remove(connection: sa.Connection, organization: int, identifier: uuid.UUID, might: Might) -> Change:
    """For good: what proves who it is goes, the row stays. Raises NotFound, Refused, Conflict as above."""
    organizations.lock(connection, organization)
    before = _there(connection, organization, identifier)
    might.check(before.grants)
    _keep_an_administrator(connection, organization, before)
    gone = {"state": "removed", "password": None, "totp": None}
    versions.advance(connection, user, before.id, before.version, **gone)
    where = (role_binding.c.organization == organization, role_binding.c.user == before.id)
    connection.execute(role_binding.delete().where(*where))
    for kind in ("email", "oidc"):
        principals.remove(connection, kind, organization, before.id)
    _shut_out(connection, organization, before.id, "the user was removed")
    return Change(None, before.entity, shown(before), None)


def shown(one: User) -> dict[str, Any]:
    """As the audit trail shows it."""
    return {
        "email": one.email, "name": one.name, "state": one.state, "identity_proofed": one.identity_proofed,
        "roles": [{"role": grant.role.value, "study": grant.study} for grant in one.grants],
    }  # fmt: skip


def _there(connection: sa.Connection, organization: int, identifier: uuid.UUID) -> User:
    """One that was not removed."""
    found = find(connection, organization, identifier)
    if found.state == "removed":
        raise NotFound(f"there is no user {identifier}")
    return found


def _turned(connection: sa.Connection, organization: int, before: User, state: str) -> str:
    """The state to be written; who never set a password is invited once more, not active."""
    if state == "disabled":
        _keep_an_administrator(connection, organization, before)
        return state
    if before.state == "invited":
        raise Conflict("the user has to set a password first, by the link")
    known = connection.execute(sa.select(user.c.password).where(user.c.id == before.id)).scalar()
    return "invited" if known is None else "active"


def _keep_an_administrator(connection: sa.Connection, organization: int, leaving: User) -> None:
    """Raises Conflict where nobody like `leaving` would be left to administer the organization."""
    if not leaving.has(Role.TENANT_ADMIN) or leaving.state not in ("active", "invited"):
        return
    states = ("active",) if leaving.state == "active" else ("active", "invited")
    others = (
        sa.select(user.c.id)
        .join(role_binding, role_binding.c.user == user.c.id)
        .where(user.c.organization == organization, user.c.id != leaving.id, user.c.state.in_(states))
        .where(role_binding.c.role == Role.TENANT_ADMIN.value, role_binding.c.study.is_(None))
    )
    if connection.execute(others.limit(1)).first() is None:
        raise Conflict("this is the organization's last administrator: appoint another one first")


def _shut_out(connection: sa.Connection, organization: int, number: int, why: str) -> None:
    sessions.end_all(connection, organization, number, why)
    links.end(connection, organization, number)


def _bind(connection: sa.Connection, organization: int, number: int, grants: Sequence[Grant]) -> None:
    if not grants:
        return
    known = studies.numbers(connection, organization)
    rows = []
    for grant in dict.fromkeys(grants):
        if grant.study is not None and grant.study not in known:
            raise ConfigError(f"there is no study {grant.study}", where="roles")
        if grant.study is not None and grant.role is Role.PLATFORM_OPERATOR:
            raise ConfigError("platform_operator is of the whole hub, not of a study", where="roles")
        study = None if grant.study is None else known[grant.study]
        rows.append({"organization": organization, "user": number, "role": grant.role.value, "study": study})
    connection.execute(role_binding.insert(), rows)


def _grants(connection: sa.Connection, organization: int, numbers: Sequence[int]) -> dict[int, tuple[Grant, ...]]:
    """The roles of these users, in the order in which they were bound."""
    names = studies.names(connection, organization)
    where = (role_binding.c.organization == organization, role_binding.c.user.in_(numbers))
    found: dict[int, tuple[Grant, ...]] = {}
    for row in connection.execute(sa.select(role_binding).where(*where).order_by(role_binding.c.id)):
        study = None if row.study is None else names[row.study]
        found[row.user] = (*found.get(row.user, ()), Grant(Role(row.role), study))
    return found


def _view(row: sa.Row[Any], grants: tuple[Grant, ...]) -> User:
    return User(
        row.id, row.uuid, row.email, row.name, row.state, grants, bool(row.identity_proofed), row.totp is not None,
        row.locked_until, row.version, row.created_at, row.signed_in_at,
    )  # fmt: skip
