"""Jobs: one at a time, long ones beside them, with a result that is a row, taken up again after a restart."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
from collections.abc import Callable
from typing import Any

import pytest

from hilum.engine.runner import SCHEDULE, coming
from hilum.errors import Conflict
from hilum.jobs import Context
from hilum.sdk.registry import Registry
from hilum.store import jobs
from hilum.store.jobs import Job

pytestmark = pytest.mark.anyio

Adt = Callable[..., bytes]


@pytest.fixture
def kinds(hub: Any) -> dict[str, Any]:
    """Jobs of the test's own, by kind."""
    known: Registry = hub._registry
    found: dict[str, Any] = dict(known.jobs)
    hub._registry = dataclasses.replace(known, jobs=found)
    return found


async def ended(hub: Any, one: int) -> Job:
    async with asyncio.timeout(20):
        while True:
            job: Job = await hub.store.read(jobs.get, one)
            if job.state in ("done", "failed"):
                return job
            await asyncio.sleep(0.02)


async def test_a_job_s_result_is_its_row_and_its_end_is_told(hub: Any, config: Any, kinds: dict[str, Any]) -> None:
    async def run(context: Context, job: Job) -> dict[str, Any]:
        return {"doubled": job.arguments["number"] * 2, "lanes": len(context.lanes)}

    kinds["double"] = run
    await hub.start(config({}, {}))
    one = await hub.store.write(jobs.insert, "double", {"number": 21}, actor="test")
    told = asyncio.Event()
    hub.store.subscribe(f"job/{one}", told.set)
    hub.store.signal("job")
    async with asyncio.timeout(20):
        await told.wait()
    job = await hub.store.read(jobs.get, one)
    assert (job.state, job.result, job.actor) == ("done", {"doubled": 42, "lanes": 0}, "test")
    assert job.finished_at >= job.created_at


@pytest.mark.parametrize(
    ("fault", "reason"),
    [(Conflict("not now"), "not now"), (KeyError("4711"), "internal error: KeyError")],
)
async def test_a_job_that_fails_says_why_and_the_next_runs(
    hub: Any, config: Any, kinds: dict[str, Any], fault: Exception, reason: str
) -> None:
    async def fail(context: Context, job: Job) -> None:
        raise fault

    async def fine(context: Context, job: Job) -> dict[str, Any]:
        return {}

    kinds |= {"fail": fail, "fine": fine}
    await hub.start(config({}, {}))
    assert ((await hub.job("fail")).state, (await hub.job("fail")).result) == ("failed", {"reason": reason})
    assert (await hub.job("fine")).state == "done"
    assert "no job is called" in (await hub.job("unknown")).result["reason"]


async def test_jobs_run_in_order_one_at_a_time(hub: Any, config: Any, kinds: dict[str, Any]) -> None:
    seen: list[str] = []

    async def run(context: Context, job: Job) -> dict[str, Any]:
        seen.append(f"+{job.arguments['n']}")
        await asyncio.sleep(0.02)
        seen.append(f"-{job.arguments['n']}")
        return {}

    kinds["slow"] = run
    await hub.start(config({}, {}))
    made = [await hub.store.write(jobs.insert, "slow", {"n": n}, actor="test") for n in range(4)]
    hub.store.signal("job")
    await ended(hub, made[-1])
    assert seen == ["+0", "-0", "+1", "-1", "+2", "-2", "+3", "-3"]


async def test_a_restart_takes_up_what_was_interrupted(hub: Any, config: Any, kinds: dict[str, Any]) -> None:
    runs: list[int] = []
    going = asyncio.Event()

    async def run(context: Context, job: Job) -> dict[str, Any]:
        runs.append(job.id)
        if len(runs) == 1:
            going.set()
            await asyncio.sleep(3_600)
        return {"run": len(runs)}

    kinds["long"] = run
    await hub.start(config({}, {}))
    one = await hub.store.write(jobs.insert, "long", {}, actor="test")
    hub.store.signal("job")
    async with asyncio.timeout(20):
        await going.wait()
        await hub.restart()
    assert (await ended(hub, one)).result == {"run": 2}


@pytest.mark.ledger_part("S4-87", "jobs recover without a restart")
async def test_jobs_wait_for_a_store_that_is_full(hub: Any, config: Any, kinds: dict[str, Any], full: Any) -> None:
    async def run(context: Context, job: Job) -> dict[str, Any]:
        return {}

    kinds["fine"] = run
    await hub.start(config({}, {}))
    with full("job", "UPDATE"):
        one = await hub.store.write(jobs.insert, "fine", {}, actor="test")
        hub.store.signal("job")
        await asyncio.sleep(0.5)
        assert (await hub.store.read(jobs.get, one)).state == "waiting"
    assert (await ended(hub, one)).state == "done"
    assert (await hub.job("fine")).state == "done"


@pytest.mark.parametrize("kind", ["audit_check", "subject_export", "archive_restore"])
async def test_a_job_that_takes_long_holds_nobody_up(
    hub: Any, config: Any, kinds: dict[str, Any], kind: str
) -> None:  # fmt: skip
    """A check of the whole audit trail takes minutes; who skips a delivery meanwhile waits for the answer."""
    let_go = asyncio.Event()

    async def long(context: Context, job: Job) -> dict[str, Any]:
        await let_go.wait()
        return {}

    async def short(context: Context, job: Job) -> dict[str, Any]:
        return {}

    kinds[kind], kinds["short"] = long, short
    await hub.start(config({}, {}))
    one = await hub.store.write(jobs.insert, kind, {}, actor="schedule")
    other = await hub.store.write(jobs.insert, "short", {}, actor="test")
    hub.store.signal("job")
    assert (await ended(hub, other)).state == "done"
    assert (await hub.store.read(jobs.get, one)).state == "running"
    let_go.set()
    assert (await ended(hub, one)).state == "done"


def test_those_of_the_same_minute_come_together() -> None:
    at = datetime.datetime(2026, 3, 4, 3, 52, 30, tzinfo=datetime.UTC)
    assert coming(at) == (datetime.datetime(2026, 3, 4, 3, 53, tzinfo=datetime.UTC), ["purge", "export_plans"])
    seen, until = set(), at + datetime.timedelta(days=1)
    while at < until:
        at, kinds = coming(at)
        seen.update(kinds)
    assert seen == set(SCHEDULE), "none of them is lost to another in a day"
