"""Jobs are rows that go one way, and what a restart interrupted is found again."""

from __future__ import annotations

import uuid

import pytest

from hilum.errors import Conflict
from hilum.store import Store, jobs

pytestmark = pytest.mark.anyio


async def test_a_job_goes_its_way(store: Store) -> None:
    number = await store.write(jobs.insert, "retention", {"days": 3}, actor="local:ann", organization=None)
    job = await store.read(jobs.get, number)
    assert (job.kind, job.state, job.arguments, job.result, job.actor) == (
        "retention", "waiting", {"days": 3}, None, "local:ann",
    )  # fmt: skip
    assert job.finished_at is None
    assert await store.read(jobs.find, uuid.UUID(job.uuid)) == job
    assert await store.read(jobs.find, uuid.uuid4()) is None
    await store.write(jobs.begin, number)
    assert (await store.read(jobs.get, number)).state == "running"
    await store.write(jobs.finish, number, "done", {"bodies": {"demo": 4}})
    done = await store.read(jobs.get, number)
    assert (done.state, done.result) == ("done", {"bodies": {"demo": 4}})
    assert done.finished_at is not None
    assert done.finished_at >= done.created_at


async def test_what_waits_or_was_interrupted_is_open(store: Store) -> None:
    numbers = [await store.write(jobs.insert, "retention", {}, actor="x") for _ in range(4)]
    await store.write(jobs.begin, numbers[1])
    for one in numbers[2:]:
        await store.write(jobs.begin, one)
    await store.write(jobs.finish, numbers[2], "done", {})
    await store.write(jobs.finish, numbers[3], "failed", {"reason": "no"})
    assert [one.id for one in await store.read(jobs.open_ones)] == numbers[:2]
    await store.write(jobs.begin, numbers[1])  # taken up again


@pytest.mark.parametrize("after", sorted(jobs.JOB_TRANSITIONS))
@pytest.mark.parametrize("before", sorted(jobs.JOB_TRANSITIONS))
async def test_only_the_transitions_of_the_table_are_made(sqlite_store: Store, before: str, after: str) -> None:
    store = sqlite_store
    number = await store.write(jobs.insert, "retention", {}, actor="x")
    if before != "waiting":
        await store.write(jobs.begin, number)
    if before in {"done", "failed"}:
        await store.write(jobs.finish, number, before, {"first": True})
    if after == "running":
        change = store.write(jobs.begin, number)
    else:
        change = store.write(jobs.finish, number, after, {"second": True})
    if after in jobs.JOB_TRANSITIONS[before]:
        await change
        assert (await store.read(jobs.get, number)).state == after
    else:
        with pytest.raises(Conflict, match=f"cannot become {after}"):
            await change
        assert (await store.read(jobs.get, number)).state == before
