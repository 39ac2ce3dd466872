"""Integrations as document 003 has them: the record, its credentials and mappings, what production is strict about."""

from __future__ import annotations

import json
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from hilum.sdk.testing.oauth2 import Client, authorization_server

pytestmark = pytest.mark.anyio
Sign = Callable[..., Awaitable[httpx.AsyncClient]]
CREDENTIALS = "OAuth2 client credentials are required"
REASON = {"x-reason": "a test changes it"}


def draft(url: str, **changes: Any) -> dict[str, Any]:
    return {
        "name": "Lab orders", "type": "LAB_SYSTEM", "environment": "development", "provider": "Example Lab",
        "data_categories": ["laboratory"], "authentication": {"type": "api_key", "key": "canary-key-of-the-lab"},
        "endpoints": [{"name": "orders", "url": url, "method": "POST"}], **changes,
    }  # fmt: skip


def failed(response: httpx.Response, status: int, code: str, message: str = "") -> dict[str, Any]:
    error: dict[str, Any] = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code), response.text
    assert message in error["message"], error
    return error


async def created(client: httpx.AsyncClient, wanted: dict[str, Any], **query: Any) -> dict[str, Any]:
    response = await client.post("/integrations", json=wanted, params=query)
    assert response.status_code == 201, response.text
    found: dict[str, Any] = response.json()
    return found


@pytest.mark.ledger("S3-14", "S3-39")
@pytest.mark.ledger_part("S3-15", "production where nobody says otherwise")
async def test_what_is_stored_is_returned(signed_in: Sign, web: Any) -> None:
    """Document 003's record and its endpoints; who asks and for whom is the token's to say."""
    specialist = await signed_in("integration_specialist")
    me = (await specialist.get("/auth/me")).json()
    await specialist.post("/mappings", json={"name": "codes", "document": {"set": {"$.a": 1}}})
    whole = {
        "name": "orders", "url": web.url("/orders"), "method": "post", "parameters": {"query": {"limit": 5}},
        "headers": {"X-Site": "north", "X-Api-Key": "canary-header"}, "timeout": 4_000, "retries": 0,
        "rateLimit": {"requests": 50, "perSeconds": 1, "burst": 5, "concurrency": 3}, "dataMapping": "codes",
        "responseMapping": {"set": {"$.b": 2}},
    }  # fmt: skip
    least = {"url": web.url("/results"), "method": "GET"}
    wanted = draft("", type="rest_api", endpoints=[whole, least], createdBy="mallory", organization="clinic")
    made = await created(specialist, wanted, initialize=False)
    identifier = uuid.UUID(made["id"])
    assert (made["name"], made["type"], made["protocol"]) == ("Lab orders", "API", "rest_api")
    assert (made["status"], made["validation"]) == ("initializing", None)
    assert (made["created_by"], made["organization"], made["created_at"][:2]) == (me["id"], "demo", "20")
    assert made["mappings"] == ["codes"]
    assert made["credentials"]["type"] == "api_key"
    one, other = made["endpoints"]
    assert uuid.UUID(one["id"]) != uuid.UUID(other["id"]) != identifier
    assert [each["status"] for each in (one, other)] == ["configured"] * 2
    assert (one["method"], one["timeout"], one["retries"], one["parameters"]) == ("POST", 4_000, 0, whole["parameters"])
    assert one["headers"] == {"X-Site": "north", "X-Api-Key": "********"}
    assert one["rate_limit"] == {"messages": 50, "period": 1_000, "burst": 5, "concurrency": 3}
    assert (one["data_mapping"], one["response_mapping"]) == ("codes", whole["responseMapping"])
    assert (other["name"], other["method"], other["timeout"], other["retries"]) == ("rest_api_2", "GET", 30_000, 3)
    assert (other["headers"], other["parameters"]) == ({}, {})
    assert (await specialist.post(f"/integrations/{made['id']}/initialize")).json()["success"]
    again = (await specialist.get(f"/integrations/{made['id']}")).json()
    assert (again["status"], again["validation"]["valid"], again["endpoints"]) == ("active", True, made["endpoints"])
    assert {"valid", "errors", "warnings", "checkedFields"} <= again["validation"].keys()
    assert "canary" not in json.dumps([made, again])
    unsaid = {key: value for key, value in draft("https://lab.example/", name="P").items() if key != "environment"}
    assert (await created(specialist, unsaid, initialize=False))["environment"] == "production"
    for environment in ("production", "staging", "test", "development"):
        other = draft("https://lab.example/", name=environment, environment=environment)
        found = await created(specialist, other, initialize=False)
        assert found["environment"] == environment
    for bad in (
        {"environment": "live"}, {"endpoints": [{**least, "timeout": 0}]}, {"endpoints": [{**least, "retries": -1}]},
        {"endpoints": [{**least, "name": "a"}, {**least, "name": "a"}]},
    ):  # fmt: skip
        failed(await specialist.post("/integrations", json=draft("", name="Q") | bad), 400, "INT002")


@pytest.mark.ledger("S3-31")
async def test_credentials_are_configured_once_they_were_set_up(signed_in: Sign, web: Any) -> None:
    specialist = await signed_in("integration_specialist")
    none = await created(specialist, draft(web.url("/orders"), name="None", authentication=None))
    assert none["credentials"] == {
        "type": "none", "configured": False, "details": {"message": "No authentication configured"}
    }  # fmt: skip
    made = await created(specialist, draft(web.url("/orders")), initialize=False)
    path = f"/integrations/{made['id']}"

    async def configured() -> bool:
        found = (await specialist.get(path)).json()["credentials"]
        assert (found["type"], found["details"]["key"]["set"]) == ("api_key", True)
        assert "canary" not in json.dumps(found)
        return bool(found["configured"])

    async def patch(**changes: Any) -> None:
        tag = {"if-match": (await specialist.get(path)).headers["etag"]}
        response = await specialist.patch(path, json=changes, headers=tag)
        assert response.status_code == 200, response.text

    assert not await configured(), "nobody set it up yet"
    assert (await specialist.post(f"{path}/initialize")).json()["success"]
    assert await configured()
    await patch(description="what signs is as it was")
    assert await configured()
    await patch(authentication={"key": "canary-another-key"})
    assert not await configured(), "another key was not tried yet"
    assert (await specialist.post(f"{path}/initialize")).json()["success"]
    assert await configured()
    (listed,) = (await specialist.get("/integrations", params={"q": "lab orders"})).json()["items"]
    assert listed["credentials"]["configured"]
    lost = {"type": "bearer", "token": "${secret:nobody.token}"}
    one = await created(specialist, draft(web.url("/orders"), name="Lost", authentication=lost))
    assert one["last_error"].startswith("Authentication setup failed: ")
    assert one["credentials"] == {
        "type": "bearer", "configured": False, "details": {"token": {"set": True, "reference": lost["token"]}}
    }  # fmt: skip


@pytest.mark.ledger("S3-32")
async def test_a_token_is_fetched_at_set_up(signed_in: Sign) -> None:
    """Once, and kept for what follows; without one nobody else is asked."""
    specialist = await signed_in("integration_specialist")
    async with authorization_server() as server:
        server.clients["hub"] = Client("basic", "canary-of-the-client")
        given = {"type": "oauth2", "tokenUrl": f"{server.url}/token", "clientId": "hub", "scopes": ["orders"]}
        right, wrong = ({**given, "clientSecret": one} for one in ("canary-of-the-client", "canary-of-nobody"))
        made = await created(specialist, draft(f"{server.url}/api", authentication=right), initialize=False)
        assert (server.asked, made["credentials"]["configured"]) == ([], False)
        path = f"/integrations/{made['id']}"
        assert (await specialist.post(f"{path}/initialize")).json()["success"]
        (form,) = server.asked
        assert (form["grant_type"], form["scope"]) == ("client_credentials", "orders")
        shown = await specialist.get(path)
        assert shown.json()["credentials"]["configured"]
        assert not {one for one in ("canary", *server.live) if one in shown.text}
        assert (await specialist.post(f"{path}/test")).json()["overall"]["success"]
        assert len(server.asked) == 1, "it is kept"
        server.revoke()
        assert (await specialist.post(f"{path}/test")).json()["overall"]["success"]
        assert len(server.asked) == 2, "a 401 is asked about once"
        heard = len(server.requests)
        other = await created(specialist, draft(f"{server.url}/api", name="Wrong", authentication=wrong))
        assert (other["status"], other["credentials"]["configured"], len(server.requests)) == ("error", False, heard)
        assert other["last_error"].startswith("Authentication setup failed: orders: ")
        assert "invalid_client" in other["last_error"]
        (tried,) = (await specialist.get(f"/integrations/{other['id']}/initializations")).json()["items"]
        assert [one["step"] for one in tried["steps"]] == ["validation", "authentication"]
    for left, text in (("tokenUrl", "OAuth2 token URL is required"), ("clientId", CREDENTIALS),
                       ("clientSecret", CREDENTIALS)):  # fmt: skip
        signs = {key: value for key, value in right.items() if key != left}
        response = await specialist.post(
            "/integrations", json=draft("https://a.example", name="x", authentication=signs)
        )
        failed(response, 400, "INT002", f"Integration validation failed: {text}")


@pytest.mark.ledger("S3-20", "S3-42")
async def test_mappings_are_there_compile_and_pass_their_examples(signed_in: Sign, web: Any) -> None:
    """Or neither is one made to work with them, nor a change of one stored. What authenticates is asked of nobody."""
    specialist = await signed_in("integration_specialist")
    bad = {"set": {"$.a": 1}, "examples": [{"input": {}, "expected": {"a": 2}}]}
    for name, document, drafted in (
        ("orders", {"set": {"$.a": 1}}, False), ("hl7", {"set": {"MSH-5": "LAB"}}, False), ("wrong", bad, True),
    ):  # fmt: skip
        response = await specialist.post(
            "/mappings", json={"name": name, "document": document}, params={"draft": str(drafted).lower()}
        )
        assert response.status_code == 201, response.text

    def one(**mappings: Any) -> list[dict[str, Any]]:
        return [{"name": "orders", "url": web.url("/orders"), "method": "POST", **mappings}]

    fine = ({"dataMapping": "orders", "responseMapping": {"set": {"$.b": 2}}}, {"dataMapping": "orders@1"},
            {"dataMapping": {**bad, "examples": [{"input": {}, "expected": {"a": 1}}]}})  # fmt: skip
    for number, mapping in enumerate(fine):
        made = await created(specialist, draft("", name=f"Fine {number}", endpoints=one(**mapping)))
        assert made["status"] == "active", made["last_error"]
    wrong: tuple[tuple[dict[str, Any], str], ...] = (
        ({"dataMapping": "nobody"}, "orders.data_mapping: there is no mapping 'nobody'"),
        ({"responseMapping": "orders@7"}, "orders.response_mapping: there is no mapping 'orders@7'"),
        ({"dataMapping": "wrong"}, "orders.data_mapping: there is no mapping 'wrong'"),
        ({"dataMapping": "hl7"}, "(hl7)"),
        ({"responseMapping": "hl7"}, "(hl7)"),
        ({"dataMapping": {"sett": {}}}, "orders.data_mapping"),
        ({"dataMapping": {"compute": {"$.a": "upper("}}}, "orders.data_mapping.compute.$.a"),
        ({"dataMapping": bad}, "orders.data_mapping: examples[0]"),
        ({"responseMapping": bad}, "orders.response_mapping: examples[0]"),
    )
    web.heard.clear()
    tag = {"if-match": f'"v{made["version"]}"'}
    for number, (mapping, told) in enumerate(wrong):
        failing = await created(specialist, draft("", name=f"Wrong {number}", endpoints=one(**mapping)))
        assert (failing["status"], told in failing["last_error"]) == ("error", True), failing["last_error"]
        (tried,) = (await specialist.get(f"/integrations/{failing['id']}/initializations")).json()["items"]
        assert (tried["steps"][-1]["step"], tried["steps"][-1]["success"]) == ("mappings", False)
        response = await specialist.patch(
            f"/integrations/{made['id']}", json={"endpoints": one(**mapping)}, headers=tag
        )
        assert told in failed(response, 400, "INT002")["message"]
    for signs in ({"type": "basic", "username": "u"}, {"type": "jwt", "secret": "short"}, {"type": "oauth2"}):
        wanted = draft(web.url("/orders"), name="Signs", authentication=signs)
        checked = (await specialist.post("/integrations/validate", json=wanted)).json()
        assert (checked["valid"], len(checked["errors"]) > 0) == (False, True)
        error = failed(await specialist.post("/integrations", json=wanted), 400, "INT002")
        assert error["message"] == f"Integration validation failed: {', '.join(checked['errors'])}"
    assert web.heard == [], "nobody was asked"


@pytest.mark.ledger("S3-30")
@pytest.mark.ledger_part("S3-15", "HTTPS in production, unless somebody signs for an exception that ends")
async def test_plaintext_is_warned_about_and_in_production_signed_for(signed_in: Sign, web: Any) -> None:
    specialist = await signed_in("integration_specialist")
    warning = "endpoints[0] (orders): HTTP endpoint detected - recommend using HTTPS for security"
    endpoint = {"name": "orders", "url": "http://lab.example/orders", "method": "POST"}

    async def checked(environment: str, **changes: Any) -> dict[str, Any]:
        wanted = draft("", environment=environment, endpoints=[{**endpoint, **changes}])
        found: dict[str, Any] = (await specialist.post("/integrations/validate", json=wanted)).json()
        return found

    for environment in ("staging", "test", "development"):
        found = await checked(environment)
        assert (found["valid"], found["warnings"]) == (True, [warning]), environment
    found = await checked("production")
    assert (found["valid"], found["warnings"]) == (False, [warning])
    assert "production needs TLS to other hosts" in found["errors"][0]
    for other in ("https://lab.example/", web.url("/loopback")):
        assert (await checked("production", url=other))["valid"]
    lanes = {"name": "out", "url": "mllp://lab.example:2575"}
    found = (await specialist.post("/integrations/validate", json=draft("", type="HL7", authentication=None,
                                                                        endpoints=[lanes]))).json()  # fmt: skip
    assert (found["valid"], found["warnings"]) == (True, ["No authentication configuration provided"])
    vpn = {"reason": "inside the hospital's VPN", "until": "2999-01-01"}
    assert not (await checked("production", plaintext={**vpn, "until": "2020-01-01"}))["valid"]

    wanted = draft("", environment="production", endpoints=[{**endpoint, "plaintext": vpn}])

    async def signature(error: dict[str, Any]) -> dict[str, str]:
        needed = error["details"]["signature_required"]
        assert needed["operation"] == "plaintext.except"
        body = {"operation": needed["operation"], "entity": needed["entity"], "meaning": "approval", "reason": "VPN",
                "password": "correct horse battery staple"}  # fmt: skip
        response = await specialist.post("/signatures", json=body)
        assert response.status_code == 201, response.text
        return {**REASON, "x-signature": response.json()["id"]}

    query = {"initialize": "false"}
    failed(await specialist.post("/integrations", json=wanted, params=query), 400, "INT002", "needs a reason")
    response = await specialist.post("/integrations", json=wanted, params=query, headers=REASON)
    signed = await signature(failed(response, 403, "INT011"))
    response = await specialist.post("/integrations", json=wanted, params=query, headers=signed)
    assert response.status_code == 201, response.text
    made = response.json()
    path, tag = f"/integrations/{made['id']}", {"if-match": response.headers["etag"]}
    assert made["endpoints"][0]["plaintext"] == vpn
    for changes in ({"plaintext": {**vpn, "until": "2998-01-01"}}, {"url": "http://elsewhere.example/"}):
        patch = {"endpoints": [{**endpoint, "plaintext": vpn, **changes}]}
        failed(await specialist.patch(path, json=patch, headers={**tag, **REASON}), 403, "INT011")
    signed = await signature(failed(await specialist.patch(path, json=patch, headers={**tag, **REASON}), 403, "INT011"))
    response = await specialist.patch(path, json=patch, headers={**tag, **signed})
    assert response.status_code == 200, response.text
    tag = {"if-match": response.headers["etag"]}
    response = await specialist.patch(path, json={"provider": "as it was signed for"}, headers=tag)
    assert response.status_code == 200, response.text
    other = await created(specialist, draft("", name="B", endpoints=[{**endpoint, "plaintext": vpn}]), initialize=False)
    headers = {"if-match": f'"v{other["version"]}"', **REASON}
    move = {"environment": "production"}
    failed(await specialist.patch(f"/integrations/{other['id']}", json=move, headers=headers), 403, "INT011")
