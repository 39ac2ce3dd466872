"""Tokens of authorization servers: kept while they hold, asked for once however many wait, refreshed before they end.

A token belongs to an organization and to exactly one configuration: another secret is another token. What outlives the
process, such as a refresh token that is replaced at every use, goes to a `Keeper`.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from hilum import clock, telemetry
from hilum.errors import StoreError
from hilum.sdk import stopwatch
from hilum.sdk.authentication import OAuth2
from hilum.sdk.faults import Failed, Fault, Timings

UNKNOWN_LIFE = 3_600.0  # seconds that a token is used whose life was not told; a 401 ends it earlier
_FRESH = 0.8  # of its life
_AGAIN = 30.0  # seconds after which a refresh that failed is tried again while the old token still holds
_MOST = 2_000  # configurations whose tokens are held
MISSING = "nobody has consented to this connection yet: authorize it"
LAPSED = "the consent has lapsed, the authorization server takes it no more: authorize this connection again"
ENDED = "the consent has ended, and the authorization server gave no refresh token: authorize this connection again"

log = telemetry.logger("tokens")


@dataclasses.dataclass(frozen=True, slots=True)
class Token:
    """What an authorization server gave. Lives: seconds, None where it did not say. `scopes` None: as asked for."""

    access: str = dataclasses.field(repr=False)
    refresh: str = dataclasses.field(default="", repr=False)
    life: float | None = None
    refresh_life: float | None = None
    scopes: tuple[str, ...] | None = None

    @property
    def seconds(self) -> float:
        return UNKNOWN_LIFE if self.life is None else max(self.life, 0.0)


class NotGranted(Failed):
    """The authorization server does not take a code or refresh token, or takes it no more (`invalid_grant`)."""


class Keeper(Protocol):
    """Keeps what must outlive the process, sealed. `key` names a configuration's grant, and tells nothing of it."""

    def alone(self, organization: str, key: str) -> AbstractAsyncContextManager[None]:
        """One at a time, in whatever process: an authorization server takes a refresh token once."""
        ...

    async def read(self, organization: str, key: str) -> str | None:
        """What was written last; empty: it lapsed. Raises StoreError."""
        ...

    async def write(self, organization: str, key: str, value: str, until: int | None = None) -> None:
        """On disk once it returns. `until`: when it ends by itself, microseconds since 1970. Raises StoreError."""
        ...

    async def lapse(self, organization: str, key: str) -> None:
        """What is kept holds no longer: a person has to consent anew. Raises StoreError."""
        ...

    async def forget(self, organization: str, key: str) -> None:
        """As if nothing had ever been written. Raises StoreError."""
        ...


class Memory:
    """A keeper for one process that forgets when it ends."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], str] = {}
        self._locks: dict[tuple[str, str], asyncio.Lock] = {}

    def alone(self, organization: str, key: str) -> AbstractAsyncContextManager[None]:
        return self._locks.setdefault((organization, key), asyncio.Lock())

    async def read(self, organization: str, key: str) -> str | None:
        return self._kept.get((organization, key))

    async def write(self, organization: str, key: str, value: str, until: int | None = None) -> None:
        self._kept[organization, key] = value

    async def lapse(self, organization: str, key: str) -> None:
        self._kept[organization, key] = ""

    async def forget(self, organization: str, key: str) -> None:
        self._kept.pop((organization, key), None)


Ask = Callable[[str], Awaitable[Token]]
"""Asks the authorization server with a refresh token, or without where that is empty. Raises Failed."""


@dataclasses.dataclass(slots=True)
class _Held:
    """Times are monotonic seconds. `due`: when the token ends by itself; `ends_at`: earlier where it was refused."""

    token: Token | None = None
    renew_at: float = 0.0
    ends_at: float = 0.0
    due: float = 0.0
    asking: asyncio.Task[str] | None = None
    failing: bool = False

    def take(self, token: Token) -> None:
        now = clock.monotonic()
        self.token, self.renew_at = token, now + token.seconds * _FRESH
        self.ends_at = self.due = now + token.seconds


@dataclasses.dataclass(frozen=True, slots=True)
class _Grant:
    """Whose tokens these are, what they are kept under, and how to ask for them."""

    organization: str
    key: str
    config: OAuth2
    ask: Ask

    @property
    def consented(self) -> bool:
        """Did a person have a say in it?"""
        return self.config.grant_type == "authorization_code"


class Tokens:
    """Those of all organizations. One a process."""

    def __init__(self, keeper: Keeper | None = None) -> None:
        """`keeper` None: a new process asks for new tokens, and people consent anew."""
        self._keeper = keeper or Memory()
        self._held: dict[tuple[str, str, str], _Held] = {}

    async def access(self, organization: str, config: OAuth2, ask: Ask, refused: str = "", holder: str = "") -> str:
        """An access token that holds, other than the one that the partner `refused`. Raises Failed.

        `holder`: whom a person consented for; tokens that nobody consents to are the whole organization's.
        """
        grant = _Grant(organization, key_of(config, holder), config, ask)
        held = self._slot(grant)
        token, now = held.token, clock.monotonic()
        if token is not None and token.access != refused and now < held.ends_at:
            if now >= held.renew_at and held.asking is None:
                self._begin(held, grant, "")
            return token.access
        if held.asking is None:
            self._begin(held, grant, refused)
        assert held.asking is not None  # noqa: S101 - just begun
        return await asyncio.shield(held.asking)  # who stops waiting must not lose a refresh token on its way

    async def consented(
        self, organization: str, config: OAuth2, redeem: Callable[[], Awaitable[Token]], holder: str = ""
    ) -> Token:
        """Keep what there is for a code that a person brought along. Raises Failed, StoreError."""
        key = key_of(config, holder)
        async with self._keeper.alone(organization, key):
            token = await redeem()
            await self._keeper.write(organization, key, _text(config, token), until_of(token))
            self._drop(organization, key)
            self._slot(_Grant(organization, key, config, _nobody)).take(token)
        return token

    async def forget(self, organization: str, key: str) -> Token | None:
        """Drop a grant (`key_of`), wherever it is kept; what there was of it. Raises StoreError."""
        async with self._keeper.alone(organization, key):
            held = self._drop(organization, key)
            text = await self._keeper.read(organization, key)
            await self._keeper.forget(organization, key)
        if not text:
            return held
        kept = json.loads(text)
        for secret in (kept["access"], kept["refresh"]):
            telemetry.secrets.add(secret)
        return Token(kept["access"], kept["refresh"])

    async def close(self) -> None:
        """Ask for nothing more."""
        tasks = [held.asking for held in self._held.values() if held.asking is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _drop(self, organization: str, key: str) -> Token | None:
        """Forget what this process holds of a grant."""
        token = None
        for place in [one for one in self._held if one[:2] == (organization, key)]:
            token = self._held.pop(place).token or token
        return token

    def _slot(self, grant: _Grant) -> _Held:
        place = (grant.organization, grant.key, grant.config.digest)
        if place not in self._held and len(self._held) >= _MOST:
            now = clock.monotonic()
            idle = [one for one, held in self._held.items() if held.asking is None and held.ends_at < now]
            for one in idle or list(self._held)[: _MOST // 10]:
                del self._held[one]
        return self._held.setdefault(place, _Held())

    def _begin(self, held: _Held, grant: _Grant, refused: str) -> None:
        def done(task: asyncio.Task[str]) -> None:
            held.asking = None
            if task.cancelled():
                return
            about, error = {"organization": grant.organization, "url": grant.config.token_url}, task.exception()
            if error is not None:
                held.renew_at = clock.monotonic() + _AGAIN
                if refused:
                    held.ends_at = 0.0
                log.warning("no token", reason=str(error), **about)
            elif held.failing:
                log.info("tokens again", **about)
            held.failing = error is not None

        held.asking = asyncio.get_running_loop().create_task(self._renew(held, grant, refused))
        held.asking.add_done_callback(done)

    async def _renew(self, held: _Held, grant: _Grant, refused: str) -> str:
        stopwatch.stopped()
        organization, key, config = grant.organization, grant.key, grant.config
        try:
            async with self._keeper.alone(organization, key):
                kept = await self._newest(held, grant)
                if kept.access and kept.access not in (refused, held.token.access if held.token else ""):
                    held.take(kept)  # another process was faster, or this one is new
                    return kept.access
                refresh = (kept.refresh or config.refresh_token) if config.lasting else ""
                token = await self._refreshed(held, grant, refresh) if grant.consented else await grant.ask(refresh)
                token = dataclasses.replace(token, refresh=token.refresh or refresh)
                held.take(token)
                with self._tolerant(organization):
                    await self._keeper.write(organization, key, _text(config, token), until_of(token))
        except StoreError as error:
            raise Failed(str(error), Fault.CONFIGURATION, Timings(0.0)) from None
        return token.access

    async def _refreshed(self, held: _Held, grant: _Grant, refresh: str) -> Token:
        """Of what a person consented to: once the server takes the refresh token no more, that is over."""
        if not refresh:
            await self._lapse(held, grant)
            raise Failed(ENDED, Fault.CONSENT, Timings(0.0))
        try:
            return await grant.ask(refresh)
        except NotGranted as error:
            await self._lapse(held, grant)
            raise Failed(LAPSED, Fault.CONSENT, error.timings) from None

    async def _lapse(self, held: _Held, grant: _Grant) -> None:
        held.token = dataclasses.replace(held.token, refresh="") if held.token else None
        with self._tolerant(grant.organization):
            await self._keeper.lapse(grant.organization, grant.key)
        log.warning("a consent has lapsed", organization=grant.organization, url=grant.config.token_url)

    async def _newest(self, held: _Held, grant: _Grant) -> Token:
        """This process's token or the one that is kept, whichever holds longer.

        Of what is kept, the access token counts only where it still holds and was given for this very configuration.
        What a person consented to is what is kept, and nothing else: it may have been taken back. Raises Failed.
        """
        organization, config, text, known = grant.organization, grant.config, None, False
        with self._tolerant(organization):
            text, known = await self._keeper.read(organization, grant.key), True
        mine = held.token or Token("")
        if grant.consented:
            if not known and not mine.refresh:
                raise Failed(
                    "the store does not say right now what was consented to", Fault.CONFIGURATION, Timings(0.0)
                )
            if known and text is None:
                held.ends_at, held.token = 0.0, None
                raise Failed(MISSING, Fault.CONSENT, Timings(0.0))
            if known and not text:  # an access token that we have holds as long as it does
                raise Failed(LAPSED, Fault.CONSENT, Timings(0.0))
        if not text:
            return mine
        kept = json.loads(text)
        left = kept["ends_at"] - clock.micros() / 1_000_000
        if held.token is not None and left <= held.due - clock.monotonic():
            return mine
        for secret in (kept["access"], kept["refresh"]):
            telemetry.secrets.add(secret)
        fits = kept["config"] == config.digest and left > 0
        return Token(kept["access"] if fits else "", kept["refresh"], left)

    @contextlib.contextmanager
    def _tolerant(self, organization: str) -> Iterator[None]:
        """A store that is away for a while stops no call: the process remembers as long as it runs."""
        try:
            yield
        except StoreError as error:
            log.error("a token is not kept", organization=organization, reason=str(error))


def _text(config: OAuth2, token: Token) -> str:
    """What is kept: the access token for others and the next start, the refresh token for good."""
    ends = clock.micros() / 1_000_000 + token.seconds
    return json.dumps({"access": token.access, "refresh": token.refresh, "ends_at": ends, "config": config.digest})


def until_of(token: Token) -> int | None:
    """When a grant ends by itself, microseconds since 1970; None: it is renewed as long as the server does so."""
    seconds = token.refresh_life if token.refresh else token.seconds
    return None if seconds is None else clock.micros() + round(seconds * 1_000_000)


async def _nobody(refresh: str) -> Token:
    raise Failed(MISSING, Fault.CONSENT, Timings(0.0))


def key_of(config: OAuth2, holder: str = "") -> str:
    """Of what a grant is about: it outlives another secret or key of the client's."""
    parts = [config.token_url, config.client_id, config.grant_type, sorted(config.scopes), config.audience,
             config.subject, config.refresh_token]  # fmt: skip
    if holder and config.grant_type == "authorization_code":
        parts.append(holder)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
