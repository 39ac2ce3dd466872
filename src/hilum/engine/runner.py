"""Runs jobs: finds each one's file by its kind, keeps its result, takes up what a restart interrupted."""

from __future__ import annotations

import asyncio
import contextlib

from cronsim import CronSim

from hilum import clock, telemetry
from hilum.engine.supervisor import Supervisor
from hilum.errors import Conflict, HilumError, StoreError
from hilum.jobs import Context
from hilum.sdk.registry import Registry
from hilum.store import Store, jobs
from hilum.store.jobs import Job

SCHEDULE = {"retention": "17 * * * *"}  # kinds that run by themselves, as cron expressions in UTC
_AGAIN = 1.0  # seconds until a store that did not answer is asked again
log = telemetry.logger("engine")


class Runner:
    """One job at a time, in order. `wait` lets a service answer with the result."""

    def __init__(self, store: Store, registry: Registry, supervisor: Supervisor) -> None:
        self._store = store
        self._registry = registry
        self._context = Context(store, supervisor.recorder, supervisor.lanes)
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self._store.subscribe("job", self._wake.set)
        self._wake.set()
        self._tasks = [asyncio.create_task(self._work()), asyncio.create_task(self._schedule())]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _work(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                for job in await self._store.read(jobs.open_ones):
                    await self._run(job)
            except StoreError as error:
                log.error("jobs wait for the store", reason=str(error))
                await asyncio.sleep(_AGAIN)
                self._wake.set()
            except Conflict as error:
                log.warning("a job was ended elsewhere", reason=str(error))
                self._wake.set()

    async def _run(self, job: Job) -> None:
        await self._store.write(jobs.begin, job.id)
        state = "done"
        try:
            run = self._registry.jobs.get(job.kind)
            if run is None:
                raise HilumError(f"no job is called {job.kind!r}")
            result = await run(self._context, job)
        except HilumError as error:
            state, result = "failed", {"reason": str(error)}
        except Exception as error:
            log.exception("job failed", kind=job.kind, job=job.uuid)
            state, result = "failed", {"reason": f"internal error: {type(error).__name__}"}
        await self._store.write(jobs.finish, job.id, state, result)
        self._store.signal(f"job/{job.id}")

    async def _schedule(self) -> None:
        """Insert the jobs that run by themselves when their time comes."""
        while True:
            now = clock.now()
            due = {kind: next(CronSim(expression, now)) for kind, expression in SCHEDULE.items()}
            kind, at = min(due.items(), key=lambda item: item[1])
            await asyncio.sleep(max((at - now).total_seconds(), 1.0))
            try:
                await self._store.write(jobs.insert, kind, {}, actor="schedule")
            except StoreError as error:
                log.error("a job is not scheduled", kind=kind, reason=str(error))
            self._wake.set()
