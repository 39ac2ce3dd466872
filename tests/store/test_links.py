"""One-time links: they hold once, for a while, and a newer one ends those before it."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from hilum.errors import NotFound
from hilum.model.access import Role
from hilum.store import Store, configuration, links, users
from hilum.store.schema_people import link
from hilum.store.users import Grant

pytestmark = pytest.mark.anyio


@pytest.fixture
async def organization(store: Store) -> int:
    return await store.write(configuration.put_organization, "one", {})


async def person(store: Store, organization: int, email: str = "ada@example.org") -> int:
    grants = [Grant(Role.VIEWER)]
    return (await store.write(users.add, store.hash, organization, email, "Ada", grants)).id


async def test_a_link_holds_once(store: Store, organization: int) -> None:
    ada = await person(store, organization)
    token = await store.within(organization).write(links.make, organization, ada)
    for _ in range(2):  # looking uses nothing up
        assert (await store.within(None).read(links.look, token)).user == ada
    assert (await store.write(links.use, token)).organization == organization
    with pytest.raises(NotFound):
        await store.within(None).read(links.look, token)
    with pytest.raises(NotFound):
        await store.write(links.use, token)


async def test_a_newer_link_ends_the_older_ones_of_its_user_alone(store: Store, organization: int) -> None:
    ada, eve = await person(store, organization), await person(store, organization, "eve@example.org")
    old, other, first = [await store.write(links.make, organization, whose) for whose in (ada, eve, None)]
    new = await store.write(links.make, organization, ada)
    with pytest.raises(NotFound):
        await store.read(links.look, old)
    for token, whose in ((new, ada), (other, eve), (first, None)):
        assert (await store.read(links.look, token)).user == whose


async def test_a_link_is_over_when_its_time_is(store: Store, organization: int) -> None:
    ada = await person(store, organization)
    token = await store.write(links.make, organization, ada, 0)
    with pytest.raises(NotFound):
        await store.read(links.look, token)


async def test_a_link_cannot_be_made_up_or_read_from_its_row(store: Store, organization: int) -> None:
    ada = await person(store, organization)
    token = await store.write(links.make, organization, ada)
    assert token.startswith("hilum_link_")
    rows = await store.read(lambda connection: connection.execute(sa.select(link)).all())
    secret = token.rpartition("_")[2]
    assert secret not in repr(rows)
    assert secret.encode() not in rows[0].digest
    head = token.removesuffix(secret)
    for wrong in ("", "hilum_link_", "hilum_link_x_y", f"{head}{'a' * 43}", token[:-1], "hilum_link_9_x", token[6:],
                  f"hilum_link_{'9' * 40}_x", "hilum_link_²_x"):  # fmt: skip
        with pytest.raises(NotFound) as error:
            await store.read(links.look, wrong)
        assert str(error.value) == links.GONE
