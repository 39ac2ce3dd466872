"""What was configured: versions of routes, endpoints that keep their number, organizations apart."""

from __future__ import annotations

from typing import Any

import pytest

from hilum.store import Connection, Store, configuration
from hilum.store.configuration import Stored

pytestmark = pytest.mark.anyio
ROUTE: dict[str, Any] = {
    "route": {"name": "a", "from": "in/x", "to": ["out/y"]},
    "lanes": {"out/y": {"concurrency": 2}},
}


async def standing(store: Store, name: str = "demo") -> Stored:
    (found,) = await store.read(configuration.read, name)
    return found


async def test_the_same_route_is_the_same_version(store: Store) -> None:
    owner = await store.write(configuration.put_organization, "demo", {"environment": "test"})
    for _ in range(3):
        await store.write(configuration.put_route, owner, "a", ROUTE, "file")
    first = (await standing(store)).routes["a"]
    assert (first.number, first.document, first.current, first.managed_by) == (1, ROUTE, True, "file")
    changed = {**ROUTE, "lanes": {}}
    await store.write(configuration.put_route, owner, "a", changed, "api")
    second = (await standing(store)).routes["a"]
    assert (second.number, second.document, second.managed_by) == (2, changed, "api")
    pinned = await store.read(configuration.version, first.id)
    assert pinned is not None
    assert (pinned.document, pinned.current) == (ROUTE, False), "what it routed keeps it"
    await store.write(configuration.put_route, owner, "a", ROUTE, "file")
    assert (await standing(store)).routes["a"].number == 3, "going back is a new version"
    assert await store.read(configuration.version, 12_345) is None


async def test_a_retired_route_comes_back_as_the_version_it_was(store: Store) -> None:
    owner = await store.write(configuration.put_organization, "demo", {})
    await store.write(configuration.put_route, owner, "a", ROUTE, "file")
    first = (await standing(store)).routes["a"]
    await store.write(configuration.retire_route, owner, "a")
    assert (await standing(store)).routes == {}
    await store.write(configuration.put_route, owner, "a", ROUTE, "file")
    assert (await standing(store)).routes["a"] == first


async def test_an_endpoint_that_comes_back_keeps_its_number(store: Store) -> None:
    owner = await store.write(configuration.put_organization, "demo", {})
    number = await store.write(configuration.put_endpoint, owner, "lab/out", "outbound", {"url": "mllp://a:1"})
    assert await store.write(configuration.put_endpoint, owner, "lab/out", "outbound", {"url": "mllp://b:1"}) == number
    other = await store.write(configuration.put_endpoint, owner, "lab/in", "inbound", {})
    assert other != number
    await store.write(lambda connection: configuration.remove_endpoint(connection, owner, "lab/out", draining=True))
    removed = await standing(store)
    assert removed.endpoints == {"lab/out": number, "lab/in": other}, "messages point to it"
    assert removed.active == {"lab/in"}
    assert removed.draining == {"lab/out": {"url": "mllp://b:1"}}
    await store.write(configuration.drained, number)
    assert (await standing(store)).draining == {}
    assert await store.write(configuration.put_endpoint, owner, "lab/out", "outbound", {"url": "mllp://c:1"}) == number
    back = await standing(store)
    assert back.active == {"lab/in", "lab/out"}
    assert back.draining == {}
    names, _ = await store.read(configuration.names)
    assert names == {number: "lab/out", other: "lab/in"}


async def test_integrations_and_who_manages_them(store: Store) -> None:
    owner = await store.write(configuration.put_organization, "demo", {})
    await store.write(configuration.put_integration, owner, "lab", {"name": "lab"}, "file")
    await store.write(configuration.put_integration, owner, "lab", {"name": "lab", "active": False}, "file")
    await store.write(configuration.put_route, owner, "a", ROUTE, "file")
    found = await standing(store)
    assert found.integrations == {"lab": {"name": "lab", "active": False}}
    assert found.managed_by == {"integration/lab": "file", "route/a": "file"}
    assert await store.write(configuration.release, owner, "lab") is True
    assert await store.write(configuration.release, owner, "a") is True
    assert await store.write(configuration.release, owner, "nobody") is False
    assert (await standing(store)).managed_by == {"integration/lab": "api", "route/a": "api"}
    await store.write(configuration.remove_integration, owner, "lab")
    assert (await standing(store)).integrations == {}


async def test_organizations_do_not_see_each_other(store: Store) -> None:
    first = await store.write(configuration.put_organization, "demo", {"retention": {"bodies": 3}})
    second = await store.write(configuration.put_organization, "other", {})
    assert await store.write(configuration.put_organization, "demo", {"retention": {"bodies": 4}}) == first != second
    for owner in (first, second):
        await store.write(configuration.put_endpoint, owner, "lab/out", "outbound", {"of": owner})
        await store.write(configuration.put_integration, owner, "lab", {"of": owner}, "file")
        await store.write(configuration.put_route, owner, "a", {"of": owner}, "file")
    await store.write(configuration.retire_route, second, "a")
    await store.write(configuration.remove_integration, second, "lab")
    mine, others = await standing(store), await standing(store, "other")
    assert mine.document == {"retention": {"bodies": 4}}
    assert (set(mine.routes), set(mine.integrations)) == ({"a"}, {"lab"})
    assert (others.routes, others.integrations) == ({}, {})
    assert mine.endpoints["lab/out"] != others.endpoints["lab/out"]
    assert [one.name for one in await store.read(configuration.read)] == ["demo", "other"]
    assert await store.read(configuration.read, "nobody") == []


async def test_a_change_that_fails_changes_nothing(store: Store) -> None:
    owner = await store.write(configuration.put_organization, "demo", {})

    def change(connection: Connection) -> None:
        configuration.put_integration(connection, owner, "lab", {}, "file")
        configuration.put_route(connection, owner, "a", ROUTE, "file")
        raise LookupError("half-way")

    with pytest.raises(LookupError, match="half-way"):
        await store.write(change)
    found = await standing(store)
    assert (found.integrations, found.routes) == ({}, {})
