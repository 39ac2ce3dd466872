"""What people do with their own account: password and second factor; and the one-time links that give a first one."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from hilum import clock
from hilum.errors import ConfigError, Conflict, Refused, StoreError
from hilum.model.access import HUB, SYSTEM, Principal, PrincipalKind, Scope
from hilum.model.audit import Act, Change
from hilum.security import passwords, totp
from hilum.services.proofs import Proofs, place
from hilum.store import Connection, Store, endpoints, links, organizations, sign_ins, studies
from hilum.store.sign_ins import Account

_ENROLMENT = 600_000_000  # microseconds in which an enrolment is confirmed
FIRST = "first-administrator"


@dataclasses.dataclass(frozen=True, slots=True)
class Enrolment:
    """A second factor to be confirmed: the secret, its otpauth URI, and what is sent back with a code."""

    secret: str = dataclasses.field(repr=False)
    uri: str = dataclasses.field(repr=False)
    enrolment: str = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Whose:
    """Whose a link is. `purpose` is password or first-administrator; then there is no user yet."""

    purpose: str
    organization: str
    email: str
    name: str
    expires_at: int  # microseconds


class OwnAccount:
    """One a process."""

    def __init__(self, store: Store, proofs: Proofs) -> None:
        self._store = store
        self._proofs = proofs

    async def change_password(self, act: Act, current: str, wanted: str, code: str | None = None) -> None:
        """Other sessions end. Raises Refused where the current one is wrong, ConfigError by the rules."""
        account = await self._proofs.account(act.principal)
        passwords.check(wanted, name=account.name, email=account.email)
        await self._proofs.prove(act.principal, current, code, act)
        if passwords.normal(current) == passwords.normal(wanted):
            raise ConfigError("the new password is the old one", where="new_password")
        hashed = await self._proofs.hash(wanted)
        keep = act.principal.session
        await self._store.within(account.organization).change(act, sign_ins.set_password, account, hashed, keep=keep)

    async def begin_factor(self, act: Act, password: str) -> Enrolment:
        """A new secret, which is kept nowhere until it is confirmed. Raises Refused, Conflict where there is one."""
        account = await self._proofs.account(act.principal)
        if account.totp is not None:
            raise Conflict("a second factor is set already: remove it first")
        await self._proofs.prove(act.principal, password, None, act)
        secret = totp.secret()
        plain = json.dumps({"secret": secret, "until": clock.micros() + _ENROLMENT}).encode()
        sealed = base64.urlsafe_b64encode(self._store.sealer.seal(plain, _enrolling(account))).decode()
        return Enrolment(secret, totp.uri(secret, account.email, account.organization_name), sealed)

    async def confirm_factor(self, act: Act, enrolment: str, code: str) -> None:
        """Raises Refused for a wrong code or an old enrolment, Conflict where there is a second factor."""
        account = await self._proofs.account(act.principal)
        opened = self._enrolment(account, enrolment)
        step = totp.verify(opened["secret"], code, clock.micros())
        if step is None:
            raise Refused("the code is wrong; is the clock of the phone right?")
        sealed = self._store.sealer.seal(opened["secret"].encode(), place(account))
        await self._store.within(account.organization).change(act, sign_ins.set_totp, account, sealed, step)

    async def remove_factor(self, act: Act, password: str, code: str) -> None:
        """Raises Refused where the proof does not hold, Conflict where there is nothing to remove."""
        await self._proofs.prove(act.principal, password, code, act)
        account = await self._proofs.account(act.principal)
        await self._store.within(account.organization).change(act, sign_ins.set_totp, account, None)

    async def look(self, act: Act, token: str) -> Whose:
        """Whose a link is. Raises NotFound where it does not hold."""
        organization, whose = await self._store.within(None).read(_whose, token)
        act.scope = Scope(organization)
        return whose

    async def use(self, act: Act, token: str, password: str, name: str = "", email: str = "") -> None:
        """Set the password of a link's user; the first administrator gives name and address as well.

        Raises NotFound where the link does not hold, ConfigError by the rules, Conflict where somebody was faster.
        """
        found = await self._store.within(None).read(links.look, token)
        act.scope = Scope(found.organization)
        if found.user is None:
            if not await self._store.within(None).read(sign_ins.nobody):
                raise Conflict("the hub has users already")
            if not name.strip() or not email.strip():
                raise ConfigError("the first administrator needs a name and an e-mail address", where="email")
            name, email = name.strip(), email.strip().lower()
        else:
            account = await self._store.within(None).read(sign_ins.get, found.organization, found.user)
            name, email = account.name, account.email
        passwords.check(password, name=name, email=email)
        hashed = await self._proofs.hash(password)

        def work(connection: Connection) -> Change:
            if found.user is None:
                done = sign_ins.first(connection, self._store.hash, token, email, name, hashed)
            else:
                done = sign_ins.use_link(connection, token, hashed)
            act.principal = _acting(done.result)
            return done

        await self._store.within(found.organization).change(act, work)

    async def first_link(self) -> str | None:
        """A link that makes the hub's first administrator, None where the hub has users. Older ones hold no longer."""
        if not await self._store.within(None).read(sign_ins.nobody):
            return None
        return await self._make_first_link(Act(HUB, Scope(SYSTEM), "link.create", reason="the hub has no user"))

    async def need_first_link(self, act: Act) -> str:
        """As `first_link`, for somebody at the hub's machine. Raises Conflict where the hub has users."""
        if not await self._store.within(None).read(sign_ins.nobody):
            raise Conflict("the hub has users already: its administrators make links")
        return await self._make_first_link(act)

    async def studies(self, principal: Principal) -> Mapping[int, str]:
        """The names of the studies that one's roles may be for, by number."""
        return await self._store.within(principal.organization).read(studies.names, principal.organization)

    async def _make_first_link(self, act: Act) -> str:
        organization = await self._first_organization()
        act.scope = Scope(organization)

        def work(connection: Connection) -> Change:
            token = links.make(connection, organization, None)
            return Change(token, "link/first-administrator", None, {"link": "***"})

        token: str = await self._store.within(organization).change(act, work)
        return token

    async def _first_organization(self) -> int:
        """The one of the file; where there is none, `default` is made."""
        known = await self._store.within(None).read(endpoints.organizations)
        if known:
            return next(iter(known.values()))
        act = Act(HUB, Scope(SYSTEM), "organization.create", reason="the hub has none")

        def work(connection: Connection) -> Change:
            made = organizations.create(connection, "default", "")
            act.scope = Scope(made.id)
            return Change(made.id, organizations.entity(made), None, organizations.shown(made))

        number: int = await self._store.within(None).change(act, work)
        return number

    def _enrolment(self, account: Account, text: str) -> dict[str, Any]:
        """Raises Refused where it is not this account's, or too old."""
        try:
            opened: dict[str, Any] = json.loads(
                self._store.sealer.open(base64.urlsafe_b64decode(text.encode()), _enrolling(account))
            )
        except (ValueError, StoreError):
            raise Refused("this enrolment is not yours: begin again") from None
        if opened["until"] < clock.micros():
            raise Refused("this enrolment is too old: begin again")
        return opened


def _whose(connection: Connection, token: str) -> tuple[int, Whose]:
    found = links.look(connection, token)
    if found.user is None:
        name = organizations.get(connection, found.organization).name
        return found.organization, Whose(FIRST, name, "", "", found.expires_at)
    account = sign_ins.get(connection, found.organization, found.user)
    whose = Whose("password", account.organization_name, account.email, account.name, found.expires_at)
    return found.organization, whose


def _acting(account: Account) -> Principal:
    """Whoever used a link is its user."""
    return Principal(
        PrincipalKind.USER, account.uuid, account.name, account.organization, account.bindings, number=account.id
    )


def _enrolling(account: Account) -> bytes:
    return b"enrolment|" + place(account)
