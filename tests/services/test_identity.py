"""Who somebody is: by tokens, keys and cookies; remembered for two seconds, and forgotten at once where it changed."""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from hilum import clock
from hilum.app import Hub
from hilum.errors import Unauthenticated
from hilum.model.access import HUB, NOBODY, SYSTEM, Principal, PrincipalKind, Role, Scope
from hilum.model.audit import Act
from hilum.security.tickets import Tickets, csrf
from hilum.security.tokens import SigningKey, Tokens
from hilum.services.identity import REMEMBERED, Identity
from hilum.services.sign_in import Issued, Opened
from hilum.services.signing_keys import AGE, SigningKeys
from hilum.store import audit, links, sessions, signing_keys, users
from hilum.store.audit import EventFilter
from hilum.store.schema_people import session, signing_key, user
from hilum.store.users import Grant, Might

pytestmark = pytest.mark.anyio
EMAIL, PASSWORD = "ada@example.org", "correct horse battery"
MINUTE = 60_000_000


def nobody() -> Act:
    return Act(NOBODY, Scope(SYSTEM), "session.create")


class Desk:
    """A hub with one person in it, and a second process's view of the same store."""

    def __init__(self, hub: Hub) -> None:
        self.store = hub.store
        self.services = hub.services()
        tickets, identity = Tickets(hub.store.sealer), self.services.identity
        assert isinstance(identity, Identity)
        self.identity = identity
        self.elsewhere = Identity(hub.store, SigningKeys(hub.store), tickets, self.services.api_keys.principal)

    async def open(self) -> None:
        made = await self.store.write(users.add, self.store.hash, 1, EMAIL, "Ada", [Grant(Role.VIEWER)])
        token = await self.store.write(links.make, 1, made.id)
        await self.services.own_account.use(nobody(), token, PASSWORD)
        self.user = made.uuid

    async def tokens(self) -> Issued:
        return await self.services.sign_in.tokens(nobody(), EMAIL, PASSWORD)

    async def cookie(self) -> Opened:
        return await self.services.sign_in.session(nobody(), EMAIL, PASSWORD)

    async def quietly(self, table: Any, **values: Any) -> None:
        """As another process would change it: nobody here is told."""
        await self.store.write(lambda connection: connection.execute(table.update().values(values)))


@pytest.fixture
async def desk(hub: Hub) -> Desk:
    desk = Desk(hub)
    await desk.open()
    return desk


@pytest.mark.ledger_part("S0-28", "a session that ended, or whose user was disabled, is refused by the next request")
async def test_what_ends_here_is_refused_by_the_next_request(desk: Desk, act: Callable[..., Act]) -> None:
    issued, opened = await desk.tokens(), await desk.cookie()
    known = await desk.identity.bearer(issued.access_token, "")
    await desk.identity.cookie(opened.cookie)
    await desk.store.within(1).change(act(), sessions.end, 1, known.session, "out")
    with pytest.raises(Unauthenticated):
        await desk.identity.bearer(issued.access_token, "")
    await desk.identity.cookie(opened.cookie)
    might, version = Might(operate=True, administer=True), (await desk.store.read(users.find, 1, desk.user)).version
    await desk.store.within(1).change(act(), users.change, 1, desk.user, version, might, state="disabled")
    with pytest.raises(Unauthenticated):
        await desk.identity.cookie(opened.cookie)


async def test_roles_that_were_taken_away_are_gone_with_the_next_request(desk: Desk, act: Callable[..., Act]) -> None:
    opened = await desk.cookie()
    (found, _) = await desk.identity.cookie(opened.cookie)
    assert [one.role for one in found.bindings] == [Role.VIEWER]
    might, version = Might(operate=True, administer=True), (await desk.store.read(users.find, 1, desk.user)).version
    grants = [Grant(Role.VIEWER), Grant(Role.AUDITOR)]
    await desk.store.within(1).change(act(), users.set_roles, 1, desk.user, version, grants, might)
    (found, _) = await desk.identity.cookie(opened.cookie)
    assert [one.role for one in found.bindings] == [Role.VIEWER, Role.AUDITOR]


async def test_what_ends_in_another_process_is_forgotten_when_its_time_is_over(desk: Desk) -> None:
    issued = await desk.tokens()
    await desk.identity.bearer(issued.access_token, "")
    await desk.quietly(session, ended_at=clock.micros())
    await desk.identity.bearer(issued.access_token, "")  # still remembered
    assert REMEMBERED <= 5
    known = desk.identity._known
    for identifier, one in known.items():
        known[identifier] = dataclasses.replace(one, until=clock.monotonic() - 0.001)
    with pytest.raises(Unauthenticated):
        await desk.identity.bearer(issued.access_token, "")


async def test_what_was_read_before_a_change_is_not_remembered_after_it(desk: Desk) -> None:
    issued = await desk.tokens()
    desk.identity.forget()
    looking = asyncio.ensure_future(desk.identity.bearer(issued.access_token, ""))
    for _ in range(3):
        await asyncio.sleep(0)
    desk.store.signal("changed/user")
    await looking
    assert not desk.identity._known


async def test_another_process_knows_a_session_and_a_new_key_by_themselves(desk: Desk) -> None:
    first = await desk.tokens()
    await desk.elsewhere.bearer(first.access_token, "")
    await desk.services.signing_keys.replace(Act(HUB, Scope(SYSTEM), "signing-key.replace"))
    desk.elsewhere._signing._looked = 0.0
    second = await desk.tokens()
    assert (await desk.elsewhere.bearer(second.access_token, "")).name == "Ada"
    await desk.elsewhere.bearer(first.access_token, "")


async def test_keys_are_replaced_when_they_are_old(desk: Desk) -> None:
    issued = await desk.tokens()
    await desk.quietly(signing_key, created_at=clock.micros() - AGE - 1)
    fresh = SigningKeys(desk.store)
    before = {one["kid"] for one in (await fresh.jwks())["keys"]}
    await fresh.issue(str(uuid.uuid4()), str(uuid.uuid4()), "x")
    after = {one["kid"] for one in (await fresh.jwks())["keys"]}
    assert len(after - before) == 1
    assert before < after
    await desk.identity.bearer(issued.access_token, "")


async def test_two_processes_that_make_the_first_key_agree_on_one(desk: Desk) -> None:
    both = [SigningKeys(desk.store) for _ in range(2)]
    found = await asyncio.gather(*(one.jwks() for one in both))
    assert found[0] == found[1]
    assert len(await desk.store.read(signing_keys.read, desk.store.sealer)) == 1


async def test_a_token_and_a_cookie_are_not_taken_for_one_another(desk: Desk) -> None:
    issued, opened = await desk.tokens(), await desk.cookie()
    found, token = await desk.identity.cookie(opened.cookie)
    assert token == csrf(opened.cookie) == opened.csrf
    assert found.name == "Ada"
    for text in (issued.refresh_token, issued.access_token, opened.csrf, ""):
        with pytest.raises(Unauthenticated):
            await desk.identity.cookie(text)
    for text in (issued.refresh_token, opened.cookie, "hilum_live_x", ""):
        with pytest.raises(Unauthenticated):
            await desk.identity.bearer(text, "")


@pytest.mark.ledger_part("S0-28", "a token that fits no session is refused, whoever signed it")
async def test_a_token_of_another_user_or_organization_opens_no_session(desk: Desk) -> None:
    """Signed by us all the same: what a token says must fit its session."""
    issued, opened = await desk.tokens(), await desk.cookie()
    known = await desk.identity.bearer(issued.access_token, "")
    keys = await desk.store.read(signing_keys.read, desk.store.sealer)
    tokens = Tokens(await desk.store.read(signing_keys.issuer))
    tokens.load(keys)
    claims = tokens.verify(issued.access_token)
    cookie_session = str(Tickets(desk.store.sealer).read("cookie", opened.cookie)[0])
    assert (await desk.identity.bearer(tokens.issue(known.id, str(claims.session), claims.organization), "")) == known
    for subject, identifier, organization in (
        (str(uuid.uuid4()), str(claims.session), claims.organization),
        (known.id, str(claims.session), str(uuid.uuid4())),
        (known.id, str(uuid.uuid4()), claims.organization),
        (known.id, cookie_session, claims.organization),
    ):
        with pytest.raises(Unauthenticated):
            await desk.identity.bearer(tokens.issue(subject, identifier, organization), "")
    foreign = Tokens("urn:uuid:00000000-0000-0000-0000-000000000009")
    foreign.load([SigningKey.make(clock.micros())])
    with pytest.raises(Unauthenticated):
        await desk.identity.bearer(foreign.issue(known.id, str(claims.session), claims.organization), "")


async def test_a_console_that_nobody_uses_is_signed_out(desk: Desk) -> None:
    opened, issued = await desk.cookie(), await desk.tokens()
    await desk.quietly(session, seen_at=clock.micros() - 15 * MINUTE)
    with pytest.raises(Unauthenticated) as error:
        await desk.identity.cookie(opened.cookie)
    assert error.value.expired
    await desk.identity.bearer(issued.access_token, "")  # programs ask when they need to
    found = await desk.store.read(audit.newest, 1, EventFilter(action="session.end"))
    assert [(one.document["actor"]["kind"], one.document["after"]["why"]) for one in found] == [
        ("system", "nobody used it")
    ]
    with pytest.raises(Unauthenticated):
        await desk.identity.cookie(opened.cookie)


async def test_a_console_in_use_stays_until_its_day_is_over(desk: Desk) -> None:
    opened = await desk.cookie()
    await desk.quietly(session, seen_at=clock.micros() - 14 * MINUTE)
    await desk.identity.cookie(opened.cookie)
    (row,) = await desk.store.read(lambda connection: connection.execute(session.select()).all())
    assert row.seen_at > clock.micros() - MINUTE
    assert row.expires_at - row.created_at == 12 * 60 * MINUTE
    await desk.quietly(session, expires_at=clock.micros())
    desk.store.signal("changed/session")
    with pytest.raises(Unauthenticated) as error:
        await desk.identity.cookie(opened.cookie)
    assert error.value.expired


async def test_an_api_key_is_somebody_else_s_to_judge(desk: Desk) -> None:
    asked = []

    async def keys(text: str, source: str) -> Principal:
        asked.append((text, source))
        return Principal(PrincipalKind.API_KEY, "k", "k", 1)

    identity = Identity(desk.store, SigningKeys(desk.store), Tickets(desk.store.sealer), keys)
    assert (await identity.bearer("hilum_live_abc", "192.0.2.1")).kind is PrincipalKind.API_KEY
    assert asked == [("hilum_live_abc", "192.0.2.1")]


async def test_the_user_s_state_counts_whoever_changed_it(desk: Desk) -> None:
    issued = await desk.tokens()
    await desk.quietly(user, state="removed")
    with pytest.raises(Unauthenticated):
        await desk.elsewhere.bearer(issued.access_token, "")


async def test_a_connection_that_stays_open_is_no_use_of_a_session(desk: Desk) -> None:
    opened, issued = await desk.cookie(), await desk.tokens()
    seen = clock.micros() - 14 * MINUTE
    await desk.quietly(session, seen_at=seen)
    found = await desk.identity.still(opened.cookie, "", cookie=True)
    assert (found.principal.name, found.until) == ("Ada", seen + 15 * MINUTE)
    soon = await desk.identity.still(issued.access_token, "")
    assert soon.until is not None
    assert 0 < soon.until - clock.micros() <= 900_000_000
    assert not desk.identity._known, "what a request does is still written"
    await desk.quietly(session, seen_at=seen - MINUTE)
    with pytest.raises(Unauthenticated):
        await desk.identity.still(opened.cookie, "", cookie=True)
    for text, cookie in ((issued.access_token, True), (opened.cookie, False), ("hilum_live_x", False)):
        with pytest.raises(Unauthenticated):
            await desk.identity.still(text, "", cookie=cookie)
