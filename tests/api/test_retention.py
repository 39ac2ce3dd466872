"""How long what is kept, over HTTP: seen, kept for longer, and never for less than the law wants."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from hilum.model.retention import CLASSES
from hilum.store import audit

pytestmark = pytest.mark.anyio
Sign = Callable[..., Awaitable[httpx.AsyncClient]]
LOGS = "/retention/policies/integration_logs"
WHY = {"x-reason": "our archive law"}


def failed(response: httpx.Response, status: int, code: str, message: str = "") -> Any:
    """That it is the envelope of this error; the error."""
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code), response.text
    assert message in error["message"]
    return error


@pytest.mark.ledger_part("S4-70", "the usual times of each class, and that they can be seen")
async def test_every_class_says_how_long_and_why(running: Any, signed_in: Sign) -> None:
    operator = await signed_in("operator")
    found = (await operator.get("/retention/policies")).json()["items"]
    assert [one["kind"] for one in found] == list(CLASSES)
    usual = {one["kind"]: (one["keep"], one["unit"], one["changeable"]) for one in found}
    assert usual == {
        "bodies": (90, "days", False), "audit_events": (7, "years", True), "archives": (7, "years", True),
        "subject_exports": (7, "days", False), "integration_logs": (7, "years", True),
        "diagnostics": (3, "years", True), "test_results": (7, "years", True), "health_results": (1, "years", True),
        "executions": (7, "years", True), "execution_bodies": (90, "days", True),
        "webhook_deliveries": (90, "days", True), "sessions": (1, "years", True), "jobs": (90, "days", True),
    }  # fmt: skip
    one = await operator.get(LOGS)
    assert (one.json(), one.headers["etag"]) == (found[4], f'"v{found[4]["version"]}"')
    failed(await operator.get("/retention/policies/nothing"), 404, "INT001", "there is no class nothing")


@pytest.mark.ledger_part("S4-70", "adjustable by organization, upward only, with a reason that the audit trail has")
@pytest.mark.ledger_part("S0-65", "a policy by organization and class is changed over the API, and audited")
async def test_a_class_is_kept_for_longer_and_not_for_less(running: Any, signed_in: Sign) -> None:
    admin, operator = await signed_in("tenant_admin"), await signed_in("operator")
    tag = (await admin.get(LOGS)).headers["etag"]
    given = WHY | {"if-match": tag}
    error = failed(await admin.put(LOGS, json={"keep": 6}, headers=given), 400, "INT002", "at least 7 years, not 6")
    assert (error["field"], "records of healthcare" in error["message"]) == ("keep", True)
    failed(await admin.put(LOGS, json={"keep": 101}, headers=given), 400, "INT002", "100 years at most")
    failed(await operator.put(LOGS, json={"keep": 10}, headers=given), 403, "INT003")
    failed(await admin.put(LOGS, json={"keep": 10}, headers=WHY), 428, "INT008")
    for kind in ("bodies", "subject_exports"):
        path = f"/retention/policies/{kind}"
        failed(await admin.put(path, json={"keep": 10}, headers=given), 409, "INT004", "elsewhere")
    done = await admin.put(LOGS, json={"keep": 10}, headers=given)
    assert (done.status_code, done.json()["keep"]) == (200, 10), done.text
    assert done.headers["etag"] != tag
    failed(await admin.put(LOGS, json={"keep": 12}, headers=given), 412, "INT004")
    found = {one["kind"]: one["keep"] for one in (await operator.get("/retention/policies")).json()["items"]}
    assert (found["integration_logs"], found["test_results"]) == (10, 7)
    own = (await admin.get("/organizations")).json()["items"][0]
    assert own["settings"]["log_years"] == 10, "the same settings"
    events = await running.hub.store.within(1).read(
        audit.newest, 1, audit.EventFilter(action="retention.change", outcome="success"), limit=9
    )
    (told,) = [one.document for one in events]
    assert (told["reason"], told["entity"]) == ("our archive law", f"organization/{own['id']}")
    assert (told["before"]["settings"], told["after"]["settings"]) == ({}, {"log_years": 10})


async def test_bodies_of_executions_may_go_sooner(running: Any, signed_in: Sign) -> None:
    admin, path = await signed_in("tenant_admin"), "/retention/policies/execution_bodies"
    given = WHY | {"if-match": (await admin.get(path)).headers["etag"]}
    assert (await admin.put(path, json={"keep": 14}, headers=given)).json()["keep"] == 14
    own = (await admin.get("/organizations")).json()["items"][0]
    given = {"if-match": f'"v{own["version"]}"'}
    refused = await admin.patch(f"/organizations/{own['id']}", json={"settings": {"log_years": 1}}, headers=given)
    failed(refused, 400, "INT002", "greater than or equal to 7")


async def test_in_production_it_needs_a_signature(running: Any, signed_in: Sign) -> None:
    text = running.config.read_text("utf-8")
    text = text.replace("organization: demo", "organization: demo\nenvironment: production")
    asked = {"documents": [{"name": "hub.yaml", "text": text}], "reason": "go live"}
    assert (await running.local.post("/api/v1/configuration/apply", json=asked)).status_code == 200
    admin = await signed_in("tenant_admin")
    given = {"if-match": (await admin.get(LOGS)).headers["etag"]}
    failed(await admin.put(LOGS, json={"keep": 10}, headers=given), 400, "INT002", "needs a reason")
    error = failed(await admin.put(LOGS, json={"keep": 10}, headers=given | WHY), 403, "INT011")
    assert error["details"]["signature_required"]["operation"] == "retention.change"
