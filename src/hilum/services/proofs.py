"""Judges what somebody shows to prove who they are: a password and, where there is one, a one-time code.

Whatever is wrong, the answer is the same and takes as long; the audit trail says what it was. An attempt is counted
before it is judged, and the fifth that does not hold locks the account (by its organization's settings).
"""

from __future__ import annotations

import asyncio
from typing import Any, NoReturn

from hilum import clock, telemetry
from hilum.errors import CodeNeeded, Refused, Unauthenticated
from hilum.model.access import HUB, Principal, PrincipalKind, Scope
from hilum.model.audit import Act
from hilum.security import totp
from hilum.security.passwords import Passwords
from hilum.store import Store, sessions, sign_ins
from hilum.store.sign_ins import Account

WRONG = (
    "this signs nobody in: the e-mail address, the password or the code is wrong, or there were too many attempts; "
    "where an address has accounts in several organizations, name one"
)
log = telemetry.logger("sign-in")
AT_ONCE = 2  # hashes: each takes a core and tens of megabytes


class Proofs:
    """One a process: it bounds how much is hashed at once."""

    def __init__(self, store: Store, passwords: Passwords) -> None:
        self._store = store
        self._passwords = passwords
        self._room = asyncio.Semaphore(AT_ONCE)
        self._telling: set[asyncio.Future[Any]] = set()

    async def hash(self, password: str) -> str:
        async with self._room:
            return await asyncio.to_thread(self._passwords.hash, password)

    async def judge(
        self, act: Act, account: Account | None, password: str, code: str | None, *, whole: bool = True
    ) -> None:
        """Raises Unauthenticated, always with the same words; CodeNeeded where only the code is missing.

        `act` gets why, and belongs to the account's organization from now on. `whole` False: no code is asked for.
        """
        if account is None:
            await self._right(None, password)
            self._fail(act, "nobody has this address")
        act.entity = account.entity
        if act.principal.kind is PrincipalKind.NOBODY:
            act.scope = Scope(account.organization)
        settings, within = account.settings, self._store.within(account.organization)
        one = (account.organization, account.id)
        counted = within.write(sign_ins.attempt, *one, settings.lockout_failures, settings.lockout_minutes)
        right = await self._right(account.password, password)  # meanwhile, so that the writing takes no time to see
        number = await counted
        if not number:
            self._fail(act, "the account is locked")
        why = await self._wrong(account, code, right, whole)
        if why:
            if number >= settings.lockout_failures:
                self._tell(account, act)
            self._fail(act, why)
        stale = account.password is not None and self._passwords.outdated(account.password)
        await within.write(sign_ins.held, *one, await self.hash(password) if stale else None)

    async def prove(self, principal: Principal, password: str, code: str | None, act: Act | None = None) -> None:
        """Who is signed in shows all components again, for what is sensitive. Raises Refused."""
        await self._again(principal, password, code, act, whole=True)
        one = (principal.organization, principal.session)
        await self._store.within(principal.organization).write(sessions.proved, *one, clock.micros())

    async def confirm(self, principal: Principal, password: str) -> None:
        """Who showed all components in this session shows the password alone (21 CFR 11.200(a)(1)). Raises Refused."""
        await self._again(principal, password, None, None, whole=False)

    async def account(self, principal: Principal) -> Account:
        """The row of whoever acts. Raises Refused where it is no person who signed in."""
        if principal.kind is not PrincipalKind.USER:
            raise Refused("only a person who signed in can do this")
        within = self._store.within(principal.organization)
        return await within.read(sign_ins.get, principal.organization, principal.number)

    def open(self, account: Account) -> str:
        """The secret of an account's one-time codes."""
        return self._store.sealer.open(account.totp or b"", place(account)).decode()

    async def _again(
        self, principal: Principal, password: str, code: str | None, act: Act | None, *, whole: bool
    ) -> None:
        act = act or Act(principal, Scope(principal.organization), "session.prove")
        account = await self.account(principal)
        try:
            await self.judge(act, account, password, code, whole=whole)
        except CodeNeeded as error:
            raise Refused(str(error)) from None
        except Unauthenticated:
            raise Refused("the password or the code is wrong, or there were too many attempts") from None

    async def _wrong(self, account: Account, code: str | None, right: bool, whole: bool) -> str:
        """Why this does not prove who it is; empty where it does. Raises CodeNeeded."""
        if not right:
            return "wrong password" if account.password is not None else "there is no password"
        if account.state != "active":
            return f"the user is {account.state}"
        if account.totp is None or not whole:
            return ""
        if not code:
            raise CodeNeeded
        step = totp.verify(self.open(account), code, clock.micros())
        if step is None:
            return "wrong code"
        write = self._store.within(account.organization).write
        used = await write(sign_ins.use_step, account.organization, account.id, step)
        return "" if used else "the code was used before"

    async def _right(self, stored: str | None, password: str) -> bool:
        async with self._room:
            return await asyncio.to_thread(self._passwords.verify, stored, password)

    def _tell(self, account: Account, act: Act) -> None:
        """Record a lock beside the answer, which must not come later for it."""
        locked = Act(HUB, Scope(account.organization), "user.lock", act.request_id, act.source)
        telling = asyncio.ensure_future(self._store.within(account.organization).change(locked, sign_ins.lock, account))
        self._telling.add(telling)
        telling.add_done_callback(self._told)

    def _told(self, telling: asyncio.Future[Any]) -> None:
        self._telling.discard(telling)
        if not telling.cancelled() and (error := telling.exception()) is not None:
            log.error("a lock is not recorded", reason=str(error))

    def _fail(self, act: Act, why: str) -> NoReturn:
        act.details["why"] = why
        raise Unauthenticated(WRONG)


def place(account: Account) -> bytes:
    """Where the secret of an account's codes is sealed for."""
    return f"user.totp|{account.organization}|{account.id}".encode()
