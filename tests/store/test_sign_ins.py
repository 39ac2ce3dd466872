"""What signing in keeps: attempts counted before they are judged, locks, codes that hold once, first passwords."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from hilum import clock
from hilum.errors import Conflict, NotFound, Unauthenticated
from hilum.model.access import Binding, Role
from hilum.model.audit import Act
from hilum.store import Store, configuration, links, sessions, sign_ins, users
from hilum.store.schema_people import user
from hilum.store.sign_ins import Account
from hilum.store.users import Grant

pytestmark = pytest.mark.anyio
Acts = Callable[..., Act]
Open = Callable[..., Awaitable[Store]]
EMAIL = "ada@example.org"


@pytest.fixture
async def organization(store: Store) -> int:
    return await store.write(configuration.put_organization, "one", {})


@pytest.fixture
async def ada(store: Store, organization: int) -> Account:
    made = await store.write(users.add, store.hash, organization, EMAIL, "Ada", [Grant(Role.VIEWER)])
    return await store.read(sign_ins.get, organization, made.id)


async def again(store: Store, account: Account) -> Account:
    return await store.read(sign_ins.get, account.organization, account.id)


async def put(store: Store, account: Account, **values: object) -> None:
    query = user.update().where(user.c.id == account.id).values(values)
    await store.write(lambda connection: connection.execute(query))


async def test_an_account_is_found_by_its_address(store: Store, ada: Account) -> None:
    two = await store.write(configuration.put_organization, "two", {})
    await store.write(users.add, store.hash, two, EMAIL, "Ada Two", [])
    found = await store.within(None).read(sign_ins.by_email, store.hash, EMAIL)
    assert [(one.organization_name, one.name) for one in found] == [("one", "Ada"), ("two", "Ada Two")]
    assert found[0].bindings == (Binding(Role.VIEWER),)
    assert found[0].password is None
    assert await store.within(None).read(sign_ins.by_email, store.hash, "eve@example.org") == []


async def test_a_secret_is_not_in_what_is_printed(store: Store, ada: Account) -> None:
    await put(store, ada, password="$argon2id$canary", totp=b"canary")
    assert "canary" not in repr(await again(store, ada))


async def test_the_fifth_attempt_locks_until_it_turns_out_to_hold(store: Store, ada: Account) -> None:
    one = (ada.organization, ada.id)
    assert [await store.write(sign_ins.attempt, *one, 5, 15) for _ in range(6)] == [1, 2, 3, 4, 5, 0]
    locked = await again(store, ada)
    assert locked.locked_until is not None
    assert locked.locked_until > clock.micros() + 14 * 60_000_000
    await put(store, ada, locked_until=clock.micros() - 1)
    assert await store.write(sign_ins.attempt, *one, 5, 15) == 1
    await store.write(sign_ins.held, *one)
    assert (await again(store, ada)).failures == 0


async def test_many_attempts_at_once_are_no_more_than_are_allowed(store: Store, ada: Account) -> None:
    one = (ada.organization, ada.id)
    found = await asyncio.gather(*(store.write(sign_ins.attempt, *one, 5, 15) for _ in range(40)))
    assert sorted(found) == [0] * 35 + [1, 2, 3, 4, 5]


async def test_a_step_holds_once_and_none_before_it(store: Store, ada: Account) -> None:
    one = (ada.organization, ada.id)
    assert [await store.write(sign_ins.use_step, *one, step) for step in (10, 10, 9, 11)] == [True, False, False, True]


async def test_a_new_password_ends_the_other_sessions_and_links(store: Store, ada: Account, act: Acts) -> None:
    one = (ada.organization, ada.id)
    numbers = [
        await store.write(sessions.start, store.hash, *one, "token", uuid.uuid4(), b"x", seconds=60, source="")
        for _ in range(2)
    ]
    token = await store.write(links.make, *one)
    await store.within(ada.organization).change(act(), sign_ins.set_password, ada, "$argon2id$new", keep=numbers[1])
    assert [each.id for each in await store.read(sessions.of_user, *one)] == [numbers[1]]
    with pytest.raises(NotFound):
        await store.read(links.look, token)
    changed = await again(store, ada)
    assert changed.password == "$argon2id$new"
    assert changed.password_at is not None


async def test_a_link_makes_its_user_active(store: Store, ada: Account, act: Acts) -> None:
    within = store.within(ada.organization)
    token = await store.write(links.make, ada.organization, ada.id)
    done = await within.change(act(ada.organization), sign_ins.use_link, token, "$argon2id$first")
    assert (done.uuid, (await again(store, ada)).state) == (ada.uuid, "active")
    with pytest.raises(NotFound):
        await within.change(act(ada.organization), sign_ins.use_link, token, "$argon2id$second")
    assert (await again(store, ada)).password == "$argon2id$first"


@pytest.mark.parametrize("state", ["disabled", "removed"])
async def test_who_was_shut_out_comes_back_by_no_link(store: Store, ada: Account, act: Acts, state: str) -> None:
    token = await store.write(links.make, ada.organization, ada.id)
    await put(store, ada, state=state)
    with pytest.raises(NotFound):
        await store.within(ada.organization).change(act(ada.organization), sign_ins.use_link, token, "$argon2id$x")
    assert (await again(store, ada)).password is None
    with pytest.raises(Unauthenticated):
        await store.within(ada.organization).change(
            act(ada.organization), sign_ins.opened, store.hash, ada, "token", uuid.uuid4(), b"x", ""
        )


async def test_the_first_administrator_is_made_once(store: Store, organization: int, act: Acts) -> None:
    assert await store.within(None).read(sign_ins.nobody)
    tokens = [await store.write(links.make, organization, None) for _ in range(2)]
    change = store.within(organization).change
    with pytest.raises(NotFound):  # the newer one ended it
        await change(act(organization), sign_ins.first, store.hash, tokens[0], EMAIL, "Ada", "$argon2id$x")
    made = await change(act(organization), sign_ins.first, store.hash, tokens[1], EMAIL, "Ada", "$argon2id$x")
    assert made.state == "active"
    assert made.bindings == (Binding(Role.TENANT_ADMIN), Binding(Role.PLATFORM_OPERATOR))
    assert not await store.within(None).read(sign_ins.nobody)
    late = await store.write(links.make, organization, None)
    with pytest.raises(Conflict):
        await change(act(organization), sign_ins.first, store.hash, late, "eve@example.org", "Eve", "$argon2id$x")


async def test_a_second_factor_is_set_and_removed_once(store: Store, ada: Account, act: Acts) -> None:
    change = store.within(ada.organization).change
    with pytest.raises(Conflict):
        await change(act(), sign_ins.set_totp, ada, None)
    await change(act(), sign_ins.set_totp, ada, b"sealed", 7)
    assert (await again(store, ada)).totp == b"sealed"
    with pytest.raises(Conflict):
        await change(act(), sign_ins.set_totp, ada, b"another", 8)
    assert not await store.write(sign_ins.use_step, ada.organization, ada.id, 7)  # the code that confirmed it
    await change(act(), sign_ins.set_totp, ada, None)
    assert (await again(store, ada)).totp is None


async def test_two_processes_allow_no_more_than_one(open_store: Open, role_url: str, tmp_path: Path, act: Acts) -> None:
    """Attempts, refresh tokens, links and codes, asked for in both at once."""
    both = [await open_store(tmp_path / name, role_url) for name in ("one", "two")]
    first = both[0]
    organization = await first.write(configuration.put_organization, "one", {})
    made = await first.write(users.add, first.hash, organization, EMAIL, "Ada", [Grant(Role.VIEWER)])
    one = (organization, made.id)

    async def at_once(ask: Callable[[Store], Awaitable[Any]], times: int = 5) -> list[Any]:
        asked = (ask(store) for _ in range(times) for store in both)
        return await asyncio.gather(*asked, return_exceptions=True)

    found = await at_once(lambda store: store.write(sign_ins.attempt, *one, 5, 15))
    assert sorted(found) == [0] * 5 + [1, 2, 3, 4, 5]
    found = await at_once(lambda store: store.write(sign_ins.use_step, *one, 7))
    assert sorted(found) == [False] * 9 + [True]
    token = await first.write(links.make, *one)
    found = await at_once(lambda store: store.write(links.use, token))
    assert [isinstance(each, NotFound) for each in found].count(False) == 1
    arguments = (first.hash, *one, "token", uuid.uuid4(), b"first")
    number = await first.write(sessions.start, *arguments, seconds=60, source="")

    def rotate(store: Store) -> Awaitable[Any]:
        change = store.within(organization).change
        return change(act(organization), sessions.rotate, organization, number, b"first", b"second")

    found = await at_once(rotate)
    assert [isinstance(each, Unauthenticated) for each in found].count(False) == 1
