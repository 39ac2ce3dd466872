"""Tells who somebody is by what they show: an access token, an API key or the console's cookie.

A session that was found is remembered for two seconds at the most. A change of it, its user or organization in this
process is seen by the next request; one in another process within those two seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hmac
import uuid
from collections.abc import Awaitable, Callable

from hilum import clock
from hilum.errors import StoreError, Unauthenticated
from hilum.model.access import HUB, Principal, PrincipalKind, Role, Scope
from hilum.model.audit import Act
from hilum.model.organization import Settings
from hilum.security import api_keys
from hilum.security.seal import KeyedHash
from hilum.security.tickets import OVER, Tickets, csrf, digest
from hilum.security.tokens import Claims
from hilum.services.signing_keys import SigningKeys
from hilum.store import Connection, Store, revoked, sessions
from hilum.store.sessions import Standing

REMEMBERED = 2.0  # seconds
_SEEN = 30_000_000  # microseconds after which it is written again that a session is in use
_SECOND = 1_000_000
_MINUTE = 60_000_000
_DAY = 86_400_000_000
_KEPT = 10_000
_TOPICS = ("session", "user", "organization", "study")
_PRIVILEGED = frozenset({Role.TENANT_ADMIN, Role.PLATFORM_OPERATOR, Role.INTEGRATION_SPECIALIST, Role.OPERATOR})
OWN = frozenset({"self:read", "self:write"})
Keys = Callable[[str, str], Awaitable[Principal]]


@dataclasses.dataclass(frozen=True, slots=True)
class Known:
    """A principal, and what else the way in needs: the session's kind and digest, its organization's UUID."""

    principal: Principal
    until: float  # on the monotonic clock
    kind: str = ""
    digest: bytes = b""
    organization: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Still:
    """Who is still known over a connection that stays open; `until` when (microseconds), None: no end is set."""

    principal: Principal
    until: int | None


class Identity:
    """One a process. `keys` tells whose an API key is."""

    def __init__(self, store: Store, signing: SigningKeys, tickets: Tickets, keys: Keys) -> None:
        self._store = store
        self._signing = signing
        self._tickets = tickets
        self._keys = keys
        self._known: dict[tuple[uuid.UUID, str], Known] = {}  # by session, and by token where one was shown
        self._epoch = 0  # counts what was forgotten: what was read before is not remembered after
        for topic in _TOPICS:
            store.subscribe(f"changed/{topic}", self.forget)

    def forget(self) -> None:
        """Look everybody up again."""
        self._epoch += 1
        self._known.clear()

    async def bearer(self, text: str, source: str) -> Principal:
        """By an access token or an API key. Raises Unauthenticated."""
        if text.startswith(api_keys.PREFIX):
            return await self._keys(text, source)
        claims = await self._signing.verify(text)
        return _of_token(claims, await self._session(claims.session, claims.id))

    async def cookie(self, text: str) -> tuple[Principal, str]:
        """By the console's cookie, with the CSRF token that belongs to it. Raises Unauthenticated."""
        session, _ = self._tickets.read("cookie", text)
        return _of_cookie(text, await self._session(session, "")), csrf(text)

    async def still(self, text: str, source: str, *, cookie: bool = False) -> Still:
        """By a bearer or a cookie again, for a connection that stays open. Raises Unauthenticated.

        That is no use of a session: one that nobody uses ends although a connection of it is open.
        """
        if not cookie and text.startswith(api_keys.PREFIX):
            return Still(await self._keys(text, source), None)
        if cookie:
            session, _ = self._tickets.read("cookie", text)
            standing = await self._look_up(session, "")
            idle = standing.session.seen_at + standing.settings.session_idle * _MINUTE
            return Still(_of_cookie(text, _known(standing)), min(standing.session.expires_at, idle))
        claims = await self._signing.verify(text)
        standing = await self._look_up(claims.session, claims.id)
        ends = min(standing.session.expires_at, claims.expires_at * _SECOND)
        return Still(_of_token(claims, _known(standing)), ends)

    async def _session(self, identifier: uuid.UUID, token: str) -> Known:
        """`token`: the id of the access token that was shown; empty where it was a cookie."""
        epoch, known = self._epoch, self._known.get((identifier, token))
        if known is None or known.until < clock.monotonic():
            standing = await self._look_up(identifier, token)
            await self._see(standing)
            known = _known(standing)
            self._remember((identifier, token), known, epoch)
        return known

    async def _look_up(self, identifier: uuid.UUID, token: str) -> Standing:
        """As it is now. Raises Unauthenticated."""
        standing = await self._store.within(None).read(_standing, self._store.hash, identifier, token)
        if standing is None:
            raise Unauthenticated(OVER)
        await self._check(standing)
        return standing

    def _remember(self, shown: tuple[uuid.UUID, str], known: Known, epoch: int) -> None:
        if epoch != self._epoch:
            return
        if len(self._known) >= _KEPT:
            self._known.clear()
        self._known[shown] = known

    async def _check(self, standing: Standing) -> None:
        """Raises Unauthenticated where the session, its user or the organization no longer is."""
        session, now = standing.session, clock.micros()
        if session.ended_at is not None or standing.user_state != "active" or standing.organization_archived:
            raise Unauthenticated(OVER)
        if session.expires_at <= now:
            raise Unauthenticated(OVER, expired=True)
        within = self._store.within(session.organization)
        if session.kind == "cookie" and session.seen_at + standing.settings.session_idle * _MINUTE <= now:
            act = Act(HUB, Scope(session.organization), "session.end", reason="nobody used it")
            await within.change(act, sessions.end, session.organization, session.id, "nobody used it")
            raise Unauthenticated(OVER, expired=True)

    async def _see(self, standing: Standing) -> None:
        """Write that a session is in use."""
        session, now = standing.session, clock.micros()
        if session.seen_at + _SEEN <= now:
            within = self._store.within(session.organization)
            with contextlib.suppress(StoreError):  # a full disk signs nobody out
                await asyncio.shield(within.write(sessions.seen, session.organization, session.id, now))


def _known(standing: Standing) -> Known:
    session, until = standing.session, clock.monotonic() + REMEMBERED
    who = principal(standing, clock.micros())
    return Known(who, until, session.kind, session.digest, standing.organization_uuid)


def _of_token(claims: Claims, known: Known) -> Principal:
    """Whose a token is. Raises Unauthenticated where its session is another's."""
    if (
        known.kind != "token" or known.principal.id != str(claims.subject) or known.organization != claims.organization
    ):  # fmt: skip
        raise Unauthenticated(OVER)
    return known.principal


def _of_cookie(text: str, known: Known) -> Principal:
    """Whose a cookie is. Raises Unauthenticated where it is not its session's newest."""
    if known.kind != "cookie" or not hmac.compare_digest(known.digest, digest(text)):
        raise Unauthenticated(OVER)
    return known.principal


def _standing(connection: Connection, keyed: KeyedHash, identifier: uuid.UUID, token: str) -> Standing | None:
    """None where there is no such session, or the token was revoked by itself."""
    if token and revoked.holds_no_more(connection, keyed, token):
        return None
    return sessions.standing(connection, keyed, identifier)


def principal(standing: Standing, now: int) -> Principal:
    """Who a session's user is. Where a password must be new, or a second factor is to be set, only for that."""
    narrowed = _outdated(standing, now) or _factor_missing(standing)
    session = standing.session
    return Principal(
        PrincipalKind.USER, standing.user_uuid, standing.user_name, session.organization, standing.bindings,
        OWN if narrowed else None, session.user, session.id, strict=standing.settings.strict,
    )  # fmt: skip


def _outdated(standing: Standing, now: int) -> bool:
    days, since = standing.settings.password_days, standing.password_at
    return bool(days) and since is not None and since + days * _DAY <= now


def _factor_missing(standing: Standing) -> bool:
    wanted: Settings = standing.settings
    if standing.second_factor or standing.password_at is None or wanted.second_factor == "optional":
        return False
    roles = {one.role for one in standing.bindings}
    return wanted.second_factor == "everybody" or bool(roles & _PRIVILEGED)
