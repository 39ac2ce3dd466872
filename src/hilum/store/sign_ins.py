"""What signing in needs of users: their secrets, their failures, their lock. Passwords come here hashed, codes sealed.

An attempt is counted before it is judged, so that many at once are no more than those that are allowed.
"""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any

import sqlalchemy as sa

from hilum import clock
from hilum.errors import Conflict, NotFound, Unauthenticated
from hilum.model.access import Binding, Role
from hilum.model.audit import Change
from hilum.model.organization import Settings
from hilum.security.seal import KeyedHash
from hilum.store import links, principals, sessions, users
from hilum.store.schema import organization as organizations
from hilum.store.schema_people import user

_MINUTE = 60_000_000  # microseconds


@dataclasses.dataclass(frozen=True, slots=True)
class Account:
    """A user with what proves it. `settings` are its organization's. Times are microseconds."""

    id: int
    uuid: str
    organization: int
    organization_uuid: str
    organization_name: str
    settings: Settings
    email: str
    name: str
    state: str
    password: str | None = dataclasses.field(repr=False)
    password_at: int | None
    totp: bytes | None = dataclasses.field(repr=False)
    failures: int
    locked_until: int | None
    bindings: tuple[Binding, ...] = ()

    @property
    def entity(self) -> str:
        return f"user/{self.uuid}"


def by_email(connection: sa.Connection, keyed: KeyedHash, email: str) -> list[Account]:
    """Every account of an address (in lower case), before an organization is known. Archived ones are not there."""
    found = principals.find(connection, keyed, "email", email)
    accounts = [_find(connection, one.organization, one.number) for one in found]
    return [one for one in accounts if one is not None and one.email == email]


def get(connection: sa.Connection, organization: int, number: int) -> Account:
    """Raises NotFound."""
    found = _find(connection, organization, number)
    if found is None:
        raise NotFound("there is no such user")
    return found


def by_provider(connection: sa.Connection, keyed: KeyedHash, organization: int, mark: str) -> Account | None:
    """The account that an OpenID Connect provider's subject (`mark` names both) was linked to."""
    found = principals.find(connection, keyed, "oidc", mark)
    accounts = [_find(connection, organization, one.number) for one in found if one.organization == organization]
    return next((one for one in accounts if one is not None), None)


def link_provider(connection: sa.Connection, keyed: KeyedHash, organization: int, email: str, mark: str) -> Change:
    """Link a provider's subject to the user whose address it verified; who was invited is active from now on.

    `result`: the row's number. Raises NotFound where nobody was invited, Conflict where the user is not there.
    """
    found = [one for one in principals.find(connection, keyed, "email", email) if one.organization == organization]
    account = next((one for one in (_find(connection, organization, one.number) for one in found) if one), None)
    if account is None or account.email != email:
        raise NotFound("the organization has no user of this address")
    if account.state not in ("invited", "active"):
        raise Conflict(f"the user is {account.state}")
    principals.add(connection, keyed, "oidc", mark, organization, account.id)
    _set(connection, organization, account.id, state="active")
    return Change(account.id, account.entity, {"state": account.state}, {"state": "active", "provider": "linked"})


def _find(connection: sa.Connection, organization: int, number: int) -> Account | None:
    home, mine = organizations.c, user.c
    query = sa.select(user, home.uuid.label("home"), home.name.label("home_name"), home.settings).join(
        organizations, home.id == mine.organization
    )
    where = (mine.organization == organization, mine.id == number, home.archived_at.is_(None))
    row = connection.execute(query.where(*where)).first()
    if row is None:
        return None
    return Account(
        row.id,
        str(row.uuid),
        organization,
        str(row.home),
        row.home_name,
        Settings.model_validate(row.settings or {}),
        row.email,
        row.name,
        row.state,
        row.password,
        row.password_at,
        None if row.totp is None else bytes(row.totp),
        row.failures,
        row.locked_until,
        sessions.bindings(connection, organization, number),
    )


def attempt(connection: sa.Connection, organization: int, number: int, limit: int, minutes: int) -> int:
    """Count an attempt; which one it is since the last that held. 0: the account is locked, so it is none.

    The one that reaches `limit` locks the account for so many minutes, until it turns out to hold.
    """
    now = clock.micros()
    query = sa.select(user.c.failures, user.c.locked_until).where(*_one(organization, number))
    row = connection.execute(query.with_for_update()).one()  # another process may count at the same time
    if row.locked_until is not None and row.locked_until > now:
        return 0
    failures: int = 1 if row.locked_until is not None else row.failures + 1
    locked = now + minutes * _MINUTE if failures >= limit else None
    _set(connection, organization, number, failures=failures, locked_until=locked)
    return failures


def lock(connection: sa.Connection, account: Account) -> Change:
    """The evidence of a lock that `attempt` set, for whoever is told of such things."""
    row = connection.execute(sa.select(user.c.locked_until).where(*_one(account.organization, account.id))).one()
    until = None if row.locked_until is None else clock.from_micros(row.locked_until).isoformat()
    return Change(None, account.entity, {"locked": False}, {"locked": True, "until": until}, "user.lock")


def held(connection: sa.Connection, organization: int, number: int, hashed: str | None = None) -> None:
    """All that was shown holds: the failures are forgotten. `hashed`: the same password by today's parameters."""
    values = {"password": hashed} if hashed else {}
    _set(connection, organization, number, failures=0, locked_until=None, **values)


def opened(
    connection: sa.Connection, keyed: KeyedHash, account: Account, kind: str, identifier: uuid.UUID, digest: bytes,
    source: str,
) -> Change:  # fmt: skip
    """Open a session. `result`: its row's number. Raises Unauthenticated where the user was shut out meanwhile."""
    now_state = connection.execute(sa.select(user.c.state).where(*_one(account.organization, account.id))).scalar()
    if now_state != "active":
        raise Unauthenticated
    seconds = account.settings.session_hours * 3600
    number = sessions.start(
        connection, keyed, account.organization, account.id, kind, identifier, digest, seconds=seconds, source=source
    )
    _set(connection, account.organization, account.id, signed_in_at=clock.micros())
    return Change(number, f"session/{identifier}", None, {"user": account.uuid, "kind": kind})


def use_step(connection: sa.Connection, organization: int, number: int, step: int) -> bool:
    """Take a TOTP step. False: it, or a later one, was used before."""
    query = user.update().where(*_one(organization, number), user.c.totp_step < step).values(totp_step=step)
    return connection.execute(query).rowcount > 0


def set_password(connection: sa.Connection, account: Account, password: str, *, keep: int = 0) -> Change:
    """Set a password, end the other sessions (all but row `keep`) and the links."""
    values = {"password": password, "password_at": clock.micros(), "failures": 0, "locked_until": None}
    _set(connection, account.organization, account.id, **values)
    ended = sessions.end_all(connection, account.organization, account.id, "the password was changed", but=keep)
    links.end(connection, account.organization, account.id)
    return Change(None, account.entity, {"password": "***"}, {"password": "***", "sessions_ended": ended})


def set_totp(connection: sa.Connection, account: Account, sealed: bytes | None, step: int = 0) -> Change:
    """Keep a confirmed secret, or (None) remove it. Raises Conflict where there is one, or none."""
    account = get(connection, account.organization, account.id)
    if (account.totp is None) is (sealed is None):
        raise Conflict("a second factor is set already" if sealed else "there is no second factor")
    values = {"totp": sealed} | ({"totp_step": step} if sealed else {})
    _set(connection, account.organization, account.id, **values)
    return Change(None, account.entity, {"totp": account.totp is not None}, {"totp": sealed is not None})


def use_link(connection: sa.Connection, token: str, password: str) -> Change:
    """Set the password of a link's user, who is active from now on. `result` is the account. Raises NotFound."""
    found = links.use(connection, token)
    account = get(connection, found.organization, found.user or 0)
    if account.state not in ("invited", "active"):
        raise NotFound(links.GONE)
    change = set_password(connection, account, password)
    _set(connection, account.organization, account.id, state="active")
    before, after = {"state": account.state, "password": "***"}, {"state": "active", **(change.after or {})}
    return Change(account, account.entity, before, after)


def nobody(connection: sa.Connection) -> bool:
    """Whether the hub has no user at all."""
    return connection.execute(sa.select(user.c.id).limit(1)).first() is None


def first(
    connection: sa.Connection, keyed: KeyedHash, token: str, email: str, name: str, password: str
) -> Change:  # fmt: skip
    """Make the hub's first administrator by a link that has no user. `result` is the account.

    Raises NotFound where the link does not hold, Conflict where somebody was faster.
    """
    found = links.use(connection, token)
    if found.user is not None or not nobody(connection):
        raise Conflict("the hub has users already")
    grants = (users.Grant(Role.TENANT_ADMIN), users.Grant(Role.PLATFORM_OPERATOR))
    made = users.add(connection, keyed, found.organization, email, name, grants)
    values = {"state": "active", "password": password, "password_at": clock.micros()}
    _set(connection, found.organization, made.id, **values)
    after = users.shown(users.find(connection, found.organization, made.uuid))
    account = get(connection, found.organization, made.id)
    return Change(account, made.entity, None, {**after, "password": "***"})


def _one(organization: int, number: int) -> tuple[sa.ColumnElement[bool], ...]:
    return user.c.organization == organization, user.c.id == number


def _set(connection: sa.Connection, organization: int, number: int, **values: Any) -> None:
    connection.execute(user.update().where(*_one(organization, number)).values(values))
