"""Work that the engine does for a request: a row is inserted, its result awaited for a while."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from hilum import telemetry
from hilum.errors import Conflict, HilumError, NotFound
from hilum.jobs import AWAITED
from hilum.model.audit import Act, Change
from hilum.model.status import Status
from hilum.store import Connection, Store, jobs

PATIENCE = 5.0
"""Seconds that a request waits for its job where nobody says otherwise: then 202 says where to look (S0-52)."""

_LOOK = 0.5  # another process may do the work: its signal does not come here
_ENDED = ("done", "failed")
Here = Callable[[jobs.Job], Awaitable[Any]]


@dataclasses.dataclass(frozen=True, slots=True)
class JobState:
    """States: waiting, running, done, failed. `result` is there once it ended."""

    id: str
    kind: str
    state: str
    result: dict[str, Any] | None


class Jobs:
    """`status` tells whether an engine runs in this process; without one nobody waits."""

    def __init__(
        self, store: Store, status: Callable[[], Status | None], deadline: float = PATIENCE, here: Here | None = None
    ) -> None:
        """`here` does a job in this process where no engine would: for a command on a folder without a hub."""
        self._store = store
        self._status = status
        self._deadline = deadline
        self._here = here
        self._begun: asyncio.Task[None] | None = None

    @property
    def runs(self) -> bool:
        """Whether an engine runs in this process."""
        return self._status() is not None

    async def run(self, act: Act, kind: str, arguments: dict[str, Any], entity: str) -> JobState:
        """Insert a job and wait for its end, or for the deadline. Raises Conflict with the reason of a failed one."""
        number = await self._store.within(act.organization).change(act, _insert, act, kind, arguments, entity)
        return await self._ended(number, kind, self._deadline)

    async def ask(self, act: Act, kind: str, arguments: dict[str, Any], seconds: float) -> JobState:
        """`run` as a part of an act whose event is stored by whoever does it. Raises Conflict."""
        own = self._store.within(act.organization)
        number = await own.write(
            jobs.insert, kind, arguments, actor=act.principal.id, organization=act.organization
        )  # fmt: skip
        return await self._ended(number, kind, seconds)

    async def take_up(self, kind: str) -> None:
        """Have the jobs of a kind done: by the engine; by this process where no hub runs on the data folder."""
        self._store.signal("job")
        if not self.runs and self._here is not None and self._store.database.embedded:
            self._begun = asyncio.create_task(self._do(kind, self._here))

    async def _do(self, kind: str, here: Here) -> None:
        for job in await self._store.read(jobs.open_ones):
            if job.kind == kind:
                await self._store.write(jobs.begin, job.id)
                try:
                    state, result = "done", await here(job)
                except HilumError as error:
                    state, result = "failed", {"reason": str(error)}
                await self._store.write(jobs.finish, job.id, state, telemetry.masked(result))

    async def wait(self, number: int, kind: str, seconds: float) -> None:
        """Until a job that was inserted has ended, or the time is over; without an engine nobody waits."""
        done = asyncio.Event()
        forget = self._store.subscribe(f"job/{number}", done.set)
        try:
            self._store.signal("awaited" if kind in AWAITED else "job")
            if self.runs and seconds > 0:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._end(number, done), seconds)
        finally:
            forget()

    async def _ended(self, number: int, kind: str, seconds: float) -> JobState:
        await self.wait(number, kind, seconds)
        job = await self._store.read_small(jobs.get, number)
        if job.state == "failed":
            raise Conflict(str((job.result or {}).get("reason", "the job failed")))
        return _state(job)

    async def show(self, act: Act, identifier: uuid.UUID) -> JobState:
        """Raises NotFound. Who may see some studies alone sees the jobs that they started themselves."""
        job = await self._store.within(act.organization).read(jobs.find, identifier)
        own = act.scope.studies is None or (job is not None and job.actor == act.principal.id)
        if job is None or job.organization != act.organization or not own:
            raise NotFound(f"there is no job {identifier}")
        return _state(job)

    async def _end(self, number: int, done: asyncio.Event) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(done.wait(), _LOOK)
                return
            if (await self._store.read_small(jobs.get, number)).state in _ENDED:
                return


def _insert(connection: Connection, act: Act, kind: str, arguments: dict[str, Any], entity: str) -> Change:
    number = jobs.insert(connection, kind, arguments, actor=act.principal.id, organization=act.organization)
    return Change(number, entity, after={"job": kind, **arguments})


def _state(job: jobs.Job) -> JobState:
    return JobState(job.uuid, job.kind, job.state, job.result)
