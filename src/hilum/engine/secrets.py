"""What the running endpoints have of the vault; notices when something there changes, in whatever process."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from hilum import telemetry
from hilum.errors import ConfigError, StoreError
from hilum.model.configuration import Endpoint
from hilum.security.references import Entries, Secrets, missing, references, vault_names
from hilum.store import Store, studies, vault
from hilum.store.configuration import Stored

_LOOK = 5.0  # seconds between looks for what another process changed
_NO_STUDY = -1  # the study is archived: nothing of it is to be had, nor of the whole organization
log = telemetry.logger("engine")


class Opened:
    """Values by organization and integration. They are read before they are needed: setting up never waits."""

    def __init__(self, store: Store, entries: Entries | None) -> None:
        self._store = store
        self._entries = entries
        self._values: dict[tuple[int, str], dict[str, str]] = {}
        self._standing: tuple[int, ...] = ()  # of the vault, when it was read
        self._closed: dict[tuple[int, str], str] = {}  # why the vault does not open for an integration

    async def read(self, every: Sequence[Stored]) -> bool:
        """Look up what the integrations refer to. False where some of it does not open right now: try again later."""
        self._standing = await self._store.read(vault.standing)
        values: dict[tuple[int, str], dict[str, str]] = {}
        closed: dict[tuple[int, str], str] = {}
        for stored in every:
            numbers: dict[str, int] | None = None
            for integration, document in _documents(stored).items():
                names = vault_names(document)
                if not names or self._entries is None:
                    continue
                if numbers is None:
                    numbers = await self._store.within(stored.id).read(studies.numbers, stored.id)
                slot, study = (stored.id, integration), document.get("study")
                number = numbers.get(study, _NO_STUDY) if study is not None else None
                try:
                    values[slot] = await self._entries.values(stored.id, number, names)
                except (StoreError, ConfigError) as error:
                    log.error("the vault does not open", integration=integration, reason=str(error))
                    values[slot], closed[slot] = self._values.get(slot, {}), str(error)
        self._values, self._closed = values, closed
        return not closed

    def of(self, organization: int, integration: str) -> Secrets:
        """What one integration may use, as of now whenever it is asked."""
        slot = (organization, integration)

        def look(name: str) -> str:
            found = self._values.get(slot, {})
            if name in found:
                return found[name]
            raise ConfigError(self._closed.get(slot) or missing(name, found))

        return look

    def digest(self, organization: int, integration: str, endpoint: Endpoint) -> str:
        """Changes where something does that an endpoint refers to; tells nothing of it."""
        found = self._values.get((organization, integration), {})
        named = references(endpoint.model_dump(mode="json", by_alias=True))
        used = {one.name: found.get(one.name) for one in named if one.kind == "secret"}
        return hashlib.sha256(json.dumps(used, sort_keys=True).encode()).hexdigest() if used else ""

    async def follow(self, changed: Callable[[], Awaitable[None]]) -> None:
        """Call `changed`, which is to `read`, after a credential or certificate was changed; never ends."""
        wake = asyncio.Event()
        topics = ("changed/credential", "changed/certificate")
        forget = [self._store.subscribe(topic, wake.set) for topic in topics]
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(wake.wait(), _LOOK)
                wake.clear()
                try:
                    if await self._store.read(vault.standing) != self._standing:
                        await changed()
                except StoreError as error:
                    log.error("changes of secrets wait for the store", reason=str(error))
        finally:
            for one in forget:
                one()


def _documents(stored: Stored) -> dict[str, dict[str, Any]]:
    """The integrations, and what of removed ones still delivers."""
    found: dict[str, dict[str, Any]] = {name: dict(one) for name, one in stored.integrations.items()}
    for reference, document in stored.draining.items():
        owner, _, part = reference.partition("/")
        found.setdefault(owner, {})[f"draining {part}"] = document
    return found
