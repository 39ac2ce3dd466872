"""The index of who something belongs to: hashes and numbers, for every organization at once."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from hilum.store import Store, configuration, principals
from hilum.store.principals import Found
from hilum.store.schema_people import principal_index

pytestmark = pytest.mark.anyio


async def test_an_address_may_lead_to_several_organizations(store: Store) -> None:
    one, two = [await store.write(configuration.put_organization, name, {}) for name in ("one", "two")]
    for organization, number in ((two, 7), (one, 3)):
        await store.write(principals.add, store.hash, "email", "ada@example.org", organization, number)
    await store.write(principals.add, store.hash, "oidc", "ada@example.org", one, 9)
    find = store.within(None).read
    assert await find(principals.find, store.hash, "email", "ada@example.org") == [Found(one, 3), Found(two, 7)]
    assert await find(principals.find, store.hash, "oidc", b"ada@example.org") == [Found(one, 9)]
    assert await find(principals.find, store.hash, "email", "eve@example.org") == []
    await store.within(one).write(principals.remove, "email", one, 3)
    assert await find(principals.find, store.hash, "email", "ada@example.org") == [Found(two, 7)]


async def test_it_shows_nobody_what_was_indexed(store: Store) -> None:
    await store.write(principals.add, store.hash, "email", "ada@example.org", 1, 3)
    rows = await store.read(lambda connection: connection.execute(sa.select(principal_index)).all())
    assert [row._mapping.keys() for row in rows] == [["hash", "kind", "organization", "number"]]
    assert "ada" not in repr(rows)
