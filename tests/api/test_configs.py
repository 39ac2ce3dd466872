"""Document 002's surface: its paths, its words, its wrapper; the same rows as /api/v1/integrations."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
from collections.abc import Awaitable, Callable
from typing import Any

import asyncssh
import httpx
import pytest

from hilum.sdk.testing import free_port
from hilum.sdk.testing.mllp import MllpPartner
from hilum.sdk.testing.web import Said
from hilum.services import configs

pytestmark = pytest.mark.anyio
Sign = Callable[..., Awaitable[httpx.AsyncClient]]


@pytest.fixture
async def specialist(signed_in: Sign) -> httpx.AsyncClient:
    """A client of the hub itself, so that every surface can be asked."""
    client = await signed_in("integration_specialist")
    client.base_url = httpx.URL(str(client.base_url).replace("/api/v1", ""))
    return client


def dto(url: str | None, **changes: Any) -> dict[str, Any]:
    given = {"name": "Payments", "type": "PAYMENT_GATEWAY", "provider": "Stripe", "endpoint": url, "timeout": 5_000,
             "authType": "TOKEN", "apiKey": "canary-of-the-gateway", "retryAttempts": 0}  # fmt: skip
    return {**given, **changes}


async def created(client: httpx.AsyncClient, wanted: dict[str, Any]) -> dict[str, Any]:
    response = await client.post("/api/integration/configs", json=wanted)
    assert response.status_code == 201, response.text
    body = response.json()
    assert (body["success"], body["message"]) == (True, "Integration created")
    assert response.headers["location"] == f"/api/integration/configs/{body['data']['id']}"
    found: dict[str, Any] = body["data"]
    return found


@pytest.mark.ledger("S2-07")
@pytest.mark.ledger("S2-09")
async def test_all_22_fields_under_their_names(specialist: httpx.AsyncClient, web: Any) -> None:
    made = await created(
        specialist, dto(web.url("/orders"), description="Cards", config={"x-desk": 4}, headers={"X-Site": "n"})
    )
    assert set(made) == configs.FIELDS
    assert len(made) == 22
    assert (made["status"], made["authType"], made["apiKey"]) == ("ACTIVE", "TOKEN", "********")
    assert (made["endpoint"], made["timeout"], made["retryAttempts"]) == (web.url("/orders"), 5_000, 0)
    assert (made["tenantId"], made["config"], made["headers"]) == ("demo", {"x-desk": 4}, {"X-Site": "n"})
    assert made["updatedAt"] >= made["createdAt"]
    response = await specialist.get(f"/integration/configs/{made['id']}")
    assert response.json() == {"success": True, "data": made, "message": ""}
    assert response.headers["etag"]


@pytest.mark.ledger("S2-03")
async def test_both_paths_answer_alike(specialist: httpx.AsyncClient, web: Any) -> None:
    made = await created(specialist, dto(web.url("/orders")))
    for path in ("/configs", f"/configs/{made['id']}"):
        one, other = [await specialist.get(f"{base}{path}") for base in ("/integration", "/api/integration")]
        assert (one.status_code, one.json()) == (200, other.json())


async def test_the_same_facts_on_either_surface(specialist: httpx.AsyncClient, web: Any) -> None:
    """Contract C-01: one row, two views."""
    made = await created(specialist, dto(web.url("/orders"), headers={"X-Site": "north"}))
    canonical = (await specialist.get(f"/api/v1/integrations/{made['id']}")).json()
    assert (canonical["name"], canonical["type"], canonical["provider"]) == ("Payments", "PAYMENT_GATEWAY", "Stripe")
    assert canonical["authentication"] == {"type": "bearer", "token": canonical["authentication"]["token"]}
    (endpoint,) = canonical["endpoints"]
    assert (endpoint["url"], endpoint["timeout"], endpoint["retries"]) == (web.url("/orders"), 5_000, 0)
    assert (canonical["headers"], canonical["organization"]) == (made["headers"], made["tenantId"])
    assert (canonical["created_at"], canonical["status"]) == (made["createdAt"], made["status"].lower())
    patch = {"if-match": f'"v{canonical["version"]}"'}
    path = f"/api/v1/integrations/{made['id']}"
    changed = await specialist.patch(path, json={"provider": "Adyen"}, headers=patch)
    assert changed.status_code == 200, changed.text
    assert (await specialist.get(f"/integration/configs/{made['id']}")).json()["data"]["provider"] == "Adyen"


@pytest.mark.ledger("S2-15")
@pytest.mark.ledger("S2-08")
async def test_a_list_in_its_wrapper(specialist: httpx.AsyncClient, web: Any) -> None:
    await created(specialist, dto(web.url("/orders")))
    await created(specialist, dto(f"http://127.0.0.1:{free_port()}", name="Insurer", type="INSURANCE", provider="AOK"))
    for query, names in (
        ({"type": "INSURANCE"}, ["Insurer"]), ({"status": "ERROR"}, ["Insurer"]),
        ({"provider": "Stripe"}, ["Payments"]),
        ({"search": "pay"}, ["Payments"]), ({"type": "FHIR"}, []), ({"status": "TESTING"}, []),
    ):  # fmt: skip
        body = (await specialist.get("/integration/configs", params=query)).json()
        assert [one["name"] for one in body["data"]] == names, query
        assert body["pagination"]["total"] == len(names)
    body = (await specialist.get("/integration/configs", params={"limit": 2, "page": 2})).json()
    assert set(body) == {"success", "data", "pagination", "message"}
    assert body["pagination"] == {"page": 2, "limit": 2, "total": 5, "totalPages": 3}


async def test_patch_changes_what_it_names(specialist: httpx.AsyncClient, web: Any) -> None:
    made = await created(specialist, dto(web.url("/orders")))
    path = f"/integration/configs/{made['id']}"
    changed = await specialist.patch(path, json={"provider": None, "retryAttempts": 2, "apiKey": "********"})
    assert changed.status_code == 200, changed.text
    body = changed.json()
    assert (body["message"], body["data"]["provider"]) == ("Integration updated", None)
    assert (body["data"]["retryAttempts"], body["data"]["timeout"], body["data"]["apiKey"]) == (2, 5_000, "********")
    web.heard.clear()
    assert (await specialist.post(f"{path}/test")).json()["data"]["overall"]["success"]
    assert web.heard[-1].headers["authorization"] == "Bearer canary-of-the-gateway", "the mask changed nothing"
    stale = await specialist.patch(path, json={"provider": "x"}, headers={"if-match": '"v1"'})
    assert stale.status_code == 412
    basic = await specialist.patch(path, json={"authType": "BASIC_AUTH", "username": "hub", "password": "canary-two"})
    assert (basic.status_code, basic.json()["data"]["authType"]) == (200, "BASIC_AUTH")
    assert (basic.json()["data"]["username"], basic.json()["data"]["password"]) == ("hub", "********")
    assert basic.json()["data"]["apiKey"] is None
    off = await specialist.patch(path, json={"status": "INACTIVE"})
    assert off.json()["data"]["status"] == "INACTIVE"
    assert (await specialist.patch(path, json={"status": "ERROR"})).status_code == 400


@pytest.mark.ledger("S2-26")
@pytest.mark.ledger("S2-29")
async def test_every_authentication_by_its_name(specialist: httpx.AsyncClient, web: Any) -> None:
    """C-04: the names of document 002 and ours; two more kinds for partners that take files."""
    key = asyncssh.generate_private_key("ssh-ed25519").export_private_key("pkcs8-pem").decode()
    for number, (name, fields, ours) in enumerate((
        ("API_KEY", {"apiKey": "canary-1"}, {"type": "api_key"}), ("TOKEN", {"apiKey": "canary-2"}, {"type": "bearer"}),
        ("BASIC_AUTH", {"username": "u", "password": "canary-3"}, {"type": "basic", "username": "u"}),
        ("NONE", {}, {"type": "none"}),
        ("OAUTH", {"apiKey": "us", "apiSecret": "canary-4", "config": {"tokenUrl": "https://127.0.0.1:1/t"}},
         {"type": "oauth2", "client_id": "us", "token_url": "https://127.0.0.1:1/t"}),
        ("JWT", {"apiKey": "us", "apiSecret": "canary-5-of-at-least-32-characters", "config": {"audience": "them"}},
         {"type": "jwt", "issuer": "us", "audience": "them"}),
        ("SSH_KEY", {"username": "u", "apiSecret": key, "endpoint": "sftp://127.0.0.1:1/in"},
         {"type": "ssh_key", "username": "u"}),
        ("ACCESS_KEY", {"apiKey": "AKID", "apiSecret": "canary-6", "endpoint": "s3://exchange/in"},
         {"type": "access_key", "access_key_id": "AKID"}),
    )):  # fmt: skip
        wanted = {"name": f"One {number}", "type": "API", "endpoint": web.url("/orders"), "authType": name, **fields}
        made = await created(specialist, {**wanted, "status": "INACTIVE"})
        assert made["authType"] == name
        assert "canary" not in str(made)
        assert "PRIVATE KEY" not in str(made)
        found = (await specialist.get(f"/api/v1/integrations/{made['id']}")).json()["authentication"]
        assert {key: found[key] for key in ours} == ours
    refused = await specialist.post("/integration/configs", json=dto(web.url("/orders"), authType="KERBEROS"))
    assert refused.status_code == 400, "never silently none"


@pytest.mark.ledger("S2-28")
async def test_a_user_s_name_and_password_are_both_needed_and_go_over_tls(
    specialist: httpx.AsyncClient, web: Any
) -> None:
    """In production, that is, unless somebody signs for an exception that ends (C-24)."""
    basic = {"name": "Basic", "authType": "BASIC_AUTH", "username": "ada", "password": "canary:word"}
    for left in ("username", "password"):
        wanted = {key: value for key, value in dto(web.url("/orders"), **basic, apiKey=None).items() if key != left}
        refused = await specialist.post("/integration/configs", json=wanted)
        assert (refused.status_code, refused.json()["message"]) == (
            400, "Integration validation failed: Basic authentication username and password are required"
        )  # fmt: skip
    assert web.heard == []
    made = await created(specialist, dto(web.url("/orders"), **basic, apiKey=None))
    assert (made["username"], made["password"]) == ("ada", "********")
    assert web.heard[-1].headers["authorization"] == f"Basic {base64.b64encode(b'ada:canary:word').decode()}"
    signs = {"type": "basic", "username": "ada", "password": "canary:word"}

    async def checked(url: str, environment: str) -> list[str]:
        wanted = {"name": "x", "type": "API", "environment": environment, "authentication": signs,
                  "endpoints": [{"url": url, "method": "POST"}]}  # fmt: skip
        found: list[str] = (await specialist.post("/api/v1/integrations/validate", json=wanted)).json()["errors"]
        return found

    assert await checked("https://pay.example/", "production") == []
    assert await checked("http://pay.example/", "development") == []
    (problem,) = await checked("http://pay.example/", "production")
    assert "production needs TLS to other hosts" in problem


@pytest.mark.ledger("S2-34")  # with its parts: no form of a private address, and no redirect, gets through
async def test_the_endpoint_is_the_first_and_leads_nowhere_that_it_may_not(
    specialist: httpx.AsyncClient, web: Any
) -> None:
    several = [{"name": name, "url": web.url(f"/{name}"), "method": "GET"} for name in ("one", "two")]
    response = await specialist.post("/api/v1/integrations", json={
        "name": "Several", "type": "API", "environment": "development", "endpoints": several
    })  # fmt: skip
    path = f"/integration/configs/{response.json()['id']}"
    assert (await specialist.get(path)).json()["data"]["endpoint"] == web.url("/one")
    changed = await specialist.patch(path, json={"endpoint": web.url("/three")})
    assert (changed.status_code, changed.json()["data"]["endpoint"]) == (200, web.url("/three"))
    canonical = (await specialist.get(f"/api/v1/integrations/{response.json()['id']}")).json()["endpoints"]
    assert [(one["name"], one["url"]) for one in canonical] == [("one", web.url("/three")), ("two", web.url("/two"))]
    for number, (inside, why) in enumerate((
        ("http://10.1.2.3/", "a private address: only the hub's operator can allow it"),
        ("http://[fd00::1]/", "a private address: only the hub's operator can allow it"),
        ("http://169.254.169.254/latest", "a cloud metadata address"),
        ("http://metadata.google.internal/", "metadata service"),
    )):  # fmt: skip
        made = await created(specialist, dto(inside, name=f"Inside {number}"))
        assert (made["status"], why in made["lastError"]) == ("ERROR", True), made["lastError"]
    for number, odd in enumerate((
        "http://2130706433/", "http://0x7f.1/", "http://user:pass@pay.example/", "gopher://pay.example/",
        "http://pay.example/#part",
    )):  # fmt: skip
        refused = await specialist.post("/integration/configs", json=dto(odd, name=f"Odd {number}"))
        if refused.status_code != 400:
            assert refused.json()["data"]["status"] == "ERROR", odd
            assert "neither a host's name nor an address" in refused.json()["data"]["lastError"], odd


@pytest.mark.ledger_part("S2-33", "optional, 2000 characters at most, told as it was written; the console is to come")
async def test_a_description_is_text(specialist: httpx.AsyncClient, web: Any) -> None:
    made = await created(specialist, dto(web.url("/orders")))
    path = f"/integration/configs/{made['id']}"
    assert made["description"] is None
    text = "<script>alert('é')</script>".ljust(2_000, "x")
    told = await specialist.patch(path, json={"description": text})
    assert (told.status_code, told.json()["data"]["description"]) == (200, text)
    assert (told.headers["content-type"], told.headers["x-content-type-options"]) == ("application/json", "nosniff")
    refused = await specialist.patch(path, json={"description": text + "x"})
    assert (refused.status_code, "2000 characters" in refused.json()["message"]) == (400, True)
    assert (await specialist.patch(path, json={"description": None})).json()["data"]["description"] is None


@pytest.mark.ledger("S2-11")
async def test_a_connection_is_tested_as_v1_tests_it(specialist: httpx.AsyncClient, web: Any) -> None:
    """One engine: the same result, log and limit, wherever it is asked for."""
    made = await created(specialist, dto(web.url("/orders")))
    paths = [f"/api/integration/configs/{made['id']}/test", f"/integration/configs/{made['id']}/test",
             f"/api/v1/integrations/{made['id']}/test"]  # fmt: skip

    async def tested() -> list[dict[str, Any]]:
        answers = [await specialist.post(path) for path in paths]
        assert {one.status_code for one in answers} == {200}, "also where the partner fails"
        wrapped = [one.json() for one in answers[:2]]
        ended = "successful" if wrapped[0]["data"]["overall"]["success"] else "failed"
        assert {(one["success"], one["message"]) for one in wrapped} == {(True, f"Connection {ended}")}
        return [one["data"] for one in wrapped] + [answers[2].json()]

    def facts(result: dict[str, Any]) -> dict[str, Any]:
        """What does not differ from one moment to the next."""
        moving = {"responseTime", "timings", "trace"}
        endpoints = [{key: one[key] for key in one.keys() - moving} for one in result["endpoints"]]
        return {**result, "timestamp": None, "endpoints": endpoints}

    good = await tested()
    assert (good[0]["integrationId"], good[0]["overall"]["success"]) == (made["id"], True)
    assert good[0]["endpoints"][0]["timings"]["total"] > 0
    assert facts(good[0]) == facts(good[1]) == facts(good[2])
    await web.stop()
    bad = await tested()
    assert (bad[0]["overall"]["success"], bad[0]["endpoints"][0]["errorClass"]) == (False, "refused")
    assert facts(bad[0]) == facts(bad[1]) == facts(bad[2])
    logs = (await specialist.get(f"/api/v1/integrations/{made['id']}/logs", params={"q": "refused"})).json()
    assert [one["kind"] for one in logs["items"]] == ["test"] * 3
    statuses = [(await specialist.post(path)).status_code for path in paths * 2]
    assert (statuses[:4], statuses[4:]) == ([200] * 4, [429] * 2), "ten a minute, by whichever way"
    unknown = await specialist.post("/integration/configs/01981c9e-5f6a-7b3c-8d4e-2f1a0b9c8d7e/test")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "INT001")


@pytest.mark.ledger("S2-24")
async def test_an_api_of_ones_own_by_the_generic_connector(specialist: httpx.AsyncClient, web: Any) -> None:
    made = await created(specialist, {"name": "Own", "type": "API", "endpoint": web.url("/v7/things"),
                                      "headers": {"X-Site": "north"}})  # fmt: skip
    assert (made["status"], made["type"]) == ("ACTIVE", "API")
    path = f"/api/v1/integrations/{made['id']}"
    found = await specialist.get(path)
    assert found.json()["protocol"] == "rest_api"
    methods = ("GET", "POST", "PUT", "PATCH", "DELETE")
    endpoints = [{"name": one.lower(), "url": web.url("/v7/things/{id}"), "method": one} for one in methods]
    changed = await specialist.patch(path, json={"endpoints": endpoints}, headers={"if-match": found.headers["etag"]})
    assert changed.status_code == 200, changed.text
    web.heard.clear()
    web.react = lambda heard: Said(200, json.dumps({"method": heard.method}).encode())
    for one in changed.json()["endpoints"]:
        asked = {"parameters": {"id": "7 a", "view": "all"}} | ({} if one["method"] == "GET" else {"data": {"n": 1}})
        answer = await specialist.post(f"{path}/endpoints/{one['id']}/execute", json=asked)
        assert answer.status_code == 200, answer.text
        assert answer.json()["response"]["data"] == {"method": one["method"]}
    assert web.methods == list(methods)
    assert {one.target for one in web.heard} == {"/v7/things/7%20a?view=all"}
    assert {one.headers["x-site"] for one in web.heard} == {"north"}
    assert [one.body for one in web.heard] == [b"", *[b'{"n":1}'] * 4]


async def reachable(port: int) -> bool:
    """Whether something listens."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


HL7 = "MSH|^~\\&|HIS|W|HUB|X|20260101||ADT^A01|c1|P|2.5\rPID|1||4711||Mustermann^Erika\r"
V3 = '<?xml version="1.0"?><PRPA_IN201301UV02 xmlns="urn:hl7-org:v3" ITSVersion="XML_1.0"/>'


@pytest.mark.ledger("S2-16")
async def test_hl7_is_spoken_over_mllp_both_ways_and_v3_over_http(
    specialist: httpx.AsyncClient, web: Any, running: Any, until: Any
) -> None:
    """C-05, C-32: the type HL7 means the protocol hl7_v2, unless another is named."""

    async def executed(one: dict[str, Any], data: str) -> dict[str, Any]:
        endpoint = next(each["id"] for each in one["endpoints"] if each["direction"] == "outbound")
        path = f"/api/v1/integrations/{one['id']}/endpoints/{endpoint}/execute"
        answer = await specialist.post(path, json={"data": data})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    lab = MllpPartner()
    await lab.start()
    try:
        made = await created(specialist, {"name": "V2", "type": "HL7", "endpoint": f"mllp://127.0.0.1:{lab.port}"})
        assert (made["status"], lab.received) == ("ACTIVE", []), "a test sends no message"
        path, port = f"/api/v1/integrations/{made['id']}", free_port()
        found = await specialist.get(path)
        assert (found.json()["type"], found.json()["protocol"]) == ("HL7", "hl7_v2")
        listener = {"name": "in", "direction": "inbound", "url": f"mllp://127.0.0.1:{port}"}
        sender = {"name": "main", "url": f"mllp://127.0.0.1:{lab.port}"}
        changed = await specialist.patch(
            path, json={"endpoints": [sender, listener]}, headers={"if-match": found.headers["etag"]}
        )
        assert changed.status_code == 200, changed.text
        answer = await executed(changed.json(), HL7)
        assert "MSA|AA|c1" in answer["response"]["data"]
        assert len(lab.received) == 1
        await until(lambda: reachable(port))
        tested = (await specialist.post(f"{path}/test")).json()
        assert {one["name"]: one["success"] for one in tested["endpoints"]} == {"main": True, "in": True}
        assert await dataclasses.replace(running, feed=port).send(HL7.encode()) == ["AA"]
    finally:
        await lab.stop()
    web.react = lambda _: Said(200, b"<ack/>", {"Content-Type": "application/xml"})
    v3 = {"name": "V3", "type": "HL7", "protocol": "rest_api", "environment": "development",
          "headers": {"Content-Type": "application/hl7-v3+xml"},
          "endpoints": [{"url": web.url("/v3"), "method": "POST"}]}  # fmt: skip
    response = await specialist.post("/api/v1/integrations", json=v3)
    assert (response.status_code, response.json()["status"], response.json()["type"]) == (201, "active", "HL7")
    answer = await executed(response.json(), V3)
    assert (answer["response"]["data"], web.heard[-1].body) == ("<ack/>", V3.encode())
    assert web.heard[-1].headers["content-type"] == "application/hl7-v3+xml"
    shown = (await specialist.get(f"/integration/configs/{response.json()['id']}")).json()["data"]
    assert (shown["type"], shown["endpoint"]) == ("HL7", web.url("/v3"))


@pytest.mark.ledger_part("S2-01", "admins and specialists make and test every type through the API; console: to come")
@pytest.mark.parametrize("role", ["tenant_admin", "integration_specialist"])
async def test_every_type_is_made_and_tested(signed_in: Sign, web: Any, role: str) -> None:
    client = await signed_in(role)
    base = str(client.base_url).replace("/v1/", "/integration/configs")
    web.react = lambda _: Said(200, b'{"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1"}')
    lab = MllpPartner()
    await lab.start()
    try:
        for kind in configs.TYPES:
            wanted: dict[str, Any] = {"name": f"Of {kind}", "type": kind}
            if kind == "HL7":
                wanted["endpoint"] = f"mllp://127.0.0.1:{lab.port}"
            elif kind != "WEBHOOK":
                wanted["endpoint"] = web.url(f"/{kind}")
            made = (await client.post(base, json=wanted)).json()["data"]
            assert (made["type"], made["status"], made["lastError"]) == (kind, "ACTIVE", None)
            tested = (await client.post(f"{base}/{made['id']}/test")).json()
            assert tested["data"]["overall"]["success"], tested
        stats = (await client.get(base.replace("configs", "stats"))).json()["data"]
        assert stats["byType"].keys() >= set(configs.TYPES)
    finally:
        await lab.stop()
    assert {one.method for one in web.heard} <= {"HEAD", "GET", "OPTIONS"}


@pytest.mark.ledger("S2-74")
async def test_errors_have_their_message_at_the_top(specialist: httpx.AsyncClient) -> None:
    missing = await specialist.get("/integration/configs/01981c9e-5f6a-7b3c-8d4e-2f1a0b9c8d7e")
    body = missing.json()
    assert (missing.status_code, body["statusCode"], body["success"]) == (404, 404, False)
    assert body["message"] == body["error"]["message"]
    assert body["error"]["code"] == "INT001"
    refused = await specialist.post("/api/integration/configs", json={"type": "API"})
    assert refused.json()["statusCode"] == 400
    assert refused.json()["message"].startswith("Integration validation failed: Required field 'name' is missing")
    other = await specialist.post("/integration/configs", json=dto("https://a.example", tenantId="clinic"))
    assert (other.status_code, other.json()["error"]["field"]) == (400, "tenantId")
    assert (
        await specialist.post("/integration/configs", json=dto("https://a.example", colour="red"))
    ).status_code == 400


async def test_delete_hides_it(specialist: httpx.AsyncClient, web: Any) -> None:
    made = await created(specialist, dto(web.url("/orders")))
    gone = await specialist.delete(f"/integration/configs/{made['id']}")
    assert (gone.status_code, gone.json()["message"]) == (200, "Integration deleted")
    assert (await specialist.get(f"/integration/configs/{made['id']}")).status_code == 404


async def test_a_webhook_needs_no_endpoint(specialist: httpx.AsyncClient) -> None:
    made = await created(specialist, {"name": "Hook", "type": "WEBHOOK", "status": "INACTIVE"})
    assert (made["endpoint"], made["type"], made["authType"]) == (None, "WEBHOOK", "NONE")


@pytest.mark.ledger("S2-50")
@pytest.mark.ledger("S2-51")
@pytest.mark.ledger_part("S2-12", "document 002's numbers are v1's; those of synchronization and document 004: to come")
async def test_the_numbers_add_up_and_are_v1s(specialist: httpx.AsyncClient, web: Any) -> None:
    await created(specialist, dto(web.url("/orders")))
    await created(specialist, dto(f"http://127.0.0.1:{free_port()}", name="Down"))
    await created(specialist, {"name": "Hook", "type": "WEBHOOK", "status": "INACTIVE"})
    gone = await created(specialist, dto(web.url("/orders"), name="Gone"))
    assert (await specialist.delete(f"/integration/configs/{gone['id']}")).status_code == 200
    body = (await specialist.get("/integration/stats")).json()
    data = body["data"]
    parts = ("activeIntegrations", "inactiveIntegrations", "errorCount", "testingIntegrations")
    assert body["success"]
    assert [data[one] for one in parts] == [4, 1, 1, 0], "three of the file and one; the archived one is not in"
    assert data["totalIntegrations"] == sum(data[one] for one in parts) == sum(data["byStatus"].values())
    canonical = (await specialist.get("/api/v1/integrations/stats")).json()
    assert (canonical["total"], canonical["by_type"]) == (data["totalIntegrations"], data["byType"])
    assert [canonical[one] for one in ("active", "inactive", "error", "testing")] == [data[one] for one in parts]
    assert (data["lastSyncedAt"], canonical["last_sync"]) == (None, None), "nothing is synchronized yet"
    for ours, theirs in (("last_24h", "last24Hours"), ("last_7d", "last7Days")):
        one, other = canonical[ours], data[theirs]
        assert (one["requests"], one["failed"], one["success_rate"]) == (
            other["requests"], other["failed"], other["successRate"]
        )  # fmt: skip
        assert (one["latency_p50"], one["latency_p95"]) == (other["latencyP50"], other["latencyP95"])
