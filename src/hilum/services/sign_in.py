"""Signing in and out: sessions with access and refresh tokens, or with the console's cookie.

A refresh token holds once. One that comes back was stolen or copied, and nobody can tell who has it: its session ends.
"""

from __future__ import annotations

import dataclasses
import uuid

from hilum import clock
from hilum.errors import NotFound, Unauthenticated
from hilum.model.access import HUB, Principal, PrincipalKind, Scope
from hilum.model.audit import Act, Change
from hilum.model.identifier import new
from hilum.security.tickets import OVER, Kind, Tickets, csrf, digest
from hilum.security.tokens import LIFE
from hilum.services.proofs import Proofs
from hilum.services.signing_keys import SigningKeys
from hilum.store import Connection, Store, revoked, sessions, sign_ins
from hilum.store.sessions import Session
from hilum.store.sign_ins import Account

NO_TOKEN = "this is no access token of yours that holds"  # noqa: S105 - what is said


@dataclasses.dataclass(frozen=True, slots=True)
class Issued:
    """Tokens. `expires_in` is the access token's time, in seconds."""

    access_token: str = dataclasses.field(repr=False)
    refresh_token: str = dataclasses.field(repr=False)
    expires_in: int


@dataclasses.dataclass(frozen=True, slots=True)
class Opened:
    """A console's session: its cookie, which holds for so many seconds, and its CSRF token."""

    cookie: str = dataclasses.field(repr=False)
    csrf: str = dataclasses.field(repr=False)
    seconds: int


@dataclasses.dataclass(frozen=True, slots=True)
class Shown:
    """A session as its user sees it. Times are microseconds."""

    id: str
    kind: str
    created_at: int
    seen_at: int
    expires_at: int
    source: str
    current: bool


class SignIn:
    """One a process."""

    def __init__(self, store: Store, signing: SigningKeys, tickets: Tickets, proofs: Proofs) -> None:
        self._store = store
        self._signing = signing
        self._tickets = tickets
        self._proofs = proofs

    async def tokens(
        self, act: Act, email: str, password: str, code: str | None = None, organization: str | None = None
    ) -> Issued:
        """Sign in with what a person knows and has. Raises Unauthenticated, CodeNeeded."""
        account = await self._account(email, organization)
        await self._proofs.judge(act, account, password, code)
        assert account is not None  # noqa: S101 - nobody was judged right
        return await self.tokens_for(act, account)

    async def tokens_for(self, act: Act, account: Account) -> Issued:
        """A session with tokens for somebody who was found to be who they say."""
        session, ticket = await self._start(act, account, "token")
        access = await self._signing.issue(account.uuid, str(session), account.organization_uuid)
        return Issued(access, ticket, LIFE)

    async def session(
        self, act: Act, email: str, password: str, code: str | None = None, organization: str | None = None
    ) -> Opened:
        """As `tokens`, for a browser."""
        account = await self._account(email, organization)
        await self._proofs.judge(act, account, password, code)
        assert account is not None  # noqa: S101 - nobody was judged right
        return await self.session_for(act, account)

    async def session_for(self, act: Act, account: Account) -> Opened:
        """A session with a cookie for somebody who was found to be who they say."""
        _, ticket = await self._start(act, account, "cookie")
        return Opened(ticket, csrf(ticket), account.settings.session_hours * 3600)

    async def refresh(self, act: Act, ticket: str) -> Issued:
        """New tokens for a refresh token, which holds no longer. Raises Unauthenticated."""
        identifier, generation = self._tickets.read("token", ticket)
        standing = await self._store.within(None).read(sessions.standing, self._store.hash, identifier)
        if standing is None:
            raise Unauthenticated(OVER)
        session = standing.session
        act.scope, act.entity = Scope(session.organization), session.entity
        if session.ended_at is not None or session.expires_at <= clock.micros():
            raise Unauthenticated(OVER, expired=session.ended_at is None)
        if standing.user_state != "active" or standing.organization_archived:
            act.details["why"] = "the user or the organization is not active"
            raise Unauthenticated(OVER)
        act.principal = Principal(
            PrincipalKind.USER, standing.user_uuid, standing.user_name, session.organization, standing.bindings,
            number=session.user, session=session.id,
        )  # fmt: skip
        made = self._tickets.make("token", identifier, generation + 1)
        one, both = (session.organization, session.id), (digest(ticket), digest(made))
        try:
            await self._store.within(session.organization).change(act, sessions.rotate, *one, *both)
        except Unauthenticated:
            await self._end(session, act, "an older refresh token came back")
            raise
        access = await self._signing.issue(standing.user_uuid, session.uuid, standing.organization_uuid)
        return Issued(access, made, LIFE)

    async def sign_out(self, act: Act) -> None:
        """End the session that asks. Raises Refused where it is no session."""
        await self._proofs.account(act.principal)
        organization, number = act.principal.organization, act.principal.session
        await self._store.within(organization).change(act, sessions.end, organization, number, "signed out")

    async def revoke(self, act: Act, token: str) -> None:
        """An access token of one's own holds no more; its session goes on (RFC 7009). Raises NotFound, Refused."""
        account = await self._proofs.account(act.principal)
        try:
            claims = await self._signing.verify(token)
        except Unauthenticated:
            raise NotFound(NO_TOKEN) from None
        if str(claims.subject) != account.uuid:
            raise NotFound(NO_TOKEN)
        within = self._store.within(account.organization)
        await within.change(act, revoked.add, self._store.hash, account.organization, claims)

    async def end_all(self, act: Act) -> int:
        """End all sessions of whoever asks, this one too; how many."""
        account = await self._proofs.account(act.principal)

        def work(connection: Connection) -> Change:
            count = sessions.end_all(connection, account.organization, account.id, "signed out everywhere")
            return Change(count, account.entity, None, {"sessions_ended": count})

        ended: int = await self._store.within(account.organization).change(act, work)
        return ended

    async def sessions(self, principal: Principal) -> list[Shown]:
        """One's own that hold, the newest first."""
        account = await self._proofs.account(principal)
        found = await self._store.within(account.organization).read(sessions.of_user, account.organization, account.id)
        return [
            Shown(
                one.uuid, one.kind, one.created_at, one.seen_at, one.expires_at, one.source, one.id == principal.session
            )
            for one in found
        ]

    async def end_session(self, act: Act, identifier: uuid.UUID) -> None:
        """End one of one's own. Raises NotFound."""
        account = await self._proofs.account(act.principal)
        within = self._store.within(account.organization)
        for one in await within.read(sessions.of_user, account.organization, account.id):
            if one.uuid == str(identifier):
                await within.change(act, sessions.end, account.organization, one.id, "ended by its user")
                return
        raise NotFound(f"there is no session {identifier}")

    async def _account(self, email: str, organization: str | None) -> Account | None:
        """The account that is meant, None where there is none or more than one."""
        found = await self._store.within(None).read(sign_ins.by_email, self._store.hash, email.strip().lower())
        meant = [one for one in found if organization in (None, one.organization_name)]
        return meant[0] if len(meant) == 1 else None

    async def _start(self, act: Act, account: Account, kind: Kind) -> tuple[uuid.UUID, str]:
        identifier = new(clock.micros())
        ticket = self._tickets.make(kind, identifier)
        act.scope = Scope(account.organization)
        act.principal = Principal(
            PrincipalKind.USER, account.uuid, account.name, account.organization, account.bindings, number=account.id
        )
        await self._store.within(account.organization).change(
            act, sign_ins.opened, self._store.hash, account, kind, identifier, digest(ticket), act.source
        )
        return identifier, ticket

    async def _end(self, session: Session, act: Act, why: str) -> None:
        act.details["why"] = why
        own = Act(HUB, act.scope, "session.end", act.request_id, act.source, why)
        within = self._store.within(session.organization)
        await within.change(own, sessions.end, session.organization, session.id, why)
