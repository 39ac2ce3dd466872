"""What an execution keeps, and how failures are looked at, over HTTP with partners on real sockets."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from hilum.sdk import texts
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
      - name: post
        direction: outbound
        url: "{web}/patients/{{id}}/orders"
        method: POST
        timeout: 5000
        max_answer: 3000000
        authentication: {{type: basic, username: eva, password: "correct horse battery"}}
        parameters: {{path: {{id: "{{id:string=0}}"}}}}
      - {{name: get, direction: outbound, url: "{web}/orders", method: GET, timeout: 5000, retries: 1}}
  - name: adt
    type: HL7
    protocol: hl7_v2
    endpoints: [{{name: lab, direction: outbound, url: "mllp://127.0.0.1:{mllp}", timeout: 5000}}]
"""
ADT = "MSH|^~\\&|HIS|W|HUB|X|20260101||ADT^A01|c1|P|2.5\nPID|1||4711||Mustermann^Erika\n"
LARGE = 2_000_000


@pytest.fixture
async def partner() -> AsyncIterator[HttpPartner]:
    made = HttpPartner(lambda heard: Said(200, b"{}", reason="OK"))
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
def config(tmp_path: Path, partner: HttpPartner, lab: MllpPartner) -> Path:
    path = tmp_path / "hub.yaml"
    path.write_text(CONFIG.format(web=partner.url("").rstrip("/"), mllp=lab.port), encoding="utf-8")
    return path


class Caller:
    """Somebody who asks endpoints by name."""

    def __init__(self, http: httpx.AsyncClient, ids: dict[str, tuple[str, str]]) -> None:
        self.http, self.ids = http, ids

    async def ask(self, reference: str, expected: int = 200, /, **body: Any) -> Any:
        integration, endpoint = self.ids[reference]
        path = f"/integrations/{integration}/endpoints/{endpoint}/execute"
        response = await self.http.post(path, json=body)
        assert response.status_code == expected, response.text
        return response.json()

    async def failed(self, reference: str, **body: Any) -> str:
        """The id of an execution that fails."""
        found: str = (await self.ask(reference, 502, **body))["error"]["details"]["execution"]
        return found


@pytest.fixture
async def caller(signed_in: Sign) -> Caller:
    http = await signed_in("integration_specialist")
    found = (await http.get("/integrations")).json()["items"]
    ids = {f"{one['handle']}/{end['name']}": (one["id"], end["id"]) for one in found for end in one["endpoints"]}
    return Caller(http, ids)


async def read(http: httpx.AsyncClient, path: str, **query: Any) -> Any:
    response = await http.get(path, params=query)
    assert response.status_code == 200, response.text
    return response.json()


def code(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


@pytest.mark.ledger_part("S3-51", "bodies above the cap by a pointer, fetched by those who may see payloads, audited")
async def test_large_bodies_are_kept_beside_the_execution(
    caller: Caller, partner: HttpPartner, signed_in: Sign, running: Any
) -> None:
    sent, answer = {"note": "Erika" * (LARGE // 5)}, b"%PDF-1.7 " + b"\xff" * LARGE
    partner.next.append(Said(200, answer, {"content-type": "application/pdf"}))
    found = await caller.ask("rest/post", data=sent)
    assert json.loads(partner.heard[0].body) == sent
    assert (found["request"]["data"], found["response"]["data"], found["response"]["processedData"]) == (None,) * 3
    where = f"/executions/{found['id']}"
    viewer = await signed_in("viewer")
    for member, content, kind in (
        ("request", partner.heard[0].body, "application/json"), ("response", answer, "application/pdf")
    ):  # fmt: skip
        blob = found[member]["blob"]
        digest = hashlib.sha256(content).hexdigest()
        assert blob == {"id": blob["id"], "size": len(content), "sha256": digest, "type": kind}
        got = await caller.http.get(f"{where}/blobs/{blob['id']}")
        assert (got.status_code, got.content == content) == (200, True)
        assert got.headers["content-type"] == "application/octet-stream", "never as what a partner calls it"
        assert got.headers["content-disposition"] == "attachment"
        assert code(await viewer.get(f"{where}/blobs/{blob['id']}")) == (403, "INT003")
        other = await caller.ask("rest/post", data=1)
        assert code(await caller.http.get(f"/executions/{other['id']}/blobs/{blob['id']}")) == (404, "INT001")
        events = await running.get("/audit", entity=f"execution/{found['id']}")
        assert {"payload": True, "blob": blob["id"]} in [one["event"].get("details") for one in events["items"]]
    shown = await read(viewer, where)
    assert [shown[one]["blob"] for one in ("request", "response")] == [
        found[one]["blob"] for one in ("request", "response")
    ]
    assert code(await caller.http.get(f"{where}/blobs/{uuid.uuid4()}")) == (404, "INT001")
    assert "blob" not in str((await read(caller.http, "/executions"))["items"])


@pytest.mark.ledger_part("S3-51", "an answer above the maximum of its endpoint fails with a clear error")
async def test_what_is_larger_than_anything_kept(caller: Caller, partner: HttpPartner) -> None:
    partner.next.append(Said(200, b"long " * 600_001, reason="OK"))
    error = (await caller.ask("rest/post", 502, data=1))["error"]
    assert error["message"] == "Execution failed: it was answered (200), with more than 3,000,000 bytes: not kept"
    assert (error["details"]["error_class"], error["details"]["status_code"]) == ("too_large", 200)
    assert "max_answer" in error["details"]["advice"]
    found = await read(caller.http, f"/executions/{error['details']['execution']}", include="payload")
    assert (found["response"]["truncated"], found["response"]["data"]) == (True, None)
    assert found["trace"]["responseBody"] == ("long " * 205)[:1_024]


@pytest.mark.ledger_part("S2-44", "an execution's trace: all for those who may see payloads, its outline for others")
async def test_a_failed_execution_shows_what_went_over_the_wire(
    caller: Caller, partner: HttpPartner, signed_in: Sign
) -> None:
    said = {"Set-Cookie": "sid=canary", "X-Detail": "Erika", "content-type": "text/plain"}
    partner.next.append(Said(422, b"Erika is not here", said, "Unprocessable"))
    body: dict[str, Any] = {"data": {"name": "Erika"}, "headers": {"X-Who": "Erika"}, "parameters": {"id": "4711"}}
    identifier = await caller.failed("rest/post", **body)
    told = (await read(caller.http, f"/executions/{identifier}", include="payload"))["trace"]
    assert (told["method"], told["url"]) == ("POST", partner.url("/patients/4711/orders"))
    assert (told["requestHeaders"]["authorization"], told["requestHeaders"]["x-who"]) == ("***", "Erika")
    assert (told["requestBody"], told["responseBody"]) == ('{"name":"Erika"}', "Erika is not here")
    assert told["statusLine"] == "HTTP/1.1 422 Unprocessable"
    assert {name.lower(): value for name, value in told["responseHeaders"].items()}.items() >= {
        ("set-cookie", "***"), ("x-detail", "Erika"), ("content-type", "text/plain"),
    }  # fmt: skip
    assert told["timings"]["total"] >= told["timings"]["firstByte"] > 0
    assert not [one for one in ("canary", "horse") if one in json.dumps(told)]
    viewer = await signed_in("viewer")
    for http in (caller.http, viewer):
        shown = (await read(http, f"/executions/{identifier}"))["trace"]
        assert shown["url"] == partner.url("/patients/{id}/orders"), "without what was put into it"
        assert (shown["statusLine"], shown["timings"]) == (told["statusLine"], told["timings"])
        assert (shown["requestBody"], shown["responseBody"]) == (None, None)
        assert shown["requestHeaders"].items() >= {("content-type", "application/json"), ("x-who", "***")}
        assert not [one for one in ("Erika", "4711") if one in json.dumps(shown)]
    fine = await caller.ask("rest/post", data=1)
    assert fine["trace"] is None
    assert [one["trace"] for one in (await read(caller.http, "/executions"))["items"]] == [None, None]


@pytest.mark.ledger_part("S2-44", "a trace of what has no headers, and of a partner who did not answer")
async def test_other_failures_have_a_trace_too(
    caller: Caller, lab: MllpPartner, partner: HttpPartner, signed_in: Sign
) -> None:
    lab.next.append(["AR"])
    identifier = await caller.failed("adt/lab", data=ADT)
    told = (await read(caller.http, f"/executions/{identifier}", include="payload"))["trace"]
    assert (told["method"], told["url"], told["statusLine"]) == (None, f"mllp://127.0.0.1:{lab.port}", "AR")
    assert told["requestBody"].startswith("MSH|^~\\&|HIS")
    await partner.stop()
    identifier = await caller.failed("rest/get")
    told = (await read(await signed_in("viewer"), f"/executions/{identifier}"))["trace"]
    assert (told["method"], told["url"], told["statusLine"]) == ("GET", partner.url("/orders"), None)


@pytest.mark.ledger_part("S2-44", "a test's trace; what a partner answered for those who may see payloads")
async def test_a_test_that_failed_shows_what_went_over_the_wire(
    caller: Caller, partner: HttpPartner, lab: MllpPartner, signed_in: Sign
) -> None:
    partner.react = lambda heard: Said(405 if heard.method == "HEAD" else 503, b"Erika", reason="Down")
    integration, _ = caller.ids["rest/get"]
    admin = await signed_in("tenant_admin")
    for http, answer in ((caller.http, "Erika"), (admin, None)):
        tested = (await http.post(f"/integrations/{integration}/test", json={})).json()["endpoints"]
        one = next(each for each in tested if each["name"] == "get")["trace"]
        assert (one["method"], one["url"]) == ("GET", partner.url("/orders"))
        assert (one["statusLine"], one["responseBody"]) == ("HTTP/1.1 503 Down", answer)
        assert one["timings"]["total"] > 0
    kept = (await read(caller.http, f"/integrations/{integration}/health"))["endpoints"]
    assert next(each for each in kept if each["name"] == "get")["trace"]["statusLine"] == "HTTP/1.1 503 Down"
    await lab.stop()
    tested = (await admin.post(f"/integrations/{caller.ids['adt/lab'][0]}/test", json={})).json()["endpoints"]
    assert (tested[0]["trace"]["url"], tested[0]["trace"]["statusLine"]) == (f"mllp://127.0.0.1:{lab.port}", None)


@pytest.mark.ledger_part("S2-56", "failures point to their payload, and are grouped by class and endpoint")
async def test_failures_are_looked_at_together(
    caller: Caller, partner: HttpPartner, signed_in: Sign, running: Any
) -> None:
    busy = Said(503, b"Erika", {"Retry-After": "0"}, "Busy")
    partner.next += [busy, busy]
    twice = await caller.failed("rest/get", correlation_id="c-1")
    partner.next.append(Said(404, b"", reason="Gone"))
    once = await caller.failed("rest/post", data="Erika", correlation_id="c-2")
    await caller.ask("rest/post", data="Erika")
    viewer, (integration, get) = await signed_in("viewer"), caller.ids["rest/get"]
    found = await read(viewer, f"/integrations/{integration}/logs/failures")
    missing, down = found["items"]
    assert (found["more"], found["since"] < down["firstAt"] <= down["lastAt"] < found["until"]) == (False, True)
    assert (missing["endpoint"], missing["errorClass"], missing["count"]) == ("post", "not_found", 1)
    assert (missing["correlationId"], missing["executionId"]) == ("c-2", once)
    assert (down["endpoint"], down["endpointId"], down["errorClass"], down["count"]) == ("get", get, "http_5xx", 2)
    assert (down["correlationId"], down["executionId"], down["firstAt"] < down["lastAt"]) == ("c-1", twice, True)
    assert (down["cause"], down["nextStep"]) == texts.TABLES["en"]["http_5xx"]
    assert down["advice"] == texts.advice("http_5xx")
    lines = (await read(viewer, f"/integrations/{integration}/logs", outcome="failure"))["items"]
    assert [(one["errorClass"], one["attempt"], one["correlationId"]) for one in lines] == [
        ("not_found", 1, "c-2"), ("http_5xx", 2, "c-1"), ("http_5xx", 1, "c-1")
    ]  # fmt: skip
    assert {(one["integrationId"], bool(one["endpointId"])) for one in lines} == {(integration, True)}
    for one in (missing, down, *lines):
        shown = await read(viewer, one["payloadRef"].removeprefix("/api/v1"))
        assert (shown["id"], shown["payloadRef"]) == (one["executionId"], one["payloadRef"])
        assert shown["request"]["data"] in (None, "***")
    assert "Erika" not in json.dumps([found, lines])
    path = f"/integrations/{integration}/logs/failures"
    assert [one["endpoint"] for one in (await read(viewer, path, endpoint_id=get))["items"]] == ["get"]
    assert (await read(viewer, path, to=down["firstAt"]))["items"] == []
    assert [one["count"] for one in (await read(viewer, path, **{"from": down["lastAt"]}))["items"]] == [1, 1]
    assert code(await viewer.get(f"/integrations/{uuid.uuid4()}/logs/failures")) == (404, "INT001")
    events = await running.get("/audit", entity=f"integration/{integration}")
    assert "log.failures" in [one["event"]["action"] for one in events["items"]]


@pytest.mark.ledger_part("S2-56", "also what was called off has its class")
async def test_what_was_called_off_has_its_class(caller: Caller, partner: HttpPartner) -> None:
    partner.react = lambda _: Said(wait=20)
    begun = await caller.ask("rest/post", 202, data=1, wait=0)
    await partner.until(1)
    cancelled = (await caller.http.post(f"/executions/{begun['id']}/cancel")).json()
    assert (cancelled["status"], cancelled["errorClass"]) == ("cancelled", "cancelled")
    groups = await read(caller.http, f"/integrations/{begun['integrationId']}/logs/failures")
    assert [(one["errorClass"], one["executionId"]) for one in groups["items"]] == [("cancelled", begun["id"])]


@pytest.mark.ledger_part("S2-44", "cause and next step in the client's language, and the answer says which")
async def test_what_to_do_is_said_in_the_clients_language(caller: Caller, partner: HttpPartner) -> None:
    german = {"accept-language": "de-AT, en;q=0.5"}
    cause, step = texts.TABLES["de"]["http_5xx"]
    integration, endpoint = caller.ids["rest/post"]
    partner.react = lambda _: Said(500, b"", reason="Down")
    path = f"/integrations/{integration}/endpoints/{endpoint}/execute"
    response = await caller.http.post(path, json={"data": 1}, headers=german)
    details = response.json()["error"]["details"]
    assert (response.status_code, details["advice"], details["error_class"]) == (502, f"{cause} {step}", "http_5xx")
    answers = [response]
    for method, where in (
        ("GET", f"/executions/{details['execution']}"), ("GET", "/executions"),
        ("GET", f"/integrations/{integration}/executions"), ("GET", f"/integrations/{integration}/logs/failures"),
        ("POST", f"/integrations/{integration}/test"), ("GET", f"/integrations/{integration}/health"),
        ("POST", f"/integrations/{integration}/health/check"),
    ):  # fmt: skip
        told = await caller.http.request(method, where, headers=german)
        answers.append(told)
        found = told.json()
        one = (found.get("items") or found.get("endpoints") or [found])[0]
        assert (one["errorClass"], one["cause"], one["nextStep"], one["advice"]) == (
            "http_5xx", cause, step, f"{cause} {step}"
        ), where  # fmt: skip
        told = await caller.http.request(method, where)
        assert told.headers["content-language"] == "en"
        assert cause not in told.text
    for one in answers:
        assert one.headers["content-language"] == "de"
        assert "accept-language" in one.headers["vary"].lower()
