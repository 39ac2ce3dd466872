"""Work that the engine does for a request: a row is inserted, its result awaited for a while."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import uuid
from collections.abc import Callable
from typing import Any

from hilum.errors import Conflict, NotFound
from hilum.model.status import Status
from hilum.store import Store, jobs

DEADLINE = 10.0  # seconds that a request waits for the result of its job
_LOOK = 0.5  # another process may do the work: its signal does not come here
_ENDED = ("done", "failed")


@dataclasses.dataclass(frozen=True, slots=True)
class JobState:
    """States: waiting, running, done, failed. `result` is there once it ended."""

    id: str
    kind: str
    state: str
    result: dict[str, Any] | None


class Jobs:
    """`status` tells whether an engine runs in this process; without one nobody waits."""

    def __init__(self, store: Store, status: Callable[[], Status | None], deadline: float = DEADLINE) -> None:
        self._store = store
        self._status = status
        self._deadline = deadline

    async def run(self, organization: int, kind: str, arguments: dict[str, Any], *, actor: str) -> JobState:
        """Insert a job and wait for its end, or for the deadline. Raises Conflict with the reason of a failed one."""
        number = await self._store.write(jobs.insert, kind, arguments, actor=actor, organization=organization)
        done = asyncio.Event()
        forget = self._store.subscribe(f"job/{number}", done.set)
        try:
            self._store.signal("job")
            if self._status() is not None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._end(number, done), self._deadline)
            job = await self._store.read(jobs.get, number)
        finally:
            forget()
        if job.state == "failed":
            raise Conflict(str((job.result or {}).get("reason", "the job failed")))
        return _state(job)

    async def show(self, organization: int, identifier: uuid.UUID) -> JobState:
        """Raises NotFound."""
        job = await self._store.read(jobs.find, identifier)
        if job is None or job.organization != organization:
            raise NotFound(f"there is no job {identifier}")
        return _state(job)

    async def _end(self, number: int, done: asyncio.Event) -> None:
        while (await self._store.read(jobs.get, number)).state not in _ENDED:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(done.wait(), _LOOK)


def _state(job: jobs.Job) -> JobState:
    return JobState(job.uuid, job.kind, job.state, job.result)
