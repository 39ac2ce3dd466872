"""Executions over HTTP, with partners on real sockets: asked, answered, failed, called off, seen in every number."""

from __future__ import annotations

import asyncio
import json
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
    type: API
    protocol: rest_api
    endpoints:
      - {{name: post, direction: outbound, url: "{web}/orders", method: POST, timeout: 5000, retries: 2}}
      - {{name: get, direction: outbound, url: "{web}/orders/{{id}}", method: GET, timeout: 5000, retries: 2}}
      - name: mapped
        direction: outbound
        url: "{web}/mapped"
        method: POST
        data_mapping: {{set: {{$.site: north}}, compute: {{$.total: number($.a)}}}}
        response_mapping: {{compute: {{$.number: number($.id)}}}}
  - name: adt
    type: HL7
    protocol: hl7_v2
    endpoints:
      - {{name: in, direction: inbound, url: "mllp://127.0.0.1:{feed}"}}
      - name: lab
        direction: outbound
        url: "mllp://127.0.0.1:{mllp}"
        timeout: 5000
        data_mapping: {{set: {{MSH-5: LAB}}}}
  - {{name: off, protocol: rest_api, active: false,
     endpoints: [{{name: out, direction: outbound, url: "{web}/off", method: GET}}]}}
"""
ADT = "MSH|^~\\&|HIS|W|HUB|X|20260101||ADT^A01|c1|P|2.5\nPID|1||4711||Mustermann^Erika\n"


@pytest.fixture
async def partner() -> AsyncIterator[HttpPartner]:
    made = HttpPartner(lambda heard: Said(200, json.dumps({"got": heard.target}).encode(), reason="OK"))
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def lab() -> AsyncIterator[MllpPartner]:
    made = MllpPartner()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def config(tmp_path: Path, partner: HttpPartner, lab: MllpPartner, port: int) -> Path:
    path = tmp_path / "hub.yaml"
    path.write_text(CONFIG.format(web=partner.url("").rstrip("/"), feed=port, mllp=lab.port), encoding="utf-8")
    return path


class Caller:
    """Somebody who asks endpoints by name."""

    def __init__(self, http: httpx.AsyncClient, ids: dict[str, tuple[str, str]]) -> None:
        self.http = http
        self.ids = ids

    def path(self, reference: str) -> str:
        integration, endpoint = self.ids[reference]
        return f"/integrations/{integration}/endpoints/{endpoint}/execute"

    async def ask(self, reference: str, expected: int = 200, /, **body: Any) -> Any:
        response = await self.http.post(self.path(reference), json=body)
        assert response.status_code == expected, response.text
        return response.json()


async def identifiers(http: httpx.AsyncClient) -> dict[str, tuple[str, str]]:
    found = (await http.get("/integrations")).json()["items"]
    return {f"{one['handle']}/{end['name']}": (one["id"], end["id"]) for one in found for end in one["endpoints"]}


@pytest.fixture
async def caller(signed_in: Sign) -> Caller:
    http = await signed_in("integration_specialist")
    return Caller(http, await identifiers(http))


def code(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


@pytest.mark.ledger("S3-57")
@pytest.mark.ledger("S3-50")
async def test_an_endpoint_is_asked_and_its_answer_given(caller: Caller, partner: HttpPartner) -> None:
    hidden = {"Set-Cookie": "sid=1", "Authorization": "Bearer t", "WWW-Authenticate": "Basic", "X-Api-Key": "k" * 9}
    partner.next.append(Said(201, b'{"id": 7}', {**hidden, "X-Kept": "yes"}, "Created"))
    found = await caller.ask(
        "rest/post", data={"order": 1}, headers={"X-A": "b"}, parameters={"dry": "no"}, idempotency_key="k-1",
        correlation_id="corr-1", wait=30, timeout=4_000,
    )  # fmt: skip
    assert (found["status"], found["statusCode"], found["correlationId"], found["error"]) == (
        "completed", 201, "corr-1", None
    )  # fmt: skip
    answer = found["response"]
    assert (answer["status"], answer["statusText"], answer["success"]) == (201, "Created", True)
    assert answer["data"] == answer["processedData"] == {"id": 7}
    assert answer["headers"]["x-kept"] == "yes"
    assert not {one.lower() for one in hidden} & {one.lower() for one in answer["headers"]}
    assert answer.keys() == {"status", "statusText", "headers", "data", "processedData", "success"}
    assert found["request"]["data"] == {"order": 1}
    assert [one["number"] for one in found["attempts"]] == [1]
    assert found["attempts"][0]["timings"]["connect"] is not None
    (heard,) = partner.heard
    assert (heard.method, heard.target, heard.body) == ("POST", "/orders?dry=no", b'{"order":1}')
    assert (heard.headers["x-a"], heard.headers["idempotency-key"]) == ("b", "k-1")
    assert heard.headers["content-type"] == "application/json"
    again = (await caller.http.get(f"/executions/{found['id']}", params={"include": "payload"})).json()
    assert again == found
    partner.next.append(Said(wait=5))
    error = (await caller.ask("rest/post", 504, data={}, timeout=200))["error"]
    assert error["details"]["error_class"] == "timeout"
    late = await caller.http.post(caller.path("rest/post"), json={"data": {}, "wait": 0})
    assert (late.status_code, late.headers["location"]) == (202, f"/api/v1/executions/{late.json()['id']}")
    await partner.until(3)
    dry = await caller.ask("rest/post", data={"order": 1}, dry_run=True)
    assert (dry["request"]["data"], len(partner.heard)) == ({"order": 1}, 3)


@pytest.mark.ledger_part("S3-55", "a GET is tried again until it is answered")
@pytest.mark.ledger_part("S2-38", "only what is safe to repeat, or has a key")
async def test_retries_over_real_sockets(caller: Caller, partner: HttpPartner) -> None:
    busy = Said(503, b"", {"Retry-After": "0"}, "Busy")
    partner.next += [busy, Said(0)]
    found = await caller.ask("rest/get", parameters={"id": "7"})
    assert [(one["statusCode"], one["errorClass"]) for one in found["attempts"]] == [
        (503, "http_5xx"), (None, "protocol"), (200, None)
    ]  # fmt: skip
    assert [one.target for one in partner.heard] == ["/orders/7"] * 3
    partner.next.append(busy)
    error = (await caller.ask("rest/post", 502, data={}))["error"]
    assert (error["code"], error["details"]["attempts"], error["details"]["status_code"]) == ("INT009", 1, 503)
    partner.next += [busy] * 2
    assert len((await caller.ask("rest/post", data={}, idempotency_key="k"))["attempts"]) == 3


@pytest.mark.ledger("S3-56")
async def test_a_failure_is_kept_told_and_logged(caller: Caller, partner: HttpPartner) -> None:
    partner.next.append(Said(422, b'{"why": "no"}', reason="Unprocessable"))
    error = (await caller.ask("rest/post", 502, data={"a": 1}, correlation_id="corr-9"))["error"]
    assert (error["code"], error["message"]) == ("INT009", "Execution failed: HTTP 422: Unprocessable")
    identifier = error["details"]["execution"]
    found = (await caller.http.get(f"/executions/{identifier}", params={"include": "payload"})).json()
    assert (found["status"], found["statusCode"], found["errorClass"]) == ("failed", 422, "protocol")
    assert found["response"]["data"] == {"why": "no"}
    assert found["metrics"]["duration"] is not None
    logs = (
        await caller.http.get(f"/integrations/{found['integrationId']}/logs", params={"correlation_id": "corr-9"})
    ).json()
    (entry,) = logs["items"]
    assert (entry["level"], entry["outcome"], entry["status"], entry["executionId"]) == (
        "error", "failure", "failed", identifier
    )  # fmt: skip
    assert (entry["error"], entry["endpointId"]) == ("HTTP 422: Unprocessable", found["endpointId"])


@pytest.mark.ledger("S3-74")
async def test_what_is_asked_is_in_the_log(caller: Caller, partner: HttpPartner) -> None:
    """Document 003's entry, and the organization, the correlation and how grave it is (C-28)."""
    fine = await caller.ask("rest/post", data={}, correlation_id="corr-1")
    partner.next.append(Said(422, reason="Unprocessable"))
    wrong = (await caller.ask("rest/post", 502, data={}, correlation_id="corr-2"))["error"]["details"]["execution"]
    integration, endpoint = caller.ids["rest/post"]
    logs = (await caller.http.get(f"/integrations/{integration}/logs")).json()["items"]
    for entry, level, outcome, execution, status, error, correlation in (
        (logs[0], "error", "failure", wrong, "failed", "HTTP 422: Unprocessable", "corr-2"),
        (logs[1], "info", "success", fine["id"], "completed", None, "corr-1"),
    ):
        assert uuid.UUID(entry["id"])
        assert (entry["level"], entry["outcome"]) == (level, outcome)
        assert (entry["integrationId"], entry["endpointId"], entry["executionId"]) == (integration, endpoint, execution)
        assert (entry["status"], entry["error"]) == (status, error)
        assert (entry["organization"], entry["correlationId"]) == ("demo", correlation)
        asked = (await caller.http.get(f"/executions/{execution}")).json()
        assert entry["duration"] == asked["metrics"]["durationMs"]
        assert asked["startedAt"] <= entry["timestamp"]
    for level, one in (("success", logs[1]), ("error", logs[0])):  # as document 003 has levels
        found = (await caller.http.get(f"/integrations/{integration}/logs", params={"level": level})).json()["items"]
        assert found == [one]


async def test_a_partner_that_is_too_slow_is_a_504(caller: Caller, partner: HttpPartner) -> None:
    partner.next.append(Said(wait=5))
    error = (await caller.ask("rest/post", 504, data={}, timeout=200))["error"]
    assert (error["code"], error["details"]["status"], error["details"]["error_class"]) == (
        "INT009", "timeout", "timeout"
    )  # fmt: skip
    listed = (await caller.http.get("/executions", params={"status": "timeout"})).json()
    assert [one["id"] for one in listed["items"]] == [error["details"]["execution"]]


@pytest.mark.ledger("S3-53")
async def test_data_is_mapped_before_it_is_sent(caller: Caller, partner: HttpPartner, lab: MllpPartner) -> None:
    """To an HTTP partner JSON, to another one HL7 v2; what cannot be mapped reaches neither."""
    found = await caller.ask("rest/mapped", data={"a": "7"}, headers={"X-A": "b"})
    assert found["request"]["data"] == {"a": "7"}, "what the caller gave"
    (heard,) = partner.heard
    assert (heard.method, heard.target, heard.headers["x-a"]) == ("POST", "/mapped", "b")
    assert json.loads(heard.body) == {"a": "7", "site": "north", "total": 7}
    assert (await caller.ask("adt/lab", data=ADT))["status"] == "completed"
    assert lab.received[0].startswith(b"MSH|^~\\&|HIS|W|LAB|X|")
    for reference, data in (("rest/mapped", {"a": "seven"}), ("rest/mapped", "no JSON"), ("adt/lab", {"no": "HL7"})):
        error = (await caller.ask(reference, 502, data=data))["error"]
        assert error["details"]["error_class"] == "configuration", (reference, error)
        assert error["details"]["attempts"] == 0
    assert (len(partner.heard), len(lab.received)) == (1, 1)


@pytest.mark.ledger("S3-58")
async def test_an_answer_is_mapped_or_somebody_is_warned(
    caller: Caller, partner: HttpPartner, running: Any, signed_in: Sign
) -> None:
    integration, _ = caller.ids["rest/mapped"]

    async def warnings() -> int:
        return int((await caller.http.get(f"/integrations/{integration}/health")).json()["warnings"])

    partner.react = lambda _: Said(200, b'{"id": "7"}')
    answer = (await caller.ask("rest/mapped", data={"a": 1}))["response"]
    assert (answer["data"], answer["processedData"]) == ({"id": "7"}, {"id": "7", "number": 7})
    assert "processingError" not in answer
    answer = (await caller.ask("rest/post", data={"a": 1}))["response"]
    assert answer["processedData"] == answer["data"] == {"id": "7"}, "there is no mapping"
    assert await warnings() == 0
    partner.react = lambda _: Said(200, b'{"id": "seven"}')
    for count in (1, 2):
        found = await caller.ask("rest/mapped", data={"a": 1})
        assert (found["status"], found["statusCode"], found["error"]) == ("completed", 200, None)
        assert (found["response"]["processedData"], found["response"]["success"]) == (None, True)
        assert "number" in found["response"]["processingError"]
        assert await warnings() == count
    admin = await signed_in("tenant_admin")
    told = (await admin.get("/events", params={"type": "execution.warning"})).json()["items"]
    assert [one["entity"] for one in told][-1] == f"execution/{found['id']}"
    assert len(told) == 2
    logs = (await caller.http.get(f"/integrations/{integration}/logs", params={"level": "warn"})).json()["items"]
    assert [one["error"] for one in logs] == [found["response"]["processingError"]] * 2


@pytest.mark.ledger_part("S3-53", "an HL7 message is mapped, and what is none stops before any call")
async def test_an_hl7_partner_is_asked_beside_its_lane(caller: Caller, lab: MllpPartner) -> None:
    found = await caller.ask("adt/lab", data=ADT)
    assert (found["statusCode"], found["response"]["statusText"]) == (200, "AA")
    assert "MSA|AA|c1" in found["response"]["data"]
    assert lab.received[0].startswith(b"MSH|^~\\&|HIS|W|LAB|X|")
    error = (await caller.ask("adt/lab", 502, data={"no": "HL7"}))["error"]
    assert error["details"]["error_class"] == "configuration"
    assert len(lab.received) == 1
    lab.next.append(["AE"])
    error = (await caller.ask("adt/lab", 502, data=ADT))["error"]
    assert error["message"] == "Execution failed: the partner answered AE"


@pytest.mark.ledger("S3-52")
@pytest.mark.ledger_part("S2-46", "409 INT004; history kept")
async def test_what_is_not_asked(caller: Caller, partner: HttpPartner) -> None:
    for reference in ("off/out", "adt/in"):
        assert code(await caller.http.post(caller.path(reference), json={})) == (409, "INT004")
    nobody, (integration, endpoint) = uuid.uuid4(), caller.ids["rest/get"]
    for path, text in (
        (f"/integrations/{nobody}/endpoints/{endpoint}/execute", f"Integration not found: {nobody}"),
        (f"/integrations/{integration}/endpoints/{nobody}/execute", f"Endpoint not found: {nobody}"),
    ):
        response = await caller.http.post(path, json={})
        assert code(response) == (404, "INT001")
        assert response.json()["error"]["message"] == text
    for body in (
        {"timeout": 50}, {"wait": 31}, {"headers": {"Host": "x"}}, {"nonsense": 1}, {"correlation_id": "a b"},
        {"headers": {"X-A": 1}},
    ):  # fmt: skip
        assert code(await caller.http.post(caller.path("rest/post"), json=body)) == (400, "INT002")
    assert partner.heard == []


@pytest.mark.ledger_part("S3-50", "dry_run: nothing is sent and nothing kept")
async def test_a_dry_run(caller: Caller, partner: HttpPartner) -> None:
    found = await caller.ask("rest/get", dry_run=True, parameters={"id": "7 8"}, headers={"Authorization": "Bearer x"})
    assert found["dryRun"]
    assert found["request"]["url"].endswith("/orders/7%208")
    assert found["request"]["headers"] == {"Authorization": "***"}
    assert partner.heard == []
    assert (await caller.http.get("/executions")).json()["total"] == 0


@pytest.mark.ledger_part("S0-52", "what takes longer than one waits is 202 with its place, and ends all the same")
@pytest.mark.ledger_part("S3-51", "cancelled")
async def test_who_does_not_wait_finds_it_later_or_calls_it_off(
    caller: Caller, partner: HttpPartner, until: Any
) -> None:
    partner.react = lambda _: Said(wait=0.4)
    response = await caller.http.post(caller.path("rest/post"), json={"data": 1, "wait": 0})
    assert (response.status_code, response.json()["status"]) == (202, "executing")
    where = response.headers["location"].removeprefix("/api/v1")

    async def over() -> bool:
        return bool((await caller.http.get(where)).json()["status"] == "completed")

    await until(over)
    assert code(await caller.http.post(f"{where}/cancel")) == (409, "INT004")
    partner.react = lambda _: Said(wait=20)
    where = (await caller.http.post(caller.path("rest/post"), json={"wait": 0})).headers["location"]
    await partner.until(2)
    cancelled = await caller.http.post(f"{where.removeprefix('/api/v1')}/cancel")
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert code(await caller.http.post(f"/executions/{uuid.uuid4()}/cancel")) == (404, "INT001")


@pytest.mark.ledger_part("S3-51", "masked for those who may not see payloads; what authenticates for everybody")
async def test_payloads_need_a_permission(caller: Caller, partner: HttpPartner, signed_in: Sign, running: Any) -> None:
    found = await caller.ask("rest/post", data={"name": "Erika"}, headers={"Authorization": "Bearer x", "X-A": "b"})
    assert found["request"]["headers"] == {"Authorization": "***", "X-A": "b"}
    assert {"id", "integrationId", "endpointId", "status", "request", "response", "error", "metrics"} <= found.keys()
    assert {"data", "headers", "timestamp"} <= found["request"].keys()
    assert {"startTime", "endTime", "duration"} <= found["metrics"].keys()
    where = f"/executions/{found['id']}"
    viewer = await signed_in("viewer")
    assert code(await viewer.post(caller.path("rest/post"), json={})) == (403, "INT003")
    shown = (await viewer.get(where)).json()
    assert (shown["request"]["data"], shown["response"]["data"]) == ("***", "***")
    assert "Erika" not in str(shown)
    assert code(await viewer.get(where, params={"include": "payload"})) == (403, "INT003")
    assert (await caller.http.get(where, params={"include": "payload"})).json()["request"]["data"] == {"name": "Erika"}
    events = await running.get("/audit", entity=f"execution/{found['id']}")
    seen = [(one["event"]["action"], one["event"]["outcome"], one["event"].get("details")) for one in events["items"]]
    assert ("execution.read", "success", {"payload": True}) in seen
    assert ("execution.create", "success", {"payload": True}) in seen
    assert "Erika" not in str(events)


@pytest.mark.ledger_part("S4-76", "executions, tests, logs and numbers of another organization are not there")
async def test_another_organization_sees_nothing(caller: Caller, running: Any, signed_in: Sign) -> None:
    found = await caller.ask("rest/post", data={})
    await running.post(
        "/organizations", 201, name="clinic", administrator={"email": "cleo@clinic.example", "name": "Cleo"}
    )
    cleo = await signed_in("integration_specialist", organization="clinic")
    integration, endpoint = caller.ids["rest/post"]
    for method, path in (
        ("GET", f"/executions/{found['id']}"), ("POST", f"/executions/{found['id']}/cancel"),
        ("POST", f"/integrations/{integration}/endpoints/{endpoint}/execute"),
        ("POST", f"/integrations/{integration}/test"), ("GET", f"/integrations/{integration}/logs"),
        ("GET", f"/integrations/{integration}/health"), ("POST", f"/integrations/{integration}/health/check"),
        ("GET", f"/integrations/{integration}/analytics"),
    ):  # fmt: skip
        response = await cleo.request(method, path, **({"json": {}} if method == "POST" else {}))
        assert code(response) == (404, "INT001"), path
    assert (await cleo.get("/executions")).json()["total"] == 0
    stats = (await cleo.get("/integrations/stats")).json()
    assert (stats["total"], stats["last_24h"]["requests"]) == (0, 0)


async def test_fifty_at_once_are_all_answered(caller: Caller, partner: HttpPartner) -> None:
    partner.react = lambda heard: Said(200, heard.body)
    partner.gate.clear()
    asking = asyncio.gather(*(caller.ask("rest/post", data={"n": n}) for n in range(50)))
    await partner.until(50)  # beside each other: none is answered before all were heard
    partner.gate.set()
    found = await asking
    assert [one["response"]["data"] for one in found] == [{"n": n} for n in range(50)]
    assert len({one["id"] for one in found}) == 50
    stats = (await caller.http.get("/integrations/stats")).json()
    assert stats["last_24h"]["requests"] == 50


async def test_lists_are_narrowed(caller: Caller, partner: HttpPartner) -> None:
    first = await caller.ask("rest/post", data=1, correlation_id="first")
    partner.next.append(Said(400))
    failed = (await caller.ask("rest/post", 502, data=2))["error"]["details"]["execution"]
    third = await caller.ask("rest/get", parameters={"id": "7"})
    everything = [third["id"], failed, first["id"]]

    async def ids(path: str = "/executions", **query: Any) -> list[str]:
        response = await caller.http.get(path, params=query)
        assert response.status_code == 200, response.text
        assert response.json()["total"] == len(response.json()["items"])
        return [one["id"] for one in response.json()["items"]]

    integration, endpoint = caller.ids["rest/get"]
    for path in ("/executions", f"/integrations/{integration}/executions"):
        assert await ids(path) == everything
        assert await ids(path, status="failed") == [failed]
        assert await ids(path, endpoint_id=endpoint) == [third["id"]]
        assert await ids(path, correlation_id="first") == [first["id"]]
        assert await ids(path, **{"from": third["startedAt"]}) == [third["id"]]
        assert await ids(path, to=first["startedAt"]) == []
    assert await ids(integration_id=integration) == everything
    assert await ids(integration_id=caller.ids["off/out"][0]) == []
    assert await ids(f"/integrations/{caller.ids['off/out'][0]}/executions") == []
    assert code(await caller.http.get(f"/integrations/{uuid.uuid4()}/executions")) == (404, "INT001")
    for query in ({"status": "lost"}, {"from": "yesterday"}, {"endpoint_id": "x"}):
        assert code(await caller.http.get("/executions", params=query)) == (400, "INT002")


@pytest.mark.ledger("S4-74")
async def test_what_tests_ask_is_told_apart_and_each_organization_s(
    caller: Caller, partner: HttpPartner, lab: MllpPartner, running: Any, signed_in: Sign
) -> None:
    """The partner hears it, lists and the log show it, analytics leave it out, another organization has none of it."""
    real = await caller.ask("rest/post", data={"n": 1})
    test = await caller.ask("rest/post", data={"n": 2}, synthetic=True)
    said = await caller.ask("adt/lab", data=ADT.replace("|P|", "|D|"))  # without being told: it says so itself
    made = await caller.ask("adt/lab", data=ADT, synthetic=True)
    assert [one["synthetic"] for one in (real, test, said, made)] == [False, True, True, True]
    assert ["x-hilum-synthetic" in one.headers for one in partner.heard] == [False, True]
    assert [one.split(b"|")[10] for one in lab.received] == [b"D", b"T"]
    dry = await caller.ask("adt/lab", data=ADT, synthetic=True, dry_run=True)
    assert "|T|" in dry["request"]["data"]
    integration, _ = caller.ids["rest/post"]
    await caller.http.post(f"/integrations/{integration}/test", json={})

    async def ask(http: httpx.AsyncClient, path: str, **query: Any) -> Any:
        response = await http.get(path, params=query)
        assert response.status_code == 200, response.text
        return response.json()

    async def ids(http: httpx.AsyncClient, **query: Any) -> list[str]:
        return [one["id"] for one in (await ask(http, "/executions", **query))["items"]]

    assert await ids(caller.http, synthetic=False) == [real["id"]]
    assert await ids(caller.http, synthetic=True) == [made["id"], said["id"], test["id"]]
    assert (await ask(caller.http, f"/executions/{test['id']}"))["synthetic"] is True
    logs = f"/integrations/{integration}/logs"
    assert {one["kind"] for one in (await ask(caller.http, logs, synthetic=True))["items"]} == {"execute", "test"}
    assert [one["executionId"] for one in (await ask(caller.http, logs, synthetic=False))["items"]] == [real["id"]]
    numbers = f"/integrations/{integration}/analytics"
    found = [await ask(caller.http, numbers, synthetic=one) for one in (False, True)]
    assert [(one["synthetic"], one["metrics"]["totalRequests"]) for one in found] == [(False, 1), (True, 1)]
    assert (await ask(caller.http, numbers))["metrics"]["totalRequests"] == 1
    assert (await ask(caller.http, "/integrations/stats"))["last_24h"]["requests"] == 1

    await running.post(
        "/organizations", 201, name="clinic", administrator={"email": "cleo@clinic.example", "name": "Cleo"}
    )
    cleo = await signed_in("integration_specialist", organization="clinic")
    assert [await ids(cleo, synthetic=one) for one in (True, False)] == [[], []]
    assert code(await cleo.get(f"/executions/{test['id']}")) == (404, "INT001")
    assert code(await cleo.get(numbers, params={"synthetic": True})) == (404, "INT001")
    assert code(await cleo.get(logs, params={"synthetic": True})) == (404, "INT001")


async def test_an_answer_that_was_given_is_given_again(caller: Caller, partner: HttpPartner) -> None:
    """Idempotency-Key of the API: a client that lost its connection does not order twice."""
    headers = {"idempotency-key": "order-1"}
    first, second = [
        await caller.http.post(caller.path("rest/post"), json={"data": 1}, headers=headers) for _ in range(2)
    ]
    assert first.json() == second.json()
    assert second.headers["idempotency-replayed"] == "true"
    assert len(partner.heard) == 1
