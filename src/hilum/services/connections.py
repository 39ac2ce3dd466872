"""The report of connections: where data goes and comes from, what of it and why, and when last (ledger S0-06)."""

from __future__ import annotations

import dataclasses
from typing import Any

from hilum import clock
from hilum.exporting.connected import ConnectionView, connected
from hilum.model.access import Scope
from hilum.store import Store

COLUMNS = tuple(one.name for one in dataclasses.fields(ConnectionView))


@dataclasses.dataclass(frozen=True, slots=True)
class ConnectionReport:
    """By integration and endpoint. Archived integrations are not in it."""

    organization: str
    generated_at: str
    connections: list[ConnectionView]

    def rows(self) -> list[list[Any]]:
        """As a table, its columns first; words of a list have a space between them."""
        told = [[getattr(one, name) for name in COLUMNS] for one in self.connections]
        return [list(COLUMNS), *([_text(value) for value in row] for row in told)]


class Connections:
    """The use case."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def report(self, scope: Scope) -> ConnectionReport:
        """Of all that one may see. Raises NotFound (the organization)."""
        name, found = await connected(self._store, scope)
        return ConnectionReport(name, clock.iso(clock.micros()), found)


def _text(value: Any) -> Any:
    if isinstance(value, list):
        return " ".join(value)
    return str(value).lower() if isinstance(value, bool) else value
