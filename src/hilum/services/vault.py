"""Seals and opens secrets of organizations; makes, re-wraps and replaces the data keys that do it.

Each organization has keys of its own. The newest seals; the older ones open what they sealed until a job has brought it
under the newest. Which key wraps them is the key provider's affair.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime

from hilum import clock, telemetry
from hilum.errors import ConfigError, Conflict
from hilum.model.access import HUB, Scope
from hilum.model.audit import Act, Change
from hilum.security import envelope
from hilum.security.envelope import DataKey, Place
from hilum.security.keys import Providers, Wrapped, context
from hilum.security.keys.file import FileKeys
from hilum.store import Connection, Store, jobs, vault
from hilum.store.vault import StoredKey

_BLOCK = 1_024  # seals that a process is given at a time; what it does not use up is lost, and there are plenty
log = telemetry.logger("vault")


@dataclasses.dataclass(frozen=True, slots=True)
class KeyView:
    """A data key as it may be seen. `sealed`: rows under it; `seals`: nonces that were given out, of `limit`."""

    number: int
    provider: str
    wrapped_by: str
    current: bool
    sealed: int
    seals: int
    limit: int
    created_at: datetime.datetime
    retired_at: datetime.datetime | None


class Vault:
    """One a process. Wrapping and unwrapping may ask another machine, so it happens on threads."""

    def __init__(self, store: Store, providers: Providers, limit: int = envelope.LIMIT) -> None:
        self._store = store
        self._providers = providers
        self._limit = limit
        self._opened: dict[tuple[int, int], DataKey] = {}
        self._left: dict[tuple[int, int], int] = {}  # seals that were taken and not used yet
        self._making = asyncio.Lock()

    async def check(self) -> None:
        """Raises ConfigError where some data key was wrapped under a key that this hub surely does not have."""
        for one in await self._store.read(vault.keys):
            if one.retired_at is None:
                self._providers.check(one.wrapped)

    async def seal(self, place: Place, plain: bytes) -> tuple[bytes, int]:
        """Sealed for its place alone, and the number of the data key. Raises StoreError, ConfigError."""
        stored = await self._current(place.organization)
        slot = (place.organization, stored.number)
        if self._left.get(slot, 0) < 1:
            own = self._store.within(place.organization)
            await own.write(vault.take, place.organization, stored.number, _BLOCK)
            self._left[slot] = self._left.get(slot, 0) + _BLOCK
        self._left[slot] -= 1
        return (await self._key(stored)).seal(plain, place), stored.number

    async def open(self, place: Place, sealed: bytes) -> bytes:
        """Raises StoreError where it was changed, moved or is not sealed, ConfigError where its key is not here."""
        number = envelope.number(sealed)
        key = self._opened.get((place.organization, number))
        if key is None:
            stored = await self._store.within(place.organization).read(vault.key, place.organization, number)
            if stored is None:
                raise ConfigError(f"there is no data key {number}: what it sealed does not open without it")
            key = await self._key(stored)
        return key.open(sealed, place)

    async def list(self, scope: Scope) -> list[KeyView]:
        """The organization's data keys, the newest first."""
        own = self._store.within(scope.organization)
        keys, counts = await own.read(vault.keys, scope.organization), await own.read(vault.counts, scope.organization)
        return [
            KeyView(
                one.number, one.wrapped.provider, one.wrapped.wrapped_by, one is keys[0], counts.get(one.number, 0),
                one.seals, self._limit, clock.from_micros(one.created_at),
                clock.from_micros(one.retired_at) if one.retired_at is not None else None,
            )
            for one in keys
        ]  # fmt: skip

    async def rotate(self, act: Act) -> KeyView:
        """Make a new data key; a job re-encrypts what older ones sealed, which stays readable meanwhile."""
        async with self._making:
            newest = await self._store.within(act.organization).read(vault.key, act.organization)
            await self._make(act, newest, job=True)
        self._store.signal("job")
        return (await self.list(act.scope))[0]

    async def rewrap(self, act: Act, *, renew: bool = False) -> int:
        """Wrap every data key of the organization under the current key of the current provider; how many.

        What they sealed stays as it is. `renew`: a new master key first, where `hub.key` holds them. Raises
        ConfigError (another provider), StoreError.
        """
        if renew:
            await asyncio.to_thread(self._renew)
        own = self._store.within(act.organization)
        keys = await own.read(vault.keys, act.organization)
        done = [(one, await asyncio.to_thread(self._rewrapped, one)) for one in keys]

        def write(connection: Connection) -> Change:
            for one, wrapped in done:
                if not vault.rewrapped(connection, one, wrapped):
                    raise Conflict("the data keys were wrapped by somebody else meanwhile; do it again")
            before = {str(one.number): _names(one.wrapped) for one, _ in done}
            after = {str(one.number): _names(wrapped) for one, wrapped in done}
            return Change(len(done), "keys", before, after)

        count: int = await own.change(act, write)
        return count

    def _renew(self) -> None:
        provider = self._providers.current
        if not isinstance(provider, FileKeys):
            raise ConfigError(f"the key provider {provider.name!r} makes its keys itself: rotate it there, then rewrap")
        log.info("hub.key has a new master key", number=provider.renew())

    def _rewrapped(self, one: StoredKey) -> Wrapped:
        return self._providers.rewrap(one.wrapped, context(one.organization, one.number))

    async def _current(self, organization: int) -> StoredKey:
        own = self._store.within(organization)
        stored = await own.read(vault.key, organization)
        if stored is not None and self._has_seals(stored):
            return stored
        async with self._making:
            stored = await own.read(vault.key, organization)  # somebody may have made it while we waited
            if stored is None or not self._has_seals(stored):
                with contextlib.suppress(Conflict):  # another process was faster: its key is as good
                    await self._make(Act(HUB, Scope(organization), "key.rotate"), stored, job=stored is not None)
                self._store.signal("job")
        found = await own.read(vault.key, organization)
        assert found is not None  # noqa: S101 - it was made just now
        return found

    def _has_seals(self, stored: StoredKey) -> bool:
        return stored.seals < self._limit or self._left.get((stored.organization, stored.number), 0) > 0

    async def _make(self, act: Act, newest: StoredKey | None, *, job: bool) -> None:
        """The data key after `newest`, and where wanted the job that brings everything under it. Raises Conflict."""
        own, organization = self._store.within(act.organization), act.organization
        number = newest.number + 1 if newest is not None else 1
        key = DataKey.new(organization, number)
        wrapped = await asyncio.to_thread(self._providers.wrap, key.secret, context(organization, number))

        def write(connection: Connection) -> Change:
            vault.add(connection, organization, number, wrapped)
            if job:
                jobs.insert(connection, "reencrypt", {}, actor=act.principal.id, organization=organization)
            before = {"number": newest.number, **_names(newest.wrapped)} if newest is not None else None
            return Change(None, f"key/{number}", before, {"number": number, **_names(wrapped)})

        await own.change(act, write)
        self._opened[organization, number] = key

    async def _key(self, stored: StoredKey) -> DataKey:
        slot = (stored.organization, stored.number)
        found = self._opened.get(slot)
        if found is None:
            bound = context(stored.organization, stored.number)
            secret = await asyncio.to_thread(self._providers.unwrap, stored.wrapped, bound)
            found = self._opened[slot] = DataKey(stored.organization, stored.number, secret)
        return found


def _names(wrapped: Wrapped) -> dict[str, str]:
    return {"provider": wrapped.provider, "wrapped_by": wrapped.wrapped_by}
