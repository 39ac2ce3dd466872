"""Integrations' rows on both databases: along the lifecycle and no other way, each step kept."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable

import pytest
import sqlalchemy as sa

from hilum.errors import Conflict, Stale
from hilum.model.access import HUB, Scope
from hilum.model.audit import Act
from hilum.model.lifecycle import LIFECYCLE_TRANSITIONS, RUNS, Lifecycle
from hilum.store import Store, configuration, integrations, schema
from hilum.store.integrations import Row

pytestmark = pytest.mark.anyio
DOCUMENT = {
    "name": "lab", "title": "lab", "protocol": "rest_api",
    "endpoints": [{"name": "out", "direction": "outbound", "url": "https://lab.example.org/"}],
}  # fmt: skip


def acting(owner: int, reason: str = "ticket 17") -> Act:
    return Act(HUB, Scope(owner), "integration.move", reason=reason)


@pytest.fixture
def standing(store: Store) -> Callable[..., Awaitable[Row]]:
    """One that stands there, however it came to it."""

    async def make(lifecycle: Lifecycle, name: str = "lab") -> Row:
        def write(connection: sa.Connection) -> Row:
            owner = configuration.put_organization(connection, "demo", {})
            document = {**DOCUMENT, "name": name, "title": name}
            made = integrations.create(connection, acting(owner), uuid.uuid4(), document, Lifecycle.INITIALIZING, {})
            archived = 1 if lifecycle is Lifecycle.ARCHIVED else None
            values = {"lifecycle": lifecycle, "archived_at": archived}
            table = schema.integration
            connection.execute(table.update().where(table.c.id == made.result.id).values(values))
            return integrations.get(connection, made.result.id)

        return await store.write(write)

    return make


async def steps(store: Store, one: Row) -> list[tuple[str | None, str, str, str]]:
    """The oldest first, without the first, which made it."""
    found, total = await store.read(integrations.history, one.id, 0, 100)
    assert total == len(found)
    assert (found[-1].before, found[-1].after) == (None, "initializing")
    return [(each.before, each.after, each.actor, each.reason) for each in reversed(found)][1:]


@pytest.mark.ledger_part("S2-49", "every step of the table is taken and kept, every other refused, on both databases")
@pytest.mark.parametrize("before", Lifecycle)
async def test_a_step_that_may_not_follow_is_refused(
    store: Store, standing: Callable[..., Awaitable[Row]], before: Lifecycle
) -> None:
    for after in Lifecycle:
        one = await standing(before, f"to-{after}")
        act, change = acting(one.organization), store.within(one.organization).change
        if after is not before and after not in LIFECYCLE_TRANSITIONS[before]:
            with pytest.raises(Conflict, match=f"an integration that is {before} cannot become {after}"):
                await change(act, integrations.move, act, one, after)
            assert (await store.read(integrations.get, one.id)) == one
            assert await steps(store, one) == []
            continue
        moved = await change(act, integrations.move, act, one, after)
        assert (moved.lifecycle, moved.document["active"], moved.version) == (after, after in RUNS, one.version + 1)
        assert (moved.archived_at is not None) is (after is Lifecycle.ARCHIVED)
        assert await steps(store, one) == ([] if after is before else [(before, after, "Hilum", "ticket 17")])
        with pytest.raises(Stale):
            await change(act, integrations.move, act, one, after, version=one.version)


@pytest.mark.ledger_part("S2-49", "a configuration file moves along the same table")
async def test_a_file_goes_the_same_ways(store: Store, standing: Callable[..., Awaitable[Row]]) -> None:
    one = await standing(Lifecycle.INITIALIZING)
    act = acting(one.organization, "")

    def apply(connection: sa.Connection, *, active: bool) -> None:
        configuration.put_integration(
            connection, one.organization, "lab", {**DOCUMENT, "active": active}, "file", act=act
        )

    await store.write(lambda connection: apply(connection, active=True))
    await store.write(lambda connection: apply(connection, active=True))
    await store.write(configuration.remove_integration, one.organization, "lab", act)
    for active in (True, False):
        await store.write(lambda connection, active=active: apply(connection, active=active))
    await store.write(configuration.remove_integration, one.organization, "lab", act)
    await store.write(lambda connection: apply(connection, active=False))
    assert [(before, after) for before, after, _, _ in await steps(store, one)] == [
        ("initializing", "active"), ("active", "archived"), ("archived", "inactive"), ("inactive", "active"),
        ("active", "inactive"), ("inactive", "archived"), ("archived", "inactive"),
    ]  # fmt: skip
    assert (await store.read(integrations.get, one.id)).lifecycle is Lifecycle.INACTIVE


DOWN = "down. " * 300


@pytest.mark.parametrize(("text", "kept"), [(DOWN, DOWN[:1_024]), ("é" * 600, "é" * 512), ("aé" * 500, None)])
@pytest.mark.ledger_part("S2-60", "1 KiB at most, in whole characters")
async def test_an_error_is_cut(store: Store, text: str, kept: str | None) -> None:
    sealed = integrations.seal_error(store.sealer, 7, text)
    found = store.sealer.open(sealed, integrations.place(7, "last_error")).decode()
    assert text.startswith(found)
    assert 1_022 <= len(found.encode()) <= 1_024
    assert kept in (None, found)
