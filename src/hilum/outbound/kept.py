"""Keeps tokens in the store, sealed: what an authorization server rotated is still known after a restart."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager

from hilum.errors import StoreError
from hilum.model.access import HUB, Scope
from hilum.model.audit import Act
from hilum.store import Connection, Store, consents, endpoints, partner_tokens


class Kept:
    """A keeper (tokens.py). One process holds the store's lanes, so that a lock of its own is enough."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._locks: dict[tuple[str, str], asyncio.Lock] = {}

    def alone(self, organization: str, key: str) -> AbstractAsyncContextManager[None]:
        return self._locks.setdefault((organization, key), asyncio.Lock())

    async def read(self, organization: str, key: str) -> str | None:
        number = await self._number(organization)
        sealed = await self._store.within(number).read(partner_tokens.read, number, key)
        if sealed is None:
            return None
        return self._store.sealer.open(sealed, partner_tokens.place(number, key)).decode()

    async def write(self, organization: str, key: str, value: str, until: int | None = None) -> None:
        number = await self._number(organization)
        sealed = self._store.sealer.seal(value.encode(), partner_tokens.place(number, key))

        def work(connection: Connection) -> None:
            partner_tokens.write(connection, number, key, sealed)
            consents.extend(connection, number, key, until)

        await self._store.within(number).write(work)

    async def lapse(self, organization: str, key: str) -> None:
        """It leaves an event: somebody has to do something."""
        number = await self._number(organization)
        sealed = self._store.sealer.seal(b"", partner_tokens.place(number, key))
        act = Act(HUB, Scope(number), "consent.lapse")
        await self._store.within(number).change(act, consents.lapse, number, key, sealed)

    async def forget(self, organization: str, key: str) -> None:
        number = await self._number(organization)
        await self._store.within(number).write(partner_tokens.remove, number, key)

    async def _number(self, organization: str) -> int:
        found = (await self._store.read(endpoints.organizations)).get(organization)
        if found is None:
            raise StoreError(f"no organization is called {organization}")
        return found
