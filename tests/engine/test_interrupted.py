"""Tries that nobody goes on with, on both databases, while others may be at work."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from hilum import clock
from hilum.app import Hub
from hilum.engine.interrupted import Interrupted
from hilum.errors import Conflict
from hilum.model import document
from hilum.model.audit import Act
from hilum.model.lifecycle import Lifecycle
from hilum.services.initializing import Initialization
from hilum.settings import Settings
from hilum.store import audit, initializations, integrations, schema
from hilum.store.initializations import GOING, INTERRUPTED, LEASE, State
from hilum.store.integrations import Row

pytestmark = pytest.mark.anyio
CONFIG = "{version: 1, organization: demo, integrations: [], routes: []}"
STEP = {"step": "connectivity", "startedAt": "2026-01-01T00:00:00.000Z", "endedAt": None, "success": False,
        "error": None}  # fmt: skip


class Case:
    """An integration and what becomes of its tries; no engine runs."""

    def __init__(self, hub: Hub, act: Callable[..., Act]) -> None:
        self.hub = hub
        self.act = act
        self.interrupted = Interrupted(hub.store)

    async def make(self, **changes: Any) -> Row:
        end = {"name": "out", "url": "http://127.0.0.1:1/", "method": "GET"}
        wanted = {"name": "Lab", "type": "API", "environment": "development", "endpoints": [end], **changes}
        return await self.hub.services().integrations.create(self.act(), wanted)

    async def move(self, one: Row, after: Lifecycle) -> Row:
        moved: Row = await self.hub.store.within(1).change(self.act(), integrations.move, self.act(), one, after)
        return moved

    async def begin(self, one: Row, *, age: float = 0.0, held: bool = False) -> Any:
        """A try that stands at its connectivity, and began so many seconds ago."""
        store, name = self.hub.store, initializations.name()
        told = {"steps": [STEP], "validation": None, "connectivity": None, "error": None, "signs": "", "held": held}
        sealed = initializations.seal(store.sealer, name, told)
        await store.within(1).write(initializations.begin, 1, one.id, "ada", name, sealed)
        before = schema.initialization.update().where(schema.initialization.c.uuid == name)
        await store.write(lambda here: here.execute(before.values(stamp=clock.micros() - round(age * 1e6))))
        return name

    async def now(self, one: Row) -> tuple[Lifecycle, list[Initialization]]:
        row = await self.hub.store.within(1).read(integrations.get, one.id)
        found, _ = await self.hub.services().initializing.listed(self.act().scope, one.uuid, 0, 10)
        return row.lifecycle, [*found]

    async def events(self) -> list[dict[str, Any]]:
        wanted = audit.EventFilter(action="integration.interrupt")
        return [one.document for one in await self.hub.store.within(1).read(audit.newest, 1, wanted)]


@pytest.fixture
async def case(url: str | None, tmp_path: Path, act: Callable[..., Act]) -> AsyncIterator[Case]:
    hub = Hub(Settings(data=tmp_path / "data", database=url, http=None))
    await hub.open()
    try:
        await hub.configurations.apply(act(), document.load(CONFIG, "hub.yaml"), tmp_path)
        yield Case(hub, act)
    finally:
        await hub.close()


@pytest.mark.ledger_part("S0-38", "an initialization whose process is gone is ended by another, once")
async def test_one_whose_process_is_gone_is_ended_and_can_be_asked_for_again(case: Case) -> None:
    one = await case.move(await case.make(), Lifecycle.TESTING)
    old = await case.begin(one, age=LEASE + 1)
    with pytest.raises(Conflict, match=GOING):
        await case.begin(one)
    young = await case.move(await case.make(name="Young"), Lifecycle.TESTING)
    await case.begin(young, age=LEASE - 30)
    assert [await case.interrupted.look(LEASE) for _ in range(2)] == [1, 0]
    lifecycle, (tried,) = await case.now(one)
    assert (lifecycle, tried.status, tried.error) == (Lifecycle.ERROR, "failed", INTERRUPTED)
    assert [(step.step, step.success, step.error) for step in tried.steps] == [("connectivity", False, INTERRUPTED)]
    assert tried.steps[0].endedAt
    (event,) = await case.events()
    assert (event["entity"], event["details"]) == (f"integration/{one.uuid}", {"initialization": str(old)})
    lifecycle, (tried,) = await case.now(young)
    assert (lifecycle, tried.status) == (Lifecycle.TESTING, "running"), "its process may be another one"
    with pytest.raises(Conflict, match="interrupted"):  # the process that was slow, and not gone
        await case.hub.store.within(1).write(initializations.note, old, b"late", State.SUCCEEDED)
    await case.begin(one)


async def test_at_the_start_of_the_only_process_nothing_runs_any_more(case: Case) -> None:
    one = await case.move(await case.make(), Lifecycle.TESTING)
    await case.begin(one)
    await case.interrupted.start()
    await case.interrupted.stop()
    lifecycle, (tried,) = await case.now(one)
    if case.hub.store.database.embedded:
        assert (lifecycle, tried.status) == (Lifecycle.ERROR, "failed")
    else:
        assert (lifecycle, tried.status) == (Lifecycle.TESTING, "running")


@pytest.mark.parametrize(
    ("moves", "held", "after"),
    [
        ([], False, "error"), ([], True, "inactive"), (["testing"], True, "inactive"),
        (["inactive", "testing"], False, "inactive"), (["active"], False, "active"),
        (["active", "error"], False, "error"), (["testing", "archived"], False, "archived"),
    ],
)  # fmt: skip
async def test_what_had_begun_is_taken_back(case: Case, moves: list[str], held: bool, after: str) -> None:
    """What flows goes on; what a person switched off, or has to switch on, does not begin to."""
    one = await case.make()
    for move in moves:
        one = await case.move(one, Lifecycle(move))
    await case.begin(one, age=LEASE + 1, held=held)
    assert await case.interrupted.look(LEASE) == 1
    lifecycle, (tried,) = await case.now(one)
    assert (lifecycle, tried.status) == (after, "failed")
