"""Jobs that somebody waits for: many at once, each for itself, none lost."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hilum.engine.together import AT_ONCE
from hilum.errors import Conflict
from hilum.jobs import Context, Ending
from hilum.sdk.registry import Registry
from hilum.store import Connection, jobs
from hilum.store.jobs import Job

pytestmark = pytest.mark.anyio
Ask = Callable[..., Awaitable[int]]


@pytest.fixture
def kinds(hub: Any) -> dict[str, Any]:
    """Jobs by kind; those of the test's own go under the names of two that are awaited."""
    known: Registry = hub._registry
    found: dict[str, Any] = dict(known.jobs)
    hub._registry = dataclasses.replace(known, jobs=found)
    return found


@pytest.fixture
def ask(hub: Any) -> Ask:
    async def make(kind: str = "probe", organization: int | None = None, **arguments: Any) -> int:
        one: int = await hub.store.write(jobs.insert, kind, arguments, actor="test", organization=organization)
        hub.store.signal("awaited")
        return one

    return make


async def ended(hub: Any, one: int) -> Job:
    async with asyncio.timeout(20):
        while True:
            job: Job = await hub.store.read(jobs.get, one)
            if job.state in ("done", "failed"):
                return job
            await asyncio.sleep(0.02)


async def test_one_that_takes_long_holds_no_other_up(hub: Any, config: Any, kinds: dict[str, Any], ask: Ask) -> None:
    let_go = asyncio.Event()

    async def run(context: Context, job: Job) -> dict[str, Any]:
        if job.arguments.get("slow"):
            await let_go.wait()
        return {"n": job.id}

    kinds["probe"] = run
    await hub.start(config({}, {}))
    slow = await ask(slow=True)
    others = [await ask() for _ in range(20)]
    assert [(await ended(hub, one)).result for one in others] == [{"n": one} for one in others]
    assert (await hub.store.read(jobs.get, slow)).state == "running"
    let_go.set()
    assert (await ended(hub, slow)).state == "done"


async def test_no_more_than_so_many_of_one_organization(hub: Any, config: Any, kinds: dict[str, Any], ask: Ask) -> None:
    let_go, running = asyncio.Event(), [0, 0]

    async def run(context: Context, job: Job) -> dict[str, Any]:
        running[0] += 1
        running[1] = max(running)
        if job.organization == 1:
            await let_go.wait()
        running[0] -= 1
        return {}

    kinds["execute"] = run
    await hub.start(config({}, {}))
    blocked = [await ask("execute", 1) for _ in range(AT_ONCE + 5)]
    other = await ask("execute", 2)
    assert (await ended(hub, other)).state == "done", "another organization has room of its own"
    assert running[0] == AT_ONCE
    let_go.set()
    for one in blocked:
        assert (await ended(hub, one)).state == "done"
    assert running[1] <= AT_ONCE + 1


@pytest.mark.parametrize(
    ("fault", "reason"), [(Conflict("not now"), "not now"), (KeyError("4711"), "internal error: KeyError")]
)
async def test_one_that_fails_says_why(
    hub: Any, config: Any, kinds: dict[str, Any], ask: Ask, fault: Exception, reason: str
) -> None:
    async def fail(context: Context, job: Job) -> None:
        raise fault

    kinds["probe"] = fail
    await hub.start(config({}, {}))
    job = await ended(hub, await ask())
    assert (job.state, job.result) == ("failed", {"reason": reason})
    del kinds["probe"]
    assert "no job is called" in ((await ended(hub, await ask())).result or {})["reason"]


async def test_a_result_and_what_belongs_to_it_are_written_together(
    hub: Any, config: Any, kinds: dict[str, Any], ask: Ask, full: Any
) -> None:
    """A disk that is full when the answer comes loses nothing of it."""
    wrote: list[str] = []
    answered = asyncio.Event()

    async def run(context: Context, job: Job) -> Ending:
        def write(connection: Connection) -> None:
            wrote.append(jobs.get(connection, job.id).state)

        answered.set()
        return Ending({"fine": True}, write)

    kinds["execute"] = run
    await hub.start(config({}, {}))
    told = asyncio.Event()
    with full("job", "UPDATE OF result"):
        one = await ask("execute")
        hub.store.subscribe(f"job/{one}", told.set)
        await asyncio.wait_for(answered.wait(), 20)
        await asyncio.sleep(0.3)  # time in which somebody could have been told
        assert (await hub.store.read(jobs.get, one)).state == "running"
        assert not told.is_set()
    job = await ended(hub, one)
    assert (job.state, job.result) == ("done", {"fine": True})
    assert set(wrote) == {"running"}
    await asyncio.wait_for(told.wait(), 20)


async def test_the_next_start_tells_a_job_that_it_had_begun(
    hub: Any, config: Any, kinds: dict[str, Any], ask: Ask
) -> None:
    states: list[str] = []
    going = asyncio.Event()

    async def run(context: Context, job: Job) -> dict[str, Any]:
        states.append(job.state)
        if len(states) == 1:
            going.set()
            await asyncio.sleep(3_600)
        return {}

    kinds["execute"] = run
    await hub.start(config({}, {}))
    hub.runner._together.drain = 0.1
    one = await ask("execute")
    async with asyncio.timeout(20):
        await going.wait()
        await hub.restart()
    assert (await ended(hub, one)).state == "done"
    assert states == ["waiting", "running"]


@pytest.mark.ledger_part("S0-52", "work that nobody had begun survives a restart")
async def test_what_waits_when_the_hub_starts_is_done(hub: Any, config: Any, kinds: dict[str, Any], ask: Ask) -> None:
    states: list[str] = []

    async def run(context: Context, job: Job) -> dict[str, Any]:
        states.append(job.state)
        return {}

    kinds["execute"] = run
    await hub.open()
    one = await ask("execute")
    await hub.apply(config({}, {}))
    await hub.run()
    assert (await ended(hub, one)).state == "done"
    assert states == ["waiting"]


async def test_what_somebody_waits_for_is_begun_without_a_commit_of_its_own(
    hub: Any, config: Any, kinds: dict[str, Any], ask: Ask
) -> None:
    """In a file nobody else can take it; the next start takes it for begun, for nobody wants it then."""
    states: list[str] = []
    going, let_go = asyncio.Event(), asyncio.Event()

    async def run(context: Context, job: Job) -> dict[str, Any]:
        states.append(job.state)
        if len(states) == 2:
            going.set()
            await let_go.wait()
        return {"n": len(states)}

    kinds["execute"] = run
    await hub.start(config({}, {}))
    hub.runner._together.drain = 0.1
    first = await ended(hub, await ask("execute", at_once=True))
    assert (first.state, first.result) == ("done", {"n": 1})
    one = await ask("execute", at_once=True)
    await asyncio.wait_for(going.wait(), 20)
    assert (await hub.store.read(jobs.get, one)).state == "waiting"
    await hub.restart()
    assert (await ended(hub, one)).state == "done"
    assert states == ["waiting", "waiting", "running"]


async def test_on_postgresql_it_is_claimed_first(postgres_hub: Any, config: Any) -> None:
    """Another process might take it."""
    hub, states = postgres_hub, []

    async def run(context: Context, job: Job) -> dict[str, Any]:
        states.append((await hub.store.read(jobs.get, job.id)).state)
        return {}

    hub._registry = dataclasses.replace(hub._registry, jobs={**hub._registry.jobs, "execute": run})
    await hub.start(config({}, {}))
    one = await hub.store.write(jobs.insert, "execute", {"at_once": True}, actor="test")
    hub.store.signal("awaited")
    assert (await ended(hub, one)).state == "done"
    assert states == ["running"]
