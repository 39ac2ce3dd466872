"""Export plans: one of a name at a time, due at their times, moved on once whoever tries."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from hilum.errors import Conflict, NotFound, Stale
from hilum.model.access import Scope
from hilum.model.audit import Act
from hilum.store import Store, audit, configuration, export_plans, exports, studies
from hilum.store.audit import EventFilter
from hilum.store.export_plans import Plan, Wanted
from hilum.store.exports import Export
from hilum.store.schema import organization

pytestmark = pytest.mark.anyio
Acts = Callable[..., Act]
MINUTE = 60_000_000


def wanted(name: str = "weekly", **values: Any) -> Wanted:
    usual = {
        "study": None, "kind": "data", "definition": {"format": "csv"}, "cron": "0 6 * * *", "next_at": 5 * MINUTE,
        "owner": "local:ann", "owner_name": "Ann",
    }  # fmt: skip
    return Wanted(name=name, **(usual | values))


async def home(store: Store, name: str = "one") -> int:
    return await store.write(configuration.put_organization, name, {})


async def created(store: Store, act: Acts, owner: int, one: Wanted) -> Plan:
    found: Plan = await store.within(owner).change(act(owner, "export-plan.create"), export_plans.create, owner, one)
    return found


async def exported(store: Store, owner: int, study: int | None = None) -> Export:
    one = exports.Wanted(study, "data", {"format": "csv"}, "x.csv", "text/csv", "local:ann", "Ann")
    return await store.write(exports.add, owner, one)


async def read(store: Store, owner: int, one: Plan) -> Plan:
    return await store.within(owner).read(export_plans.find, Scope(owner), one.uuid)


async def test_a_name_is_one_plan_s_until_that_is_archived(store: Store, act: Acts) -> None:
    owner = await home(store)
    one = await created(store, act, owner, wanted("Wöchentlich"))
    assert (one.version, one.next_at, one.last, one.problem) == (1, 5 * MINUTE, None, None)
    with pytest.raises(Conflict, match="already"):
        await created(store, act, owner, wanted("WÖCHENTLICH"))
    other = await created(store, act, owner, wanted("daily"))
    change = store.within(owner).change
    with pytest.raises(Conflict, match="already"):
        await change(act(owner), export_plans.replace, other, 1, wanted("wöchentlich"))
    await change(act(owner, "export-plan.archive"), export_plans.archive, Scope(owner), one.uuid)
    with pytest.raises(NotFound):
        await read(store, owner, one)
    with pytest.raises(NotFound):
        await change(act(owner), export_plans.archive, Scope(owner), one.uuid)
    again = await created(store, act, owner, wanted("wöchentlich"))
    assert again.uuid != one.uuid
    (event,) = await store.within(owner).read(
        audit.newest, owner, EventFilter(action="export-plan.archive"), limit=10
    )  # fmt: skip
    assert (event.document["entity"], event.document["before"]["name"]) == (one.entity, "Wöchentlich")


async def test_all_of_it_is_replaced_by_who_saw_it(store: Store, act: Acts) -> None:
    owner = await home(store)
    one = await created(store, act, owner, wanted())
    assert await store.write(export_plans.ran, one, "no rights", 9 * MINUTE)
    one = await read(store, owner, one)
    assert (one.problem, one.version) == ("no rights", 1), "what comes of it is in nobody's way"
    change, new = store.within(owner).change, wanted("other", owner="local:bob", owner_name="Bob", next_at=7 * MINUTE)
    after = await change(act(owner), export_plans.replace, one, 1, new)
    assert (after.name, after.owner, after.problem, after.next_at, after.version) == (
        "other", "local:bob", None, 7 * MINUTE, 2
    )  # fmt: skip
    with pytest.raises(Stale):
        await change(act(owner), export_plans.replace, one, 1, new)


async def test_a_time_is_moved_on_once(store: Store, act: Acts) -> None:
    owner = await home(store)
    one = await created(store, act, owner, wanted())
    made = await exported(store, owner)
    moved = await asyncio.gather(*(store.write(export_plans.ran, one, made, 9 * MINUTE) for _ in range(5)))
    assert sorted(moved) == [False] * 4 + [True]
    after = await read(store, owner, one)
    assert (after.next_at, after.last, after.problem) == (9 * MINUTE, made.id, None)
    assert await store.write(export_plans.ran, after, "full", 10 * MINUTE)
    after = await read(store, owner, one)
    assert (after.last, after.problem) == (made.id, "full"), "what came of it before stays known"
    assert not await store.write(export_plans.ran, dataclasses.replace(after, version=7), made, 11 * MINUTE)
    await store.within(owner).change(act(owner), export_plans.archive, Scope(owner), one.uuid)
    assert not await store.write(export_plans.ran, after, made, 11 * MINUTE), "archived meanwhile"


async def test_those_of_all_organizations_are_due_at_their_time(store: Store, act: Acts) -> None:
    one, two = await home(store), await home(store, "two")
    late = await created(store, act, one, wanted("late", next_at=3 * MINUTE))
    early = await created(store, act, two, wanted("early", next_at=2 * MINUTE))
    await created(store, act, one, wanted("idle", cron=None, next_at=None))
    gone = await created(store, act, one, wanted("gone", next_at=1))
    await store.within(one).change(act(one), export_plans.archive, Scope(one), gone.uuid)
    assert await store.read(export_plans.due, 2 * MINUTE - 1) == []
    assert await store.read(export_plans.due, 3 * MINUTE) == [early, late]
    over = organization.update().where(organization.c.id == two).values(archived_at=1)
    await store.write(lambda connection: connection.execute(over))
    assert await store.read(export_plans.due, 3 * MINUTE) == [late], "nobody is there any more"


async def test_whose_it_is(store: Store, act: Acts) -> None:
    one, two = await home(store), await home(store, "two")
    alpha, beta = [await store.write(studies.ensure, one, name) for name in ("alpha", "beta")]
    plans = [await created(store, act, one, wanted(str(study), study=study)) for study in (alpha, beta, None)]
    await created(store, act, two, wanted("theirs"))

    async def names(scope: Scope) -> list[str]:
        found, total = await store.within(scope.organization).read(export_plans.listed, scope, 0, 10)
        assert total == len(found)
        return [plan.name for plan in found]

    assert await names(Scope(one)) == [str(alpha), str(beta), "None"]
    assert await names(Scope(one, frozenset({beta}))) == [str(beta)]
    assert await names(Scope(one, frozenset())) == []
    assert await names(Scope(two)) == ["theirs"]
    for scope, plan in ((Scope(one, frozenset({beta})), plans[0]), (Scope(one, frozenset({beta})), plans[2]),
                        (Scope(two), plans[0])):  # fmt: skip
        with pytest.raises(NotFound):
            await store.within(scope.organization).read(export_plans.find, scope, plan.uuid)
    made = await exported(store, one, beta)
    assert await store.write(export_plans.ran, plans[0], made, 9 * MINUTE)
    assert (await read(store, one, plans[0])).study == beta, "it is seen where its exports are"
