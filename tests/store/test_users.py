"""Users: one of an address at a time, bound to roles, never without an administrator, never used again."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from hilum import clock
from hilum.errors import ConfigError, Conflict, NotFound, Refused, Stale
from hilum.model.access import Binding, Role
from hilum.model.audit import Act
from hilum.store import Store, audit, configuration, links, principals, sessions, studies, users
from hilum.store.audit import EventFilter
from hilum.store.schema_people import user
from hilum.store.users import Grant, Might, User, UserFilter

pytestmark = pytest.mark.anyio
Acts = Callable[..., Act]
ALL = Might(operate=True, administer=True)
PERSON = Might(operate=False, administer=True)
ADMIN, OPERATOR, VIEWER = Grant(Role.TENANT_ADMIN), Grant(Role.OPERATOR), Grant(Role.VIEWER)
DAY = 86_400


async def organization(store: Store, name: str = "one") -> int:
    return await store.write(configuration.put_organization, name, {})


async def invited(
    store: Store, act: Acts, owner: int, email: str, grants: Sequence[Grant] = (), name: str = "Ann", might: Might = ALL
) -> tuple[User, str]:
    """The user, and the link's token."""
    found: tuple[User, str] = await store.within(owner).change(
        act(owner, "user.invite"), users.invite, store.hash, owner, email, name, grants, might, DAY
    )
    return found


async def activated(store: Store, act: Acts, owner: int, email: str, grants: Sequence[Grant] = ()) -> User:
    """One who has set a password."""
    made, _ = await invited(store, act, owner, email, grants)
    values = {"state": "active", "password": "$argon2id$…"}
    await store.write(lambda connection: connection.execute(user.update().where(user.c.id == made.id).values(values)))
    return await store.read(users.find, owner, made.uuid)


async def signed_in(store: Store, owner: int, one: User) -> int:
    """The number of a session."""
    arguments = (store.hash, owner, one.id, "token", uuid.uuid4(), b"digest")
    return await store.write(sessions.start, *arguments, seconds=DAY, source="192.0.2.1")


async def changed(store: Store, act: Acts, owner: int, one: User, might: Might = ALL, **values: Any) -> User:
    found: User = await store.within(owner).change(
        act(owner, "user.change"), users.change, owner, one.uuid, one.version, might, **values
    )
    return found


async def given(store: Store, act: Acts, owner: int, one: User, grants: Sequence[Grant], might: Might = ALL) -> User:
    found: User = await store.within(owner).change(
        act(owner, "user.roles"), users.set_roles, owner, one.uuid, one.version, grants, might
    )
    return found


async def removed(store: Store, act: Acts, owner: int, one: User, might: Might = ALL) -> None:
    await store.within(owner).change(act(owner, "user.remove"), users.remove, owner, one.uuid, might)


async def test_an_invited_user_is_found_by_address_and_link(store: Store, act: Acts) -> None:
    owner = await organization(store)
    await store.write(studies.ensure, owner, "trial")
    made, token = await invited(store, act, owner, "ann@one.example", [Grant(Role.OPERATOR, "trial"), VIEWER, VIEWER])
    assert (made.state, made.version, made.grants) == ("invited", 1, (Grant(Role.OPERATOR, "trial"), VIEWER))
    assert await store.read(users.find, owner, made.uuid) == made
    [found] = await store.read(principals.find, store.hash, "email", "ann@one.example")
    assert (found.organization, found.number) == (owner, made.id)
    assert (await store.read(links.look, token)).user == made.id
    study = (await store.read(studies.numbers, owner))["trial"]
    assert await store.read(sessions.bindings, owner, made.id) == (
        Binding(Role.OPERATOR, study), Binding(Role.VIEWER)
    )  # fmt: skip


@pytest.mark.ledger_part("S0-30", "a role is bound to a study of the organization, not to another one's")
async def test_a_role_is_bound_to_a_study_that_there_is(store: Store, act: Acts) -> None:
    owner, other = await organization(store), await organization(store, "two")
    await store.write(studies.ensure, other, "theirs")
    for study in ("theirs", "nothing"):
        with pytest.raises(ConfigError, match=f"roles: there is no study {study}"):
            await invited(store, act, owner, "ann@one.example", [Grant(Role.VIEWER, study)])
    assert await store.read(users.listed, owner, UserFilter(), 0, 10) == ([], 0), "nothing of it was written"
    assert await store.read(principals.find, store.hash, "email", "ann@one.example") == []
    await store.write(studies.ensure, owner, "mine")
    with pytest.raises(ConfigError, match="of the whole hub"):
        await invited(store, act, owner, "ann@one.example", [Grant(Role.PLATFORM_OPERATOR, "mine")])


async def test_an_address_is_taken_in_its_organization_until_its_owner_is_removed(store: Store, act: Acts) -> None:
    owner, other = await organization(store), await organization(store, "two")
    first, _ = await invited(store, act, owner, "ann@one.example")
    with pytest.raises(Conflict, match=r"there is a user ann@one\.example already"):
        await invited(store, act, owner, "ann@one.example")
    elsewhere, _ = await invited(store, act, other, "ann@one.example")
    await removed(store, act, owner, first)
    second, _ = await invited(store, act, owner, "ann@one.example", name="Another Ann")
    assert second.uuid != first.uuid
    assert (await store.read(users.find, owner, first.uuid)).name == "Ann", "signatures still name her"
    found = await store.read(principals.find, store.hash, "email", "ann@one.example")
    assert {one.number for one in found} == {elsewhere.id, second.id}


async def test_of_two_that_invite_one_address_one_does(role_url: str, act: Acts, open_store: Any) -> None:
    """Two processes: both may have looked before either wrote."""
    store, other = await open_store(url=role_url), await open_store(url=role_url)
    owner = await organization(store)
    both = [invited(each, act, owner, f"ann{n // 2}@one.example") for n, each in enumerate([store, other] * 10)]
    outcomes = await asyncio.gather(*both, return_exceptions=True)
    assert sorted(type(each).__name__ for each in outcomes) == ["Conflict"] * 10 + ["tuple"] * 10


@pytest.mark.ledger_part("S4-76", "users of another organization are not there")
async def test_another_organizations_user_is_not_there(store: Store, act: Acts) -> None:
    owner, other = await organization(store), await organization(store, "two")
    theirs = await activated(store, act, other, "bob@two.example", [VIEWER])
    for within in (owner, other):  # row level security hides hers, and so does the statement itself
        with pytest.raises(NotFound):
            await store.within(within).read(users.find, owner, theirs.uuid)
    for attempt in (
        changed(store, act, owner, theirs, name="Mine"),
        given(store, act, owner, theirs, [ADMIN]),
        removed(store, act, owner, theirs),
        store.within(owner).change(act(owner), users.relink, owner, theirs.uuid, ALL, DAY),
    ):
        with pytest.raises(NotFound):
            await attempt
    assert await store.read(users.find, other, theirs.uuid) == theirs
    assert await store.within(owner).read(users.listed, owner, UserFilter(), 0, 10) == ([], 0)


async def test_a_list_is_filtered_and_counted(store: Store, act: Acts) -> None:
    owner = await organization(store)
    await store.write(studies.ensure, owner, "trial")
    await invited(store, act, owner, "zoe@one.example", [Grant(Role.OPERATOR, "trial")], name="Zoë 100%")
    await activated(store, act, owner, "ann@one.example", [ADMIN])
    gone, _ = await invited(store, act, owner, "bob@one.example", [OPERATOR], name="bob")
    await removed(store, act, owner, gone)

    async def names(**wanted: Any) -> list[str]:
        found, total = await store.within(owner).read(users.listed, owner, UserFilter(**wanted), 0, 10)
        assert total == len(found)
        return [one.name for one in found]

    assert await names() == ["Ann", "Zoë 100%"]
    assert await names(state="removed") == ["bob"]
    assert await names(state="active") == ["Ann"]
    assert await names(role=Role.OPERATOR) == ["Zoë 100%"]
    assert await names(q="ONE.example") == ["Ann", "Zoë 100%"]
    assert await names(q="Zoë") == ["Zoë 100%"]
    assert await names(q="0%") == ["Zoë 100%"], "a percent sign is one"
    assert await names(q="n%n") == []
    found, total = await store.read(users.listed, owner, UserFilter(), 1, 1)
    assert ([one.name for one in found], total) == (["Zoë 100%"], 2)


async def test_who_is_disabled_is_shut_out(store: Store, act: Acts) -> None:
    owner = await organization(store)
    one = await activated(store, act, owner, "ann@one.example", [VIEWER])
    await signed_in(store, owner, one)
    _, token = await store.within(owner).change(act(owner), users.relink, owner, one.uuid, ALL, DAY)
    assert await store.read(sessions.of_user, owner, one.id) == []
    await signed_in(store, owner, one)
    off = await changed(store, act, owner, one, state="disabled", name="Ann B.")
    assert (off.state, off.name, off.version) == ("disabled", "Ann B.", 2)
    assert await store.read(sessions.of_user, owner, one.id) == []
    with pytest.raises(NotFound):
        await store.read(links.look, token)
    with pytest.raises(Conflict, match="disabled"):
        await store.within(owner).change(act(owner), users.relink, owner, one.uuid, ALL, DAY)
    assert (await changed(store, act, owner, off, state="active")).state == "active"


async def test_nobody_is_made_active_without_a_password(store: Store, act: Acts) -> None:
    owner = await organization(store)
    one, _ = await invited(store, act, owner, "ann@one.example")
    with pytest.raises(Conflict, match="set a password first"):
        await changed(store, act, owner, one, state="active")
    off = await changed(store, act, owner, one, state="disabled")
    assert (await changed(store, act, owner, off, state="active")).state == "invited"


async def test_a_removed_user_proves_nothing_any_more(store: Store, act: Acts) -> None:
    owner = await organization(store)
    one = await activated(store, act, owner, "ann@one.example", [VIEWER])
    await signed_in(store, owner, one)
    await removed(store, act, owner, one)
    left = await store.read(users.find, owner, one.uuid)
    assert (left.state, left.grants, left.name) == ("removed", (), "Ann")
    assert await store.read(sessions.of_user, owner, one.id) == []
    query = sa.select(user.c.password, user.c.totp).where(user.c.id == one.id)
    assert tuple(await store.read(lambda connection: connection.execute(query).one())) == (None, None)
    for attempt in (
        removed(store, act, owner, one),
        changed(store, act, owner, left, state="active"),
        given(store, act, owner, left, [ADMIN]),
        store.within(owner).change(act(owner), users.relink, owner, one.uuid, ALL, DAY),
    ):
        with pytest.raises(NotFound):
            await attempt


async def test_the_last_administrator_stays(store: Store, act: Acts) -> None:
    owner = await organization(store)
    ann = await activated(store, act, owner, "ann@one.example", [ADMIN])
    await store.write(studies.ensure, owner, "trial")
    await activated(store, act, owner, "bob@one.example", [Grant(Role.TENANT_ADMIN, "trial"), OPERATOR])
    waiting, _ = await invited(store, act, owner, "eve@one.example", [ADMIN])
    for attempt in (
        changed(store, act, owner, ann, state="disabled"),
        given(store, act, owner, ann, [OPERATOR]),
        given(store, act, owner, ann, [Grant(Role.TENANT_ADMIN, "trial")]),
        removed(store, act, owner, ann),
    ):
        with pytest.raises(Conflict, match="last administrator"):
            await attempt
    assert await store.read(users.find, owner, ann.uuid) == ann
    await removed(store, act, owner, waiting)
    await activated(store, act, owner, "dan@one.example", [ADMIN])
    assert (await changed(store, act, owner, ann, state="disabled")).state == "disabled"


async def test_of_two_administrators_one_stays_whoever_is_quicker(role_url: str, act: Acts, open_store: Any) -> None:
    """Two processes that each disable the other's administrator."""
    store, other = await open_store(url=role_url), await open_store(url=role_url)
    for attempt in range(10):
        owner = await organization(store, f"org-{attempt}")
        ann = await activated(store, act, owner, "ann@one.example", [ADMIN])
        bob = await activated(store, act, owner, "bob@one.example", [ADMIN])
        outcomes = await asyncio.gather(
            changed(store, act, owner, ann, state="disabled"), changed(other, act, owner, bob, state="disabled"),
            return_exceptions=True,
        )  # fmt: skip
        assert sorted(type(one).__name__ for one in outcomes) == ["Conflict", "User"]


async def test_the_first_administrator_may_still_be_waiting(store: Store, act: Acts) -> None:
    owner = await organization(store)
    ann, _ = await invited(store, act, owner, "ann@one.example", [ADMIN])
    with pytest.raises(Conflict, match="last administrator"):
        await removed(store, act, owner, ann)
    await invited(store, act, owner, "bob@one.example", [ADMIN])
    await removed(store, act, owner, ann)


@pytest.mark.ledger_part("S4-77", "only a platform operator decides about platform operators")
async def test_an_administrator_makes_no_platform_operator_and_takes_none_over(store: Store, act: Acts) -> None:
    owner = await organization(store)
    platform = Grant(Role.PLATFORM_OPERATOR)
    with pytest.raises(Refused, match="platform operator"):
        await invited(store, act, owner, "eve@one.example", [platform], might=PERSON)
    eve, _ = await invited(store, act, owner, "eve@one.example", [VIEWER], might=PERSON)
    with pytest.raises(Refused, match="platform operator"):
        await given(store, act, owner, eve, [platform], PERSON)
    boss = await activated(store, act, owner, "boss@one.example", [platform])
    for attempt in (
        changed(store, act, owner, boss, PERSON, state="disabled"),
        given(store, act, owner, boss, [VIEWER], PERSON),
        removed(store, act, owner, boss, PERSON),
        store.within(owner).change(act(owner), users.relink, owner, boss.uuid, PERSON, DAY),
    ):
        with pytest.raises(Refused, match="platform operator"):
            await attempt
    assert await store.read(users.find, owner, boss.uuid) == boss


async def test_a_machine_decides_about_no_administrator(store: Store, act: Acts) -> None:
    owner = await organization(store)
    machine = Might(operate=False, administer=False)
    ann = await activated(store, act, owner, "ann@one.example", [ADMIN])
    with pytest.raises(Refused, match="only a person"):
        await invited(store, act, owner, "eve@one.example", [ADMIN], might=machine)
    with pytest.raises(Refused, match="only a person"):
        await store.within(owner).change(act(owner), users.relink, owner, ann.uuid, machine, DAY)
    made, _ = await invited(store, act, owner, "eve@one.example", [VIEWER], might=machine)
    assert made.grants == (VIEWER,)


async def test_who_loses_a_role_is_signed_out(store: Store, act: Acts) -> None:
    owner = await organization(store)
    one = await activated(store, act, owner, "ann@one.example", [VIEWER])
    session = await signed_in(store, owner, one)
    more = await given(store, act, owner, one, [VIEWER, OPERATOR])
    assert [each.id for each in await store.read(sessions.of_user, owner, one.id)] == [session], "she gained one"
    assert (await given(store, act, owner, more, [OPERATOR])).grants == (OPERATOR,)
    assert await store.read(sessions.of_user, owner, one.id) == []


@pytest.mark.ledger_part("S0-64", "100 concurrent updates of one version have one winner")
async def test_of_a_hundred_changes_of_one_version_one_wins(store: Store, act: Acts) -> None:
    owner = await organization(store)
    one = await activated(store, act, owner, "ann@one.example", [VIEWER])
    outcomes = await asyncio.gather(
        *(changed(store, act, owner, one, name=f"Ann {n}") for n in range(50)),
        *(given(store, act, owner, one, [OPERATOR]) for _ in range(50)),
        return_exceptions=True,
    )
    [winner] = [each for each in outcomes if isinstance(each, User)]
    assert sum(isinstance(each, Stale) for each in outcomes) == 99
    assert await store.read(users.find, owner, one.uuid) == winner
    assert winner.version == 2


@pytest.mark.ledger_part("S0-19", "old and new values of an account; what is secret as ***")
async def test_the_trail_says_what_was_and_shows_no_token(store: Store, act: Acts) -> None:
    owner = await organization(store)
    one, token = await invited(store, act, owner, "ann@one.example", [VIEWER])
    _, second = await store.within(owner).change(act(owner, "user.link"), users.relink, owner, one.uuid, ALL, DAY)
    await changed(store, act, owner, one, name="Ann B.", identity_proofed=True)
    events = [each.document for each in await store.read(audit.newest, owner, EventFilter(entity=one.entity))]
    assert [each["action"] for each in events] == ["user.change", "user.link", "user.invite"]
    assert (events[0]["before"]["name"], events[0]["after"]["name"]) == ("Ann", "Ann B.")
    assert (events[0]["before"]["identity_proofed"], events[0]["after"]["identity_proofed"]) == (False, True)
    assert events[1]["after"] == {"link": "***"}
    assert events[2]["after"]["roles"] == [{"role": "viewer", "study": None}]
    written = str(events)
    assert token not in written
    assert second not in written


async def test_a_lock_of_an_account_is_seen(store: Store, act: Acts) -> None:
    owner = await organization(store)
    one = await activated(store, act, owner, "ann@one.example")
    until = clock.micros() + 60_000_000
    locking = user.update().where(user.c.id == one.id).values(locked_until=until)
    await store.write(lambda connection: connection.execute(locking))
    assert (await store.read(users.find, owner, one.uuid)).locked_until == until
