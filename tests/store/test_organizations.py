"""Organizations: of one name, with an id from the first day, each seeing itself alone."""

from __future__ import annotations

import asyncio
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hilum.errors import Conflict, NotFound, Stale
from hilum.model.audit import Act
from hilum.model.organization import Settings
from hilum.store import Store, audit, configuration, organizations
from hilum.store import migrate as module
from hilum.store.audit import EventFilter
from hilum.store.database import Database
from hilum.store.organizations import Organization

pytestmark = pytest.mark.anyio
Acts = Callable[..., Act]


async def created(store: Store, name: str, title: str = "") -> Organization:
    return await store.within(None).write(organizations.create, name, title)


async def test_an_organization_of_a_file_has_an_id(store: Store) -> None:
    number = await store.write(configuration.put_organization, "demo", {"environment": "test"})
    found = await store.read(organizations.get, number)
    assert (found.name, found.environment, found.version, found.settings) == ("demo", "test", 1, Settings())
    assert found.uuid.version == 7
    await store.write(configuration.put_organization, "demo", {"environment": "staging"})
    again = await store.read(organizations.find, found.uuid)
    assert (again.id, again.environment) == (number, "staging")


async def test_one_that_was_created_is_the_one_that_a_file_names_later(store: Store) -> None:
    made = await created(store, "clinic", "The clinic")
    assert (made.environment, made.title) == ("production", "The clinic")
    assert await store.write(configuration.put_organization, "clinic", {"environment": "test"}) == made.id
    again = await store.read(organizations.get, made.id)
    assert (again.uuid, again.title, again.environment) == (made.uuid, "The clinic", "test")


async def test_a_name_is_there_once_and_the_hubs_own_never(store: Store) -> None:
    await created(store, "clinic")
    with pytest.raises(Conflict, match="there is an organization clinic already"):
        await created(store, "clinic")
    with pytest.raises(Conflict, match="the hub's own name"):
        await created(store, "system")


async def test_of_two_processes_one_creates_a_name(role_url: str, open_store: Any) -> None:
    """Both may have looked before either wrote: then the database refuses the second one."""
    store, other = await open_store(url=role_url), await open_store(url=role_url)
    both = [created(each, f"clinic-{n // 2}") for n, each in enumerate([store, other] * 10)]
    outcomes = await asyncio.gather(*both, return_exceptions=True)
    assert sorted(type(each).__name__ for each in outcomes) == ["Conflict"] * 10 + ["Organization"] * 10


async def test_a_list_is_by_name(store: Store) -> None:
    for name in ("c", "a", "b"):
        await created(store, name)
    found, total = await store.read(organizations.listed, 1, 5)
    assert ([one.name for one in found], total) == (["b", "c"], 3)


async def test_an_unknown_one_is_not_there(store: Store) -> None:
    with pytest.raises(NotFound):
        await store.read(organizations.find, uuid.uuid4())
    with pytest.raises(NotFound, match="create one"):
        await store.write(organizations.lock, 0)


async def test_row_level_security_shows_each_only_itself(role_url: str, open_store: Any) -> None:
    store: Store = await open_store(url=role_url)
    one, two = await created(store, "one"), await created(store, "two")
    assert await store.within(one.id).read(organizations.listed, 0, 10) == ([one], 1)
    with pytest.raises(NotFound):
        await store.within(one.id).read(organizations.find, two.uuid)
    with pytest.raises(NotFound):
        await store.within(one.id).write(organizations.lock, two.id)


@pytest.mark.ledger_part("S0-64", "100 concurrent updates of one version have one winner")
async def test_of_a_hundred_changes_of_one_version_one_wins(store: Store, act: Acts) -> None:
    made = await created(store, "clinic")
    change = store.within(made.id).change
    outcomes = await asyncio.gather(
        *(change(act(made.id), organizations.change, made.id, 1, {"title": f"T{n}"}) for n in range(100)),
        return_exceptions=True,
    )
    [winner] = [one for one in outcomes if isinstance(one, Organization)]
    assert sum(isinstance(one, Stale) for one in outcomes) == 99
    assert await store.read(organizations.get, made.id) == winner


async def test_settings_are_kept_without_defaults_and_read_with_them(store: Store, act: Acts) -> None:
    made = await created(store, "clinic")
    wanted = Settings(session_idle=5, second_factor="everybody").model_dump(mode="json", exclude_defaults=True)
    assert wanted == {"session_idle": 5, "second_factor": "everybody"}
    doing = act(made.id, "organization.change")
    await store.within(made.id).change(doing, organizations.change, made.id, 1, {"settings": wanted})
    found = await store.read(organizations.settings, made.id)
    assert (found.session_idle, found.second_factor, found.session_hours) == (5, "everybody", 12)
    (event,) = await store.read(audit.newest, made.id, EventFilter(entity=f"organization/{made.uuid}"))
    assert (event.document["before"]["settings"], event.document["after"]["settings"]) == ({}, wanted)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database, as its owner."""
    made = Database(request.getfixturevalue("empty_url") if request.param == "postgresql" else None, tmp_path)
    yield made
    made.dispose()


def test_organizations_of_an_older_hilum_get_an_id(database: Database, tmp_path: Path) -> None:
    scripts = tmp_path / "older"
    newer = shutil.ignore_patterns("__pycache__", "v000[2-9]*", "v00[1-9]*")
    shutil.copytree(Path(module.__file__).parent / "migrations", scripts, ignore=newer)
    module.migrate(database, scripts)
    with database.writer.connect() as connection, connection.begin():
        for name in ("one", "two"):
            connection.exec_driver_sql(f"INSERT INTO organization (name, document) VALUES ('{name}', '{{}}')")
    module.migrate(database)
    with database.writer.connect() as connection:
        found = [organizations.get(connection, number) for number in (1, 2)]
        assert [(one.name, one.version, one.title, one.settings) for one in found] == [
            ("one", 1, "", Settings()), ("two", 1, "", Settings())
        ]  # fmt: skip
        assert found[0].uuid != found[1].uuid
        assert organizations.find(connection, found[1].uuid) == found[1]
