"""Is the hub alive, and does it do what it is there for?"""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
from collections.abc import Callable

from hilum.errors import StoreError
from hilum.model.status import Status
from hilum.services.names import Names
from hilum.store import Store, endpoints

_BOUND = 2.0  # seconds in which the store must answer


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """A configured source that does not run; the hub tries again by itself."""

    reference: str
    problem: str


@dataclasses.dataclass(frozen=True, slots=True)
class Readiness:
    """`ready` is false where the store does not answer, or the engine does not run (yet, or any more)."""

    ready: bool
    reason: str
    unhealthy: list[Problem]
    free_disk: float  # share of the disk that is free
    evidence: str = ""  # what is wrong with the audit trail; empty: nothing


class Health:
    def __init__(
        self, store: Store, names: Names, status: Callable[[], Status | None], evidence: Callable[[], str] = str
    ) -> None:
        """`evidence` says what is wrong with the audit trail: it makes nothing unready, but must not be silent."""
        self._store = store
        self._names = names
        self._status = status
        self._evidence = evidence

    async def ready(self) -> Readiness:
        """A taken port makes an endpoint unhealthy, not the hub: the rest runs."""
        reason = await self._store_answers()
        status = self._status()
        if status is None:
            free = await asyncio.to_thread(shutil.disk_usage, self._store.folder)
            return Readiness(False, reason or "the engine does not run", [], free.free / free.total)
        stopped = [Problem(one.reference, one.problem) for one in status.sources if not one.running]
        stopped.sort(key=lambda one: one.reference)
        return Readiness(not reason, reason, stopped, status.free_disk, self._evidence())

    async def _store_answers(self) -> str:
        """Empty, or why not."""
        try:
            await asyncio.wait_for(self._store.read(endpoints.organizations), _BOUND)
        except TimeoutError:
            return f"the store did not answer within {_BOUND:.0f} seconds"
        except StoreError as error:
            return str(error)
        return ""
