"""The keys of access tokens: made at first use, replaced every ninety days, known to every process of the hub."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from hilum import clock
from hilum.errors import Conflict
from hilum.model.access import HUB, SYSTEM, Scope
from hilum.model.audit import Act
from hilum.security.tokens import LIFE, Claims, SigningKey, Tokens, UnknownKey
from hilum.store import Store, signing_keys

AGE = 90 * 86_400_000_000  # microseconds that a key signs
_AGAIN = 2.0  # seconds until an unknown key is looked for once more
_SECOND = 1_000_000


class SigningKeys:
    """Issues and verifies access tokens with keys that the store keeps."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = asyncio.Lock()
        self._tokens: Tokens | None = None
        self._current: SigningKey | None = None
        self._looked = 0.0

    async def issue(self, subject: str, session: str, organization: str) -> str:
        """An access token for a user's session, all three by their UUIDs."""
        tokens = await self._ready()
        if self._current is None or self._current.created_at < clock.micros() - AGE:
            await self._replace(Act(HUB, Scope(SYSTEM), "signing-key.replace"))
        return tokens.issue(subject, session, organization)

    async def verify(self, text: str) -> Claims:
        """Raises Unauthenticated."""
        tokens = self._tokens or await self._ready()
        try:
            return tokens.verify(text)
        except UnknownKey:
            if clock.monotonic() - self._looked < _AGAIN:
                raise
        async with self._lock:
            await self._load(tokens)
        return tokens.verify(text)

    async def jwks(self) -> dict[str, Any]:
        """The public keys (RFC 7517). There is always one: who asks wants to verify what comes next."""
        tokens = await self._ready()
        if self._current is None:
            await self._replace(Act(HUB, Scope(SYSTEM), "signing-key.replace"))
        return tokens.jwks

    async def replace(self, act: Act) -> None:
        """Sign with a new key from now on. What the old one signed holds until it expires."""
        await self._ready()
        await self._replace(act)

    async def _ready(self) -> Tokens:
        if self._tokens is None:
            async with self._lock:
                if self._tokens is None:
                    tokens = Tokens(await self._store.read(signing_keys.issuer))
                    await self._load(tokens)
                    self._tokens = tokens
        return self._tokens

    async def _load(self, tokens: Tokens) -> None:
        self._looked = clock.monotonic()
        keys = await self._store.read(signing_keys.read, self._store.sealer)
        self._current = next((one for one in reversed(keys) if one.retired_at is None), None)
        tokens.load(keys)

    async def _replace(self, act: Act) -> None:
        """Where another process was faster, its key is the new one."""
        async with self._lock:
            tokens, before = self._tokens, self._current
            assert tokens is not None  # noqa: S101 - `_ready` came first
            made = SigningKey.make(clock.micros())
            kid = before.kid if before is not None else None
            with contextlib.suppress(Conflict):
                await self._store.within(act.organization).change(
                    act, signing_keys.replace, self._store.sealer, made, kid
                )
            await self._store.write(signing_keys.forget, clock.micros() - 2 * LIFE * _SECOND)
            await self._load(tokens)
