"""The activity log as people see it: document 003's entries, and more (S3-74, C-28)."""

from __future__ import annotations

import dataclasses
import uuid

from hilum import clock
from hilum.model.access import Scope
from hilum.model.audit import Act
from hilum.sdk import texts
from hilum.services.executions import reference
from hilum.services.messages import stamp
from hilum.services.names import Names
from hilum.store import Store, activity_log, integrations
from hilum.store.activity_log import Group, Logged, Wanted

MOST = 200
"""Groups of failures in one answer."""
WEEK = 7 * 86_400_000_000  # microseconds


@dataclasses.dataclass(frozen=True, slots=True)
class LogEntry:
    """`duration` in milliseconds; `attempt` null: of all of them. `payloadRef`: where what was sent and answered is.

    Bodies are never in here; null: there are none, or retention removed them. `synthetic`: of a connectivity test, a
    check, or an execution that is one.
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
    payloadRef: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class FailureGroup:
    """Failures of one class at one endpoint. `count`: lines of the log, of which each try that failed is one.

    `correlationId`, `executionId`, `payloadRef`: of the newest; `endpointId` null: of none.
    """

    endpointId: str | None
    endpoint: str | None
    errorClass: str | None
    advice: str | None
    cause: str | None
    nextStep: str | None
    count: int
    firstAt: str
    lastAt: str
    correlationId: str
    executionId: str | None
    payloadRef: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class Failures:
    """The group of the newest failure first. `more`: there are further groups, of older failures."""

    items: list[FailureGroup]
    since: str
    until: str
    more: bool


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

    async def failures(
        self, act: Act, identifier: uuid.UUID, since: int | None, until: int | None, endpoint: uuid.UUID | None
    ) -> Failures:
        """Those of an integration, also of an archived one, by class and endpoint; at most MOST groups.

        Times are microseconds; nothing given: the last week. Raises NotFound.
        """
        own = self._store.within(act.organization)
        row = await own.read(integrations.find, act.scope, identifier, archived=True)
        act.entity = integrations.entity(row)
        until = clock.micros() if until is None else until
        since = until - WEEK if since is None else since
        wanted = Wanted(outcome="failure", endpoint=endpoint, since=since, until=until)
        found = await own.load(activity_log.failures, act.organization, row.id, wanted, MOST + 1)
        return Failures([_group(one) for one in found[:MOST]], stamp(since), stamp(until), len(found) > MOST)


def _group(one: Group) -> FailureGroup:
    cause, step = (None, None) if one.fault is None else texts.TABLES[texts.USUAL].get(one.fault, (None, None))
    execution = None if one.execution is None else str(one.execution)
    return FailureGroup(
        endpointId=None if one.endpoint is None else str(one.endpoint),
        endpoint=None if one.reference is None else one.reference.partition("/")[2], errorClass=one.fault,
        advice=f"{cause} {step}" if cause else None, cause=cause, nextStep=step, count=one.count,
        firstAt=stamp(one.first_at), lastAt=stamp(one.last_at), correlationId=one.correlation, executionId=execution,
        payloadRef=reference(one.execution) if one.payload and one.execution is not None else None,
    )  # fmt: skip


def _entry(one: Logged, integration: str, organization: str) -> LogEntry:
    said = one.entry
    return LogEntry(
        id=str(one.uuid), level=said.level, outcome=said.outcome, kind=said.kind, integrationId=integration,
        endpointId=None if one.endpoint is None else str(one.endpoint),
        executionId=None if one.execution is None else str(one.execution), status=said.status,
        statusCode=said.status_code, duration=None if said.duration is None else said.duration / 1000,
        attempt=said.attempt or None, error=said.error, errorClass=said.fault, timestamp=stamp(one.stamp),
        organization=organization, correlationId=said.correlation, synthetic=one.synthetic,
        payloadRef=reference(one.execution) if one.payload and one.execution is not None else None,
    )  # fmt: skip
