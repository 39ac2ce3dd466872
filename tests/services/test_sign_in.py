"""Signing in: one answer for whatever is wrong, locks, codes that hold once, refresh tokens that come back."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable
from typing import Any

import pyotp
import pytest

from hilum import clock
from hilum.api.services import Services
from hilum.app import Hub
from hilum.errors import CodeNeeded, ConfigError, Conflict, NotFound, Refused, Unauthenticated
from hilum.model.access import NOBODY, SYSTEM, Principal, Role, Scope
from hilum.model.audit import Act
from hilum.services.proofs import WRONG
from hilum.services.sign_in import Issued
from hilum.store import Store, audit, configuration, links, organizations, sessions, sign_ins, users
from hilum.store.audit import EventFilter
from hilum.store.schema import organization as organization_table
from hilum.store.schema_people import session, user
from hilum.store.users import Grant

pytestmark = pytest.mark.anyio
EMAIL, PASSWORD, OTHER = "ada@example.org", "correct horse battery", "vanilla staple quiver"
WRONG_PASSWORD = "correct horse batterz"


def nobody(action: str = "session.create") -> Act:
    return Act(NOBODY, Scope(SYSTEM), action, source="192.0.2.1")


class People:
    """The hub's services, and what tests do with them over and over."""

    def __init__(self, hub: Hub) -> None:
        self.store: Store = hub.store
        self.services: Services = hub.services()

    async def person(self, email: str = EMAIL, organization: int = 1, *roles: Role) -> int:
        """Somebody who set PASSWORD by a link."""
        grants = [Grant(one) for one in roles or (Role.VIEWER,)]
        made = await self.store.write(users.add, self.store.hash, organization, email, "Ada", grants)
        token = await self.store.write(links.make, organization, made.id)
        await self.services.own_account.use(nobody("link.use"), token, PASSWORD)
        return made.id

    async def sign_in(self, password: str = PASSWORD, code: str | None = None, **more: Any) -> Issued:
        return await self.services.sign_in.tokens(nobody(), more.pop("email", EMAIL), password, code, **more)

    async def principal(self, issued: Issued) -> Principal:
        return await self.services.identity.bearer(issued.access_token, "192.0.2.1")

    async def act(self, issued: Issued, action: str = "self.write") -> Act:
        principal = await self.principal(issued)
        return Act(principal, Scope(principal.organization), action, source="192.0.2.1")

    async def put(self, number: int, **values: Any) -> None:
        query = user.update().where(user.c.id == number).values(values)
        await self.store.write(lambda connection: connection.execute(query))
        self.store.signal("changed/user")

    async def settings(self, **values: Any) -> None:
        query = organization_table.update().where(organization_table.c.id == 1).values(settings=values)
        await self.store.write(lambda connection: connection.execute(query))
        self.store.signal("changed/organization")

    async def with_factor(self, issued: Issued) -> pyotp.TOTP:
        """Set a second factor; its generator. The code that it took is forgotten, so that a test may use it."""
        own, act = self.services.own_account, await self.act(issued)
        begun = await own.begin_factor(act, PASSWORD)
        generator = pyotp.TOTP(begun.secret)
        await own.confirm_factor(await self.act(issued), begun.enrolment, self.code(generator))
        await self.put(act.principal.number, totp_step=0)
        return generator

    def code(self, generator: pyotp.TOTP, step: int = 0) -> str:
        return str(generator.at(clock.micros() // 1_000_000 + 30 * step))

    async def events(self, action: str) -> list[dict[str, Any]]:
        """Newest first."""
        found = await self.store.read(audit.newest, 1, EventFilter(action=action), limit=100)
        return [one.document for one in found]


@pytest.fixture
def people(hub: Hub) -> People:
    return People(hub)


async def refusal(work: Awaitable[object]) -> str:
    with pytest.raises(Unauthenticated) as error:
        await work
    assert not isinstance(error.value, CodeNeeded)
    return str(error.value)


async def test_who_signed_in_is_known_by_the_access_token(people: People) -> None:
    number = await people.person(EMAIL, 1, Role.OPERATOR, Role.AUDITOR)
    issued = await people.sign_in(email="  ADA@Example.ORG ")
    found = await people.principal(issued)
    assert (found.name, found.organization, found.number) == ("Ada", 1, number)
    assert [one.role for one in found.bindings] == [Role.OPERATOR, Role.AUDITOR]
    assert found.scopes is None
    assert issued.expires_in == 900
    (event,) = await people.events("session.create")
    assert (event["outcome"], event["actor"]["id"], event["source"]) == ("success", found.id, "192.0.2.1")


async def test_one_answer_for_whatever_is_wrong(people: People) -> None:
    number = await people.person()
    answers = {await refusal(people.sign_in(email="eve@example.org")), await refusal(people.sign_in(WRONG_PASSWORD))}
    await people.put(number, state="disabled")
    answers.add(await refusal(people.sign_in()))
    await people.put(number, state="active", locked_until=clock.micros() + 60_000_000)
    answers.add(await refusal(people.sign_in()))
    assert answers == {WRONG}


async def test_the_trail_says_what_was_wrong(people: People) -> None:
    await people.person()
    known, unknown = nobody(), nobody()
    await refusal(people.services.sign_in.tokens(known, EMAIL, WRONG_PASSWORD))
    await refusal(people.services.sign_in.tokens(unknown, "eve@example.org", PASSWORD))
    assert known.details["why"] == "wrong password"
    assert known.organization == 1
    assert known.entity.startswith("user/")
    assert unknown.details["why"] == "nobody has this address"
    assert unknown.organization == SYSTEM


async def test_five_failures_lock_also_the_right_password_out(people: People) -> None:
    number = await people.person()
    for _ in range(5):
        await refusal(people.sign_in(WRONG_PASSWORD))
    assert await refusal(people.sign_in()) == WRONG
    events = await people.events("user.lock")
    assert len(events) == 1
    assert events[0]["after"]["locked"] is True
    await people.put(number, locked_until=clock.micros() - 1)
    await people.sign_in()
    assert (await people.store.read(sign_ins.get, 1, number)).failures == 0


async def test_four_failures_are_forgotten_by_one_success(people: People) -> None:
    await people.person()
    for _ in range(2):
        for _ in range(4):
            await refusal(people.sign_in(WRONG_PASSWORD))
        await people.sign_in()


async def test_an_address_in_several_organizations_needs_the_name_of_one(people: People) -> None:
    two = await people.store.write(configuration.put_organization, "two", {})
    await people.person()
    await people.person(EMAIL, two)
    assert await refusal(people.sign_in()) == WRONG
    assert (await people.principal(await people.sign_in(organization="two"))).organization == two
    assert (await people.principal(await people.sign_in(organization="demo"))).organization == 1
    assert await refusal(people.sign_in(organization="three")) == WRONG


async def test_a_second_factor_is_asked_for_and_its_code_holds_once(people: People) -> None:
    await people.person()
    generator = await people.with_factor(await people.sign_in())
    with pytest.raises(CodeNeeded):
        await people.sign_in()
    assert (
        await refusal(people.sign_in(WRONG_PASSWORD)) == WRONG
    )  # the code is asked for after the right password alone
    assert await refusal(people.sign_in(code="000000")) == WRONG
    code = people.code(generator)
    await people.sign_in(code=code)
    replayed = nobody()
    await refusal(people.services.sign_in.tokens(replayed, EMAIL, PASSWORD, code))
    assert replayed.details["why"] == "the code was used before"
    assert await refusal(people.sign_in(code=people.code(generator, -1))) == WRONG  # an earlier one
    await people.sign_in(code=people.code(generator, 1))


async def test_wrong_codes_lock_as_wrong_passwords_do(people: People) -> None:
    await people.person()
    generator = await people.with_factor(await people.sign_in())
    for _ in range(5):
        await refusal(people.sign_in(code="000000"))
    assert await refusal(people.sign_in(code=people.code(generator, 1))) == WRONG


async def test_asking_for_the_code_does_not_forget_failures(people: People) -> None:
    """Else whoever knows the password could try codes without end."""
    await people.person()
    await people.with_factor(await people.sign_in())
    for _ in range(4):
        await refusal(people.sign_in(code="000000"))
    with pytest.raises(CodeNeeded):
        await people.sign_in()
    assert len(await people.events("user.lock")) == 0
    await refusal(people.sign_in(code="000000"))
    locked = await people.store.read(sign_ins.by_email, people.store.hash, EMAIL)
    assert locked[0].locked_until is not None


async def test_a_refresh_token_holds_once_and_its_return_ends_the_session(people: People) -> None:
    await people.person()
    first = await people.sign_in()
    second = await people.services.sign_in.refresh(nobody("session.refresh"), first.refresh_token)
    assert (await people.principal(second)).session == (await people.principal(first)).session
    stolen = nobody("session.refresh")
    await refusal(people.services.sign_in.refresh(stolen, first.refresh_token))
    assert stolen.details["why"] == "an older refresh token came back"
    for text in (first.access_token, second.access_token):
        await refusal(people.services.identity.bearer(text, ""))
    await refusal(people.services.sign_in.refresh(nobody(), second.refresh_token))
    (event,) = await people.events("session.end")
    assert event["after"]["why"] == "an older refresh token came back"


async def test_a_refresh_ends_with_the_session_the_user_and_the_day(people: People) -> None:
    number = await people.person()
    refresh = people.services.sign_in.refresh
    await refusal(refresh(nobody(), "hilum_refresh_AAAA"))
    issued = await people.sign_in()
    await people.put(number, state="disabled")
    await refusal(refresh(nobody(), issued.refresh_token))
    await people.put(number, state="active")
    late = session.update().values(expires_at=clock.micros() - 1)
    await people.store.write(lambda connection: connection.execute(late))
    with pytest.raises(Unauthenticated) as error:
        await refresh(nobody(), issued.refresh_token)
    assert error.value.expired


async def test_who_signs_out_has_no_session_any_more(people: People) -> None:
    await people.person()
    one, other = await people.sign_in(), await people.sign_in()
    await people.services.sign_in.sign_out(await people.act(one, "session.end"))
    await refusal(people.principal(one))
    await people.principal(other)
    third = await people.sign_in()
    assert await people.services.sign_in.end_all(await people.act(other, "session.end-all")) == 2
    for issued in (other, third):
        await refusal(people.principal(issued))


async def test_one_sees_and_ends_one_s_own_sessions_alone(people: People) -> None:
    await people.person()
    await people.person("eve@example.org")
    mine, hers = await people.sign_in(), await people.sign_in(email="eve@example.org")
    await people.sign_in()
    sign_in = people.services.sign_in
    shown = await sign_in.sessions(await people.principal(mine))
    assert [one.current for one in shown] == [False, True]
    (foreign,) = await sign_in.sessions(await people.principal(hers))
    for unknown in (uuid.UUID(foreign.id), uuid.uuid4()):
        with pytest.raises(NotFound):
            await sign_in.end_session(await people.act(mine), unknown)
    await sign_in.end_session(await people.act(mine), uuid.UUID(shown[0].id))
    assert len(await sign_in.sessions(await people.principal(mine))) == 1


async def test_a_new_password_needs_the_old_one_and_ends_the_other_sessions(people: People) -> None:
    await people.person()
    mine, other = await people.sign_in(), await people.sign_in()
    change = people.services.own_account.change_password
    with pytest.raises(Refused):
        await change(await people.act(mine), WRONG_PASSWORD, OTHER)
    with pytest.raises(ConfigError):
        await change(await people.act(mine), PASSWORD, "short")
    with pytest.raises(ConfigError):
        await change(await people.act(mine), PASSWORD, PASSWORD)
    await change(await people.act(mine, "user.password"), PASSWORD, OTHER)
    await people.principal(mine)
    await refusal(people.principal(other))
    await refusal(people.sign_in())
    await people.sign_in(OTHER)
    (event,) = await people.events("user.password")
    assert (event["before"], event["after"]) == ({"password": "***"}, {"password": "***", "sessions_ended": 1})


async def test_a_proof_needs_all_components_and_counts_failures(people: People) -> None:
    await people.person()
    issued = await people.sign_in()
    generator = await people.with_factor(issued)
    principal, prove = await people.principal(issued), people.services.proofs.prove
    before = (await people.store.read(sessions.get, 1, principal.session)).proved_at
    for password, code in ((PASSWORD, None), (WRONG_PASSWORD, people.code(generator)), (PASSWORD, "000000")):
        with pytest.raises(Refused):
            await prove(principal, password, code)
    await prove(principal, PASSWORD, people.code(generator))
    assert (await people.store.read(sessions.get, 1, principal.session)).proved_at > before
    with pytest.raises(Refused):  # the same code again
        await prove(principal, PASSWORD, people.code(generator))
    for _ in range(4):
        with pytest.raises(Refused):
            await prove(principal, WRONG_PASSWORD, None)
    assert await refusal(people.sign_in(code=people.code(generator, 1))) == WRONG  # locked
    with pytest.raises(Refused):
        await prove(NOBODY, PASSWORD, None)


async def test_a_second_factor_goes_by_password_and_code(people: People) -> None:
    await people.person()
    issued = await people.sign_in()
    own = people.services.own_account
    with pytest.raises(Refused):
        await own.begin_factor(await people.act(issued), WRONG_PASSWORD)
    generator = await people.with_factor(issued)
    with pytest.raises(Conflict):
        await own.begin_factor(await people.act(issued), PASSWORD)
    with pytest.raises(Refused):
        await own.remove_factor(await people.act(issued), PASSWORD, "000000")
    await own.remove_factor(await people.act(issued), PASSWORD, people.code(generator))
    await people.sign_in()


async def test_an_enrolment_is_one_person_s_and_its_secret_is_kept_nowhere_before(people: People) -> None:
    number = await people.person()
    await people.person("eve@example.org")
    mine, hers = await people.sign_in(), await people.sign_in(email="eve@example.org")
    own = people.services.own_account
    begun = await own.begin_factor(await people.act(mine), PASSWORD)
    assert (await people.store.read(sign_ins.get, 1, number)).totp is None
    code = people.code(pyotp.TOTP(begun.secret))
    for issued, enrolment, shown in (
        (hers, begun.enrolment, code),
        (mine, "AAAA", code),
        (mine, begun.enrolment, "0" * 6),
    ):
        with pytest.raises(Refused):
            await own.confirm_factor(await people.act(issued), enrolment, shown)
    await own.confirm_factor(await people.act(mine), begun.enrolment, code)
    stored = (await people.store.read(sign_ins.get, 1, number)).totp
    assert stored is not None
    assert begun.secret.encode() not in stored


async def test_an_old_password_lets_one_do_nothing_but_set_a_new_one(people: People) -> None:
    number = await people.person(EMAIL, 1, Role.TENANT_ADMIN)
    issued = await people.sign_in()
    assert (await people.principal(issued)).scopes is None
    await people.put(number, password_at=clock.micros() - 366 * 86_400_000_000)
    assert (await people.principal(issued)).scopes == frozenset({"self:read", "self:write"})
    await people.services.own_account.change_password(await people.act(issued), PASSWORD, OTHER)
    assert (await people.principal(issued)).scopes is None
    await people.settings(password_days=0)
    await people.put(number, password_at=1)
    assert (await people.principal(issued)).scopes is None


@pytest.mark.parametrize(("rule", "role", "narrowed"), [
    ("everybody", Role.VIEWER, True), ("privileged", Role.VIEWER, False), ("privileged", Role.TENANT_ADMIN, True),
])  # fmt: skip
async def test_a_second_factor_that_is_asked_for_is_set_first(
    people: People, rule: str, role: Role, narrowed: bool
) -> None:
    await people.person(EMAIL, 1, role)
    await people.settings(second_factor=rule)
    issued = await people.sign_in()
    assert ((await people.principal(issued)).scopes is not None) is narrowed
    await people.with_factor(issued)
    assert (await people.principal(issued)).scopes is None


async def test_a_link_shows_whose_it_is_and_sets_a_password_by_the_rules(people: People) -> None:
    made = await people.store.write(users.add, people.store.hash, 1, EMAIL, "Ada", [Grant(Role.VIEWER)])
    token = await people.store.write(links.make, 1, made.id)
    own = people.services.own_account
    whose = await own.look(nobody(), token)
    assert (whose.purpose, whose.email, whose.organization) == ("password", EMAIL, "demo")
    with pytest.raises(ConfigError):
        await own.use(nobody(), token, "ada@example.org")
    used = nobody("link.use")
    await own.use(used, token, PASSWORD, "Eve", "eve@example.org")  # name and address are not the link's to change
    assert (used.principal.name, used.principal.id, used.organization) == ("Ada", str(made.uuid), 1)
    await people.sign_in()
    with pytest.raises(NotFound):
        await own.use(nobody(), token, OTHER)


async def test_the_first_administrator_is_set_once(people: People) -> None:
    own = people.services.own_account
    older, token = await own.first_link(), await own.first_link()
    assert older is not None
    assert token is not None
    assert (await own.look(nobody(), token)).purpose == "first-administrator"
    with pytest.raises(ConfigError):
        await own.use(nobody(), token, PASSWORD)
    with pytest.raises(NotFound):
        await own.use(nobody(), older, PASSWORD, "Ada", EMAIL)
    await own.use(nobody("link.use"), token, PASSWORD, "Ada", EMAIL.upper())
    found = await people.principal(await people.sign_in())
    assert {one.role for one in found.bindings} == {Role.TENANT_ADMIN, Role.PLATFORM_OPERATOR}
    assert await own.first_link() is None
    with pytest.raises(Conflict):
        await own.need_first_link(nobody())


async def test_a_first_link_is_worth_nothing_once_there_is_a_user(people: People) -> None:
    token = await people.services.own_account.first_link()
    assert token is not None
    two = await people.store.write(configuration.put_organization, "two", {})
    await people.person("eve@example.org", two)
    with pytest.raises(Conflict):
        await people.services.own_account.use(nobody(), token, PASSWORD, "Ada", EMAIL)


async def test_an_archived_organization_lets_nobody_in(people: People) -> None:
    await people.person()
    issued = await people.sign_in()
    archive = organization_table.update().where(organization_table.c.id == 1).values(archived_at=1)
    await people.store.write(lambda connection: connection.execute(archive))
    people.store.signal("changed/organization")
    assert await refusal(people.sign_in()) == WRONG
    await refusal(people.principal(issued))
    await refusal(people.services.sign_in.refresh(nobody(), issued.refresh_token))
    assert (await people.store.read(organizations.get, 1)).name == "demo"
