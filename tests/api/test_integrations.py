"""Integrations over HTTP: made, made to work, seen, changed, switched, archived; documents 000 and 003."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from hilum.sdk.testing import free_port

pytestmark = pytest.mark.anyio
Sign = Callable[..., Awaitable[httpx.AsyncClient]]
REASON = {"x-reason": "a test changes it"}


def draft(url: str, **changes: Any) -> dict[str, Any]:
    return {
        "name": "Lab orders", "type": "LAB_SYSTEM", "environment": "development", "provider": "Example Lab",
        "authentication": {"type": "api_key", "key": "canary-key-of-the-lab"},
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


async def test_one_that_works_is_active(signed_in: Sign, web: Any) -> None:
    specialist = await signed_in("integration_specialist")
    response = await specialist.post("/integrations", json=draft(web.url("/orders")))
    assert response.status_code == 201, response.text
    made = response.json()
    assert response.headers["location"] == f"/api/v1/integrations/{made['id']}"
    assert response.headers["etag"] == f'"v{made["version"]}"'
    assert (made["status"], made["health"], made["last_error"]) == ("active", "healthy", None)
    assert (made["handle"], made["protocol"]) == ("lab-orders", "rest_api")
    assert set(web.methods) <= {"HEAD", "GET", "OPTIONS"}, "a test changes nothing at the partner"
    (endpoint,) = made["endpoints"]
    assert (endpoint["timeout"], endpoint["retries"], endpoint["method"]) == (30_000, 3, "POST")
    assert (await specialist.get(f"/integrations/{made['id']}")).json() == made


@pytest.mark.ledger("S3-16")
async def test_making_it_work_goes_step_by_step(signed_in: Sign, web: Any) -> None:
    specialist = await signed_in("integration_specialist")
    made = await created(specialist, draft(web.url("/orders")), initialize=False)
    assert made["status"] == "initializing"
    response = await specialist.post(f"/integrations/{made['id']}/initialize")
    assert response.status_code == 200, response.text
    tried = response.json()
    assert [one["step"] for one in tried["steps"]] == [
        "validation", "authentication", "endpoints", "mappings", "connectivity", "activation"
    ]  # fmt: skip
    times = [moment for one in tried["steps"] for moment in (one["startedAt"], one["endedAt"])]
    assert times == sorted(times)
    assert tried["success"]
    assert tried["connectivity"]["overall"] == {
        "success": True, "totalEndpoints": 1, "successfulEndpoints": 1, "failedEndpoints": 0
    }  # fmt: skip
    again = (await specialist.post(f"/integrations/{made['id']}/initialize")).json()
    assert again["success"], "it may be run again"
    page = (await specialist.get(f"/integrations/{made['id']}/initializations")).json()
    assert (page["total"], page["items"][1]["id"]) == (2, tried["id"])


@pytest.mark.ledger("S3-18")
@pytest.mark.ledger("S3-19")
async def test_one_that_does_not_answer_is_there_and_says_why(signed_in: Sign, web: Any) -> None:
    specialist = await signed_in("integration_specialist")
    dead = f"http://127.0.0.1:{free_port()}/dead"
    endpoints = [
        {"name": "up", "url": web.url("/orders"), "method": "GET"},
        {"name": "down", "url": dead, "method": "GET"},
    ]
    made = await created(specialist, draft("", endpoints=endpoints))
    assert (made["status"], made["health"]) == ("error", "degraded")
    assert made["last_error"].startswith("Connectivity test failed: ")
    assert dead in made["last_error"]
    assert web.url("/orders") not in made["last_error"], "the one that works is not blamed"
    (tried,) = (await specialist.get(f"/integrations/{made['id']}/initializations")).json()["items"]
    assert [one["step"] for one in tried["steps"]] == [
        "validation", "authentication", "endpoints", "mappings", "connectivity"
    ], "later steps do not run"  # fmt: skip
    failed(
        await specialist.post("/integrations", json=draft(dead, name="Other"), params={"require_active": "true"}),
        502, "INT009", "Connectivity test failed",
    )  # fmt: skip
    found = (await specialist.get("/integrations", params={"q": "other"})).json()
    assert found["items"][0]["status"] == "error", "it is there all the same"


@pytest.mark.ledger("S3-17")
async def test_what_is_not_valid_is_not_stored(signed_in: Sign) -> None:
    specialist = await signed_in("integration_specialist")
    response = await specialist.post("/integrations", json={"name": "x", "type": "API", "endpoints": [{"url": "nope"}]})
    error = failed(response, 400, "INT002", "Integration validation failed: ")
    assert error["message"] == f"Integration validation failed: {', '.join(error['details']['errors'])}"
    assert error["field"] == "/endpoints/0/url"
    assert (await specialist.get("/integrations")).json()["total"] == 3, "those of the configuration file"


async def test_checking_writes_nothing(signed_in: Sign, web: Any) -> None:
    specialist = await signed_in("integration_specialist")
    found = (await specialist.post("/integrations/validate", json=draft(web.url("/orders")))).json()
    assert (found["valid"], found["errors"], found["checkedFields"]) == (True, [], ["name", "type", "endpoints"])
    assert web.heard == []
    assert (await specialist.get("/integrations", params={"q": "lab orders"})).json()["total"] == 0


@pytest.mark.ledger("S2-58")
async def test_a_secret_goes_one_way(running: Any, signed_in: Sign, web: Any) -> None:
    specialist = await signed_in("integration_specialist")
    made = await created(specialist, draft(web.url("/orders")))
    key = made["authentication"]["key"]
    assert (key["set"], key["version"]) == (True, 1)
    for path in (f"/integrations/{made['id']}", "/integrations", f"/integrations/{made['id']}/initializations"):
        assert "canary" not in (await specialist.get(path)).text
    assert web.heard[-1].headers["x-api-key"] == "canary-key-of-the-lab", "but the partner gets it"
    assert b"canary" not in b"".join(one.read_bytes() for one in running.hub.settings.data.glob("hub.db*"))


@pytest.mark.ledger("S0-14")
async def test_put_replaces_and_keeps_what_is_secret(signed_in: Sign, web: Any) -> None:
    specialist = await signed_in("integration_specialist")
    made = await created(specialist, draft(web.url("/orders")))
    path, tag = f"/integrations/{made['id']}", {"if-match": f'"v{made["version"]}"'}
    wanted = draft(web.url("/orders"), provider="Another", authentication={"type": "api_key", "header_name": "X-Lab"})
    failed(await specialist.put(path, json=wanted), 428, "INT008")
    changed = await specialist.put(path, json=wanted, headers=tag)
    assert changed.status_code == 200, changed.text
    assert changed.json()["provider"] == "Another"
    assert changed.json()["authentication"]["key"]["set"], "left out: unchanged"
    failed(await specialist.put(path, json=wanted, headers=tag), 412, "INT004")
    tag = {"if-match": changed.headers["etag"]}
    web.heard.clear()
    assert (await specialist.post(f"{path}/initialize")).json()["success"]
    assert web.heard[-1].headers["x-lab"] == "canary-key-of-the-lab"
    cleared = draft(web.url("/orders"), authentication={"type": "api_key", "key": None})
    failed(await specialist.put(path, json=cleared, headers=tag), 400, "INT002", "API key is required")


@pytest.mark.ledger_part("S0-14", "a reason where GxP holds")
async def test_gxp_wants_a_reason_and_a_signature(signed_in: Sign, web: Any) -> None:
    specialist = await signed_in("integration_specialist")
    made = await created(specialist, draft(web.url("/orders"), gxp=True))
    assert made["status"] == "inactive", "switching it on is for somebody who signs for it"
    path, tag = f"/integrations/{made['id']}", {"if-match": f'"v{made["version"]}"'}
    failed(await specialist.patch(path, json={"provider": "P"}, headers=tag), 400, "INT002", "reason")
    changed = await specialist.patch(path, json={"provider": "P"}, headers={**tag, **REASON})
    assert changed.status_code == 200, changed.text


@pytest.mark.ledger("S2-10")
async def test_patch_merges(signed_in: Sign, web: Any) -> None:
    specialist = await signed_in("integration_specialist")
    made = await created(specialist, draft(web.url("/orders"), description="What for", tags=["north"]))
    path = f"/integrations/{made['id']}"
    tag = {"if-match": f'"v{made["version"]}"'}
    changed = await specialist.patch(path, json={"description": None, "tags": ["south"]}, headers=tag)
    assert changed.status_code == 200, changed.text
    found = changed.json()
    assert (found["description"], found["tags"], found["provider"]) == ("", ["south"], "Example Lab")
    assert found["authentication"]["key"]["set"]
    tag = {"if-match": changed.headers["etag"]}
    off = await specialist.patch(path, json={"status": "inactive"}, headers=tag)
    assert (off.status_code, off.json()["status"]) == (200, "inactive")
    tag = {"if-match": off.headers["etag"]}
    failed(await specialist.patch(path, json={"status": "archived"}, headers=tag), 400, "INT002")


@pytest.mark.ledger_part("S2-77", "404, and it says which record is not there; the console is to come")
@pytest.mark.ledger_part("S0-15", "archived, hidden, its secrets revoked, its logs kept, restored; 404 the second time")
async def test_delete_archives(running: Any, signed_in: Sign, web: Any) -> None:
    specialist = await signed_in("integration_specialist")
    made = await created(specialist, draft(web.url("/orders")))
    path = f"/integrations/{made['id']}"
    assert (await specialist.post(f"{path}/test")).json()["overall"]["success"]
    logs = (await specialist.get(f"{path}/logs")).json()["items"]
    assert (await specialist.delete(path)).status_code == 204
    failed(await specialist.delete(path), 404, "INT001")
    failed(await specialist.get(path), 404, "INT001", f"Integration not found: {made['id']}")
    assert len(logs) > 0
    assert (await specialist.get(f"{path}/logs")).json()["items"] == logs, "kept as long as logs are"
    failed(await specialist.post(f"{path}/test"), 409, "INT004", "archived")
    assert (await specialist.get("/integrations", params={"q": "lab orders"})).json()["total"] == 0
    archived = (await specialist.get("/integrations", params={"q": "lab orders", "archived": "true"})).json()["items"]
    assert [one["status"] for one in archived] == ["archived"]
    assert (await specialist.get("/credentials", params={"kind": "generic"})).json()["total"] == 0, "revoked"
    restored = (await specialist.post(f"{path}/restore")).json()
    assert restored["status"] == "inactive"
    moves = (await specialist.get(f"{path}/history")).json()["items"]
    assert [one["after"] for one in moves] == ["inactive", "archived", "active", "testing", "initializing"]
    file_managed = (await specialist.get("/integrations", params={"q": "adt"})).json()["items"][0]
    failed(await specialist.delete(f"/integrations/{file_managed['id']}"), 409, "INT004", "configuration file")


@pytest.mark.ledger("S0-12")
async def test_a_name_is_there_once_in_its_environment(signed_in: Sign, web: Any) -> None:
    specialist = await signed_in("integration_specialist")
    key = {"idempotency-key": "5c1f6f3e-once"}
    first = await specialist.post("/integrations", json=draft(web.url("/orders")), headers=key)
    again = await specialist.post("/integrations", json=draft(web.url("/orders")), headers=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    failed(
        await specialist.post("/integrations", json=draft(web.url("/orders"), provider="x"), headers=key), 422, "INT010"
    )
    failed(await specialist.post("/integrations", json=draft(web.url("/orders"), name="LAB ORDERS")), 409, "INT004")
    other = await created(specialist, draft(web.url("/orders"), environment="test"))
    assert other["handle"] == "lab-orders-2"


@pytest.mark.ledger("S0-11")
async def test_a_list_is_narrowed_and_sorted(signed_in: Sign, web: Any) -> None:
    specialist = await signed_in("integration_specialist")
    await specialist.post("/integrations", json=draft(web.url("/orders"), name="B", tags=["x"], type="PAYMENT_GATEWAY"))
    await created(specialist, draft(f"http://127.0.0.1:{free_port()}", name="A", tags=["x", "y"], provider="Other"))
    for query, names in (
        ({"tag": "x"}, ["A", "B"]), ({"tag": "y"}, ["A"]), ({"type": "PAYMENT_GATEWAY"}, ["B"]),
        ({"status": "error"}, ["A"]),
        ({"health": "healthy"}, ["B"]), ({"provider": "Other"}, ["A"]), ({"protocol": "rest_api"}, ["A", "B"]),
        ({"environment": "development", "sort": "-created_at"}, ["A", "B"]), ({"q": "other"}, ["A"]),
        ({"environment": "staging"}, []),
    ):  # fmt: skip
        found = (await specialist.get("/integrations", params=query)).json()
        assert ([one["name"] for one in found["items"]], found["total"]) == (names, len(names)), query
    everything = await specialist.get("/integrations", params={"size": 2})
    page = everything.json()
    assert (page["total"], page["page"], page["size"], page["pages"], len(page["items"])) == (5, 1, 2, 3, 2)
    unchanged = await specialist.get(
        "/integrations", params={"size": 2}, headers={"if-none-match": everything.headers["etag"]}
    )
    assert unchanged.status_code == 304
    failed(await specialist.get("/integrations", params={"size": 101}), 400, "INT002")


@pytest.mark.ledger("S0-13")
async def test_what_is_anothers_is_not_there(running: Any, signed_in: Sign, web: Any) -> None:
    await running.post("/organizations", 201, name="clinic", administrator={"email": "c@clinic.example", "name": "C"})
    cleo = await signed_in("tenant_admin", organization="clinic")
    specialist = await signed_in("integration_specialist")
    made = await created(specialist, draft(web.url("/orders")))

    def told(response: httpx.Response) -> dict[str, Any]:
        error = failed(response, 404, "INT001")
        return {key: value for key, value in error.items() if key not in ("request_id", "timestamp")}

    theirs = told(await cleo.get(f"/integrations/{made['id']}"))
    unknown = told(await cleo.get("/integrations/01981c9e-5f6a-7b3c-8d4e-2f1a0b9c8d7e"))
    assert json.dumps(theirs).replace(made["id"], "") == json.dumps(unknown).replace(
        "01981c9e-5f6a-7b3c-8d4e-2f1a0b9c8d7e", ""
    )
    assert (await cleo.get("/integrations")).json()["total"] == 0
    tag = {"if-match": '"v1"'}
    failed(await cleo.put(f"/integrations/{made['id']}", json=draft(web.url("/orders")), headers=tag), 404, "INT001")
    failed(await cleo.delete(f"/integrations/{made['id']}"), 404, "INT001")
    failed(await cleo.post(f"/integrations/{made['id']}/initialize"), 404, "INT001")


@pytest.mark.ledger_part("S2-62", "admins and specialists write, the others read")
async def test_who_may_write(signed_in: Sign, web: Any) -> None:
    specialist = await signed_in("integration_specialist")
    made = await created(specialist, draft(web.url("/orders")))
    for role in ("viewer", "auditor", "operator"):
        other = await signed_in(role)
        assert (await other.get(f"/integrations/{made['id']}")).status_code == 200
        failed(await other.post("/integrations", json=draft(web.url("/orders"), name="x")), 403, "INT003")
        failed(await other.delete(f"/integrations/{made['id']}"), 403, "INT003")


async def signature(client: httpx.AsyncClient, error: dict[str, Any]) -> dict[str, str]:
    """What a refused request asks for."""
    needed = error["details"]["signature_required"]
    body = {"operation": needed["operation"], "entity": needed["entity"], "meaning": "approval", "reason": "released",
            "password": "correct horse battery staple"}  # fmt: skip
    response = await client.post("/signatures", json=body)
    assert response.status_code == 201, response.text
    return {**REASON, "x-signature": response.json()["id"]}


@pytest.mark.ledger_part("S3-15", "nothing begins to flow in production without a signature: new, moved there, or off")
@pytest.mark.ledger_part("S0-21", "activate, deactivate a production integration; creating one is no way around it")
async def test_production_is_switched_with_a_signature_alone(signed_in: Sign, web: Any) -> None:
    specialist = await signed_in("integration_specialist")
    made = await created(specialist, draft(web.url("/orders"), environment="production"))
    assert (made["status"], made["health"], made["last_error"]) == ("inactive", "healthy", None)
    path = f"/integrations/{made['id']}"
    (tried,) = (await specialist.get(f"{path}/initializations")).json()["items"]
    assert (tried["success"], "activate" in tried["advice"]) == (True, True)
    again = (await specialist.post(f"{path}/initialize")).json()
    assert (again["success"], (await specialist.get(path)).json()["status"]) == (True, "inactive")

    for verb, after in (("activate", "active"), ("deactivate", "inactive")):
        tag = {"if-match": (await specialist.get(path)).headers["etag"], **REASON}
        error = failed(await specialist.post(f"{path}/{verb}", headers=tag), 403, "INT011")
        assert error["details"]["signature_required"]["operation"] == f"integration.{verb}"
        moved = await specialist.post(f"{path}/{verb}", headers={**tag, **await signature(specialist, error)})
        assert (moved.status_code, moved.json()["status"]) == (200, after), moved.text

    wanted = draft(web.url("/orders"), name="At once", environment="production")
    query = {"require_active": "true"}
    error = failed(await specialist.post("/integrations", json=wanted, params=query, headers=REASON), 403, "INT011")
    (there,) = (await specialist.get("/integrations", params={"q": "at once"})).json()["items"]
    assert error["details"]["signature_required"]["entity"] == f"integration/{there['id']}"
    assert there["status"] == "inactive", "it is there all the same"


@pytest.mark.ledger_part("S3-15", "an integration that runs comes into production, and leaves it, with a signature")
async def test_what_runs_moves_to_production_with_a_signature_alone(signed_in: Sign, web: Any) -> None:
    specialist = await signed_in("integration_specialist")
    path = f"/integrations/{(await created(specialist, draft(web.url('/orders'))))['id']}"
    for environment, operation in (("production", "activate"), ("test", "deactivate")):
        tag = {"if-match": (await specialist.get(path)).headers["etag"], **REASON}
        move = {"environment": environment}
        error = failed(await specialist.patch(path, json=move, headers=tag), 403, "INT011")
        assert error["details"]["signature_required"]["operation"] == f"integration.{operation}"
        moved = await specialist.patch(path, json=move, headers={**tag, **await signature(specialist, error)})
        assert (moved.status_code, moved.json()["environment"]) == (200, environment), moved.text
    tag = {"if-match": moved.headers["etag"]}
    assert (await specialist.patch(path, json={"environment": "development"}, headers=tag)).status_code == 200


@pytest.mark.ledger_part("S3-15", "no address inside that the operator did not name")
async def test_in_production_nobody_reaches_inside(signed_in: Sign) -> None:
    specialist = await signed_in("integration_specialist")
    inside = await created(specialist, draft("https://10.1.2.3/", name="Inside", environment="production"))
    assert (inside["status"], "only the hub's operator can allow it" in inside["last_error"]) == ("inactive", True)


async def test_messages_flow_through_what_the_api_made(running: Any, signed_in: Sign, web: Any, until: Any) -> None:
    """A lane to an endpoint that came through the API: seen among the lanes as soon as it is active."""
    specialist = await signed_in("integration_specialist")
    made = await created(specialist, draft(web.url("/orders")))

    async def lane() -> str:
        found = {one["reference"]: one["state"] for one in (await running.get("/lanes"))["items"]}
        return str(found.get("lab-orders/orders"))

    async def there() -> bool:
        return await lane() == "idle"

    async def paused() -> bool:
        return await lane() == "paused"

    await until(there)
    off = {"if-match": f'"v{made["version"]}"'}
    assert (await specialist.post(f"/integrations/{made['id']}/deactivate", headers=off)).status_code == 200
    await until(paused)


@pytest.mark.ledger("S2-65")
async def test_what_comes_through_the_api_reads_nothing_of_the_machine(signed_in: Sign, web: Any) -> None:
    specialist = await signed_in("integration_specialist")
    for secret in ("${env:HOME}", "${file:/etc/hostname}"):
        for changes in (
            {"authentication": {"type": "bearer", "token": secret}}, {"headers": {"X-Note": secret}},
            {"endpoints": [{"url": web.url(f"/{secret}"), "method": "POST"}]},
        ):  # fmt: skip
            failed(await specialist.post("/integrations", json=draft(web.url("/orders"), **changes)), 400, "INT002")
    assert web.heard == []


async def test_a_refused_change_leaves_the_vault_as_it_was(signed_in: Sign, web: Any) -> None:
    specialist = await signed_in("integration_specialist")
    made = await created(specialist, draft(web.url("/orders")))
    failed(await specialist.post("/integrations", json=draft(web.url("/orders"))), 409, "INT004")
    path = f"/integrations/{made['id']}"
    other = draft(web.url("/orders"), authentication={"type": "api_key", "key": "another-key"})
    failed(await specialist.put(path, json=other, headers={"if-match": '"v1"'}), 412, "INT004")
    kept = (await specialist.get("/credentials", params={"kind": "generic"})).json()["items"]
    assert [one["version"] for one in kept] == [1], "none was left behind, none was changed"
    assert (await specialist.post(f"{path}/test")).json()["overall"]["success"]
    assert web.heard[-1].headers["x-api-key"] == "canary-key-of-the-lab"


async def test_two_handles_that_look_alike_share_no_secret(signed_in: Sign, web: Any) -> None:
    specialist = await signed_in("integration_specialist")
    one = await created(specialist, draft(web.url("/orders"), name="One", handle="lab.a"))
    key = {"type": "api_key", "key": "the-others-key"}
    await created(specialist, draft(web.url("/orders"), name="Other", handle="lab-a", authentication=key))
    assert (await specialist.post(f"/integrations/{one['id']}/test")).json()["overall"]["success"]
    assert web.heard[-1].headers["x-api-key"] == "canary-key-of-the-lab"
    wanted = {"name": "integration-mine", "kind": "generic", "secrets": {"a": "b"}}
    failed(await specialist.post("/credentials", json=wanted), 400, "INT002", "the hub's own")


async def test_what_a_person_switched_off_is_not_switched_on_by_a_test(signed_in: Sign, web: Any) -> None:
    specialist = await signed_in("integration_specialist")
    made = await created(specialist, draft(web.url("/orders")))
    path = f"/integrations/{made['id']}"
    off = {"if-match": f'"v{made["version"]}"'}
    assert (await specialist.post(f"{path}/deactivate", headers=off)).json()["status"] == "inactive"
    assert (await specialist.post(f"{path}/initialize")).json()["success"]
    assert (await specialist.get(path)).json()["status"] == "inactive"
    await web.stop()
    assert not (await specialist.post(f"{path}/initialize")).json()["success"]
    assert (await specialist.get(path)).json()["status"] == "inactive", "error would switch it on"


async def test_the_secret_of_a_gxp_integration_wants_a_second_person(signed_in: Sign, web: Any) -> None:
    specialist = await signed_in("integration_specialist")
    made = await created(specialist, draft(web.url("/orders"), gxp=True))
    headers = {"if-match": f'"v{made["version"]}"', **REASON}
    patch = {"authentication": {"key": "another-key"}}
    error = failed(await specialist.patch(f"/integrations/{made['id']}", json=patch, headers=headers), 403, "INT003")
    assert error["details"]["approval_required"]["operation"] == "credential.change"
