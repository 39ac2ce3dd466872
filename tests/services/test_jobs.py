"""Waiting for jobs: as long as an engine is there, and no longer than the deadline."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable

import pytest

from hilum.app import Hub
from hilum.errors import Conflict, NotFound
from hilum.model.audit import Act
from hilum.model.status import Status
from hilum.services.jobs import Jobs
from hilum.store import jobs

pytestmark = pytest.mark.anyio
RUNNING = Status((), (), 1.0, 0)


def worker(hub: Hub, state: str, signal: bool = True) -> Callable[[], None]:
    """Stands in for the engine: ends every open job so."""

    async def work() -> None:
        for one in await hub.store.read(jobs.open_ones):
            await hub.store.write(jobs.begin, one.id)
            await hub.store.write(jobs.finish, one.id, state, {"reason": "said so"})
            if signal:
                hub.store.signal(f"job/{one.id}")

    tasks: list[asyncio.Task[None]] = []
    return lambda: tasks.append(asyncio.get_running_loop().create_task(work()))


@pytest.mark.parametrize("signal", [True, False], ids=["told", "elsewhere"])
async def test_a_result_is_awaited(hub: Hub, signal: bool, act: Callable[..., Act]) -> None:
    hub.store.subscribe("job", worker(hub, "done", signal))
    found = await Jobs(hub.store, lambda: RUNNING).run(act(), "retry_lane", {"destination": 2}, "lane/lab/out")
    assert (found.kind, found.state, found.result) == ("retry_lane", "done", {"reason": "said so"})


async def test_a_failed_job_is_a_conflict_with_its_reason(hub: Hub, act: Callable[..., Act]) -> None:
    hub.store.subscribe("job", worker(hub, "failed"))
    with pytest.raises(Conflict, match="said so"):
        await Jobs(hub.store, lambda: RUNNING).run(act(), "retry_lane", {}, "lane/lab/out")


async def test_after_the_deadline_the_job_goes_on_alone(hub: Hub, act: Callable[..., Act]) -> None:
    waiting = Jobs(hub.store, lambda: RUNNING, deadline=0.05)
    found = await waiting.run(act(), "retry_lane", {}, "lane/lab/out")
    assert (found.state, found.result) == ("waiting", None)
    assert await waiting.show(act(), uuid.UUID(found.id)) == found
    with pytest.raises(NotFound):
        await waiting.show(act(2), uuid.UUID(found.id))


async def test_without_an_engine_nobody_waits(hub: Hub, act: Callable[..., Act]) -> None:
    found = await Jobs(hub.store, lambda: None).run(act(), "retry_lane", {}, "lane/lab/out")
    assert found.state == "waiting"


async def test_who_no_longer_listens_is_not_told(hub: Hub) -> None:
    told: list[str] = []
    first = hub.store.subscribe("topic", lambda: told.append("first"))

    def hear_and_end_the_other() -> None:
        told.append("second")
        first()

    second = hub.store.subscribe("topic", hear_and_end_the_other)
    hub.store.signal("topic")
    hub.store.signal("topic")
    second()
    second()
    hub.store.signal("topic")
    assert told == ["first", "second", "second"]
