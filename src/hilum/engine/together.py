"""Runs the jobs that somebody waits for: as they come, many at once, so that one slow partner holds nobody else up."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections import Counter
from typing import Any

from hilum import telemetry
from hilum.errors import Conflict, HilumError, StoreError
from hilum.jobs import AWAITED, Context, Ending
from hilum.sdk.registry import JobRun, Registry
from hilum.store import Connection, Store, jobs
from hilum.store.jobs import Job

AT_ONCE = 64
"""Jobs of one kind that run at the same time for one organization."""

_AGAIN = 1.0  # seconds until a store that did not answer is asked again
DRAIN = 5.0  # seconds that those which run may still take when the hub ends
log = telemetry.logger("engine")


class Together:
    """Part of the runner. Several jobs are begun in one commit."""

    def __init__(self, store: Store, registry: Registry, context: Context) -> None:
        self._store = store
        self._registry = registry
        self._context = context
        self.drain = DRAIN
        self._wake = asyncio.Event()
        self._running: dict[int, asyncio.Task[None]] = {}
        self._used: Counter[tuple[str, int | None]] = Counter()  # by kind and organization
        self._work: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._store.subscribe("awaited", self._wake.set)
        self._wake.set()
        self._work = asyncio.create_task(self._look())

    async def stop(self) -> None:
        """Begin nothing more; what runs gets a moment, the next start takes up the rest."""
        if self._work is not None:
            self._work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._work
        if self._running:
            _, late = await asyncio.wait(self._running.values(), timeout=self.drain)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _look(self) -> None:
        interrupted = True  # the first look takes up what the last run had begun
        while True:
            await self._wake.wait()
            self._wake.clear()
            chosen: list[Job] = []
            try:
                found = await self._store.read_small(jobs.awaited, AWAITED, interrupted=interrupted)
                chosen = [one for one in found if one.id not in self._running and self._has_room(one)]
                if claimed := [one.id for one in chosen if not self._unclaimed(one)]:
                    await self._store.write(jobs.begin_all, claimed)
            except StoreError as error:
                for one in chosen:
                    self._used[one.kind, one.organization] -= 1
                log.error("jobs wait for the store", reason=str(error))
                await asyncio.sleep(_AGAIN)
                self._wake.set()
                continue
            for one in chosen:
                begun = interrupted and self._unclaimed(one)  # perhaps: its row does not tell
                known = dataclasses.replace(one, state="running") if begun else one
                self._running[one.id] = asyncio.create_task(self._run(known))
            interrupted = False

    def _unclaimed(self, one: Job) -> bool:
        """Begun without a commit of its own: nobody else can take it, and nobody would want it after a restart."""
        return self._store.database.embedded and one.arguments.get("at_once") is True

    def _has_room(self, one: Job) -> bool:
        """Takes it, if so."""
        key = (one.kind, one.organization)
        room = self._used[key] < AT_ONCE
        self._used[key] += room
        return room

    async def _run(self, one: Job) -> None:
        key = (one.kind, one.organization)
        try:
            state, ending = await self._made(one)
            await self._end(one, state, ending)
        finally:
            self._used[key] -= 1
            del self._running[one.id]
            if self._used[key] == AT_ONCE - 1:
                self._wake.set()

    async def _made(self, one: Job) -> tuple[str, Ending]:
        """The job's state afterwards, and what is to be written."""
        try:
            run = self._registry.jobs.get(one.kind)
            if run is None:
                raise HilumError(f"no job is called {one.kind!r}")
            result = await self._run_when_possible(run, one)
        except HilumError as error:
            return "failed", Ending({"reason": str(error)})
        except Exception as error:  # whatever one job does, the others run
            log.exception("job failed", kind=one.kind, job=one.uuid)
            return "failed", Ending({"reason": f"internal error: {type(error).__name__}"})
        return "done", result if isinstance(result, Ending) else Ending(result)

    async def _run_when_possible(self, run: JobRun, one: Job) -> Any:
        """A StoreError says that it could not even begin."""
        while True:
            try:
                return await run(self._context, one)
            except StoreError as error:
                log.error("a job waits for the store", job=one.uuid, reason=str(error))
                await asyncio.sleep(_AGAIN)

    async def _end(self, one: Job, state: str, ending: Ending) -> None:
        """What came of it is not lost to a store that has no room just now."""

        def write(connection: Connection) -> None:
            if self._unclaimed(one):
                jobs.begin(connection, one.id)
            if ending.write is not None:
                ending.write(connection)
            jobs.finish(connection, one.id, state, telemetry.masked(ending.result))

        while True:
            try:
                await self._store.write(write)
                break
            except Conflict as error:
                log.warning("a job was ended elsewhere", reason=str(error))
                break
            except StoreError as error:
                log.error("a result waits for the store", job=one.uuid, reason=str(error))
                await asyncio.sleep(_AGAIN)
        self._store.signal(f"job/{one.id}")
