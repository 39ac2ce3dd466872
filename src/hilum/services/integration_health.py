"""How an integration is: as the last checks found it, or as one finds it now, in document 003's shape (S3-59…S3-63)."""

from __future__ import annotations

import dataclasses
import math
import uuid

from hilum import clock
from hilum.errors import Conflict
from hilum.model.access import Scope
from hilum.model.audit import Act
from hilum.model.lifecycle import Health, health_of
from hilum.services.consents import lacking
from hilum.services.jobs import PATIENCE, JobState
from hilum.services.messages import stamp
from hilum.services.tests import EndpointTest, Tests
from hilum.store import Connection, Store, activity_log, endpoints, integrations, probes
from hilum.store.integrations import Row
from hilum.store.probes import Probed

_DAY = 86_400_000_000  # microseconds


@dataclasses.dataclass(frozen=True, slots=True)
class HealthMetrics:
    """Milliseconds, over the healthy endpoints alone; `averageResponseTimeMs` is exact, null where there is none."""

    totalEndpoints: int
    healthyEndpoints: int
    unhealthyEndpoints: int
    averageResponseTime: int
    averageResponseTimeMs: float | None


@dataclasses.dataclass(frozen=True, slots=True)
class EndpointHealth(EndpointTest):
    """`lastChecked` null: never."""

    lastChecked: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class HealthReport:
    """`status`: healthy, degraded, unhealthy, unknown, and error where the check itself failed; `error` says why.

    `advice`: what a person has to do, whatever the last checks found, such as to consent again. `warnings`: answers of
    the last 24 hours that could not be mapped; each is an event too, execution.warning.
    """

    integrationId: str
    timestamp: str
    status: str
    endpoints: list[EndpointHealth]
    metrics: HealthMetrics
    error: str | None
    lifecycle: str
    consecutiveFailures: int
    advice: str | None
    warnings: int


class IntegrationHealth:
    """The use cases."""

    def __init__(self, store: Store, tests: Tests) -> None:
        self._store = store
        self._tests = tests

    async def latest(self, scope: Scope, identifier: uuid.UUID) -> HealthReport:
        """What the last checks found; asks nobody. Raises NotFound, Conflict of an archived one."""
        return await self._report(await self._tests.row(scope, identifier))

    async def check(self, act: Act, identifier: uuid.UUID, wait: float = PATIENCE) -> HealthReport | JobState:
        """Check now; health and lifecycle follow. Its job where it takes longer than `wait` seconds.

        Raises NotFound, TooMany, Conflict of an archived one.
        """
        row = await self._tests.row(act.scope, identifier)
        act.entity = integrations.entity(row)
        self._tests.pace(row)
        error = None
        try:
            _, state = await self._tests.begin(act, row, None, "check", feels=True, wait=wait)
        except Conflict as conflict:  # the check itself did not come to be
            error, state = str(conflict), None
        if state is not None and state.result is None:
            return state
        return await self._report(await self._tests.row(act.scope, identifier), error)

    async def _report(self, row: Row, error: str | None = None) -> HealthReport:
        own = self._store.within(row.organization)
        found = await own.read(self._found, row)
        shown = [_shown(self._tests.view(row, one, _told(found.get(one.name))), found.get(one.name))
                 for one in row.model.endpoints]  # fmt: skip
        checked = [one for one in shown if one.lastChecked is not None]
        healthy = [one for one in checked if one.success]
        times = [found[one.name].duration or 0 for one in healthy if one.responseTime is not None]
        average = sum(times) / len(times) / 1000 if times else None
        metrics = HealthMetrics(
            len(shown), len(healthy), len(checked) - len(healthy), 0 if average is None else math.floor(average + 0.5),
            average,
        )  # fmt: skip
        last = max((one.stamp for one in found.values()), default=clock.micros())
        status = "error" if error is not None else health_of([one.success for one in checked]).value
        advice = "; ".join(await own.read(lacking, row)) or None
        if advice is not None and error is None:
            status = Health.UNHEALTHY.value if len(healthy) == 0 else Health.DEGRADED.value
        warnings = await own.read(activity_log.warnings, row.id, clock.micros() - _DAY)
        return HealthReport(
            str(row.uuid), stamp(last), status, shown, metrics, error, row.lifecycle, row.failures, advice, warnings
        )  # fmt: skip

    def _found(self, connection: Connection, row: Row) -> dict[str, Probed]:
        """By endpoint, of those that are configured right now."""
        references = {f"{row.name}/{one['name']}": one["name"] for one in row.document["endpoints"]}
        numbers = endpoints.numbers(connection, row.organization, references)
        latest = probes.latest(connection, self._store.sealer, row.organization, row.id)
        return {references[one]: latest[number] for one, number in numbers.items() if number in latest}


def _told(found: Probed | None) -> dict[str, object]:
    if found is None:
        return {"success": False, "error": "never checked"}
    return found.told


def _shown(one: EndpointTest, found: Probed | None) -> EndpointHealth:
    values = {field.name: getattr(one, field.name) for field in dataclasses.fields(one)}
    return EndpointHealth(**values, lastChecked=None if found is None else stamp(found.stamp))
