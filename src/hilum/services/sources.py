"""The inbound endpoints: which run, which don't and why."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from hilum.model.access import Scope
from hilum.model.message import Disposition
from hilum.model.status import SourceStatus, Status
from hilum.services.names import Names
from hilum.store import Store


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """`problem` says why it does not run, `held` why its sockets are held (back-pressure)."""

    reference: str
    url: str
    running: bool
    problem: str
    held: list[str]
    received: int
    errors: int


class Sources:
    def __init__(self, store: Store, names: Names, status: Callable[[], Status | None]) -> None:
        self._store = store
        self._names = names
        self._status = status

    async def all(self, scope: Scope) -> list[Source]:
        """Every inbound endpoint, by name."""
        status = self._status()
        if status is not None:
            within = await self._names.visible(scope)
            mine = [
                one
                for one in status.sources
                if one.organization == scope.organization and (within is None or one.number in within)
            ]
            return sorted(map(_source, mine), key=lambda one: one.reference)
        received = self._store.tallies.received
        return [
            Source(
                reference=one.reference,
                url=one.url,
                running=False,
                problem="the hub does not run",
                held=[],
                received=sum(count for (number, _), count in received.items() if number == one.number),
                errors=received[one.number, Disposition.ERROR],
            )
            for one in await self._names.known(scope, "inbound")
        ]


def _source(one: SourceStatus) -> Source:
    return Source(one.reference, one.url, one.running, one.problem, list(one.held), one.received, one.errors)
