"""Keeps API keys: whose they are, what they may, and a digest. The key itself is never here."""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any, Literal

import sqlalchemy as sa

from hilum import clock
from hilum.errors import ConfigError, Conflict, NotFound
from hilum.model.access import Binding, Principal, PrincipalKind, Role
from hilum.model.audit import Change
from hilum.model.identifier import new
from hilum.security.seal import KeyedHash
from hilum.store import organizations, outbox, principals, studies, versions
from hilum.store.schema_people import api_key

State = Literal["active", "expired", "revoked"]
MOST = 2
"""Keys of one name that may hold at a time: the old one and the one that takes its place."""


@dataclasses.dataclass(frozen=True, slots=True)
class ApiKeyRow:
    """Times are microseconds; `study_name` is that of `study`."""

    id: int
    uuid: uuid.UUID
    organization: int
    name: str
    key_id: str
    digest: bytes = dataclasses.field(repr=False)
    role: Role
    study: int | None
    study_name: str | None
    scopes: tuple[str, ...]
    allow: tuple[str, ...]
    created_at: int
    created_by: str
    expires_at: int
    used_at: int | None
    revoked_at: int | None
    version: int
    strict: bool = False  # whether its organization leaves integrations to administrators

    @property
    def entity(self) -> str:
        """As the audit trail names it."""
        return f"api-key/{self.uuid}"

    @property
    def principal(self) -> Principal:
        """Who its holder is, should it hold."""
        bindings, scopes = (Binding(self.role, self.study),), frozenset(self.scopes)
        return Principal(
            PrincipalKind.API_KEY, str(self.uuid), self.name, self.organization, bindings, scopes, number=self.id,
            strict=self.strict,
        )  # fmt: skip

    def state(self, now: int) -> State:
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at <= now else "active"


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """A key to be. `id` is the part that may be seen."""

    id: str
    digest: bytes = dataclasses.field(repr=False)
    name: str
    role: Role
    study: str | None
    scopes: tuple[str, ...]
    allow: tuple[str, ...]
    expires_at: int
    created_by: str


def listed(
    connection: sa.Connection, organization: int, name: str | None, state: State | None, offset: int, limit: int
) -> tuple[list[ApiKeyRow], int]:
    """By name, the newest of a name first, and how many there are."""
    where = [api_key.c.organization == organization]
    if name is not None:
        where.append(api_key.c.name == name)
    if state == "revoked":
        where.append(api_key.c.revoked_at.is_not(None))
    elif state is not None:
        later = api_key.c.expires_at > clock.micros()
        where += [api_key.c.revoked_at.is_(None), later if state == "active" else sa.not_(later)]
    total: int = connection.execute(sa.select(sa.func.count()).select_from(api_key).where(*where)).scalar_one()
    query = sa.select(api_key).where(*where).order_by(api_key.c.name, api_key.c.id.desc()).offset(offset).limit(limit)
    names = studies.names(connection, organization)
    return [_view(row, names) for row in connection.execute(query)], total


def find(connection: sa.Connection, organization: int, identifier: uuid.UUID) -> ApiKeyRow:
    """Raises NotFound."""
    where = (api_key.c.organization == organization, api_key.c.uuid == identifier)
    row = connection.execute(sa.select(api_key).where(*where)).first()
    if row is None:
        raise NotFound(f"there is no API key {identifier}")
    return _view(row, studies.names(connection, organization))


def known(connection: sa.Connection, keyed: KeyedHash, key_id: str) -> ApiKeyRow | None:
    """The key with this visible part, of whichever organization. For the hub's own work: nobody is known yet."""
    for found in principals.find(connection, keyed, "api_key", key_id):
        where = (api_key.c.organization == found.organization, api_key.c.id == found.number)
        row = connection.execute(sa.select(api_key).where(*where, api_key.c.key_id == key_id)).first()
        if row is not None:
            settings = organizations.settings(connection, found.organization)
            return dataclasses.replace(
                _view(row, studies.names(connection, found.organization)), strict=settings.strict
            )
    return None


def create(connection: sa.Connection, keyed: KeyedHash, organization: int, wanted: Wanted) -> Change:
    """Raises Conflict where two of that name hold already, ConfigError for an unknown study."""
    made = _add(connection, keyed, organization, wanted)
    return Change(made, made.entity, None, shown(made))


def rotate(
    connection: sa.Connection,
    keyed: KeyedHash,
    organization: int,
    identifier: uuid.UUID,
    key_id: str,
    digest: bytes,
    created_by: str,
    overlap: int,
) -> Change:
    """A new key that is as the old one, which ends after `overlap` seconds. Raises NotFound, Conflict."""
    now = clock.micros()
    old = find(connection, organization, identifier)
    if old.state(now) != "active":
        raise Conflict(f"this key is {old.state(now)}: create a new one")
    wanted = Wanted(
        key_id, digest, old.name, old.role, old.study_name, old.scopes, old.allow,
        now + old.expires_at - old.created_at, created_by,
    )  # fmt: skip
    made = _add(connection, keyed, organization, wanted, study=old.study)
    ends = min(old.expires_at, now + overlap * 1_000_000)
    versions.advance(connection, api_key, old.id, old.version, expires_at=ends)
    outbox.insert(connection, organization, "api-key.rotate", old.entity)
    before = {"api_key": old.entity, "expires_at": _moment(old.expires_at)}
    after = {"previous": {"api_key": old.entity, "expires_at": _moment(ends)}, **shown(made)}
    return Change(made, made.entity, before, after)


def revoke(connection: sa.Connection, organization: int, identifier: uuid.UUID) -> Change:
    """It holds no more. Raises NotFound, of one that was revoked before too."""
    found = find(connection, organization, identifier)
    if found.revoked_at is not None:
        raise NotFound(f"there is no API key {identifier}")
    versions.advance(connection, api_key, found.id, found.version, revoked_at=clock.micros())
    principals.remove(connection, "api_key", organization, found.id)
    return Change(None, found.entity, shown(found), None)


def used(connection: sa.Connection, organization: int, number: int, stamp: int) -> None:
    """It was shown, at about this time."""
    where = (api_key.c.organization == organization, api_key.c.id == number)
    connection.execute(api_key.update().where(*where).values(used_at=stamp))


def shown(one: ApiKeyRow) -> dict[str, Any]:
    """As the audit trail shows it."""
    return {
        "name": one.name, "key_id": one.key_id, "role": one.role.value, "study": one.study_name,
        "scopes": list(one.scopes), "allow": list(one.allow), "expires_at": _moment(one.expires_at),
    }  # fmt: skip


def _add(
    connection: sa.Connection, keyed: KeyedHash, organization: int, wanted: Wanted, study: int | None = None
) -> ApiKeyRow:
    """`study` goes before the one that `wanted` names: it may have been archived since."""
    organizations.lock(connection, organization)
    now = clock.micros()
    holding = (api_key.c.organization == organization, api_key.c.name == wanted.name, api_key.c.revoked_at.is_(None))
    query = sa.select(sa.func.count()).select_from(api_key).where(*holding, api_key.c.expires_at > now)
    if connection.execute(query).scalar_one() >= MOST:
        raise Conflict(f"two keys are called {wanted.name}: revoke one first")
    if study is None and wanted.study is not None:
        study = studies.numbers(connection, organization).get(wanted.study)
        if study is None:
            raise ConfigError(f"there is no study {wanted.study}", where="study")
    identifier = new(now)
    values = {
        "uuid": identifier, "organization": organization, "name": wanted.name, "key_id": wanted.id,
        "digest": wanted.digest, "role": wanted.role.value, "study": study, "scopes": list(wanted.scopes),
        "allow": list(wanted.allow), "version": 1, "created_at": now, "created_by": wanted.created_by,
        "expires_at": wanted.expires_at,
    }  # fmt: skip
    number: int = connection.execute(api_key.insert().values(values)).inserted_primary_key[0]  # type: ignore[index]  # one row
    principals.add(connection, keyed, "api_key", wanted.id, organization, number)
    return find(connection, organization, identifier)


def _moment(stamp: int) -> str:
    return clock.from_micros(stamp).isoformat(timespec="seconds").replace("+00:00", "Z")


def _view(row: sa.Row[Any], names: dict[int, str]) -> ApiKeyRow:
    return ApiKeyRow(
        row.id, row.uuid, row.organization, row.name, row.key_id, bytes(row.digest), Role(row.role), row.study,
        None if row.study is None else names[row.study], tuple(row.scopes), tuple(row.allow), row.created_at,
        row.created_by, row.expires_at, row.used_at, row.revoked_at, row.version,
    )  # fmt: skip
