"""Rows of data keys, credentials and certificates belong to their organization, whatever is asked for."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable

import pytest
import sqlalchemy as sa

from hilum.errors import Conflict, NotFound, StoreError
from hilum.model.access import Scope
from hilum.security.keys import Wrapped
from hilum.store import Store, certificates, configuration, credentials, vault
from hilum.store.credentials import NewCredential
from hilum.store.schema_people import credential, data_key

pytestmark = pytest.mark.anyio
WRAPPED = Wrapped("file", "1", b"wrapped")


@pytest.fixture
async def two(store: Store) -> tuple[int, int]:
    """Two organizations."""
    one = await store.write(configuration.put_organization, "one", {})
    return one, await store.write(configuration.put_organization, "two", {})


def new(name: str, key: int = 1) -> NewCredential:
    return NewCredential(uuid.uuid4(), None, name, "bearer", {}, {}, b"sealed", key, None)


async def test_data_keys_are_counted_up_one_after_the_other(store: Store, two: tuple[int, int]) -> None:
    one, other = two
    for number in (1, 2):
        await store.within(one).write(vault.add, one, number, WRAPPED)
    await store.within(other).write(vault.add, other, 1, WRAPPED)
    with pytest.raises(Conflict, match="made meanwhile"):
        await store.within(one).write(vault.add, one, 2, WRAPPED)
    assert [key.number for key in await store.within(one).read(vault.keys, one)] == [2, 1]
    assert [key.organization for key in await store.read(vault.keys)] == [one, one, other]
    newest = await store.within(one).read(vault.key, one)
    assert newest is not None
    assert newest.number == 2
    assert await store.within(one).read(vault.key, one, 7) is None


async def test_seals_are_given_out_and_never_twice(store: Store, two: tuple[int, int]) -> None:
    one, other = two
    for organization in two:
        await store.within(organization).write(vault.add, organization, 1, WRAPPED)
    assert [await store.within(one).write(vault.take, one, 1, 10) for _ in range(3)] == [10, 20, 30]
    assert [key.seals for key in await store.within(other).read(vault.keys, other)] == [0]


async def test_a_rewrapped_key_is_stored_once(store: Store, two: tuple[int, int]) -> None:
    one, _ = two
    made = await store.within(one).write(vault.add, one, 1, WRAPPED)
    assert await store.within(one).write(vault.rewrapped, made, Wrapped("kms", "arn", b"again"))
    assert not await store.within(one).write(vault.rewrapped, made, WRAPPED), "it is another by now"
    stored = await store.within(one).read(vault.key, one)
    assert stored is not None
    assert stored.wrapped == Wrapped("kms", "arn", b"again")


async def test_what_is_behind_is_found_resealed_and_the_key_retired(store: Store, two: tuple[int, int]) -> None:
    one, other = two
    for organization in two:
        for number in (1, 2):
            await store.within(organization).write(vault.add, organization, number, WRAPPED)
        for name in ("a", "b"):
            await store.within(organization).write(credentials.insert, organization, new(name))
    rows = await store.within(one).read(vault.behind, one, 2, 10)
    assert len(rows) == 2
    assert len(await store.within(one).read(vault.behind, one, 2, 1)) == 1
    assert len(await store.within(one).read(vault.behind, one, 2, 10, (rows[0].uuid,))) == 1
    assert await store.within(one).write(vault.retire, one) == 0
    for row in rows:
        assert await store.within(one).write(vault.resealed, one, row, b"anew", 2)
        assert not await store.within(one).write(vault.resealed, one, row, b"late", 2)
    assert await store.within(one).read(vault.counts, one) == {2: 2}
    assert await store.within(one).write(vault.retire, one) == 1
    assert await store.within(other).read(vault.counts, other) == {1: 2}


async def test_another_organizations_rows_are_not_there(store: Store, two: tuple[int, int]) -> None:
    one, other = two
    made = (await store.within(one).write(credentials.insert, one, new("a"))).result
    with pytest.raises(NotFound):
        await store.within(other).read(credentials.find, Scope(other), made.uuid)
    assert await store.within(other).read(credentials.named, other, ["a"]) == {}
    assert await store.within(other).read(credentials.listed, Scope(other), offset=0, limit=9) == ([], 0)
    assert await store.within(other).read(certificates.listed, Scope(other), offset=0, limit=9) == ([], 0)


async def test_row_level_security_holds_without_the_filter(
    role_url: str, open_store: Callable[..., Awaitable[Store]]
) -> None:
    """PostgreSQL: a query that forgot to narrow sees nothing of others, and cannot write for them."""
    store = await open_store(url=role_url)
    one = await store.write(configuration.put_organization, "one", {})
    other = await store.write(configuration.put_organization, "two", {})
    two = (one, other)
    for organization in two:
        await store.within(organization).write(vault.add, organization, 1, WRAPPED)
        await store.within(organization).write(credentials.insert, organization, new("a"))
    for table in (data_key, credential):

        def owners(connection: sa.Connection, table: sa.Table = table) -> set[int]:
            return set(connection.execute(sa.select(table.c.organization)).scalars())

        assert await store.within(one).read(owners) == {one}
    with pytest.raises((StoreError, sa.exc.SQLAlchemyError)):
        await store.within(one).write(vault.add, other, 1, WRAPPED)


async def test_any_change_is_noticed(store: Store, two: tuple[int, int]) -> None:
    one, other = two
    seen = [await store.read(vault.standing)]
    made = (await store.within(one).write(credentials.insert, one, new("a"))).result
    seen.append(await store.read(vault.standing))
    await store.within(one).write(credentials.change, Scope(one), made.uuid, 1, (), {"rotate_every": 3})
    seen.append(await store.read(vault.standing))
    await store.within(one).write(credentials.archive, Scope(one), made.uuid, 2)
    seen.append(await store.read(vault.standing))
    await store.within(other).write(credentials.insert, other, new("a"))
    seen.append(await store.read(vault.standing))
    assert len(set(seen)) == 5
