"""Lanes over the local API: how they stand, retry, skip; and where no engine runs."""

from __future__ import annotations

import os
import pwd
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from hilum.api import create_app
from hilum.app import Hub
from hilum.settings import Settings
from hilum.store import jobs

pytestmark = pytest.mark.anyio
Make = Callable[..., bytes]
Until = Callable[..., Awaitable[None]]


async def lane(running: Any, reference: str) -> Any:
    return next(one for one in (await running.get("/lanes"))["items"] if one["reference"] == reference)


async def blocked(running: Any, message: Make, until: Until) -> Any:
    """The lab's lane, blocked by its first message's dead letter with a second one behind."""
    running.lab.code = "AR"
    await running.send(message("C1"), message("C2"))

    async def reached() -> bool:
        return bool((await lane(running, "lab/out"))["state"] == "blocked")

    await until(reached)
    return await lane(running, "lab/out")


async def test_idle_lanes_are_listed_by_name(running: Any) -> None:
    items = (await running.get("/lanes"))["items"]
    assert [one["reference"] for one in items] == ["lab/out", "registry/out"]
    assert items[0] == {
        "reference": "lab/out", "state": "idle", "health": "unknown", "reason": "", "backlog": 0,
        "oldest_waiting_seconds": None, "lanes": 0, "breaker": "closed", "delivered": 0, "failed": 0,
        "last_delivered_at": None, "stuck": [],
    }  # fmt: skip


async def test_a_delivering_lane_counts(running: Any, message: Make) -> None:
    await running.send(message("C1"), message("C2"))
    await running.settled("delivered", "delivered")
    found = await lane(running, "lab/out")
    assert (found["delivered"], found["failed"], found["health"]) == (2, 0, "healthy")
    assert found["last_delivered_at"].endswith("Z")


async def test_a_blocked_lane_names_its_head_and_skipping_frees_it(running: Any, message: Make, until: Until) -> None:
    found = await blocked(running, message, until)
    assert (found["backlog"], found["lanes"], found["health"]) == (2, 1, "unhealthy")
    assert found["oldest_waiting_seconds"] > 0
    (stuck,) = found["stuck"]
    assert (stuck["lane"], stuck["waiting"], stuck["attempts"], stuck["retry_in"]) == (None, 2, 1, None)
    newest, oldest = (await running.get("/messages"))["items"]
    assert stuck["message"] == oldest["id"]
    assert (newest["state"], oldest["state"]) == ("pending", "pending")
    assert [one["id"] for one in (await running.get("/messages", state="pending"))["items"]] == [
        newest["id"], oldest["id"],
    ]  # fmt: skip
    running.lab.code = "AA"
    done = await running.post("/lanes/lab/out/skip", delivery=stuck["delivery"], reason="patient left")
    assert done["state"] == "done"
    await running.settled("delivered", "skipped")
    detail = await running.get(f"/messages/{oldest['id']}", include="body")
    assert detail["deliveries"][0]["id"] == stuck["delivery"]
    assert (detail["deliveries"][0]["state"], detail["deliveries"][0]["detail"]) == ("skipped", "patient left")
    assert [one["id"] for one in (await running.get("/messages", state="skipped"))["items"]] == [oldest["id"]]


async def test_retry_frees_a_blocked_lane(running: Any, message: Make, until: Until) -> None:
    await blocked(running, message, until)
    running.lab.code = "AA"
    done = await running.post("/lanes/lab/out/retry")
    assert (done["kind"], done["state"], done["result"]) == ("retry_lane", "done", {"lane": "lab/out"})
    await running.settled("delivered", "delivered")
    assert await running.get(f"/jobs/{done['id']}") == done


async def test_only_a_waiting_head_can_be_skipped(running: Any, message: Make, until: Until) -> None:
    found = await blocked(running, message, until)
    head = found["stuck"][0]["delivery"]
    refused = await running.post("/lanes/lab/out/skip", 409, delivery=head + 1, reason="not the head")
    assert refused["error"]["code"] == "INT004"
    refused = await running.post("/lanes/registry/out/skip", 409, delivery=head, reason="not its lane")
    assert "head of its lane" in refused["error"]["message"]
    refused = await running.post("/lanes/lab/out/skip", 400, delivery=head, reason="")
    assert refused["error"]["field"] == "reason"


@pytest.mark.parametrize("reference", ["lab/nope", "nope/out", "adt/in"])
async def test_an_unknown_destination_is_404(running: Any, reference: str) -> None:
    assert (await running.post(f"/lanes/{reference}/retry", 404))["error"]["code"] == "INT001"
    assert (await running.post(f"/lanes/{reference}/skip", 404, delivery=1, reason="x"))["error"]["code"] == "INT001"


async def test_the_actor_is_the_user_at_the_other_end_of_the_socket(running: Any) -> None:
    done = await running.post("/lanes/lab/out/retry")
    job = await running.hub.store.read(jobs.find, uuid.UUID(done["id"]))
    assert job is not None
    assert job.actor == f"local:{pwd.getpwuid(os.geteuid()).pw_name}"


async def test_an_unknown_job_is_404(running: Any) -> None:
    assert (await running.local.get(f"/api/v1/jobs/{uuid.uuid4()}")).status_code == 404


async def test_without_an_engine_rows_tell_and_work_waits(
    tmp_path: Path, running: Any, message: Make, until: Until
) -> None:
    await running.send(message("C0"))
    await running.settled("delivered")
    await blocked(running, message, until)
    await running.stop()
    hub = Hub(Settings(data=tmp_path / "data", http=None))
    await hub.open()
    transport = httpx.ASGITransport(create_app(hub.services(), local=True))
    async with httpx.AsyncClient(transport=transport, base_url="http://hub/api/v1") as client:
        lab, registry = (await client.get("/lanes")).json()["items"]
        assert (lab["reference"], lab["state"], lab["backlog"]) == ("lab/out", "stopped", 2)
        assert (lab["delivered"], lab["failed"]) == (1, 0)
        assert lab["oldest_waiting_seconds"] > 0
        assert (registry["backlog"], registry["oldest_waiting_seconds"]) == (0, None)
        (source,) = (await client.get("/sources")).json()["items"]
        assert (source["reference"], source["running"], source["received"]) == ("adt/in", False, 3)
        assert source["problem"] == "the hub does not run"
        response = await client.post("/lanes/lab/out/retry", json={})
        assert response.status_code == 202
        assert response.json()["state"] == "waiting"
        job = response.json()["id"]
        assert (await client.get(f"/jobs/{job}")).json()["state"] == "waiting"
    await hub.close()
