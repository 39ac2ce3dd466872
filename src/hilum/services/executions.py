"""Executions: an endpoint is asked through the API, and its answer awaited for a while (ledger S3-50…S3-58).

What was sent and answered may name a patient: it is shown to those with the permission executions:payload alone.
"""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from hilum import telemetry
from hilum.errors import ConfigError, Conflict, PartnerFailed, PartnerSlow
from hilum.formats import synthetic
from hilum.model.access import Scope, may, permit
from hilum.model.audit import Act, Change
from hilum.model.configuration import Endpoint
from hilum.model.execution import ExecutionState
from hilum.model.lifecycle import RUNS
from hilum.pipeline.mapping import compile_mapping, form_of
from hilum.pipeline.payload import decode, encode
from hilum.sdk import headers, texts
from hilum.sdk.config import read
from hilum.sdk.contracts import Connector
from hilum.sdk.faults import ADVICE, Fault
from hilum.sdk.http_request import Parameters
from hilum.sdk.registry import Registry
from hilum.services import traces
from hilum.services.jobs import Jobs
from hilum.services.messages import stamp
from hilum.services.traces import TraceView
from hilum.store import Connection, Store, activity_log, execution_blobs, executions, integrations, jobs, mappings
from hilum.store.execution_blobs import Blob
from hilum.store.executions import Aim, Ended, New, Stored, Wanted

PAYLOAD = "executions:payload"
CANCELLED = "it was cancelled"
WAIT = 30.0  # seconds that a caller waits at most


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants sent. `timeout` is milliseconds, `wait` seconds; empty and None: as the endpoint has it."""

    data: Any = None
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    parameters: Mapping[str, str] = dataclasses.field(default_factory=dict)
    timeout: int | None = None
    idempotency_key: str = ""
    correlation_id: str = ""
    wait: float = WAIT
    synthetic: bool = False  # a test's; data that says so is it anyway


@dataclasses.dataclass(frozen=True, slots=True)
class ExecutionMetrics:
    """Times are milliseconds since 1970, durations milliseconds; null while it runs."""

    startTime: int
    endTime: int | None
    duration: int | None
    durationMs: float | None


@dataclasses.dataclass(frozen=True, slots=True)
class ExecutionAttempt:
    """One try. `duration` and `timings` are milliseconds."""

    number: int
    timestamp: str
    duration: float
    statusCode: int | None
    errorClass: str | None
    error: str | None
    timings: dict[str, float | None]


@dataclasses.dataclass(frozen=True, slots=True)
class Execution:
    """As document 003 has it, and more. `request`, `response` and `trace` are null in lists; `synthetic`: a test's.

    `payloadRef`: where request and answer are, masked for those who may not see them; null once they were removed.
    `trace`: what went over the wire where it failed.
    """

    id: str
    integrationId: str
    endpointId: str
    status: ExecutionState
    request: dict[str, Any] | None
    response: dict[str, Any] | None
    error: str | None
    metrics: ExecutionMetrics
    statusCode: int | None
    errorClass: str | None
    advice: str | None
    cause: str | None
    nextStep: str | None
    attempts: list[ExecutionAttempt]
    correlationId: str
    startedAt: str
    endedAt: str | None
    actor: str
    synthetic: bool
    payloadRef: str | None
    trace: TraceView | None


@dataclasses.dataclass(frozen=True, slots=True)
class DryRun:
    """What would be sent. References to secrets stay references."""

    integrationId: str
    endpointId: str
    dryRun: bool
    request: dict[str, Any]


class Executions:
    """The use cases."""

    def __init__(self, store: Store, registry: Registry, jobs: Jobs) -> None:
        self._store = store
        self._registry = registry
        self._jobs = jobs

    async def execute(self, act: Act, integration: uuid.UUID, endpoint: uuid.UUID, asked: Asked) -> Execution:
        """As it stands when it ended or `wait` is over: then it is still `executing`.

        Raises NotFound, Conflict, ConfigError (a header), PartnerFailed and PartnerSlow with its id in `details`.
        """
        aim = await self._aim(act, integration, endpoint)
        data, blobs = await self._placed(asked.data)
        new = New(
            act.organization, aim.integration, aim.endpoint, asked.correlation_id or act.request_id, act.principal.id,
            {**data, "headers": dict(asked.headers), "parameters": dict(asked.parameters),
             "timeout": asked.timeout, "idempotency_key": asked.idempotency_key}, executions.name(),
            asked.synthetic or synthetic.says(asked.data), blobs,
        )  # fmt: skip
        payload = may(act.principal, PAYLOAD)
        act.details |= {"payload": True} if payload else {}
        own = self._store.within(act.organization)
        told: dict[str, Any] = {"integration": str(integration), "endpoint": aim.name}
        told |= {"correlation_id": new.correlation} | ({"synthetic": True} if new.synthetic else {})
        # without a signal: there are many, and whoever follows the outbox finds them at its next look
        begun = await own.begin(act, self._begin, act, new, told, asked.wait > 0 and self._jobs.runs)
        act.recorded, act.entity = True, begun.entity
        number, job = begun.result
        await self._jobs.wait(job, "execute", min(asked.wait, WAIT))
        found = await own.read(executions.get, self._store.sealer, number)
        self._judge(found)
        return view(found, payload=payload)

    async def rehearse(self, act: Act, integration: uuid.UUID, endpoint: uuid.UUID, asked: Asked) -> DryRun:
        """Build the request and send nothing. Raises as `execute` does before it asks, StepError of the mapping."""
        aim = await self._aim(act, integration, endpoint)
        row = await self._store.within(act.organization).read(integrations.get, aim.integration)
        model = next(one for one in row.model.endpoints if one.name == aim.name)
        model = await self._store.within(act.organization).read(mappings.inlined, act.organization, model)
        connector = self._registry.connector(model.scheme, model.name)
        body, plain = encode(asked.data), isinstance(asked.data, str)
        if model.data_mapping is not None:
            mapped = compile_mapping(
                model.data_mapping, registry=self._registry, format=form_of(model, connector),
                timezone=model.timezone, where=f"{model.name}.data_mapping",
            )  # fmt: skip
            body, plain = await asyncio.to_thread(mapped, body), False
        address, said = _address(model, connector, asked.parameters), dict(asked.headers)
        if asked.synthetic or synthetic.says(asked.data):
            body = synthetic.mark(body)
            said |= {} if address["method"] is None else synthetic.HEADERS
        request = {
            **address, "headers": _shown({**(model.options.get("headers") or {}), **said}),
            "data": decode(body, "" if plain else "application/json"),
            "timeout": asked.timeout or model.timeout,
        }  # fmt: skip
        act.entity, act.details = integrations.entity(row), {"endpoint": aim.name, "dry_run": True}
        return DryRun(str(row.uuid), str(endpoint), True, telemetry.masked(request))

    async def list(self, scope: Scope, wanted: Wanted, offset: int, limit: int) -> tuple[Sequence[Execution], int]:
        """Those within, the newest first, without what was sent and answered."""
        read = self._store.within(scope.organization).load
        found, total = await read(executions.listed, self._store.sealer, scope, wanted, offset, limit)
        return [view(one, payload=False, whole=False) for one in found], total

    async def of(
        self, act: Act, integration: uuid.UUID, wanted: Wanted, offset: int, limit: int
    ) -> tuple[Sequence[Execution], int]:
        """Those of one integration, also of an archived one. Raises NotFound."""
        read = self._store.within(act.organization).read
        act.entity = integrations.entity(await read(integrations.find, act.scope, integration, archived=True))
        return await self.list(act.scope, dataclasses.replace(wanted, integration=integration), offset, limit)

    async def show(self, act: Act, identifier: uuid.UUID, *, payload: bool = False) -> Execution:
        """Raises NotFound, and Refused where the payload is asked for by somebody who may not see it."""
        act.entity = executions.entity(identifier)
        scope = act.scope
        if payload:
            scope = permit(act.principal, PAYLOAD)
            act.details["payload"] = True
        own = self._store.within(scope.organization)
        return view(await own.load(executions.find, self._store.sealer, scope, identifier), payload=payload)

    async def blob(self, act: Act, identifier: uuid.UUID, blob: uuid.UUID) -> bytes:
        """What was too large for the execution itself. Raises NotFound, also of what retention removed."""
        act.entity = executions.entity(identifier)
        act.details |= {"payload": True, "blob": str(blob)}
        own, sealer = self._store.within(act.organization), self._store.sealer
        found: Stored = await own.load(executions.find, sealer, act.scope, identifier)
        return await own.load(execution_blobs.content, sealer, found.id, blob)

    async def cancel(self, act: Act, identifier: uuid.UUID) -> Execution:
        """Stop waiting and try no more; the partner may have taken it. Raises NotFound, Conflict where it has ended."""
        own = self._store.within(act.organization)
        found: Stored = await own.change(act, self._cancel, act, identifier)
        self._store.signal(f"execution/{found.id}")
        return view(found, payload=False)

    async def _aim(self, act: Act, integration: uuid.UUID, endpoint: uuid.UUID) -> Aim:
        """Raises NotFound, Conflict where its integration does not run, or the endpoint only receives."""
        aim = await self._store.within(act.organization).read(executions.aim, act.scope, integration, endpoint)
        if aim.lifecycle not in RUNS:
            raise Conflict(f"the integration is {aim.lifecycle}: it must be active to be asked")
        if aim.direction != "outbound":
            raise Conflict(f"{aim.name} receives: nothing is sent to it")
        return aim

    async def _placed(self, data: Any) -> tuple[dict[str, Any], tuple[Blob, ...]]:
        """The data as it stands in the row; a pointer and a blob where it is too large for that."""
        text = isinstance(data, str)
        body = data.encode("utf-8", "replace") if isinstance(data, str) else encode(data)
        if len(body) <= execution_blobs.INLINE:
            return {"data": data}, ()
        kind = execution_blobs.TEXT if text else execution_blobs.JSON
        blob = await asyncio.to_thread(execution_blobs.seal, self._store.sealer, body, kind)
        return {"data": None, "blob": blob.pointer}, (blob,)

    def _begin(self, connection: Connection, act: Act, new: New, told: dict[str, Any], at_once: bool) -> Change:
        number = executions.insert(connection, self._store.sealer, new)
        arguments = {"execution": number, "at_once": at_once}
        job = jobs.insert(
            connection, "execute", arguments, actor=act.principal.id, organization=act.organization
        )  # fmt: skip
        return Change((number, job), executions.entity(new.uuid), after=told)

    def _cancel(self, connection: Connection, act: Act, identifier: uuid.UUID) -> Change:
        sealer = self._store.sealer
        found = executions.find(connection, sealer, act.scope, identifier)
        told = {"error": CANCELLED, "tries": []}
        ended = Ended(ExecutionState.CANCELLED, None, found.attempts, fault=Fault.CANCELLED, told=told)
        if not executions.finish(connection, sealer, found.id, found.uuid, ended):
            raise Conflict(f"it has ended already: it is {found.status}")
        entry = activity_log.Entry(
            found.organization, found.integration, "execute", "warn", "failure", ExecutionState.CANCELLED,
            endpoint=found.endpoint, execution=found.id, correlation=found.correlation, fault=Fault.CANCELLED,
            error=CANCELLED,
        )  # fmt: skip
        activity_log.insert(connection, sealer, [entry])
        after = executions.find(connection, sealer, act.scope, identifier)
        return Change(after, executions.entity(identifier), {"status": found.status}, {"status": after.status})

    def _judge(self, found: Stored) -> None:
        """Raises PartnerFailed, PartnerSlow, and Conflict where somebody called it off."""
        if found.status is ExecutionState.CANCELLED:
            raise Conflict(f"execution {found.uuid} was cancelled")
        if found.status not in (ExecutionState.FAILED, ExecutionState.TIMEOUT):
            return
        details = {
            "execution": str(found.uuid), "status": found.status, "status_code": found.status_code,
            "error_class": found.fault, "advice": _advice(found.fault), "attempts": found.attempts,
            "payload_ref": reference(found.uuid),
        }  # fmt: skip
        kind = PartnerSlow if found.status is ExecutionState.TIMEOUT else PartnerFailed
        raise kind(f"Execution failed: {(found.told or {}).get('error') or 'no answer'}", details)


def _address(endpoint: Endpoint, connector: Connector, given: Mapping[str, str]) -> dict[str, Any]:
    """Method and URL; what has no method takes no parameters. Raises ConfigError where one is missing or wrong."""
    field = connector.config.model_fields.get("method")
    if field is None:
        return {"method": None, "url": telemetry.mask(endpoint.url)}
    wanted = read(Parameters, endpoint.options.get("parameters") or {}, f"{endpoint.name}.parameters")
    url = telemetry.mask(str(wanted.address(endpoint.url, given)))
    return {"method": str(endpoint.options.get("method") or field.default).upper(), "url": url}


def check_headers(given: Mapping[str, str]) -> None:
    """Raises ConfigError for what may not stand in a request, or is the hub's to set."""
    try:
        headers.check(given)
    except ValueError as error:
        raise ConfigError(str(error), where="headers") from None


def view(one: Stored, *, payload: bool, whole: bool = True) -> Execution:
    """As people see it; without `payload` what was sent and answered is masked."""
    told = one.told or {}
    took = None if one.duration is None else one.duration / 1000
    said = (None, None) if one.fault is None else texts.TABLES[texts.USUAL].get(one.fault, (None, None))
    metrics = ExecutionMetrics(
        one.started_at // 1000, None if one.ended_at is None else one.ended_at // 1000,
        None if took is None else round(took), None if took is None else round(took, 3),
    )  # fmt: skip
    return Execution(
        id=str(one.uuid), integrationId=str(one.integration_uuid), endpointId=str(one.endpoint_uuid),
        status=one.status, request=_request(one, payload) if whole else None,
        response=_response(one.response, payload) if whole else None, error=told.get("error"), metrics=metrics,
        statusCode=one.status_code, errorClass=one.fault, advice=_advice(one.fault),
        cause=said[0], nextStep=said[1],
        attempts=[_attempt(each) for each in told.get("tries", ())], correlationId=one.correlation,
        startedAt=stamp(one.started_at), endedAt=None if one.ended_at is None else stamp(one.ended_at),
        actor=one.actor, synthetic=one.synthetic, payloadRef=None if one.forgotten else reference(one.uuid),
        trace=traces.shown(one.trace, payload=payload) if whole else None,
    )  # fmt: skip


def reference(identifier: uuid.UUID) -> str:
    """Where what an execution sent and was answered is read."""
    return f"/api/v1/executions/{identifier}"


def _shown(given: Mapping[str, str]) -> dict[str, str]:
    """Without what authenticates; a reference names a secret, and is none."""
    return {
        name: telemetry.MASK if headers.is_secret(name) and "${" not in value else telemetry.mask(value)
        for name, value in given.items()
    }


def _request(one: Stored, payload: bool) -> dict[str, Any] | None:
    if one.request is None:
        return None
    shown = {
        "data": one.request.get("data"), "headers": _shown(one.request.get("headers") or {}),
        "parameters": one.request.get("parameters") or {}, "timestamp": stamp(one.started_at),
    }  # fmt: skip
    if "blob" in one.request:
        shown["blob"] = one.request["blob"]
    return shown if payload else _hidden(shown)


def _response(found: dict[str, Any] | None, payload: bool) -> dict[str, Any] | None:
    return found if found is None or payload else _hidden(found)


def _hidden(found: Mapping[str, Any]) -> dict[str, Any]:
    """That there is something can be seen, and what headers and parameters are called."""
    shown = dict(found)
    for name in {"headers", "parameters"} & shown.keys():
        shown[name] = dict.fromkeys(shown[name], telemetry.MASK)
    for name in {"data", "processedData", "statusText", "processingError"} & shown.keys():
        shown[name] = None if shown[name] is None else telemetry.MASK
    return shown


def _attempt(one: Mapping[str, Any]) -> ExecutionAttempt:
    timings = {("firstByte" if name == "first_byte" else name): value for name, value in one["timings"].items()}
    return ExecutionAttempt(
        one["number"], stamp(one["at"]), one["duration"] / 1000, one["status"], one["fault"], one["reason"] or None,
        timings,
    )  # fmt: skip


def _advice(fault: str | None) -> str | None:
    return None if fault is None else ADVICE.get(Fault(fault))
