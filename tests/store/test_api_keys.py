"""API keys: two of a name at a time, found by the part that may be seen, ended at once."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from hilum import clock
from hilum.errors import ConfigError, Conflict, NotFound
from hilum.model.access import Role
from hilum.model.audit import Act
from hilum.store import Store, api_keys, audit, configuration, outbox, principals, studies
from hilum.store.api_keys import ApiKeyRow, Wanted
from hilum.store.audit import EventFilter
from hilum.store.schema_people import api_key

pytestmark = pytest.mark.anyio
Acts = Callable[..., Act]
DAY = 86_400_000_000
_numbers = itertools.count()


async def organization(store: Store, name: str = "one") -> int:
    return await store.write(configuration.put_organization, name, {})


def wanted(name: str = "feed", **values: Any) -> Wanted:
    """A key that holds for ten days."""
    number = next(_numbers)
    usual = {
        "id": f"{number:08}", "digest": b"digest %d" % number, "role": Role.SERVICE, "study": None,
        "scopes": ("messages:read",), "allow": (), "expires_at": clock.micros() + 10 * DAY, "created_by": "local:test",
    }  # fmt: skip
    return Wanted(name=name, **(usual | values))


async def created(store: Store, act: Acts, owner: int, one: Wanted) -> ApiKeyRow:
    change = store.within(owner).change
    found: ApiKeyRow = await change(act(owner, "api-key.create"), api_keys.create, store.hash, owner, one)
    return found


async def rotated(store: Store, act: Acts, owner: int, one: ApiKeyRow, overlap: int = 60) -> ApiKeyRow:
    key = wanted()
    found: ApiKeyRow = await store.within(owner).change(
        act(owner, "api-key.rotate"), api_keys.rotate, store.hash, owner, one.uuid, key.id, key.digest, "x", overlap
    )
    return found


async def revoked(store: Store, act: Acts, owner: int, one: ApiKeyRow) -> None:
    await store.within(owner).change(act(owner, "api-key.revoke"), api_keys.revoke, owner, one.uuid)


async def ended(store: Store, one: ApiKeyRow) -> None:
    """Let its time be over."""
    over = api_key.update().where(api_key.c.id == one.id).values(expires_at=clock.micros() - 1)
    await store.write(lambda connection: connection.execute(over))


async def test_a_key_is_found_by_the_part_that_may_be_seen(store: Store, act: Acts) -> None:
    owner = await organization(store)
    study = await store.write(studies.ensure, owner, "trial")
    one = wanted(study="trial", allow=("10.0.0.0/8",))
    made = await created(store, act, owner, one)
    assert (made.organization, made.study, made.study_name, made.key_id) == (owner, study, "trial", one.id)
    assert (made.scopes, made.allow, made.role) == (("messages:read",), ("10.0.0.0/8",), Role.SERVICE)
    assert await store.read(api_keys.known, store.hash, one.id) == made
    assert await store.read(api_keys.known, store.hash, "unknown0") is None
    assert await store.within(owner).read(api_keys.find, owner, made.uuid) == made


@pytest.mark.ledger_part("S4-76", "API keys of another organization are not there")
async def test_another_organizations_key_is_not_there(store: Store, act: Acts) -> None:
    owner, other = await organization(store), await organization(store, "two")
    theirs = await created(store, act, other, wanted())
    for within in (owner, other):  # row level security hides it, and so does the statement itself
        with pytest.raises(NotFound):
            await store.within(within).read(api_keys.find, owner, theirs.uuid)
    with pytest.raises(NotFound):
        await revoked(store, act, owner, theirs)
    with pytest.raises(NotFound):
        await rotated(store, act, owner, theirs)
    assert await store.within(owner).read(api_keys.listed, owner, None, None, 0, 10) == ([], 0)
    assert await store.read(api_keys.known, store.hash, theirs.key_id) == theirs
    await store.write(studies.ensure, other, "theirs")
    with pytest.raises(ConfigError, match="there is no study theirs"):
        await created(store, act, owner, wanted(study="theirs"))


async def test_two_of_a_name_hold_at_a_time(store: Store, act: Acts) -> None:
    owner, other = await organization(store), await organization(store, "two")
    first = await created(store, act, owner, wanted())
    second = await created(store, act, owner, wanted())
    with pytest.raises(Conflict, match="two keys are called feed: revoke one first"):
        await created(store, act, owner, wanted())
    with pytest.raises(Conflict):
        await rotated(store, act, owner, first)
    await created(store, act, owner, wanted("another"))
    await created(store, act, other, wanted())
    await ended(store, first)
    third = await created(store, act, owner, wanted())
    await revoked(store, act, owner, second)
    await created(store, act, owner, wanted())
    assert third.uuid != first.uuid


async def test_two_processes_make_no_third_one(role_url: str, act: Acts, open_store: Any) -> None:
    store, other = await open_store(url=role_url), await open_store(url=role_url)
    owner = await organization(store)
    both = [created(each, act, owner, wanted()) for each in [store, other] * 10]
    outcomes = await asyncio.gather(*both, return_exceptions=True)
    assert sorted(type(one).__name__ for one in outcomes) == ["ApiKeyRow"] * 2 + ["Conflict"] * 18


async def test_the_old_key_ends_after_the_overlap(store: Store, act: Acts) -> None:
    owner = await organization(store)
    old = await created(store, act, owner, wanted(scopes=("lanes:read", "messages:read"), allow=("10.0.0.0/8",)))
    before = clock.micros()
    fresh = await rotated(store, act, owner, old, overlap=60)
    after = clock.micros()
    ending = await store.read(api_keys.find, owner, old.uuid)
    assert before + 60_000_000 <= ending.expires_at <= after + 60_000_000
    assert ending.state(after) == "active"
    assert ending.state(after + 60_000_000) == "expired"
    assert (fresh.name, fresh.scopes, fresh.allow) == (old.name, old.scopes, old.allow)
    assert fresh.key_id != old.key_id
    assert abs((fresh.expires_at - fresh.created_at) - (old.expires_at - old.created_at)) < 1_000_000, "as long again"
    noted = {note.entity for note in await store.read(outbox.after, 0) if note.topic == "api-key.rotate"}
    assert noted == {old.entity, fresh.entity}, "caches forget both"


async def test_the_overlap_lengthens_no_life(store: Store, act: Acts) -> None:
    owner = await organization(store)
    old = await created(store, act, owner, wanted())
    await rotated(store, act, owner, old, overlap=30 * 86_400)
    assert (await store.read(api_keys.find, owner, old.uuid)).expires_at == old.expires_at


async def test_a_key_of_an_archived_study_is_rotated_into_the_same(store: Store, act: Acts) -> None:
    owner = await organization(store)
    study = await store.write(studies.ensure, owner, "trial")
    old = await created(store, act, owner, wanted(study="trial"))
    [found], _ = await store.read(studies.listed, owner, None, 0, 1)
    await store.within(owner).change(act(owner), studies.archive, owner, found.uuid)
    assert (await rotated(store, act, owner, old)).study == study, "never into the whole organization"


async def test_a_revoked_key_leads_nowhere(store: Store, act: Acts) -> None:
    owner = await organization(store)
    one = await created(store, act, owner, wanted())
    await revoked(store, act, owner, one)
    assert await store.read(api_keys.known, store.hash, one.key_id) is None
    assert await store.read(principals.find, store.hash, "api_key", one.key_id) == []
    left = await store.read(api_keys.find, owner, one.uuid)
    assert left.state(clock.micros()) == "revoked"
    with pytest.raises(NotFound):
        await revoked(store, act, owner, one)
    with pytest.raises(Conflict, match="this key is revoked"):
        await rotated(store, act, owner, one)
    with pytest.raises(NotFound):
        await store.read(api_keys.find, owner, uuid.uuid4())


async def test_a_list_is_filtered_by_name_and_state(store: Store, act: Acts) -> None:
    owner = await organization(store)
    over, gone = await created(store, act, owner, wanted("b")), await created(store, act, owner, wanted("a"))
    here = await created(store, act, owner, wanted("b"))
    await ended(store, over)
    await revoked(store, act, owner, gone)

    async def ids(name: str | None = None, state: Any = None) -> list[str]:
        found, total = await store.within(owner).read(api_keys.listed, owner, name, state, 0, 10)
        assert total == len(found)
        return [one.key_id for one in found]

    assert await ids() == [gone.key_id, here.key_id, over.key_id]
    assert await ids("b") == [here.key_id, over.key_id]
    assert await ids(state="active") == [here.key_id]
    assert await ids(state="expired") == [over.key_id]
    assert await ids(state="revoked") == [gone.key_id]
    found, total = await store.read(api_keys.listed, owner, None, None, 2, 1)
    assert ([one.key_id for one in found], total) == ([over.key_id], 3)


async def test_when_it_was_used_is_kept(store: Store, act: Acts) -> None:
    owner, other = await organization(store), await organization(store, "two")
    one = await created(store, act, owner, wanted())
    await store.within(other).write(api_keys.used, other, one.id, 60_000_000)
    assert (await store.read(api_keys.find, owner, one.uuid)).used_at is None
    await store.within(owner).write(api_keys.used, owner, one.id, 60_000_000)
    assert (await store.read(api_keys.find, owner, one.uuid)).used_at == 60_000_000


@pytest.mark.ledger_part("S0-31", "only an HMAC of a key is stored; its audit event has neither")
async def test_the_database_and_the_trail_hold_no_key(store: Store, act: Acts) -> None:
    owner = await organization(store)
    one = await created(store, act, owner, wanted())
    (event,) = await store.read(audit.newest, owner, EventFilter(entity=one.entity))
    assert set(event.document["after"]) == {"name", "key_id", "role", "study", "scopes", "allow", "expires_at"}
    columns = await store.read(lambda connection: dict(connection.execute(sa.select(api_key)).one()._mapping))
    assert [name for name, value in columns.items() if isinstance(value, bytes)] == ["digest"]
