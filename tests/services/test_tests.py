"""Connectivity tests as a service asks for them: shapes, counts, who is not there, how often."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from hilum import clock
from hilum.app import Hub
from hilum.errors import Conflict, NotFound, TooMany
from hilum.jobs.probe import ANSWER
from hilum.model import document
from hilum.model.access import Scope
from hilum.model.audit import Act
from hilum.model.lifecycle import Health, Lifecycle
from hilum.model.status import Status
from hilum.services import integration_health
from hilum.services import tests as module
from hilum.services.jobs import Jobs, JobState
from hilum.store import Connection, endpoints, integrations, jobs, probes, schema
from hilum.store.integrations import Row

pytestmark = pytest.mark.anyio
RUNNING = Status((), (), 1.0, 0)
CONFIG = """
version: 1
organization: demo
integrations:
  - name: lab
    protocol: rest_api
    endpoints:
      - {name: one, direction: outbound, url: "https://lab.example.org/a?token=hunter22", method: DELETE}
      - {name: two, direction: outbound, url: "mllp://lab.example.org:2575"}
  - {name: none, protocol: hl7_v2, endpoints: []}
"""
GOOD = {"success": True, "responseTime": 12, "statusCode": 200, "error": None, "errorClass": None, "advice": None,
        "warning": None, "method": "DELETE", "timings": {"total": 12.4, "dns": 1.0, "connect": 2.0, "tls": 3.0,
                                                         "firstByte": 5.0}}  # fmt: skip
BAD = {"success": False, "responseTime": 3, "statusCode": None, "error": "Connection refused", "errorClass": "refused",
       "advice": "Look there.", "warning": None, "method": None, "timings": None}  # fmt: skip


@pytest.fixture
async def tests(hub: Hub, act: Callable[..., Act], tmp_path: Any) -> module.Tests:
    await hub.configurations.apply(act(), document.load(CONFIG, "hub.yaml"), tmp_path)
    return module.Tests(hub.store, hub.registry, Jobs(hub.store, lambda: RUNNING))


async def row(hub: Hub, name: str = "lab") -> Row:
    def find(connection: Connection) -> Row:
        where = schema.integration.c.name == name
        return integrations.get(
            connection, connection.execute(sa.select(schema.integration.c.id).where(where)).scalar_one()
        )

    return await hub.store.read(find)


def engine(hub: Hub, **found: dict[str, Any]) -> list[dict[str, Any]]:
    """Stands in for it: ends every job that is asked for so. What it was asked is in the result."""
    asked: list[dict[str, Any]] = []
    tasks: list[asyncio.Task[None]] = []

    async def work() -> None:
        for one in await hub.store.read(jobs.awaited, ["probe"], interrupted=False):
            asked.append(one.arguments)
            sealed = hub.store.sealer.seal(json.dumps(found).encode(), ANSWER).hex()
            await hub.store.write(jobs.begin_all, [one.id])
            await hub.store.write(jobs.finish, one.id, "done", {"answer": sealed})
            hub.store.signal(f"job/{one.id}")

    hub.store.subscribe("awaited", lambda: tasks.append(asyncio.get_running_loop().create_task(work())))
    return asked


@pytest.mark.ledger("S3-46")
@pytest.mark.ledger_part("S3-44", "the shape; counts add up")
async def test_a_result_has_document_003_s_shape(hub: Hub, tests: module.Tests, act: Callable[..., Act]) -> None:
    lab = await row(hub)
    asked = engine(hub, one=GOOD, two=BAD)
    result = await tests.run(act(), lab)
    wanted = {"integration": lab.id, "endpoints": ["one", "two"], "purpose": "test", "feels": False, "correlation": ""}
    assert asked == [wanted]
    told = dataclasses.asdict(result)
    assert told["integrationId"] == str(lab.uuid)
    assert told["overall"] == {
        "success": False, "totalEndpoints": 2, "successfulEndpoints": 1, "failedEndpoints": 1
    }  # fmt: skip
    one, two = told["endpoints"]
    assert {"endpointId", "url", "method", "success", "responseTime", "statusCode", "error"} <= one.keys()
    assert (one["endpointId"], one["method"], one["responseTime"]) == (str(lab.endpoints["one"]), "DELETE", 12)
    assert (one["url"], two["url"]) == ("https://lab.example.org/a?token=***", "mllp://lab.example.org:2575")
    assert (two["method"], two["error"], two["errorClass"], two["advice"]) == (
        None, "Connection refused", "refused", "Look there."
    )  # fmt: skip
    assert result.error == "Connectivity test failed: two (mllp://lab.example.org:2575): Connection refused"


async def test_all_well(hub: Hub, tests: module.Tests, act: Callable[..., Act]) -> None:
    engine(hub, one=GOOD, two=GOOD)
    result = await tests.run(act(), await row(hub))
    assert result.overall == module.Overall(True, 2, 2, 0)
    assert result.error is None


@pytest.mark.ledger_part("S3-44", "without an endpoint nothing was shown to work")
async def test_without_endpoints_nothing_works(hub: Hub, tests: module.Tests, act: Callable[..., Act]) -> None:
    asked = engine(hub)
    result = await tests.run(act(), await row(hub, "none"))
    assert result.overall == module.Overall(False, 0, 0, 0)
    assert result.error == "Connectivity test failed: there is no endpoint to test"
    assert asked == []


async def test_one_endpoint_alone(hub: Hub, tests: module.Tests, act: Callable[..., Act]) -> None:
    lab = await row(hub)
    asked = engine(hub, two=GOOD)
    result = await tests.ask(act(), lab.uuid, endpoint=lab.endpoints["two"])
    assert ([one.name for one in result.endpoints], result.overall.success) == (["two"], True)
    assert (asked[0]["endpoints"], asked[0]["feels"]) == (["two"], False)
    nobody = uuid.uuid4()
    with pytest.raises(NotFound, match=f"Endpoint not found: {nobody}"):
        await tests.ask(act(), lab.uuid, endpoint=nobody)


async def test_health_follows_a_whole_test_and_no_rehearsal(
    hub: Hub, tests: module.Tests, act: Callable[..., Act]
) -> None:
    lab = await row(hub)
    asked = engine(hub, one=GOOD, two=GOOD)
    done = act()
    result = await tests.ask(done, lab.uuid)
    assert (result.dryRun, done.entity, done.details["success"]) == (False, f"integration/{lab.uuid}", True)
    assert (await tests.ask(act(), lab.uuid, dry_run=True)).dryRun
    assert [(one["purpose"], one["feels"]) for one in asked] == [("test", True), ("dry", False)]


async def test_what_was_not_tested_in_time(hub: Hub, tests: module.Tests, act: Callable[..., Act]) -> None:
    engine(hub, one=GOOD)
    two = (await tests.run(act(), await row(hub))).endpoints[1]
    assert (two.success, two.error, two.errorClass) == (False, "not tested in time", "timeout")
    assert two.advice


@pytest.mark.ledger_part("S0-16", "30 s for all of a test, whatever its endpoints' own time-outs are")
async def test_a_test_has_thirty_seconds(hub: Hub, act: Callable[..., Act]) -> None:
    """After them it is answered with what there is; here, where nobody works, they are over sooner."""
    given: list[float] = []

    class Hurried(Jobs):
        async def ask(self, act: Act, kind: str, arguments: dict[str, Any], seconds: float) -> JobState:
            given.append(seconds)
            found = await super().ask(act, kind, arguments, 0.01)
            return dataclasses.replace(found, state="running")

    text = CONFIG.replace("method: DELETE", "method: DELETE, timeout: 300000")
    await hub.configurations.apply(act(), document.load(text, "hub.yaml"), hub.settings.data)
    hurried, lab = module.Tests(hub.store, hub.registry, Hurried(hub.store, lambda: RUNNING)), await row(hub)
    result = await hurried.run(act(), lab)
    found = await hurried.ask(act(), lab.uuid, wait=2)
    assert (given, found.state) == ([30.0, 2], "running")
    assert (result.overall.success, {one.error for one in result.endpoints}) == (False, {"not tested in time"})


async def test_without_an_engine_nobody_is_tested(hub: Hub, tests: module.Tests, act: Callable[..., Act]) -> None:
    alone = module.Tests(hub.store, hub.registry, Jobs(hub.store, lambda: None))
    with pytest.raises(Conflict, match="no engine runs"):
        await alone.run(act(), await row(hub))


async def test_who_is_not_there(hub: Hub, tests: module.Tests, act: Callable[..., Act]) -> None:
    lab, nobody = await row(hub), uuid.uuid4()
    with pytest.raises(NotFound, match=f"Integration not found: {nobody}"):
        await tests.ask(act(), nobody)
    with pytest.raises(NotFound):
        await tests.ask(act(2), lab.uuid)
    archived = {"lifecycle": Lifecycle.ARCHIVED, "archived_at": 1}
    await hub.store.write(lambda one: one.execute(schema.integration.update().values(archived)).rowcount)
    with pytest.raises(Conflict, match="archived"):
        await tests.ask(act(), lab.uuid)


@pytest.mark.ledger_part("S0-16", "rate-limited per integration")
async def test_not_too_often(
    hub: Hub, tests: module.Tests, act: Callable[..., Act], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab, none = await row(hub), await row(hub, "none")
    engine(hub, one=GOOD, two=GOOD)
    for _ in range(module.OFTEN):
        await tests.ask(act(), lab.uuid)
    with pytest.raises(TooMany) as caught:
        await tests.ask(act(), lab.uuid)
    assert 0 < caught.value.after <= module.PERIOD
    await tests.ask(act(), none.uuid)
    later = clock.monotonic() + module.PERIOD + 1
    monkeypatch.setattr(clock, "monotonic", lambda: later)  # the clock is there to be moved
    tests.pace(lab)


# Health


async def found(hub: Hub, lab: Row, **several: dict[str, Any]) -> None:
    numbers = await hub.store.read(endpoints.numbers, lab.organization, [f"lab/{one}" for one in several])
    results = [
        probes.Probed(numbers[f"lab/{name}"], told["success"], 12_400, told["statusCode"], told["errorClass"], told)
        for name, told in several.items()
    ]
    await hub.store.write(probes.insert, hub.store.sealer, lab.organization, lab.id, "check", results)


@pytest.mark.ledger("S3-60", "S3-61")
@pytest.mark.ledger_part("S3-59", "the shape, as the last checks found it")
async def test_health_as_the_last_checks_found_it(hub: Hub, tests: module.Tests) -> None:
    service, lab = integration_health.IntegrationHealth(hub.store, tests), await row(hub)
    report = await service.latest(Scope(1), lab.uuid)
    assert (report.status, report.metrics) == ("unknown", integration_health.HealthMetrics(2, 0, 0, 0, None))
    assert [one.lastChecked for one in report.endpoints] == [None, None]
    await found(hub, lab, one=GOOD, two=BAD)
    report = await service.latest(Scope(1), lab.uuid)
    assert report.integrationId == str(lab.uuid)
    assert (report.status, report.metrics) == ("degraded", integration_health.HealthMetrics(2, 1, 1, 12, 12.4))
    assert [(one.success, one.error) for one in report.endpoints] == [(True, None), (False, "Connection refused")]
    assert report.timestamp == report.endpoints[0].lastChecked
    await found(hub, lab, one=BAD)
    assert (await service.latest(Scope(1), lab.uuid)).status == "unhealthy"
    await found(hub, lab, one=GOOD, two=GOOD)
    assert (await service.latest(Scope(1), lab.uuid)).status == "healthy"


@pytest.mark.ledger_part("S3-62", "no endpoints: unknown, where the sample says healthy")
async def test_the_health_of_nothing_is_unknown(hub: Hub, tests: module.Tests) -> None:
    none = await row(hub, "none")
    report = await integration_health.IntegrationHealth(hub.store, tests).latest(Scope(1), none.uuid)
    assert (report.status, report.metrics.totalEndpoints, report.endpoints) == ("unknown", 0, [])


@pytest.mark.ledger("S3-63")
async def test_a_check_that_does_not_come_to_be(hub: Hub, tests: module.Tests, act: Callable[..., Act]) -> None:
    alone = module.Tests(hub.store, hub.registry, Jobs(hub.store, lambda: None))
    lab = await row(hub)
    report = await integration_health.IntegrationHealth(hub.store, alone).check(act(), lab.uuid)
    assert (report.status, report.error) == ("error", "no engine runs that could test it")
    assert (await row(hub)).health is Health.UNKNOWN
