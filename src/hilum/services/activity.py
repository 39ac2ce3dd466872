"""The activity log as people see it: document 003's entries, and more (S3-74, C-28)."""

from __future__ import annotations

import dataclasses
import uuid

from hilum.model.access import Scope
from hilum.services.messages import stamp
from hilum.services.names import Names
from hilum.store import Store, activity_log, integrations
from hilum.store.activity_log import Logged, Wanted


@dataclasses.dataclass(frozen=True, slots=True)
class LogEntry:
    """`duration` in milliseconds; `attempt` null: of all of them. Bodies are never in here: see the execution.

    `synthetic`: of a connectivity test, a check, or an execution that is one.
    """

    id: str
    level: str
    outcome: str
    kind: str
    integrationId: str
    endpointId: str | None
    executionId: str | None
    status: str
    statusCode: int | None
    duration: float | None
    attempt: int | None
    error: str | None
    errorClass: str | None
    timestamp: str
    organization: str
    correlationId: str
    synthetic: bool


class Activity:
    """The use case."""

    def __init__(self, store: Store, names: Names) -> None:
        self._store = store
        self._names = names

    async def list(
        self, scope: Scope, identifier: uuid.UUID, wanted: Wanted, offset: int, limit: int,
        before: uuid.UUID | None = None,
    ) -> tuple[list[LogEntry], int]:  # fmt: skip
        """Those of an integration, also of an archived one, the newest first, and how many. Raises NotFound."""
        own = self._store.within(scope.organization)
        row = await own.read(integrations.find, scope, identifier, archived=True)
        found, total = await own.load(
            activity_log.listed, self._store.sealer, scope.organization, row.id, wanted, offset, limit, before
        )  # fmt: skip
        owner = (await self._names.organizations([scope.organization]))[scope.organization]
        return [_entry(one, str(row.uuid), owner) for one in found], total


def _entry(one: Logged, integration: str, organization: str) -> LogEntry:
    said = one.entry
    return LogEntry(
        id=str(one.uuid), level=said.level, outcome=said.outcome, kind=said.kind, integrationId=integration,
        endpointId=None if one.endpoint is None else str(one.endpoint),
        executionId=None if one.execution is None else str(one.execution), status=said.status,
        statusCode=said.status_code, duration=None if said.duration is None else said.duration / 1000,
        attempt=said.attempt or None, error=said.error, errorClass=said.fault, timestamp=stamp(one.stamp),
        organization=organization, correlationId=said.correlation, synthetic=one.synthetic,
    )  # fmt: skip
