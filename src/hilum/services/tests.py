"""Connectivity tests: every endpoint of an integration, safely, and the result as document 003 has it (S3-44…S3-49)."""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections import deque
from typing import Any, ClassVar

from hilum import clock, telemetry
from hilum.errors import Conflict, NotFound, TooMany
from hilum.jobs.probe import ANSWER
from hilum.model.access import Scope, may
from hilum.model.audit import Act
from hilum.model.configuration import Endpoint
from hilum.model.lifecycle import Lifecycle
from hilum.sdk import texts
from hilum.sdk.faults import ADVICE, Fault
from hilum.sdk.registry import Registry
from hilum.services import traces
from hilum.services.executions import PAYLOAD
from hilum.services.jobs import PATIENCE, Jobs, JobState
from hilum.services.messages import stamp
from hilum.services.traces import TraceView
from hilum.store import Store, integrations
from hilum.store.integrations import Row

WAIT = 30.0  # seconds for all of a test
OFTEN, PERIOD = 10, 60.0
"""Tests of one integration that may be asked for within so many seconds: its partners pay for each."""


@dataclasses.dataclass(frozen=True, slots=True)
class Timings:
    """Milliseconds; null: not measured, or not needed."""

    total: float
    dns: float | None
    connect: float | None
    tls: float | None
    firstByte: float | None


@dataclasses.dataclass(frozen=True, slots=True)
class EndpointTest:
    """One endpoint. `method` is its own; what was sent is harmless, whatever it says. `responseTime`: milliseconds.

    `trace`: what went over the wire where it failed.
    """

    endpointId: str
    url: str
    method: str | None
    success: bool
    responseTime: int | None
    statusCode: int | None
    error: str | None
    errorClass: str | None
    advice: str | None
    cause: str | None
    nextStep: str | None
    warning: str | None
    timings: Timings | None
    trace: TraceView | None
    name: str
    direction: str


@dataclasses.dataclass(frozen=True, slots=True)
class Overall:
    """Success: there are endpoints, and none failed."""

    success: bool
    totalEndpoints: int
    successfulEndpoints: int
    failedEndpoints: int


@dataclasses.dataclass(frozen=True, slots=True)
class TestResult:
    """`error` names every endpoint that failed, with its reason; null where all is well. It is always synthetic."""

    __test__: ClassVar[bool] = False  # for pytest, which takes every Test… for a test

    integrationId: str
    timestamp: str
    endpoints: list[EndpointTest]
    overall: Overall
    error: str | None
    dryRun: bool
    synthetic: bool = True


class Tests:
    """The use case. The engine, which alone dials, is asked by a job."""

    __test__: ClassVar[bool] = False

    def __init__(self, store: Store, registry: Registry, jobs: Jobs) -> None:
        self._store = store
        self._registry = registry
        self._jobs = jobs
        self._asked: dict[int, deque[float]] = {}

    async def ask(
        self, act: Act, identifier: uuid.UUID, *, endpoint: uuid.UUID | None = None, dry_run: bool = False,
        wait: float = PATIENCE,
    ) -> TestResult | JobState:  # fmt: skip
        """For people: not too often, and health follows. Its job where it takes longer than `wait` seconds.

        Raises NotFound, TooMany, Conflict where no engine runs.
        """
        row = await self.row(act.scope, identifier)
        act.entity = integrations.entity(row)
        self.pace(row)
        feels = endpoint is None and not dry_run
        chosen, state = await self.begin(act, row, endpoint, "dry" if dry_run else "test", feels=feels, wait=wait)
        act.details["dry_run"] = dry_run
        if state is not None and state.result is None:
            return state
        result = self._result(row, chosen, state, dry_run=dry_run, payload=may(act.principal, PAYLOAD))
        act.details["success"] = result.overall.success
        return result

    async def run(self, act: Act, row: Row, *, kind: str = "test") -> TestResult:
        """Whatever is wrong with a partner is in the result, a lack of time too. Raises Conflict: no engine runs."""
        return self._result(row, *await self.begin(act, row, None, kind, feels=False, wait=WAIT), dry_run=False)

    async def begin(
        self, act: Act, row: Row, endpoint: uuid.UUID | None, kind: str, *, feels: bool, wait: float
    ) -> tuple[list[Endpoint], JobState | None]:
        """What is tested, and the job of it as it stands after `wait` seconds; None: there is nothing to test.

        `feels`: health and lifecycle follow what was found. Raises NotFound (the endpoint), Conflict: no engine runs.
        """
        names = {identifier: name for name, identifier in row.endpoints.items()}
        if endpoint is not None and endpoint not in names:
            raise NotFound(f"Endpoint not found: {endpoint}")
        chosen = [one for one in row.model.endpoints if endpoint is None or one.name == names[endpoint]]
        if not chosen:
            return chosen, None
        arguments = {
            "integration": row.id, "endpoints": [one.name for one in chosen], "feels": feels, "purpose": kind,
            "correlation": act.request_id,
        }  # fmt: skip
        state = await self._jobs.ask(act, "probe", arguments, wait)
        if state.state == "waiting" and not self._jobs.runs:
            raise Conflict("no engine runs that could test it")
        return chosen, state

    def _result(
        self, row: Row, chosen: list[Endpoint], state: JobState | None, *, dry_run: bool, payload: bool = False
    ) -> TestResult:  # fmt: skip
        found: dict[str, Any] = {}
        if state is not None and state.result is not None:
            found = json.loads(self._store.sealer.open(bytes.fromhex(state.result["answer"]), ANSWER))
        shown = [self.view(row, one, found.get(one.name), payload=payload) for one in chosen]
        return result_of(row, shown, dry_run=dry_run)

    async def row(self, scope: Scope, identifier: uuid.UUID) -> Row:
        """Raises NotFound, Conflict of an archived one."""
        row = await self._store.within(scope.organization).read(integrations.find, scope, identifier, archived=True)
        if row.lifecycle is Lifecycle.ARCHIVED:
            raise Conflict("it is archived: restore it first")
        return row

    def pace(self, row: Row) -> None:
        """Raises TooMany where this integration was tested often just now."""
        now = clock.monotonic()
        past = self._asked.setdefault(row.id, deque())
        while past and past[0] <= now - PERIOD:
            past.popleft()
        if len(past) >= OFTEN:
            raise TooMany(f"more than {OFTEN} tests of one integration in a minute", after=past[0] + PERIOD - now)
        past.append(now)

    def view(
        self, row: Row, endpoint: Endpoint, told: dict[str, Any] | None, *, payload: bool = False
    ) -> EndpointTest:  # fmt: skip
        """One endpoint with what was found; None: nothing was, in time."""
        if told is None:
            fault = Fault.TIMEOUT
            told = {"success": False, "error": "not tested in time", "errorClass": fault.value, "advice": ADVICE[fault]}
        timings, known = told.get("timings"), told.get("errorClass")
        cause, step = texts.TABLES[texts.USUAL].get(known or "", (None, None))
        return EndpointTest(
            endpointId=str(row.endpoints.get(endpoint.name, "")), url=telemetry.mask(endpoint.url),
            method=told.get("method") or self._method(endpoint), success=bool(told["success"]),
            responseTime=told.get("responseTime"), statusCode=told.get("statusCode"), error=told.get("error"),
            errorClass=known, advice=told.get("advice"), cause=cause, nextStep=step, warning=told.get("warning"),
            trace=traces.shown(told.get("trace"), payload=payload),
            timings=None if timings is None else Timings(**timings), name=endpoint.name, direction=endpoint.direction,
        )  # fmt: skip

    def _method(self, endpoint: Endpoint) -> str | None:
        """Its own, or what its connector takes it for; None where its protocol has none, or it receives."""
        connector = self._registry.connectors.get(endpoint.scheme)
        field = None if connector is None else connector.config.model_fields.get("method")
        if endpoint.direction == "inbound" or field is None:
            return None
        return str(endpoint.options.get("method") or field.default or "").upper() or None


def result_of(row: Row, endpoints: list[EndpointTest], *, dry_run: bool = False) -> TestResult:
    """The counts add up; without an endpoint nothing was shown to work (S3-44)."""
    failed = [one for one in endpoints if not one.success]
    overall = Overall(bool(endpoints) and not failed, len(endpoints), len(endpoints) - len(failed), len(failed))
    error = None
    if not overall.success:
        reasons = [f"{one.name} ({one.url}): {one.error}" for one in failed]
        error = f"Connectivity test failed: {'; '.join(reasons) or 'there is no endpoint to test'}"
    return TestResult(str(row.uuid), stamp(clock.micros()), endpoints, overall, error, dry_run)
