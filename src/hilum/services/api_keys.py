"""API keys: what machines show. Made by people, for less than those may do; revoked within seconds everywhere."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import ipaddress
import uuid
from collections.abc import Sequence

from hilum import clock, telemetry
from hilum.errors import ConfigError, Refused, StoreError, Unauthenticated
from hilum.model.access import NOBODY, PERMISSIONS, Principal, Role, Scope, permit
from hilum.model.audit import Act
from hilum.security.api_keys import PREFIX, ApiKey, Pepper, make, parse
from hilum.services.messages import micros, stamp
from hilum.services.users import might
from hilum.store import Store, api_keys
from hilum.store.api_keys import ApiKeyRow, State, Wanted
from hilum.store.users import Grant

LONGEST = datetime.timedelta(days=366)
USUAL = datetime.timedelta(days=90)
OVERLAP = 86_400  # seconds that a key still holds after it was rotated
_KEPT = 2.0  # seconds that a row is believed: what other processes change takes no longer to be noticed
_MOST = 10_000  # rows that are kept
_MINUTE = 60_000_000
_WRONG = "this API key does not hold"
log = telemetry.logger("api-keys")


@dataclasses.dataclass(frozen=True, slots=True)
class ApiKeyShown:
    """`prefix` is the part of a key that may be seen. `used_at` is exact to the minute."""

    id: uuid.UUID
    name: str
    prefix: str
    role: Role
    study: str | None
    scopes: list[str]
    allow: list[str]
    state: State
    created_at: str
    created_by: str
    expires_at: str
    used_at: str | None
    version: int


@dataclasses.dataclass(frozen=True, slots=True)
class IssuedApiKey:
    """A new key, with its whole text: the only time that it is seen."""

    api_key: ApiKeyShown
    key: str


class ApiKeys:
    """One set a process: it remembers rows for `_KEPT` seconds."""

    def __init__(self, store: Store, pepper: Pepper) -> None:
        self._store = store
        self._pepper = pepper
        # by the part that may be seen: until when it is believed, and whose it is
        self._rows: dict[str, tuple[float, ApiKeyRow, Principal]] = {}
        self._used: dict[int, int] = {}  # the minute that was written last
        store.subscribe("changed/organization", self._rows.clear)

    async def list(
        self, scope: Scope, name: str | None, state: State | None, offset: int, limit: int
    ) -> tuple[list[ApiKeyShown], int]:
        """By name, the newest of a name first, and how many there are."""
        read = self._store.within(scope.organization).read
        found, total = await read(api_keys.listed, scope.organization, name, state, offset, limit)
        return [_view(one) for one in found], total

    async def show(self, scope: Scope, identifier: uuid.UUID) -> ApiKeyShown:
        """Raises NotFound."""
        return _view(await self._store.within(scope.organization).read(api_keys.find, scope.organization, identifier))

    async def create(
        self,
        act: Act,
        name: str,
        *,
        role: Role,
        study: str | None,
        scopes: Sequence[str],
        allow: Sequence[str],
        expires_at: datetime.datetime | None,
    ) -> IssuedApiKey:
        """Raises ConfigError saying which field is wrong, Refused for what the creator may not, Conflict."""
        might(act.principal).check([Grant(role, study)])
        _check_scopes(act.principal, role, study, scopes)
        key = make()
        wanted = Wanted(
            key.id, self._pepper.digest(key), name, role, study, tuple(sorted(set(scopes))), _networks(allow),
            _expiry(expires_at), act.principal.id,
        )  # fmt: skip
        change = self._store.within(act.organization).change
        made = await change(act, api_keys.create, self._store.hash, act.organization, wanted)
        return IssuedApiKey(_view(made), key.text)

    async def rotate(self, act: Act, identifier: uuid.UUID, overlap: int = OVERLAP) -> IssuedApiKey:
        """A new key that may what the old one may, which ends after `overlap` seconds. Raises NotFound, Conflict."""
        act.entity = f"api-key/{identifier}"
        key, within = make(), self._store.within(act.organization)
        old = await within.read(api_keys.find, act.organization, identifier)
        might(act.principal).check([Grant(old.role, old.study_name)])
        _check_scopes(act.principal, old.role, old.study_name, old.scopes)  # whoever rotates it holds it
        made = await within.change(
            act, api_keys.rotate, self._store.hash, act.organization, identifier, key.id, self._pepper.digest(key),
            act.principal.id, overlap,
        )  # fmt: skip
        self._rows.pop(old.key_id, None)
        return IssuedApiKey(_view(made), key.text)

    async def revoke(self, act: Act, identifier: uuid.UUID) -> None:
        """It holds no more: here at once, elsewhere within two seconds. Raises NotFound."""
        act.entity = f"api-key/{identifier}"
        await self._store.within(act.organization).change(act, api_keys.revoke, act.organization, identifier)
        self.forget(act.entity)

    async def principal(self, text: str, source: str) -> Principal:
        """Who shows this key from that address. Raises Unauthenticated, with one reason for whatever is wrong."""
        key = parse(text)
        row, principal = (None, NOBODY) if key is None else await self._row(key)
        now = clock.micros()
        if key is None or row is None or not self._pepper.matches(key, row.digest):
            raise Unauthenticated(_WRONG)
        if row.state(now) != "active" or not _admitted(row.allow, source):
            raise Unauthenticated(_WRONG)
        self._note(row, now)
        return principal

    def forget(self, entity: str) -> None:
        """A key (api-key/<uuid>) was changed."""
        for key_id in [one for one, (_, row, _) in self._rows.items() if row.entity == entity]:
            del self._rows[key_id]

    async def _row(self, key: ApiKey) -> tuple[ApiKeyRow | None, Principal]:
        """The row of a key, and who its holder is should it hold."""
        until, row, principal = self._rows.get(key.id, (0.0, None, NOBODY))
        if row is not None and clock.monotonic() < until:
            return row, principal
        asked = clock.monotonic()
        found = await self._store.within(None).read(api_keys.known, self._store.hash, key.id)
        if found is None:
            self._rows.pop(key.id, None)
            return None, NOBODY
        if len(self._rows) >= _MOST:
            self._rows.clear()
        self._rows[key.id] = asked + _KEPT, found, found.principal
        return found, self._rows[key.id][2]

    def _note(self, row: ApiKeyRow, now: int) -> None:
        """Write when it was used, once a minute at the most and without anybody's waiting for it."""
        minute = now // _MINUTE * _MINUTE
        if self._used.get(row.id, row.used_at or 0) >= minute:
            return
        if len(self._used) >= _MOST:
            self._used.clear()
        self._used[row.id] = minute
        written = self._store.within(row.organization).write(api_keys.used, row.organization, row.id, minute)
        written.add_done_callback(_noted)


def _noted(written: asyncio.Future[None]) -> None:
    if not written.cancelled() and isinstance(error := written.exception(), StoreError):
        log.warning("when a key was used is not written", reason=str(error))


def _check_scopes(creator: Principal, role: Role, study: str | None, scopes: Sequence[str]) -> None:
    """Nobody hands out what he may not, and no key has what its role has not. Raises ConfigError, Refused."""
    for one in scopes:
        rule = PERMISSIONS.get(one)
        if rule is None:
            raise ConfigError(f"there is no permission {one}", where="scopes")
        if role not in rule.roles or (study is not None and not rule.by_study):
            raise ConfigError(f"the role {role.value} has no {one}{' in a study' if study else ''}", where="scopes")
        if permit(creator, one).studies is not None:
            raise Refused(f"{one} is yours in some studies alone")


def _networks(allow: Sequence[str]) -> tuple[str, ...]:
    found = []
    for one in allow:
        try:
            found.append(str(ipaddress.ip_network(one.strip())))
        except ValueError:
            raise ConfigError(f"{one} is no CIDR block, such as 10.1.0.0/16", where="allow") from None
    return tuple(dict.fromkeys(found))


def _admitted(allow: Sequence[str], source: str) -> bool:
    if not allow:
        return True
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in ipaddress.ip_network(one) for one in allow)


def _expiry(wanted: datetime.datetime | None) -> int:
    """Microseconds. Raises ConfigError."""
    now = clock.now()
    if wanted is None:
        return micros(now + USUAL)
    moment = micros(wanted)
    if not micros(now) < moment <= micros(now + LONGEST):
        raise ConfigError(f"must be within the next {LONGEST.days} days", where="expires_at")
    return moment


def _view(one: ApiKeyRow) -> ApiKeyShown:
    return ApiKeyShown(
        one.uuid, one.name, f"{PREFIX}{one.key_id}", one.role, one.study_name, list(one.scopes), list(one.allow),
        one.state(clock.micros()), stamp(one.created_at), one.created_by, stamp(one.expires_at),
        None if one.used_at is None else stamp(one.used_at), one.version,
    )  # fmt: skip
