"""Sessions: found before their organization is known, rotated, ended; a row stays for the evidence."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from hilum import clock
from hilum.errors import NotFound, Unauthenticated
from hilum.model.access import Binding, Role
from hilum.model.audit import Act
from hilum.store import Store, configuration, sessions, users
from hilum.store.schema_people import session
from hilum.store.users import Grant

pytestmark = pytest.mark.anyio
Acts = Callable[..., Act]


@pytest.fixture
async def organization(store: Store) -> int:
    return await store.write(configuration.put_organization, "one", {})


@pytest.fixture
async def ada(store: Store, organization: int) -> int:
    grants = [Grant(Role.VIEWER)]
    return (await store.write(users.add, store.hash, organization, "ada@example.org", "Ada", grants)).id


async def begin(store: Store, organization: int, whose: int, digest: bytes = b"first") -> tuple[uuid.UUID, int]:
    identifier = uuid.uuid4()
    arguments = (store.hash, organization, whose, "token", identifier, digest)
    number = await store.within(organization).write(sessions.start, *arguments, seconds=3600, source="192.0.2.1")
    return identifier, number


async def test_a_session_is_found_with_whose_it_is(store: Store, organization: int, ada: int) -> None:
    identifier, number = await begin(store, organization, ada)
    found = await store.within(None).read(sessions.standing, store.hash, identifier)
    assert found is not None
    assert (found.session.id, found.session.uuid, found.session.kind) == (number, str(identifier), "token")
    assert (found.user_name, found.user_state, found.organization_name) == ("Ada", "invited", "one")
    assert found.bindings == (Binding(Role.VIEWER),)
    assert found.settings.session_idle == 15
    assert found.session.expires_at - found.session.created_at == 3_600_000_000
    assert await store.within(None).read(sessions.standing, store.hash, uuid.uuid4()) is None


async def test_a_refresh_token_is_put_in_the_place_of_the_newest_alone(
    store: Store, organization: int, ada: int, act: Acts
) -> None:
    _, number = await begin(store, organization, ada)
    change = store.within(organization).change
    await change(act(organization), sessions.rotate, organization, number, b"first", b"second")
    assert (await store.read(sessions.get, organization, number)).generation == 2
    with pytest.raises(Unauthenticated):
        await change(act(organization), sessions.rotate, organization, number, b"first", b"third")
    found = await store.read(sessions.get, organization, number)
    assert (found.generation, found.digest) == (2, b"second")
    await change(act(organization), sessions.end, organization, number, "signed out")
    with pytest.raises(Unauthenticated):
        await change(act(organization), sessions.rotate, organization, number, b"second", b"third")


async def test_a_session_ends_once_and_stays_as_a_row(store: Store, organization: int, ada: int, act: Acts) -> None:
    identifier, number = await begin(store, organization, ada)
    change = store.within(organization).change
    assert await change(act(organization), sessions.end, organization, number, "signed out") is True
    assert await change(act(organization), sessions.end, organization, number, "again") is False
    found = await store.read(sessions.get, organization, number)
    assert (found.ended_why, found.ended_at is not None) == ("signed out", True)
    standing = await store.read(sessions.standing, store.hash, identifier)
    assert standing is not None
    assert standing.session.ended_at is not None


async def test_only_sessions_that_hold_are_listed(store: Store, organization: int, ada: int, act: Acts) -> None:
    numbers = [(await begin(store, organization, ada))[1] for _ in range(3)]
    await store.within(organization).change(act(organization), sessions.end, organization, numbers[0], "out")
    expire = session.update().where(session.c.id == numbers[1]).values(expires_at=clock.micros() - 1)
    await store.write(lambda connection: connection.execute(expire))
    assert [one.id for one in await store.read(sessions.of_user, organization, ada)] == [numbers[2]]
    assert await store.write(sessions.end_all, organization, ada, "all", but=numbers[2]) == 1
    assert await store.write(sessions.end_all, organization, ada, "all") == 1
    assert await store.read(sessions.of_user, organization, ada) == []


async def test_another_organization_cannot_touch_it(store: Store, organization: int, ada: int, act: Acts) -> None:
    _, number = await begin(store, organization, ada)
    other = await store.write(configuration.put_organization, "two", {})
    for refused in (
        store.within(other).read(sessions.get, other, number),
        store.within(other).change(act(other), sessions.end, other, number, "out"),
        store.within(other).change(act(other), sessions.rotate, other, number, b"first", b"second"),
    ):
        with pytest.raises(NotFound):
            await refused
    await store.within(other).write(sessions.seen, other, number, 7)
    assert await store.within(other).write(sessions.end_all, other, ada, "all") == 0
    found = await store.read(sessions.get, organization, number)
    assert found.ended_at is None
    assert found.seen_at != 7


async def test_a_policy_of_the_database_hides_it_as_well(store: Store, organization: int, ada: int) -> None:
    """Also from a query without a filter."""
    await begin(store, organization, ada)
    other = await store.write(configuration.put_organization, "two", {})
    rows = await store.within(other).read(lambda connection: connection.execute(sa.select(session)).all())
    assert rows == []
