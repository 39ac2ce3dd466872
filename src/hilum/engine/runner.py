"""Runs jobs: finds each one's file by its kind, keeps its result, takes up what a restart interrupted."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime
from collections.abc import Callable

from cronsim import CronSim

from hilum import clock, telemetry
from hilum.engine.partners import Partners
from hilum.engine.supervisor import Supervisor
from hilum.engine.together import Together
from hilum.errors import Conflict, HilumError, StoreError
from hilum.jobs import AWAITED, Context, Trails
from hilum.outbound.dialer import Dialers
from hilum.sdk.registry import Registry
from hilum.security.envelope import Sealing
from hilum.store import Store, jobs, organizations
from hilum.store.jobs import Job

# kinds that run by themselves, as cron expressions in UTC
SCHEDULE = {
    "audit_check": "33 3 * * *",
    "audit_purge": "13 4 * * *",
    "retention": "17 * * * *",
    "forget_answers": "47 * * * *",
    "forget_exports": "37 * * * *",
    "forget_events": "43 3 * * *",
    "purge": "53 3 * * *",
    "vault_reminders": "23 * * * *",
    "vendor_reminders": "29 * * * *",
    "export_plans": "* * * * *",
}
APART = frozenset({*SCHEDULE, "archive_restore", "subject_export", "dataset_import", "export"}) - {"export_plans"}
"""Kinds that take long: others do not wait for them. Plans only ask; what they ask for is made apart."""

FILES = frozenset({"dataset_import", "export"})
"""Those of them that people wait for: several at once, so that a partner that takes a file slowly holds nobody up."""

_AT_ONCE = 3  # of FILES
_AGAIN = 1.0  # seconds until a store that did not answer is asked again
log = telemetry.logger("engine")


def coming(now: datetime.datetime) -> tuple[datetime.datetime, list[str]]:
    """When the next of those that run by themselves do, and which: several may have the same minute."""
    due = {kind: next(CronSim(expression, now)) for kind, expression in SCHEDULE.items()}
    at = min(due.values())
    return at, [kind for kind, moment in due.items() if moment == at]


class Runner:
    """One job at a time, in order; beside them what takes long, files, and what somebody waits for."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        supervisor: Supervisor,
        trails: Trails | None = None,
        vault: Sealing | None = None,
        dialers: Dialers | None = None,
    ) -> None:
        self._store = store
        self._registry = registry
        self._dialers = dialers
        self._partners = Partners(store, supervisor)
        self._context = Context(
            store,
            supervisor.recorder,
            supervisor.lanes,
            trails=trails,
            vault=vault,
            partners=self._partners,
            entries=supervisor.entries,
        )
        self._together = Together(store, registry, self._context)
        self._wakes = [asyncio.Event() for _ in range(2 + _AT_ONCE)]
        self._at_work: set[int] = set()  # jobs
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self._store.subscribe("job", self._rouse)
        self._rouse()
        kept = APART - FILES
        mine = [lambda kind: kind not in APART, lambda kind: kind in kept, *[lambda kind: kind in FILES] * _AT_ONCE]
        work = [*map(self._work, self._wakes, mine), self._schedule()]
        self._tasks = [asyncio.create_task(one) for one in work]
        await self._together.start()

    async def stop(self) -> None:
        await self._together.stop()
        await self._partners.close()
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def _rouse(self) -> None:
        for wake in self._wakes:
            wake.set()

    async def _work(self, wake: asyncio.Event, mine: Callable[[str], bool]) -> None:
        while True:
            await wake.wait()
            wake.clear()
            try:
                for job in await self._store.read(jobs.open_ones):
                    if job.kind not in AWAITED and mine(job.kind) and job.id not in self._at_work:
                        self._at_work.add(job.id)
                        try:
                            await self._run(job)
                        finally:
                            self._at_work.discard(job.id)
                        wake.set()  # the list is old by now: others work too
                        break
            except StoreError as error:
                log.error("jobs wait for the store", reason=str(error))
                await asyncio.sleep(_AGAIN)
                wake.set()
            except Conflict as error:
                log.warning("a job was ended elsewhere", reason=str(error))
                wake.set()

    async def _run(self, job: Job) -> None:
        await self._store.write(jobs.begin, job.id)
        state = "done"
        try:
            run = self._registry.jobs.get(job.kind)
            if run is None:
                raise HilumError(f"no job is called {job.kind!r}")
            result = await run(await self._own(job), job)
        except HilumError as error:
            state, result = "failed", {"reason": str(error)}
        except Exception as error:
            log.exception("job failed", kind=job.kind, job=job.uuid)
            state, result = "failed", {"reason": f"internal error: {type(error).__name__}"}
        await self._store.write(jobs.finish, job.id, state, telemetry.masked(result))
        self._store.signal(f"job/{job.id}")

    async def _own(self, job: Job) -> Context:
        """With the dialer of the job's organization; the hub's own jobs have none."""
        if self._dialers is None or not job.organization:
            return self._context
        owner = await self._store.read(organizations.get, job.organization)
        return dataclasses.replace(self._context, dialer=self._dialers.organization(owner.name))

    async def _schedule(self) -> None:
        """Insert the jobs that run by themselves when their time comes."""
        while True:
            now = clock.now()
            at, kinds = coming(now)
            await asyncio.sleep(max((at - now).total_seconds(), 1.0))
            for kind in kinds:
                try:
                    await self._store.write(jobs.insert, kind, {}, actor="schedule")
                except StoreError as error:
                    log.error("a job is not scheduled", kind=kind, reason=str(error))
            self._rouse()
