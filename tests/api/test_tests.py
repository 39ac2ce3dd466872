"""Connectivity tests, health, logs and analytics over HTTP, with partners on real sockets."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from hilum.sdk.testing.mllp import MllpPartner
from hilum.sdk.testing.web import HttpPartner, Said

pytestmark = pytest.mark.anyio
Sign = Callable[..., Awaitable[httpx.AsyncClient]]
CONFIG = """
version: 1
organization: demo
integrations:
  - name: rest
    protocol: rest_api
    endpoints:
      - {{name: remove, direction: outbound, url: "{web}/orders", method: DELETE, timeout: 5000, retries: 0}}
      - {{name: add, direction: outbound, url: "{other}/orders?api_key=very-secret", method: POST, retries: 0}}
  - name: adt
    protocol: hl7_v2
    endpoints:
      - {{name: in, direction: inbound, url: "mllp://127.0.0.1:{feed}"}}
      - {{name: lab, direction: outbound, url: "mllp://127.0.0.1:{mllp}"}}
  - {{name: none, protocol: hl7_v2, endpoints: []}}
  - {{name: late, protocol: hl7_v2, active: false,
     endpoints: [{{name: in, direction: inbound, url: "mllp://127.0.0.1:1"}}]}}
"""


@pytest.fixture
async def partners_of_rest() -> AsyncIterator[tuple[HttpPartner, HttpPartner]]:
    both = HttpPartner(lambda _: Said(reason="OK")), HttpPartner(lambda _: Said(reason="OK"))
    for one in both:
        await one.start()
    yield both
    for one in both:
        await one.stop()


@pytest.fixture
async def lab() -> AsyncIterator[MllpPartner]:
    made = MllpPartner()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def config(
    tmp_path: Path, partners_of_rest: tuple[HttpPartner, HttpPartner], lab: MllpPartner, port: int
) -> Path:  # fmt: skip
    web, other = (one.url("").rstrip("/") for one in partners_of_rest)
    path = tmp_path / "hub.yaml"
    path.write_text(CONFIG.format(web=web, other=other, feed=port, mllp=lab.port), encoding="utf-8")
    return path


@pytest.fixture
async def http(signed_in: Sign) -> httpx.AsyncClient:
    return await signed_in("operator")


async def found(http: httpx.AsyncClient, name: str = "rest") -> dict[str, Any]:
    items = (await http.get("/integrations", params={"q": name})).json()["items"]
    one: dict[str, Any] = next(one for one in items if one["handle"] == name)
    return one


async def probed(http: httpx.AsyncClient, name: str = "rest", **body: Any) -> Any:
    response = await http.post(f"/integrations/{(await found(http, name))['id']}/test", json=body)
    assert response.status_code == 200, response.text
    return response.json()


async def checked(http: httpx.AsyncClient, name: str = "rest") -> Any:
    response = await http.post(f"/integrations/{(await found(http, name))['id']}/health/check")
    assert response.status_code == 200, response.text
    return response.json()


@pytest.mark.ledger("S2-40")
@pytest.mark.ledger_part(
    "S3-47", "HEAD, GET or OPTIONS, a connection with MLLP; never the endpoint's own unsafe method"
)
async def test_a_test_is_harmless(
    http: httpx.AsyncClient, partners_of_rest: tuple[HttpPartner, HttpPartner], lab: MllpPartner
) -> None:
    """Neither the partner's DELETE nor its POST is ever sent, nor a message."""
    for _ in range(2):
        result = await probed(http)
        assert result["overall"] == {
            "success": True, "totalEndpoints": 2, "successfulEndpoints": 2, "failedEndpoints": 0
        }  # fmt: skip
        assert [one["method"] for one in result["endpoints"]] == ["DELETE", "POST"]
        await checked(http)
    for partner in partners_of_rest:
        assert set(partner.methods) <= {"HEAD", "GET", "OPTIONS"}
        assert partner.heard
    result = await probed(http, "adt")
    assert [(one["name"], one["success"]) for one in result["endpoints"]] == [("in", True), ("lab", True)]
    assert lab.accepted > 0
    assert lab.received == []


@pytest.mark.ledger("S3-49")
@pytest.mark.ledger("S3-44")
@pytest.mark.ledger("S0-16")  # with its parts: what may be asked, how often, how long, and no address in an error
async def test_one_of_two_that_is_down(
    http: httpx.AsyncClient, partners_of_rest: tuple[HttpPartner, HttpPartner], running: Any
) -> None:
    await partners_of_rest[1].stop()
    result = await probed(http)
    assert result["overall"] == {
        "success": False, "totalEndpoints": 2, "successfulEndpoints": 1, "failedEndpoints": 1
    }  # fmt: skip
    assert (result["integrationId"], result["timestamp"][:2]) == ((await found(http))["id"], "20")
    nothing = (await probed(http, "none"))["overall"]
    assert nothing == {"success": False, "totalEndpoints": 0, "successfulEndpoints": 0, "failedEndpoints": 0}
    up, down = result["endpoints"]
    assert (up["success"], up["statusCode"], up["error"], up["errorClass"]) == (True, 200, None, None)
    assert (down["success"], down["statusCode"], down["error"], down["errorClass"]) == (
        False, None, "Connection refused", "refused"
    )  # fmt: skip
    assert down["advice"]
    assert up["timings"]["total"] > 0
    assert result["error"].startswith("Connectivity test failed: add (")
    assert "very-secret" not in json.dumps(result)
    one = await found(http)
    logs = (await http.get(f"/integrations/{one['id']}/logs", params={"outcome": "failure"})).json()
    assert [(entry["kind"], entry["errorClass"]) for entry in logs["items"]] == [("test", "refused")]
    events = await running.get("/audit", entity=f"integration/{one['id']}")
    said = [(each["event"]["action"], each["event"].get("details")) for each in events["items"]]
    assert ("integration.test", {"success": False}) in [
        (action, {"success": details["success"]}) for action, details in said if details and "success" in details
    ]


@pytest.mark.ledger_part("S3-48", "2xx and 3xx are a success, else the error is HTTP <status>: <statusText>")
@pytest.mark.parametrize(
    ("status", "success", "error"),
    [(204, True, None), (302, True, None), (401, False, "HTTP 401: As told"), (500, False, "HTTP 500: As told")],
)
async def test_what_a_status_means(
    http: httpx.AsyncClient, partners_of_rest: tuple[HttpPartner, HttpPartner], status: int, success: bool,
    error: str | None,
) -> None:  # fmt: skip
    partners_of_rest[0].react = lambda _: Said(status, b"", {"Location": "/elsewhere"})
    one = (await probed(http))["endpoints"][0]
    assert (one["success"], one["statusCode"], one["error"]) == (success, status, error)
    assert {each.target for each in partners_of_rest[0].heard} == {"/orders"}, "redirects are not followed"


@pytest.mark.ledger_part("S3-44", "no endpoints: no success")
async def test_nothing_to_test_is_no_success(http: httpx.AsyncClient) -> None:
    result = await probed(http, "none")
    assert result["overall"] == {"success": False, "totalEndpoints": 0, "successfulEndpoints": 0, "failedEndpoints": 0}
    assert (await checked(http, "none"))["status"] == "unknown"


async def test_a_listener_that_is_not_to_listen_yet(http: httpx.AsyncClient) -> None:
    (one,) = (await probed(http, "late"))["endpoints"]
    assert (one["success"], one["direction"], one["method"]) == (True, "inbound", None)


@pytest.mark.ledger_part("S0-16", "endpoint_id, dry_run, an empty body, and how often")
async def test_what_can_be_asked(
    http: httpx.AsyncClient, partners_of_rest: tuple[HttpPartner, HttpPartner], signed_in: Sign
) -> None:
    one = await found(http)
    path = f"/integrations/{one['id']}/test"
    result = await probed(http, endpoint_id=one["endpoints"][1]["id"])
    assert [each["name"] for each in result["endpoints"]] == ["add"]
    assert (await found(http))["health"] == "unknown", "one endpoint says nothing of the whole"
    heard = len(partners_of_rest[1].heard)
    result = await probed(http, dry_run=True)
    assert (result["dryRun"], result["overall"]["success"]) == (True, True)
    assert (len(partners_of_rest[0].heard), len(partners_of_rest[1].heard)) == (0, heard)
    assert (await http.post(path)).status_code == 200
    for body, status in (({"endpoint_id": str(uuid.uuid4())}, 404), ({"endpoint_id": "x"}, 400), ({"x": 1}, 400)):
        assert (await http.post(path, json=body)).status_code == status
    viewer = await signed_in("viewer")
    assert (await viewer.post(path, json={})).status_code == 403
    statuses = [(await http.post(path, json={"dry_run": True})).status_code for _ in range(12)]
    assert statuses[-1] == 429
    refused = await http.post(path, json={})
    assert int(refused.headers["retry-after"]) > 0


@pytest.mark.ledger("S3-59")
@pytest.mark.ledger("S3-62")
@pytest.mark.ledger_part("S2-47", "error after three failures in a row, active again after a success")
async def test_health(
    http: httpx.AsyncClient, partners_of_rest: tuple[HttpPartner, HttpPartner], running: Any
) -> None:  # fmt: skip
    one = await found(http)
    path = f"/integrations/{one['id']}/health"
    report = (await http.get(path)).json()
    assert (report["status"], report["metrics"]) == (
        "unknown",
        {"totalEndpoints": 2, "healthyEndpoints": 0, "unhealthyEndpoints": 0, "averageResponseTime": 0,
         "averageResponseTimeMs": None},
    )  # fmt: skip
    assert partners_of_rest[0].heard == []
    assert (await checked(http, "none"))["status"] == "unknown", "the sample says healthy"
    report = await checked(http)
    assert report["status"] == "healthy"
    assert report["metrics"]["averageResponseTimeMs"] > 0
    assert (await http.get(path)).json() == report
    await partners_of_rest[1].stop()
    assert (await checked(http))["status"] == "degraded"
    await partners_of_rest[0].stop()
    for failures in (1, 2, 3):
        report = await checked(http)
        assert (report["status"], report["consecutiveFailures"]) == ("unhealthy", failures)
    assert (report["lifecycle"], (await found(http))["status"]) == ("error", "error")
    assert "Connection refused" in (await found(http))["last_error"]
    assert re.search(r"127\.0\.0\.1", (await found(http))["last_error"]) is None
    for partner in partners_of_rest:
        await partner.start()
    report = await checked(http)
    assert (report["status"], report["lifecycle"], report["consecutiveFailures"]) == ("healthy", "active", 0)
    assert (await found(http))["last_error"] is None
    history = (await http.get(f"/integrations/{one['id']}/history")).json()
    assert [(move["before"], move["after"]) for move in history["items"]][:2] == [
        ("error", "active"), ("active", "error")
    ]  # fmt: skip


@pytest.mark.ledger("S0-17")  # with its parts: bodies, and the index that seven years are read by
async def test_logs_are_paged_and_narrowed(
    http: httpx.AsyncClient, partners_of_rest: tuple[HttpPartner, HttpPartner]
) -> None:  # fmt: skip
    one = await found(http)
    path = f"/integrations/{one['id']}/logs"
    await checked(http)
    await partners_of_rest[1].stop()
    await probed(http)

    async def get(**query: Any) -> Any:
        response = await http.get(path, params=query)
        assert response.status_code == 200, response.text
        return response.json()

    everything = (await get())["items"]
    assert [(each["kind"], each["outcome"]) for each in everything] == [
        ("test", "failure"), ("test", "success"), ("check", "success"), ("check", "success")
    ]  # fmt: skip
    ids = [each["id"] for each in everything]
    page = await get(page=2, size=3)
    assert ([each["id"] for each in page["items"]], page["total"], page["pages"], page["next"]) == (ids[3:], 4, 2, None)
    first = await get(size=3)
    assert ([each["id"] for each in first["items"]], first["next"]) == (ids[:3], ids[2])
    rest = await get(before=first["next"])
    assert ([each["id"] for each in rest["items"]], rest["next"]) == (ids[3:], None)
    narrowed = {
        "level": ("error", ids[:1]), "outcome": ("success", ids[1:]), "endpoint_id": (one["endpoints"][0]["id"], None),
        "q": ("REFUSED", ids[:1]), "from": (everything[0]["timestamp"], ids[:1]),
        "to": (everything[-1]["timestamp"], []), "correlation_id": ("nobody", []),
        "execution_id": (str(uuid.uuid4()), []),
    }  # fmt: skip
    for name, (value, expected) in narrowed.items():
        said = [each["id"] for each in (await get(**{name: value}))["items"]]
        if expected is not None:
            assert said == expected, name
        else:
            assert {each["endpointId"] for each in (await get(**{name: value}))["items"]} == {value}
    assert [each["id"] for each in (await get(level="success"))["items"]] == ids[1:]
    for query in ({"level": "loud"}, {"level": "success", "outcome": "failure"}, {"from": "yesterday"}, {"q": "x"}):
        assert (await http.get(path, params=query)).status_code == 400, query
    assert everything[0]["organization"] == "demo"


async def executed(http: httpx.AsyncClient, one: dict[str, Any], name: str, status: int) -> Any:
    endpoint = next(each["id"] for each in one["endpoints"] if each["name"] == name)
    response = await http.post(f"/integrations/{one['id']}/endpoints/{endpoint}/execute", json={})
    assert response.status_code == status, response.text
    return response.json()


@pytest.mark.ledger_part("S0-17", "no body is in the log; it is the execution's: a permission, and each look audited")
async def test_a_body_is_not_in_the_log(
    http: httpx.AsyncClient, partners_of_rest: tuple[HttpPartner, HttpPartner], signed_in: Sign, running: Any
) -> None:
    one, specialist = await found(http), await signed_in("integration_specialist")
    partners_of_rest[1].react = lambda _: Said(200, b'{"name": "Mustermann"}')
    endpoint = next(each["id"] for each in one["endpoints"] if each["name"] == "add")
    asked = {"data": {"name": "Erika"}, "correlation_id": "corr-7"}
    made = (await specialist.post(f"/integrations/{one['id']}/endpoints/{endpoint}/execute", json=asked)).json()
    await checked(http)
    path, execution = f"/integrations/{one['id']}/logs", f"/executions/{made['id']}"
    for query in ({"execution_id": made["id"]}, {"correlation_id": "corr-7"}, {"q": "corr-7"}):
        response = await specialist.get(path, params=query)
        (entry,) = response.json()["items"]
        assert (entry["executionId"], entry["correlationId"], entry["kind"]) == (made["id"], "corr-7", "execute")
        assert not {one for one in ("Erika", "Mustermann") if one in response.text}
    auditor = await signed_in("auditor")
    assert (await auditor.get(path)).status_code == 200
    assert (await auditor.get(execution, params={"include": "payload"})).status_code == 403
    assert "Erika" not in (await auditor.get(execution)).text
    assert "Mustermann" in (await http.get(execution, params={"include": "payload"})).text
    events = (await running.get("/audit", action="execution.read", entity=f"execution/{made['id']}"))["items"]
    assert [(each["event"]["outcome"], each["event"].get("details")) for each in events][:1] == [
        ("success", {"payload": True})
    ]  # fmt: skip
    assert "denied" in {each["event"]["outcome"] for each in events}


@pytest.mark.ledger("S3-64", "S2-53")
async def test_analytics_over_http(
    http: httpx.AsyncClient, partners_of_rest: tuple[HttpPartner, HttpPartner], signed_in: Sign
) -> None:
    one = await found(http)
    specialist = await signed_in("integration_specialist")
    for name, status in (("remove", 200), ("add", 502)):
        if status == 502:
            await partners_of_rest[1].stop()
        await executed(specialist, one, name, status)
    path = f"/integrations/{one['id']}/analytics"
    report = (await http.get(path)).json()
    assert set(report["metrics"]) >= {
        "totalRequests", "successfulRequests", "failedRequests", "successRate", "averageResponseTime",
        "requestsPerHour", "errorRate",
    }  # fmt: skip
    assert (report["metrics"]["totalRequests"], report["metrics"]["successRate"]) == (2, 50)
    assert sum(report["performance"]["responseTimeDistribution"].values()) == 2
    assert [each["name"] for each in report["endpoints"]] == ["remove", "add"]
    assert [each["errorClass"] for each in report["errors"]] == ["refused"]
    again = (await http.get(path, params={"start": "2020-01-01", "end": "2020-12-31T00:00:00Z"})).json()
    assert again["metrics"]["totalRequests"] == 0
    assert again["timeRange"] == {"start": "2020-01-01T00:00:00.000000Z", "end": "2020-12-31T00:00:00.000000Z"}
    leap = {"start": "2020-01-01T00:00:00Z", "end": "2021-01-01T00:00:00Z"}
    assert (await http.get(path, params=leap)).status_code == 200, "366 days"
    for query in (
        {"start": "2020-01-02", "end": "2020-01-02"},
        {"start": "2020-01-03", "end": "2020-01-02"},
        {**leap, "end": "2021-01-01T00:00:00.000001Z"},
        {"start": "x"},
    ):
        assert (await http.get(path, params=query)).status_code == 400, query
    first, last = (each["startedAt"] for each in (await http.get("/executions")).json()["items"][::-1])
    for query, total in (({"start": first, "end": last}, 1), ({"start": last}, 1), ({"end": first}, 0)):
        assert (await http.get(path, params=query)).json()["metrics"]["totalRequests"] == total, "the end is not in it"
    stats = (await http.get("/integrations/stats")).json()
    assert (stats["last_24h"]["requests"], stats["last_24h"]["failed"], stats["last_24h"]["success_rate"]) == (
        2,
        1,
        50.0,
    )
    assert stats["total"] == stats["active"] + stats["inactive"] + stats["error"] + stats["testing"] == 4


@pytest.mark.ledger("S3-68")
async def test_errors_are_bounded_grouped_and_all_in_the_log(
    http: httpx.AsyncClient, partners_of_rest: tuple[HttpPartner, HttpPartner], signed_in: Sign
) -> None:
    one, specialist = await found(http), await signed_in("integration_specialist")
    answers = iter(range(104))

    def react(_: Any) -> Said:
        number = next(answers)
        return Said(403, reason="No") if number == 50 else Said(400, reason=f"Bad {number}")

    partners_of_rest[1].react = react
    for _ in range(103):
        await executed(specialist, one, "add", 502)
    await partners_of_rest[1].stop()
    await executed(specialist, one, "add", 502)
    path = f"/integrations/{one['id']}"
    report = (await http.get(f"{path}/analytics")).json()
    wanted = ["Connection refused", *(f"HTTP 400: Bad {number}" for number in reversed(range(103)))]
    wanted[wanted.index("HTTP 400: Bad 50")] = "HTTP 403: No"
    assert [each["error"] for each in report["errors"]] == wanted[:100]
    endpoint = next(each["id"] for each in one["endpoints"] if each["name"] == "add")
    assert {each["endpointId"] for each in report["errors"]} == {endpoint}
    assert [each["timestamp"] for each in report["errors"]] == sorted(
        (each["timestamp"] for each in report["errors"]), reverse=True
    )
    assert [(each["statusCode"], each["count"]) for each in report["errorGroups"]] == [(400, 102), (None, 1), (403, 1)]
    pages = [
        (await http.get(f"{path}/logs", params={"outcome": "failure", "page": page, "size": 60})).json()
        for page in (1, 2)
    ]
    assert [each["error"] for page in pages for each in page["items"]] == wanted
    assert pages[0]["total"] == 104


@pytest.mark.ledger("S3-73")
async def test_numbers_that_cannot_be_read_are_no_zeros(
    http: httpx.AsyncClient, partners_of_rest: tuple[HttpPartner, HttpPartner], signed_in: Sign, running: Any
) -> None:
    one, specialist = await found(http), await signed_in("integration_specialist")
    await partners_of_rest[1].stop()
    for name, status in (("remove", 200), ("add", 502)):
        await executed(specialist, one, name, status)
    path, store = f"/integrations/{one['id']}/analytics", running.hub.store

    async def run(text: str) -> None:
        await store.write(lambda connection: connection.exec_driver_sql(text).rowcount)

    await run("UPDATE execution SET told = x'00' WHERE status = 'failed'")  # a sealed text that does not open
    report = (await http.get(path)).json()
    assert (report["partial"], bool(report["error"]), report["errors"]) == (True, True, [])
    assert (report["metrics"]["totalRequests"], report["metrics"]["failedRequests"]) == (2, 1)
    await run("ALTER TABLE execution RENAME TO gone")
    try:
        response = await http.get(path)
        assert response.status_code in (500, 503), response.text
        assert "metrics" not in response.json()
    finally:
        await run("ALTER TABLE gone RENAME TO execution")
