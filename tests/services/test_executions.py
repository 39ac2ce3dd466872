"""Executions as a service begins, shows and ends them, on both databases; the engine's part is tests/jobs's."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from hilum import telemetry
from hilum.app import Hub
from hilum.errors import ConfigError, Conflict, NotFound, PartnerFailed, PartnerSlow, Refused, StepError
from hilum.model import document
from hilum.model.access import Binding, Principal, PrincipalKind, Role, permit
from hilum.model.audit import Act
from hilum.model.execution import ExecutionState
from hilum.services.executions import Asked, Executions, check_headers
from hilum.services.jobs import Jobs
from hilum.store import Connection, activity_log, audit, executions, integrations, jobs, schema
from hilum.store.executions import Ended
from hilum.store.integrations import Row

pytestmark = pytest.mark.anyio
CONFIG = """
version: 1
organization: demo
integrations:
  - name: lab
    protocol: rest_api
    endpoints:
      - name: out
        direction: outbound
        url: "https://lab.example.org/orders/{id:integer}"
        method: PUT
        headers: {Authorization: "Bearer ${secret:lab.token}", X-Site: north}
        parameters: {query: {limit: "{limit:integer=50}"}}
      - name: hl7
        direction: outbound
        url: "mllp://lab.example.org:2575"
        data_mapping: {set: {MSH-5: LAB}}
      - {name: broken, direction: outbound, url: "https://lab.example.org/", data_mapping: nobody}
      - {name: in, direction: inbound, url: "mllp://127.0.0.1:2575"}
"""
PATIENT = "Erika Mustermann"


@pytest.fixture
async def service(hub: Hub, act: Callable[..., Act], tmp_path: Any) -> Executions:
    await hub.configurations.apply(act(), document.load(CONFIG, "hub.yaml"), tmp_path)
    return Executions(hub.store, hub.registry, Jobs(hub.store, lambda: None))


async def lab(hub: Hub) -> Row:
    def find(connection: Connection) -> Row:
        where = schema.integration.c.name == "lab"
        return integrations.get(
            connection, connection.execute(sa.select(schema.integration.c.id).where(where)).scalar_one()
        )

    return await hub.store.read(find)


async def move(hub: Hub, lifecycle: str) -> None:
    values = {"lifecycle": lifecycle}
    await hub.store.write(lambda one: one.execute(schema.integration.update().values(values)).rowcount)


def somebody(role: Role, permission: str) -> Act:
    who = Principal(PrincipalKind.USER, str(uuid.uuid4()), "Ann", 1, (Binding(role),))
    return Act(who, permit(who, permission), "test.act")


async def test_it_is_begun_with_its_job_and_its_audit_event(
    hub: Hub, service: Executions, act: Callable[..., Act]
) -> None:
    row = await lab(hub)
    doing = act()
    doing.request_id = "req_1"
    found = await service.execute(doing, row.uuid, row.endpoints["out"], Asked({"name": PATIENT}, {"X-A": "b"}))
    assert (found.status, found.integrationId, found.endpointId) == (
        "executing", str(row.uuid), str(row.endpoints["out"])
    )  # fmt: skip
    assert (found.correlationId, found.actor, found.metrics.endTime) == ("req_1", "local:test", None)
    assert found.request is not None
    assert (found.request["data"], found.request["headers"]) == ({"name": PATIENT}, {"X-A": "b"})
    (job,) = await hub.store.read(jobs.awaited, ["execute"], interrupted=False)
    assert (job.organization, job.arguments) == (1, {"execution": job.arguments["execution"], "at_once": False})
    (event, *_) = await hub.store.within(1).read(audit.newest, 1, audit.EventFilter(entity=f"execution/{found.id}"))
    assert event.document["after"]["endpoint"] == "out"
    assert PATIENT not in str(event.document)
    assert PATIENT not in str(job)


@pytest.mark.ledger_part("S3-52", "the texts")
async def test_who_is_not_there(hub: Hub, service: Executions, act: Callable[..., Act]) -> None:
    row, nobody = await lab(hub), uuid.uuid4()
    with pytest.raises(NotFound, match=f"^Integration not found: {nobody}$"):
        await service.execute(act(), nobody, row.endpoints["out"], Asked())
    with pytest.raises(NotFound, match=f"^Endpoint not found: {nobody}$"):
        await service.execute(act(), row.uuid, nobody, Asked())
    with pytest.raises(NotFound, match=r"^Integration not found"):
        await service.execute(act(2), row.uuid, row.endpoints["out"], Asked())
    with pytest.raises(NotFound, match=r"^Execution not found"):
        await service.show(act(), nobody)


@pytest.mark.ledger_part("S2-46", "execute on an inactive one: a conflict")
@pytest.mark.ledger_part("S2-48", "and while it is being tested")
@pytest.mark.parametrize("lifecycle", ["initializing", "testing", "inactive", "archived"])
async def test_what_does_not_run_is_not_asked(
    hub: Hub, service: Executions, act: Callable[..., Act], lifecycle: str
) -> None:
    row = await lab(hub)
    await move(hub, lifecycle)
    with pytest.raises(Conflict, match=lifecycle):
        await service.execute(act(), row.uuid, row.endpoints["out"], Asked())
    assert await hub.store.read(jobs.awaited, ["execute"], interrupted=False) == []
    await move(hub, "error")
    await service.execute(act(), row.uuid, row.endpoints["out"], Asked())


async def test_what_receives_is_not_asked(hub: Hub, service: Executions, act: Callable[..., Act]) -> None:
    row = await lab(hub)
    with pytest.raises(Conflict, match="in receives"):
        await service.execute(act(), row.uuid, row.endpoints["in"], Asked())


@pytest.mark.ledger_part("S3-50", "dry_run: the request, built and not sent")
async def test_a_rehearsal_builds_the_request_and_leaves_nothing(
    hub: Hub, service: Executions, act: Callable[..., Act]
) -> None:
    row = await lab(hub)
    doing = act()
    asked = Asked({"a": 1}, {"X-Token": "very-secret-value"}, {"id": "7"}, 500)
    found = await service.rehearse(doing, row.uuid, row.endpoints["out"], asked)
    assert found.dryRun
    assert found.request == {
        "method": "PUT", "url": "https://lab.example.org/orders/7?limit=50",
        "headers": {"Authorization": telemetry.MASK, "X-Site": "north", "X-Token": telemetry.MASK}, "data": {"a": 1},
        "timeout": 500,
    }  # fmt: skip
    assert (doing.entity, doing.details["dry_run"]) == (f"integration/{row.uuid}", True)
    assert await hub.store.read(jobs.awaited, ["execute"], interrupted=False) == []
    with pytest.raises(ConfigError, match="id is missing"):
        await service.rehearse(act(), row.uuid, row.endpoints["out"], Asked())
    with pytest.raises(ConfigError, match="must be of type integer"):
        await service.rehearse(act(), row.uuid, row.endpoints["out"], Asked(parameters={"id": "x"}))


@pytest.mark.ledger_part("S3-53", "the mapping's work can be seen, and a mapping for JSON is refused, before any call")
async def test_a_rehearsal_maps(hub: Hub, service: Executions, act: Callable[..., Act]) -> None:
    row = await lab(hub)
    adt = "MSH|^~\\&|A|B|C|D|20260101||ADT^A01|1|P|2.5\nPID|1||4711\n"
    found = await service.rehearse(act(), row.uuid, row.endpoints["hl7"], Asked(adt))
    assert found.request["data"].startswith("MSH|^~\\&|A|B|LAB|D|")
    assert found.request["method"] is None
    with pytest.raises(StepError):
        await service.rehearse(act(), row.uuid, row.endpoints["hl7"], Asked({"a": 1}))
    with pytest.raises(ConfigError, match="there is no mapping 'nobody'"):
        await service.rehearse(act(), row.uuid, row.endpoints["broken"], Asked({"a": 1}))


@pytest.mark.parametrize("given", [{"host": "x"}, {"Content-Length": "5"}, {"X-A": "two\nlines"}, {"": "x"}])
def test_headers_that_may_not_be_set(given: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="headers"):
        check_headers(given)


async def ended(hub: Hub, service: Executions, act: Act, how: Ended) -> uuid.UUID:
    """An execution that ended so."""
    row = await lab(hub)
    found = await service.execute(act, row.uuid, row.endpoints["out"], Asked({"name": PATIENT}, {"X-A": PATIENT}))
    identifier = uuid.UUID(found.id)
    table = schema.metadata.tables["execution"]
    number = await hub.store.read(
        lambda one: one.execute(sa.select(table.c.id).where(table.c.uuid == identifier)).scalar()
    )
    assert await hub.store.write(executions.finish, hub.store.sealer, number, identifier, how)
    return identifier


RESPONSE = {"status": 200, "statusText": PATIENT, "headers": {"X-B": PATIENT}, "data": {"name": PATIENT},
            "processedData": PATIENT, "success": True}  # fmt: skip


@pytest.mark.ledger_part("S3-51", "what was sent and answered is masked, and shown to those who may with an event")
async def test_payloads_are_for_those_who_may_see_them(hub: Hub, service: Executions, act: Callable[..., Act]) -> None:
    how = Ended(ExecutionState.COMPLETED, 1_234_567, 1, 200, None, RESPONSE)
    identifier = await ended(hub, service, act(), how)
    viewer = somebody(Role.VIEWER, "executions:read")
    masked = await service.show(viewer, identifier)
    assert PATIENT not in str(masked)
    assert masked.request is not None
    assert masked.response is not None
    assert (masked.request["data"], masked.request["headers"]) == ("***", {"X-A": "***"})
    assert (masked.response["data"], masked.response["status"], masked.response["success"]) == ("***", 200, True)
    assert "payload" not in viewer.details
    with pytest.raises(Refused):
        await service.show(somebody(Role.VIEWER, "executions:read"), identifier, payload=True)
    operator = somebody(Role.OPERATOR, "executions:read")
    whole = await service.show(operator, identifier, payload=True)
    assert whole.response == RESPONSE
    assert operator.details == {"payload": True}
    assert operator.entity == f"execution/{identifier}"
    (one,), total = await service.list(viewer.scope, executions.Wanted(), 0, 10)
    assert (one.request, one.response, total) == (None, None, 1)
    assert (one.metrics.duration, one.metrics.durationMs) == (1235, 1234.567)
    assert one.metrics.endTime is not None
    assert one.metrics.endTime >= one.metrics.startTime


@pytest.mark.ledger_part("S3-56", "the caller is told with the execution's id, the class, the status and what to do")
@pytest.mark.parametrize(
    ("state", "kind"), [(ExecutionState.FAILED, PartnerFailed), (ExecutionState.TIMEOUT, PartnerSlow)]
)
async def test_a_failure_is_an_error_with_its_id(
    hub: Hub, service: Executions, act: Callable[..., Act], state: ExecutionState, kind: type[PartnerFailed]
) -> None:
    how = Ended(state, 5, 3, 503, "http_5xx", None, {"error": "HTTP 503: Busy", "tries": []})
    identifier = await ended(hub, service, act(), how)
    table = schema.metadata.tables["execution"]
    number = await hub.store.read(
        lambda one: one.execute(sa.select(table.c.id).where(table.c.uuid == identifier)).scalar()
    )
    found = await hub.store.read(executions.get, hub.store.sealer, number)
    with pytest.raises(kind, match=r"^Execution failed: HTTP 503: Busy$") as caught:
        service._judge(found)
    assert caught.value.details == {
        "execution": str(identifier), "status": state, "status_code": 503, "error_class": "http_5xx",
        "advice": caught.value.details["advice"], "attempts": 3, "payload_ref": f"/api/v1/executions/{identifier}",
    }  # fmt: skip
    assert "partner" in str(caught.value.details["advice"])


@pytest.mark.ledger_part("S3-51", "cancelled")
async def test_one_is_called_off_once(hub: Hub, service: Executions, act: Callable[..., Act]) -> None:
    row = await lab(hub)
    begun = await service.execute(act(), row.uuid, row.endpoints["out"], Asked(PATIENT))
    told: list[str] = []
    number = (await hub.store.read(jobs.awaited, ["execute"], interrupted=False))[0].arguments["execution"]
    hub.store.subscribe(f"execution/{number}", lambda: told.append("cancelled"))
    identifier = uuid.UUID(begun.id)
    found = await service.cancel(act(), identifier)
    assert (found.status, found.error, told) == ("cancelled", "it was cancelled", ["cancelled"])
    with pytest.raises(Conflict, match="it is cancelled"):
        await service.cancel(act(), identifier)
    with pytest.raises(NotFound):
        await service.cancel(act(2), identifier)
    (entry,), _ = await hub.store.read(
        activity_log.listed, hub.store.sealer, 1, row.id, activity_log.Wanted(), 0, 10
    )  # fmt: skip
    assert (entry.entry.status, entry.entry.level) == ("cancelled", "warn")
    with pytest.raises(Conflict, match="was cancelled"):
        service._judge(await hub.store.read(executions.get, hub.store.sealer, number))
