"""Studies: one of a name in an organization, for good; archived once nothing belongs to them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from hilum.errors import Conflict, NotFound, Stale
from hilum.model.audit import Act
from hilum.store import Store, audit, configuration, studies
from hilum.store.audit import EventFilter
from hilum.store.schema import integration
from hilum.store.studies import Study

pytestmark = pytest.mark.anyio
Acts = Callable[..., Act]


async def two(store: Store) -> tuple[int, int]:
    """The numbers of two organizations."""
    first = await store.write(configuration.put_organization, "one", {})
    return first, await store.write(configuration.put_organization, "two", {})


async def made(store: Store, act: Acts, owner: int, name: str, title: str = "") -> Study:
    found: Study = await store.within(owner).change(act(owner, "study.create"), studies.create, owner, name, title)
    return found


async def test_a_study_is_its_organizations_alone(store: Store, act: Acts) -> None:
    one, two_ = await two(store)
    mine = await made(store, act, one, "trial", "A trial")
    theirs = await made(store, act, two_, "trial", "Another")
    assert (mine.name, mine.title, mine.version) == ("trial", "A trial", 1)
    assert await store.within(one).read(studies.listed, one, None, 0, 10) == ([mine], 1)
    assert await store.within(one).read(studies.find, one, mine.uuid) == mine
    for within in (one, two_):
        with pytest.raises(NotFound):
            await store.within(within).read(studies.find, one, theirs.uuid)
    with pytest.raises(NotFound):
        await store.within(one).change(act(one), studies.change, one, theirs.uuid, 1, {"title": "Mine"})
    with pytest.raises(NotFound):
        await store.within(one).change(act(one), studies.archive, one, theirs.uuid)
    assert await store.within(two_).read(studies.find, two_, theirs.uuid) == theirs


async def test_a_list_is_narrowed_to_studies_and_counted_so(store: Store, act: Acts) -> None:
    one, _ = await two(store)
    found = [await made(store, act, one, name) for name in ("c", "a", "b")]
    names = [each.name for each in (await store.read(studies.listed, one, None, 1, 2))[0]]
    assert names == ["b", "c"], "by name"
    only = frozenset({found[0].id})
    assert await store.read(studies.listed, one, only, 0, 10) == ([found[0]], 1)
    assert await store.read(studies.listed, one, frozenset[int](), 0, 10) == ([], 0)


async def test_a_name_is_taken_for_good(store: Store, act: Acts) -> None:
    one, _ = await two(store)
    study = await made(store, act, one, "trial")
    with pytest.raises(Conflict, match="there is a study trial already"):
        await made(store, act, one, "trial")
    assert await store.within(one).change(act(one), studies.archive, one, study.uuid) is None
    with pytest.raises(Conflict, match="there is an archived study trial already"):
        await made(store, act, one, "trial")
    with pytest.raises(NotFound):
        await store.within(one).change(act(one), studies.archive, one, study.uuid)
    with pytest.raises(NotFound):
        await store.read(studies.find, one, study.uuid)
    assert await store.read(studies.listed, one, None, 0, 10) == ([], 0)
    assert await store.read(studies.names, one) == {study.id: "trial"}, "what was bound to it still has a name"


async def test_of_two_that_create_one_name_one_does(store: Store, act: Acts) -> None:
    one, _ = await two(store)
    outcomes = await asyncio.gather(*(made(store, act, one, "trial") for _ in range(2)), return_exceptions=True)
    assert sorted(type(each).__name__ for each in outcomes) == ["Conflict", "Study"]


async def test_of_two_processes_one_creates_a_name(role_url: str, act: Acts, open_store: Any) -> None:
    """Both may have looked before either wrote: then the database refuses the second one."""
    store, other = await open_store(url=role_url), await open_store(url=role_url)
    one, _ = await two(store)
    both = [made(each, act, one, f"trial-{n // 2}") for n, each in enumerate([store, other] * 10)]
    outcomes = await asyncio.gather(*both, return_exceptions=True)
    assert sorted(type(each).__name__ for each in outcomes) == ["Conflict"] * 10 + ["Study"] * 10


@pytest.mark.ledger_part("S0-64", "100 concurrent updates of one version have one winner")
async def test_of_a_hundred_changes_of_one_version_one_wins(store: Store, act: Acts) -> None:
    one, _ = await two(store)
    study = await made(store, act, one, "trial")
    change = store.within(one).change
    outcomes = await asyncio.gather(
        *(change(act(one), studies.change, one, study.uuid, 1, {"title": f"T{n}"}) for n in range(100)),
        return_exceptions=True,
    )
    winners = [each for each in outcomes if isinstance(each, Study)]
    assert len(winners) == 1
    assert sum(isinstance(each, Stale) for each in outcomes) == 99
    assert await store.read(studies.find, one, study.uuid) == winners[0]
    assert winners[0].version == 2


@pytest.mark.ledger_part("S2-66", "before and after of a change, in its audit event")
async def test_a_change_and_its_event_say_what_was(store: Store, act: Acts) -> None:
    one, _ = await two(store)
    study = await made(store, act, one, "trial", "Old")
    doing = act(one, "study.change")
    await store.within(one).change(doing, studies.change, one, study.uuid, 1, {"title": "New"})
    assert (doing.recorded, doing.entity) == (True, f"study/{study.uuid}")
    (event,) = await store.read(audit.newest, one, EventFilter(action="study.change"))
    assert event.document["before"] == {"name": "trial", "title": "Old"}
    assert event.document["after"] == {"name": "trial", "title": "New"}


async def test_what_a_file_names_is_made_or_brought_back(store: Store, act: Acts) -> None:
    one, _ = await two(store)
    await store.write(configuration.put_integration, one, "edc", {"name": "edc", "study": "trial"}, "file")
    [study], _ = await store.read(studies.listed, one, None, 0, 10)
    assert (study.name, await belongs(store, "edc")) == ("trial", study.id)
    with pytest.raises(Conflict, match="integrations belong to trial: edc"):
        await store.within(one).change(act(one), studies.archive, one, study.uuid)
    await store.write(configuration.put_integration, one, "edc", {"name": "edc"}, "file")
    assert await belongs(store, "edc") is None
    await store.within(one).change(act(one), studies.archive, one, study.uuid)
    await store.write(configuration.put_integration, one, "edc", {"name": "edc", "study": "trial"}, "file")
    back = await store.read(studies.find, one, study.uuid)
    assert (back.id, await belongs(store, "edc")) == (study.id, study.id)


async def belongs(store: Store, name: str) -> int | None:
    """The study of an integration."""
    query = sa.select(integration.c.study).where(integration.c.name == name)
    return await store.read(lambda connection: connection.execute(query).scalar())


async def test_an_unknown_id_is_not_there(store: Store) -> None:
    one, _ = await two(store)
    with pytest.raises(NotFound):
        await store.read(studies.find, one, uuid.uuid4())
