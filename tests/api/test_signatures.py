"""Signatures and approvals over a running hub: people sign in, are asked, sign, ask each other, and do it."""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pyotp
import pytest

from hilum import clock
from hilum.store import audit, schema

pytestmark = pytest.mark.anyio
Sign = Callable[..., Awaitable[httpx.AsyncClient]]
PASSWORD = "correct horse battery staple"
STEP = datetime.timedelta(seconds=30)
WHY = {"x-reason": "CR-17"}


@pytest.fixture
async def production(running: Any) -> None:
    """The organization is in production from now on."""
    text = running.config.read_text("utf-8").replace(
        "organization: demo", "organization: demo\nenvironment: production"
    )
    documents = [{"name": "hub.yaml", "text": text}]
    response = await running.local.post(
        "/api/v1/configuration/apply", json={"documents": documents, "reason": "go live"}
    )
    assert response.status_code == 200, response.text


def failed(response: httpx.Response, status: int, code: str, message: str = "") -> dict[str, Any]:
    """That it is the envelope of this error; its details."""
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code), response.text
    assert message in error["message"]
    return dict(error["details"])


async def me(client: httpx.AsyncClient) -> str:
    return str((await client.get("/auth/me")).json()["id"])


async def home(client: httpx.AsyncClient) -> tuple[str, str]:
    """The organization's id and its ETag."""
    found = (await client.get("/organizations")).json()["items"][0]
    return str(found["id"]), f'"v{found["version"]}"'


async def signed(client: httpx.AsyncClient, operation: str, entity: str, **values: Any) -> Any:
    body = {"operation": operation, "entity": entity, "meaning": "approval", "password": PASSWORD, **values}
    response = await client.post("/signatures", json=body)
    assert response.status_code == 201, response.text
    made = response.json()
    assert response.headers["location"] == f"/api/v1/signatures/{made['id']}"
    return made


async def test_outside_production_nothing_is_asked_for(running: Any, signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin")
    identifier, version = await home(admin)
    settings = {"settings": {"policy": [{"operation": "user.roles", "reason": True}]}}
    response = await admin.patch(f"/organizations/{identifier}", json=settings, headers={"if-match": version})
    assert response.status_code == 200, response.text


@pytest.mark.usefixtures("production")
async def test_a_change_of_roles_in_production_needs_a_reason(running: Any, signed_in: Sign) -> None:
    admin, zoe = await signed_in("tenant_admin"), await signed_in("viewer")
    path, change = f"/users/{await me(zoe)}/roles", {"roles": [{"role": "auditor"}]}
    version = {"if-match": (await admin.get(path.removesuffix("/roles"))).headers["etag"]}
    refused = await admin.put(path, json=change, headers=version)
    failed(refused, 400, "INT002", "user.roles needs a reason")
    assert refused.json()["error"]["field"] == "x-reason"
    assert (await admin.put(path, json=change, headers=version | WHY)).status_code == 200
    local = await running.local.post("/api/v1/configuration/release", json={"name": "adt"})
    failed(local, 400, "INT002", "configuration.release needs a reason")
    local = await running.local.post("/api/v1/configuration/release", json={"name": "adt", "reason": "by hand now"})
    assert local.status_code == 200, local.text


@pytest.mark.usefixtures("production")
@pytest.mark.ledger_part("S0-21", "unsigned: 403 with details.signature_required; signed, shown, used once, verified")
async def test_a_policy_is_changed_in_production_with_a_signature(running: Any, signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin", email="eva@demo.example")
    identifier, version = await home(admin)
    path, entity = f"/organizations/{identifier}", f"organization/{identifier}"
    change = {"settings": {"policy": [{"operation": "user.roles", "four_eyes": True}]}}
    given = {"if-match": version}
    failed(await admin.patch(path, json=change, headers=given), 400, "INT002")
    details = failed(await admin.patch(path, json=change, headers=given | WHY), 403, "INT011", "electronic signature")
    assert details == {
        "signature_required": {
            "operation": "policy.change", "entity": entity, "meanings": ["authorship", "approval", "responsibility"],
        }
    }  # fmt: skip

    stale = {"operation": "policy.change", "entity": entity, "meaning": "approval", "password": PASSWORD, "version": 99}
    failed(await admin.post("/signatures", json=stale), 412, "INT004")
    made = await signed(admin, "policy.change", entity, version=int(version.strip('"v')), reason="CR-17")
    assert (made["signer"], made["meaning"], made["record"], made["used_at"]) == ("eva", "approval", "current", None)
    assert made["signed_at"].endswith("Z")
    assert made["text"].startswith(
        f"Signed by eva on {made['signed_at'][:19].replace('T', ' ')} UTC, meaning: approval"
    )
    response = await admin.patch(path, json=change, headers=given | WHY | {"x-signature": made["id"]})
    assert response.status_code == 200, response.text

    shown = (await admin.get(f"/signatures/{made['id']}")).json()
    assert (shown["record"], shown["used_at"] is None) == ("current", False)
    found = (await admin.get("/signatures", params={"entity": entity})).json()
    assert (found["total"], [one["id"] for one in found["items"]]) == (1, [made["id"]])
    verified = (await admin.get(f"/signatures/{made['id']}/verification")).json()
    assert (verified["valid"], verified["problem"], len(verified["public_key"])) == (True, "", 64)
    again = {"settings": {}}
    given = {"if-match": (await home(admin))[1]}
    refused = await admin.patch(path, json=again, headers=given | WHY | {"x-signature": made["id"]})
    failed(refused, 403, "INT011", "was used")
    titled = await admin.patch(path, json={"title": "Demo"}, headers=given)
    assert titled.status_code == 200, "a title needs nothing"
    assert (await admin.get(f"/signatures/{made['id']}")).json()["record"] == "superseded"


@pytest.mark.usefixtures("production")
async def test_how_long_evidence_is_kept_is_changed_with_a_signature_of_its_own(running: Any, signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin")
    identifier, version = await home(admin)
    path, given = f"/organizations/{identifier}", WHY | {"if-match": version}
    change = {"settings": {"audit_years": 10, "policy": [{"operation": "key.rotate", "reason": True}]}}
    made = await signed(admin, "policy.change", f"organization/{identifier}")
    refused = await admin.patch(path, json=change, headers=given | {"x-signature": made["id"]})
    details = failed(refused, 403, "INT011", "for something else")
    assert details["signature_required"]["operation"] == "retention.change"
    change["settings"].pop("policy")
    made = await signed(admin, "retention.change", f"organization/{identifier}")
    done = await admin.patch(path, json=change, headers=given | {"x-signature": made["id"]})
    assert (done.status_code, done.json()["settings"]["audit_years"]) == (200, 10), done.text


@pytest.mark.usefixtures("production")
async def test_an_edited_message_goes_out_signed_in_production(
    running: Any, signed_in: Sign, message: Callable[..., bytes]
) -> None:
    operator = await signed_in("operator")
    await running.send(message("m1"))
    [stored] = await running.settled("delivered")
    path, edited = f"/messages/{stored['id']}/replay", base64.b64encode(message("m1", name="MUELLER")).decode()
    assert (await operator.post(path, json={"reason": "again"})).status_code == 201, "as it is: no signature"
    body = {"reason": "the name was wrong", "body": edited}
    details = failed(await operator.post(path, json=body), 403, "INT011")
    assert details["signature_required"]["entity"] == f"message/{stored['id']}"
    made = await signed(operator, "message.edit", f"message/{stored['id']}", meaning="authorship")
    response = await operator.post(path, json=body, headers={"x-signature": made["id"]})
    assert response.status_code == 201, response.text
    failed(await operator.post(path, json=body, headers={"x-signature": made["id"]}), 403, "INT011", "was used")
    await running.settled("delivered", "delivered", "delivered")
    local = await running.local.post(f"/api/v1{path}", json=body)
    failed(local, 403, "INT011", "only a person")


@pytest.mark.ledger_part("S0-27", "the GxP flag asks for reason, second person and signature where a message is edited")
@pytest.mark.ledger_part("S4-82", "a correction by a person in a GxP integration needs four eyes")
async def test_an_edited_message_of_a_gxp_integration_needs_both(
    running: Any, signed_in: Sign, message: Callable[..., bytes]
) -> None:
    text = running.config.read_text("utf-8").replace("- name: adt\n", "- name: adt\n    gxp: true\n")
    body = {"documents": [{"name": "hub.yaml", "text": text}]}
    failed(await running.local.post("/api/v1/configuration/apply", json=body), 400, "INT002", "needs a reason")
    assert (await running.local.post("/api/v1/configuration/apply", json={**body, "reason": "x"})).status_code == 200
    otto, olga = await signed_in("operator"), await signed_in("operator")
    await running.send(message("m1"))
    [stored] = await running.settled("delivered")
    path = f"/messages/{stored['id']}/replay"
    edit = {"reason": "CR-17", "body": base64.b64encode(message("m1", name="MUELLER")).decode()}

    details = failed(await otto.post(path, json=edit), 403, "INT003", "a second person")
    asked = {"request": details["approval_required"]["request"], "reason": "CR-17"}
    one = (await otto.post("/approvals", json=asked)).json()
    assert set(one["wanted"]) == {"body_sha256", "bytes"}, "nothing of the patient"
    assert (await olga.post(f"/approvals/{one['id']}/approve", json={})).status_code == 200
    given = {"x-approval": one["id"]}
    failed(await otto.post(path, json=edit, headers=given), 403, "INT011")
    given["x-signature"] = (await signed(otto, "message.edit", f"message/{stored['id']}", meaning="authorship"))["id"]
    assert (await otto.post(path, json=edit, headers=given)).status_code == 201
    assert len(await running.settled("delivered", "delivered")) == 2
    [event] = await _events(running, "message.replay", outcome="success")
    assert (event["details"]["approval"], event["details"]["signature"]) == (one["id"], given["x-signature"])


@pytest.mark.ledger_part("S0-21", "change of a credential of a GxP integration needs a signature")
async def test_the_credential_of_a_gxp_integration_changes_with_both(running: Any, signed_in: Sign) -> None:
    eva, tom = await signed_in("integration_specialist"), await signed_in("tenant_admin")
    new = {"name": "lab-token", "kind": "bearer", "secrets": {"token": "first-canary"}}
    made = await eva.post("/credentials", json=new)
    assert made.status_code == 201, made.text
    path, entity = f"/credentials/{made.json()['id']}", f"credential/{made.json()['id']}"
    change, tag = {"secrets": {"token": "second-canary"}}, {"if-match": made.headers["etag"]}
    free = await eva.post(f"{path}/rotate", json=change, headers=tag)
    assert free.status_code == 200, free.text
    row = schema.integration
    document = {"name": "lab", "gxp": True, "endpoints": [{"token": "${secret:lab-token.token}"}]}
    await running.hub.store.write(
        lambda one: one.execute(row.update().where(row.c.name == "lab").values(document=document))
    )

    change, given = {"secrets": {"token": "third-canary"}}, {"if-match": free.headers["etag"]}
    failed(await eva.post(f"{path}/rotate", json=change, headers=given), 400, "INT002", "needs a reason")
    given |= WHY
    details = failed(await eva.post(f"{path}/rotate", json=change, headers=given), 403, "INT003", "second person")
    asked = {"request": details["approval_required"]["request"], "reason": "CR-17"}
    one = await eva.post("/approvals", json=asked)
    assert one.json()["wanted"] == {"secrets": ["token"]}
    assert "canary" not in one.text + base64.urlsafe_b64decode(asked["request"].partition(".")[0]).decode()
    assert (await tom.post(f"/approvals/{one.json()['id']}/approve", json={})).status_code == 200
    given["x-approval"] = one.json()["id"]
    other = {"secrets": {"token": "fourth-canary"}}
    failed(await eva.post(f"{path}/rotate", json=other, headers=given), 403, "INT003", "another request")
    failed(await eva.post(f"{path}/rotate", json=change, headers=given), 403, "INT011")
    given["x-signature"] = (await signed(eva, "credential.change", entity))["id"]
    done = await eva.post(f"{path}/rotate", json=change, headers=given)
    assert done.status_code == 200, done.text
    assert (await eva.get(f"/signatures/{given['x-signature']}")).json()["record"] == "current"
    assert (await eva.get(f"/approvals/{given['x-approval']}")).json()["state"] == "used"


async def test_what_concerns_the_whole_organization_is_signed_for_it(running: Any, signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin")
    identifier, version = await home(admin)
    settings = {"settings": {"policy": [{"operation": "key.rotate", "signature": ["approval"]}]}}
    response = await admin.patch(f"/organizations/{identifier}", json=settings, headers={"if-match": version})
    assert response.status_code == 200, response.text
    details = failed(await admin.post("/keys/rotate"), 403, "INT011")
    made = await signed(admin, "key.rotate", details["signature_required"]["entity"])
    response = await admin.post("/keys/rotate", headers={"x-signature": made["id"]})
    assert response.status_code == 202, response.text
    failed(await admin.post("/keys/rotate", headers={"x-signature": made["id"]}), 403, "INT011", "was used")


async def test_a_wrong_password_signs_nothing_and_is_in_the_trail(running: Any, signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin")
    body = {"operation": "user.roles", "entity": f"user/{await me(admin)}", "meaning": "review"}
    failed(await admin.post("/signatures", json={**body, "password": "wrong horse"}), 403, "INT003", "wrong")
    assert (await admin.get("/signatures")).json()["total"] == 0
    found = await _events(running, "signature.create")
    assert [one["outcome"] for one in found] == ["denied"]
    assert (found[0]["entity"], found[0]["details"]["meaning"]) == (body["entity"], "review")
    assert "wrong horse" not in json.dumps(found)
    local = await running.local.post("/api/v1/signatures", json={**body, "password": PASSWORD})
    failed(local, 403, "INT003", "only a person")


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"operation": "user.promote"}, "operation"),
        ({"entity": "lane/1"}, "entity"),
        ({"meaning": "yes"}, "meaning"),
        ({"version": 0}, "version"),
        ({"password": ""}, "password"),
        ({"code": "12"}, "code"),
        ({"totp": "123456"}, "totp"),
    ],
)
async def test_what_cannot_be_signed_is_named_without_what_was_sent(
    running: Any, signed_in: Sign, values: dict[str, Any], field: str
) -> None:
    admin = await signed_in("tenant_admin")
    body = {"operation": "user.roles", "entity": f"user/{await me(admin)}", "meaning": "review", "password": PASSWORD}
    response = await admin.post("/signatures", json={**body, **values})
    failed(response, 400, "INT002")
    assert response.json()["error"]["field"] == field
    assert PASSWORD not in response.text


@pytest.mark.ledger_part(
    "S0-21", "password and authenticator for a session's first signature, the password for the next"
)
async def test_an_authenticator_is_asked_for_once_a_session(running: Any, signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin")
    begun = (await admin.post("/auth/totp", json={"password": PASSWORD})).json()
    code = pyotp.TOTP(begun["secret"])
    confirmed = {"enrolment": begun["enrolment"], "code": code.at(clock.now())}
    assert (await admin.post("/auth/totp/confirm", json=confirmed)).status_code == 204
    entity = f"user/{await me(admin)}"
    body = {"operation": "user.roles", "entity": entity, "meaning": "review", "password": PASSWORD}
    failed(await admin.post("/signatures", json=body), 403, "INT003", "code")
    first = await signed(admin, "user.roles", entity, code=code.at(clock.now() + STEP))  # each code holds once
    later = await signed(admin, "user.roles", entity)
    stated = [json.loads((await admin.get(f"/signatures/{one['id']}/verification")).json()["statement"])
              for one in (first, later)]  # fmt: skip
    assert [one["components"] for one in stated] == [["id", "password", "totp"], ["id", "password"]]


@pytest.mark.ledger_part("S0-27", "four eyes: one asks, another one approves, then it is done once")
async def test_four_eyes_from_the_refusal_to_the_deed(running: Any, signed_in: Sign) -> None:
    eva, tom = await signed_in("tenant_admin"), await signed_in("tenant_admin")
    zoe = await signed_in("viewer")
    identifier, version = await home(eva)
    settings = {"settings": {"policy": [{"operation": "user.roles", "four_eyes": True}]}}
    response = await eva.patch(f"/organizations/{identifier}", json=settings, headers={"if-match": version})
    assert response.status_code == 200, response.text

    path, change = f"/users/{await me(zoe)}/roles", {"roles": [{"role": "auditor"}]}
    tag = {"if-match": (await eva.get(path.removesuffix("/roles"))).headers["etag"]}
    details = failed(await eva.put(path, json=change, headers=tag), 403, "INT003", "a second person")
    asked = await eva.post("/approvals", json={"request": details["approval_required"]["request"], "reason": "CR-17"})
    assert asked.status_code == 201, asked.text
    one = asked.json()
    assert (one["state"], one["entity"], one["wanted"]) == (
        "waiting", f"user/{await me(zoe)}", {"roles": [{"role": "auditor", "study": None}]}
    )  # fmt: skip
    assert asked.headers["location"] == f"/api/v1/approvals/{one['id']}"
    approval = tag | {"x-approval": one["id"]}
    failed(await eva.put(path, json=change, headers=approval), 403, "INT003", "it is waiting")
    failed(await eva.post(f"/approvals/{one['id']}/approve", json={}), 403, "INT003", "asked for himself")
    failed(await zoe.post(f"/approvals/{one['id']}/approve", json={}), 403, "INT003")

    waiting = (await tom.get("/approvals", params={"state": "waiting"})).json()
    assert [each["id"] for each in waiting["items"]] == [one["id"]]
    done = await tom.post(f"/approvals/{one['id']}/approve", json={"reason": "seen"})
    assert (done.status_code, done.json()["state"], done.json()["decision"]) == (200, "approved", "seen")
    failed(await tom.post(f"/approvals/{one['id']}/deny", json={"reason": "no"}), 409, "INT004")
    other = {"roles": [{"role": "tenant_admin"}]}
    failed(await eva.put(path, json=other, headers=approval), 403, "INT003", "another request")
    failed(await tom.put(path, json=change, headers=approval), 403, "INT003", "another request")
    assert (await eva.put(path, json=change, headers=approval)).status_code == 200
    assert (await eva.get(f"/approvals/{one['id']}")).json()["state"] == "used"
    tag = {"if-match": (await eva.get(path.removesuffix("/roles"))).headers["etag"]}
    failed(await eva.put(path, json=change, headers=tag | {"x-approval": one["id"]}), 403, "INT003", "another request")
    [event] = await _events(running, "user.roles", outcome="success")
    assert event["details"]["approval"] == one["id"]


async def test_another_organizations_evidence_is_not_there(running: Any, signed_in: Sign) -> None:
    founded = await running.local.post(
        "/api/v1/organizations",
        json={"name": "other", "administrator": {"email": "root@other.example", "name": "Root"}},
    )
    assert founded.status_code == 201, founded.text
    eva = await signed_in("tenant_admin")
    made = await signed(eva, "user.roles", f"user/{await me(eva)}")
    stranger = await signed_in("tenant_admin", organization="other", email="eve@other.example")
    for path in (f"/signatures/{made['id']}", f"/signatures/{made['id']}/verification"):
        failed(await stranger.get(path), 404, "INT001")
    assert (await stranger.get("/signatures")).json()["total"] == 0
    body = {"operation": "user.roles", "entity": f"user/{await me(eva)}", "meaning": "review", "password": PASSWORD}
    failed(await stranger.post("/signatures", json=body), 404, "INT001")


async def _events(running: Any, action: str, **query: str) -> list[dict[str, Any]]:
    """Audit events of an action, the newest first, as they are stored."""
    found = await running.hub.store.within(1).read(audit.newest, 1, audit.EventFilter(action=action, **query))
    return [one.document for one in found]
