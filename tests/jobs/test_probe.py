"""Connectivity tests as the job does them: what is found, what is kept, how health and lifecycle follow."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa

from hilum.errors import ConfigError, Conflict
from hilum.jobs import At, Context, probe
from hilum.model.access import HUB, Scope
from hilum.model.audit import Act
from hilum.model.lifecycle import Health, Lifecycle, health_of
from hilum.sdk.contracts import ProbeResult
from hilum.sdk.faults import Fault, Timings
from hilum.store import Store, activity_log, audit, configuration, endpoints, integrations, probes, schema
from hilum.store.integrations import Row
from hilum.store.jobs import Job

pytestmark = pytest.mark.anyio
Found = ProbeResult | Exception
GOOD = ProbeResult(True, 12.4, "HTTP 200: OK", status=200, timings=Timings(12.4, 1.0, 2.0, 3.0, 5.0))
BAD = ProbeResult(False, 3.0, "HTTP 503: Busy", fault=Fault.HTTP_5XX, status=503)


class Scripted:
    """A partner that is found so."""

    def __init__(self, found: Found) -> None:
        self.found = found
        self.method = "POST"

    async def probe(self) -> ProbeResult:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


class Several:
    """Partners by endpoint, and the hub's own listeners: why they are silent."""

    def __init__(self, **found: Found | str) -> None:
        self.found: dict[str, Any] = found
        self.opened: list[str] = []

    @contextlib.asynccontextmanager
    async def open(self, at: At) -> AsyncIterator[Scripted]:
        self.opened.append(at.endpoint)
        yield Scripted(self.found[at.endpoint])

    async def silent(self, one: Row, endpoint: str) -> str:
        return str(self.found[endpoint])


Tested = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
async def row(store: Store) -> Row:
    """With two endpoints that send and one that receives."""
    parts = [
        {"name": "one", "direction": "outbound", "url": "https://partner.example.org/orders"},
        {"name": "two", "direction": "outbound", "url": "mllp://10.9.8.7:2575"},
        {"name": "in", "direction": "inbound", "url": "mllp://127.0.0.1:2575"},
    ]
    document = {"name": "lab", "protocol": "rest_api", "endpoints": parts}

    def settle_in(connection: sa.Connection) -> Row:
        owner = configuration.put_organization(connection, "demo", {})
        configuration.put_integration(connection, owner, "lab", document, "api")
        for part in parts:
            configuration.put_endpoint(connection, owner, f"lab/{part['name']}", part["direction"], part)
        return integrations.get(connection, connection.execute(sa.select(schema.integration.c.id)).scalar_one())

    return await store.write(settle_in)


@pytest.fixture
def tested(context: Context, job: Callable[..., Job], store: Store, row: Row) -> Tested:
    async def work(
        partners: Several, *names: str, kind: str = "test", feels: bool = True
    ) -> dict[str, Any]:  # fmt: skip
        arguments = {"integration": row.id, "endpoints": list(names) or None, "purpose": kind, "feels": feels}
        made = dataclasses.replace(job("probe", **arguments), organization=row.organization)
        answer = (await probe.run(dataclasses.replace(context, partners=partners), made))["answer"]
        found: dict[str, Any] = json.loads(store.sealer.open(bytes.fromhex(answer), probe.ANSWER))
        return found

    return work


async def now(store: Store, row: Row) -> Row:
    return await store.read(integrations.get, row.id)


def problem(store: Store, row: Row) -> str | None:
    return row.last_error and store.sealer.open(row.last_error, integrations.place(row.id, "last_error")).decode()


@pytest.mark.ledger_part("S2-41", "the breakdown of the time: dns, connect, tls, first byte, total")
async def test_every_endpoint_is_tested_whatever_becomes_of_the_others(tested: Tested) -> None:
    encrypted = dataclasses.replace(GOOD, tls="TLSv1.3")
    found = await tested(Several(**{"one": encrypted, "two": KeyError("4711"), "in": ""}))
    assert found["one"] == {
        "success": True, "responseTime": 12, "statusCode": 200, "error": None, "errorClass": None, "advice": None,
        "warning": None, "method": "POST", "tlsVersion": "TLSv1.3", "trace": None,
        "timings": {"total": 12.4, "dns": 1.0, "connect": 2.0, "tls": 3.0, "firstByte": 5.0},
    }  # fmt: skip
    assert (found["two"]["success"], found["two"]["error"]) == (False, "internal error: KeyError")
    assert (found["in"]["success"], found["in"]["responseTime"]) == (True, None)


@pytest.mark.ledger("S3-45")
async def test_all_are_tested_at_once_up_to_a_cap(
    context: Context, job: Callable[..., Job], store: Store, row: Row
) -> None:  # fmt: skip
    """Twenty endpoints whose tests wait for each other: sixteen get through the door, the rest follows."""
    parts = [{"name": f"n{n}", "direction": "outbound", "url": "https://x"} for n in range(20)]
    document = {**row.document, "endpoints": parts}
    await store.write(lambda one: one.execute(schema.integration.update().values(document=document)).rowcount)
    inside, most, together = 0, 0, asyncio.Event()

    class Waiting(Scripted):
        async def probe(self) -> ProbeResult:
            nonlocal inside, most
            inside, most = inside + 1, max(most, inside + 1)
            if inside == 16:
                together.set()
            await asyncio.wait_for(together.wait(), 10)
            inside -= 1
            return await super().probe()

    class Partners(Several):
        @contextlib.asynccontextmanager
        async def open(self, at: At) -> AsyncIterator[Scripted]:
            yield Waiting(KeyError("4711") if at.endpoint == "n0" else GOOD)

    arguments = {"integration": row.id, "endpoints": None, "purpose": "test", "feels": False}
    made = dataclasses.replace(job("probe", **arguments), organization=row.organization)
    answer = (await probe.run(dataclasses.replace(context, partners=Partners()), made))["answer"]
    found = json.loads(store.sealer.open(bytes.fromhex(answer), probe.ANSWER))
    assert most == 16
    assert [name for name, told in found.items() if not told["success"]] == ["n0"]
    assert len(found) == 20


@pytest.mark.ledger_part("S3-48", "HTTP <status>: <statusText>; a redirect to a sign-in page is a warning")
@pytest.mark.ledger_part("S2-44", "each class has its cause and next step")
@pytest.mark.parametrize(
    ("result", "error", "fault", "advised"),
    [
        (BAD, "HTTP 503: Busy", "http_5xx", True),
        (ProbeResult(False, 1.0, "", "Call them.", Fault.AUTH, 401), "it cannot be reached", "auth", True),
        (ProbeResult(False, 1.0, "no"), "no", "refused", True),
        (ConfigError("no such secret", where="one"), "one: no such secret", "configuration", True),
        (ConnectionRefusedError(111, "x"), "Connection refused", "refused", True),
    ],
)
async def test_what_is_wrong_is_classed_and_advised(
    tested: Tested, result: Found, error: str, fault: str, advised: bool
) -> None:
    told = (await tested(Several(one=result), "one"))["one"]
    assert (told["success"], told["error"], told["errorClass"]) == (False, error, fault)
    assert bool(told["advice"]) is advised


async def test_advice_about_what_works_is_a_warning(tested: Tested) -> None:
    redirected = ProbeResult(True, 1.0, "HTTP 302: Found; it leads to a sign-in page", "Check the credentials.")
    told = (await tested(Several(one=redirected), "one"))["one"]
    assert (told["success"], told["error"], told["advice"], told["warning"]) == (
        True, None, None, "Check the credentials."
    )  # fmt: skip


@pytest.mark.ledger_part("S0-16", "no secret and no address that nobody wrote is in the error")
async def test_an_error_shows_no_address_but_those_that_were_written(tested: Tested) -> None:
    text = "10.1.2.3 and [fe80::1%eth0] and fd00:1:2::3 refused; password=hunter2"
    found = await tested(
        Several(one=ProbeResult(False, 1, text), two=ProbeResult(False, 1, "10.9.8.7: no")), "one", "two"
    )
    assert "10.1.2.3" not in found["one"]["error"]
    assert "fd00" not in found["one"]["error"]
    assert "hunter2" not in found["one"]["error"]
    assert found["two"]["error"] == "10.9.8.7: no"


async def test_a_listener_that_does_not_listen_has_failed(tested: Tested) -> None:
    told = (await tested(Several(**{"in": "Address already in use"}), "in"))["in"]
    assert (told["success"], told["error"]) == (False, "it does not listen: Address already in use")


@pytest.mark.ledger_part("S0-16", "dry_run: nobody is asked, and nothing kept")
async def test_a_dry_run_asks_nobody(tested: Tested, store: Store, row: Row) -> None:
    partners = Several(**{"one": AssertionError("asked"), "two": AssertionError("asked"), "in": "not looked at"})
    found = await tested(partners, kind="dry", feels=False)
    assert {name: one["success"] for name, one in found.items()} == {"one": True, "two": True, "in": True}
    assert await store.read(probes.latest, store.sealer, row.organization, row.id) == {}


@pytest.mark.ledger_part("S2-56", "a test's failure too: its class, attempt, endpoint and who asked for it")
async def test_what_was_found_is_kept_and_logged(tested: Tested, store: Store, row: Row) -> None:
    await tested(Several(**{"one": GOOD, "two": BAD, "in": ""}), kind="check")
    kept = await store.read(probes.latest, store.sealer, row.organization, row.id)
    numbers = await store.read(endpoints.numbers, row.organization, ["lab/one", "lab/two", "lab/in"])
    one, two = kept[numbers["lab/one"]], kept[numbers["lab/two"]]
    assert (one.success, one.duration, one.status_code, one.told["method"]) == (True, 12_400, 200, "POST")
    assert (two.success, two.fault, two.told["error"]) == (False, "http_5xx", "HTTP 503: Busy")
    entries, total = await store.read(
        activity_log.listed, store.sealer, row.organization, row.id, activity_log.Wanted(outcome="failure"), 0, 10
    )  # fmt: skip
    assert total == 1
    entry = entries[0].entry
    assert (entry.kind, entry.level, entry.status_code, entry.fault, entry.error) == (
        "check", "error", 503, "http_5xx", "HTTP 503: Busy"
    )  # fmt: skip
    assert (entry.attempt, entry.correlation) == (1, "0" * 32), "nobody's request: its job's"
    await tested(Several(two=GOOD), "two", feels=False)
    kept = await store.read(probes.latest, store.sealer, row.organization, row.id)
    assert kept[numbers["lab/two"]].success
    assert len(kept) == 3


@pytest.mark.ledger_part("S2-60", "lastError, cleared by the next success")
async def test_health_follows_what_was_found(tested: Tested, store: Store, row: Row) -> None:
    await tested(Several(**{"one": GOOD, "two": BAD, "in": ""}))
    found = await now(store, row)
    assert (found.health, found.failures, found.lifecycle) == (Health.DEGRADED, 0, Lifecycle.ACTIVE)
    assert problem(store, found) == "Connectivity test failed: two: HTTP 503: Busy"
    await tested(Several(**{"one": GOOD, "two": GOOD, "in": ""}))
    found = await now(store, row)
    assert (found.health, found.last_error) == (Health.HEALTHY, None)
    events = await store.read(audit.newest, row.organization, audit.EventFilter(action="integration.health"))
    assert [(one.document["before"], one.document["after"]) for one in reversed(events)] == [
        ({"health": "unknown"}, {"health": "degraded"}), ({"health": "degraded"}, {"health": "healthy"}),
    ]  # fmt: skip
    await tested(Several(**{"one": GOOD, "two": GOOD, "in": ""}), feels=False)
    assert len(await store.read(audit.newest, row.organization, audit.EventFilter(action="integration.health"))) == 2


@pytest.mark.ledger_part("S2-47", "error after three in a row, with lastError; active again after a success")
async def test_three_failures_in_a_row_are_an_error_and_a_success_ends_it(
    tested: Tested, store: Store, row: Row
) -> None:
    down, up = Several(**{"one": BAD, "two": BAD, "in": "no"}), Several(**{"one": GOOD, "two": GOOD, "in": ""})
    for failures in (1, 2):
        await tested(down)
        found = await now(store, row)
        assert (found.lifecycle, found.failures, found.health) == (Lifecycle.ACTIVE, failures, Health.UNHEALTHY)
    await tested(Several(**{"one": GOOD, "two": BAD, "in": ""}))
    assert (await now(store, row)).failures == 0
    signalled: list[str] = []
    store.subscribe("configuration", lambda: signalled.append("configuration"))
    for _ in range(3):
        await tested(down)
    found = await now(store, row)
    assert (found.lifecycle, found.failures) == (Lifecycle.ERROR, 3)
    assert "one: HTTP 503: Busy" in (problem(store, found) or "")
    moves, _ = await store.read(integrations.history, row.id, 0, 10)
    assert [(one.before, one.after, one.actor) for one in moves] == [("active", "error", "Hilum")]
    await tested(Several(**{"one": GOOD, "two": BAD, "in": ""}))
    assert (await now(store, row)).lifecycle is Lifecycle.ERROR
    await tested(up)
    found = await now(store, row)
    assert (found.lifecycle, found.failures, found.last_error) == (Lifecycle.ACTIVE, 0, None)
    assert signalled == ["configuration"] * 2


@pytest.mark.parametrize("lifecycle", [Lifecycle.INACTIVE, Lifecycle.TESTING])
async def test_what_is_switched_off_stays_so(tested: Tested, store: Store, row: Row, lifecycle: Lifecycle) -> None:
    act = Act(HUB, Scope(row.organization), "integration.move")
    for after in dict.fromkeys((Lifecycle.INACTIVE, lifecycle)):
        await store.within(row.organization).change(act, integrations.move, act, row, after)
    for found in (BAD, BAD, BAD, GOOD):
        await tested(Several(**{"one": found, "two": found, "in": ""}))
    assert (await now(store, row)).lifecycle is lifecycle


async def test_what_gxp_holds_for_is_not_switched_on_by_a_check(tested: Tested, store: Store, row: Row) -> None:
    """It failed to be initialised: somebody signs for its start. What was on before comes back by itself."""
    gxp = {**row.document, "gxp": True}
    await store.write(
        lambda connection: (
            connection.execute(schema.integration.update().values(document=gxp, lifecycle=Lifecycle.ERROR)).rowcount
        )
    )
    up = Several(**{"one": GOOD, "two": GOOD, "in": ""})
    await tested(up)
    assert (await now(store, row)).lifecycle is Lifecycle.ERROR
    act = Act(HUB, Scope(row.organization), "integration.move")
    await store.within(row.organization).change(act, integrations.move, act, row, Lifecycle.ACTIVE)
    for _ in range(3):
        await tested(Several(**{"one": BAD, "two": BAD, "in": "no"}))
    assert (await now(store, row)).lifecycle is Lifecycle.ERROR
    await tested(up)
    assert (await now(store, row)).lifecycle is Lifecycle.ACTIVE


@pytest.mark.ledger_part("S3-62", "healthy, degraded, unhealthy; without endpoints unknown")
@pytest.mark.parametrize(
    ("successes", "health"),
    [([], "unknown"), ([True], "healthy"), ([True, False], "degraded"), ([False, False], "unhealthy")],
)
def test_the_health_of_several(successes: list[bool], health: str) -> None:
    assert health_of(successes) == health


async def test_where_nothing_dials_it_says_so(context: Context, job: Callable[..., Job]) -> None:
    with pytest.raises(Conflict):
        await probe.run(context, job("probe", integration=1, endpoints=None, purpose="test", feels=False))
