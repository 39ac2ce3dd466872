"""Events read as AuditEvent of FHIR R4; a BALP profile is claimed only by those that have all that it wants."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hilum.formats.fhir import audit_event

BALP = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."
REQUIRED = {"resourceType", "type", "recorded", "agent", "source"}  # 1..1 and 1..* in R4


def event(action: str = "message.show", **changes: Any) -> dict[str, Any]:
    actor = {"kind": "user", "id": "019a0000-0000-7000-8000-000000000007", "name": "Ada Example"}
    base = {
        "id": "019a0000-0000-7000-8000-000000000001", "time": "2026-05-04T10:20:30.000001Z", "organization": 1,
        "actor": actor, "action": action, "entity": "message/019a0000-0000-7000-8000-000000000002",
        "outcome": "success", "request_id": "r-1", "source": "10.0.0.9",
    }  # fmt: skip
    return base | changes


def codes(found: list[dict[str, Any]]) -> list[str]:
    return [one["type"]["coding"][0]["code"] for one in found]


@pytest.mark.parametrize(
    ("action", "kind", "interaction", "client", "server", "profile"),
    [
        ("message.show", "R", "read", "110152", "110153", "Read"),
        ("user.create", "C", "create", "110153", "110152", "Create"),
        ("user.change", "U", "update", "110153", "110152", "Update"),
        ("api-key.revoke", "D", "delete", "110150", "custodian", "Delete"),
        ("message.list", "E", "search-type", "110153", "110152", None),
        ("lane.retry", "E", "operation", "110153", "110152", None),
    ],
)  # fmt: skip
def test_each_kind_has_its_pattern(
    action: str, kind: str, interaction: str, client: str, server: str, profile: str | None
) -> None:
    found = audit_event.resource(event(action))
    assert found.keys() >= REQUIRED
    assert found["action"] == kind
    assert found["type"]["code"] == "rest"
    assert [one["code"] for one in found["subtype"]] == [interaction, action]
    assert codes(found["agent"]) == [client, server, "IRCP"]
    assert found.get("meta", {}).get("profile") == ([BALP + profile] if profile else None)
    assert [one["requestor"] for one in found["agent"]] == [False, False, True]
    assert found["agent"][0]["network"] == {"address": "10.0.0.9", "type": "2"}
    assert found["agent"][2]["who"]["identifier"]["value"] == "019a0000-0000-7000-8000-000000000007"


def test_entities_name_the_request_and_the_thing() -> None:
    changed = event("user.change", entity="user/1", before={"name": "A"}, after={"name": "B"})
    request, thing = audit_event.resource(changed)["entity"]
    assert request["type"]["code"] == "XrequestId"
    assert request["what"]["identifier"]["value"] == "r-1"
    assert thing["what"]["identifier"]["value"] == "user/1"
    assert thing["detail"] == [
        {"type": "before", "valueString": "name=A"}, {"type": "after", "valueString": "name=B"},
    ]  # fmt: skip


@pytest.mark.parametrize(("outcome", "code"), [("denied", "4"), ("failure", "8")])
def test_what_did_not_succeed_claims_no_profile(outcome: str, code: str) -> None:
    found = audit_event.resource(event(outcome=outcome, code="INT003", error="this needs the permission users:read"))
    assert found["outcome"] == code
    assert "meta" not in found
    assert found["outcomeDesc"] == "INT003 this needs the permission users:read"


def test_sign_ins_are_user_authentication() -> None:
    found = audit_event.resource(event("session.create", entity=""))
    assert (found["type"]["code"], found["subtype"][0]["code"]) == ("110114", "110122")


def test_a_machine_is_its_own_client() -> None:
    key = {"kind": "api_key", "id": "k1", "name": "lab feed"}
    found = audit_event.resource(event(actor=key, source="", reason="month's end"))
    assert codes(found["agent"]) == ["110152", "110153"]
    assert found["agent"][0]["requestor"] is True
    assert found["agent"][0]["who"] == {
        "display": "lab feed",
        "identifier": {"system": "urn:hilum:audit", "value": "k1"},
    }
    assert found["purposeOfEvent"] == [{"text": "month's end"}]
    assert "meta" not in found


def test_a_bundle_is_a_searchset() -> None:
    found = audit_event.bundle([event(), event("user.list")], "http://hub/api/v1/audit", "2026-05-04T10:20:31Z",
                               {"self": "http://hub/api/v1/audit?format=fhir"})  # fmt: skip
    assert (found["resourceType"], found["type"], len(found["entry"])) == ("Bundle", "searchset", 2)
    assert found["entry"][0]["fullUrl"].startswith("http://hub/api/v1/audit/019a")
    assert found["link"] == [{"relation": "self", "url": "http://hub/api/v1/audit?format=fhir"}]
    json.dumps(found)


def test_a_batch_creates_each() -> None:
    found = audit_event.batch([event(), event("user.list")])
    assert (found["resourceType"], found["type"], len(found["entry"])) == ("Bundle", "batch", 2)
    entry = found["entry"][0]
    assert entry["fullUrl"] == "urn:uuid:019a0000-0000-7000-8000-000000000001"
    assert entry["request"] == {"method": "POST", "url": "AuditEvent"}
    assert entry["resource"] == audit_event.resource(event())


@pytest.mark.parametrize(
    ("statuses", "taken"),
    [
        (["201 Created", "201"], 2), (["201", "422 Unprocessable", "201"], 1), (["500"], 0), ([None, "201"], 0),
        ([], 0), (["201", "201", "201", "201"], 3),
    ],
)  # fmt: skip
def test_how_many_of_a_batch_were_created(statuses: list[str | None], taken: int) -> None:
    entries = [{"response": {"status": one}} if one else {} for one in statuses]
    answer = {"resourceType": "Bundle", "type": "batch-response", "entry": entries}
    assert audit_event.created(answer, 3) == taken


@pytest.mark.parametrize("answer", [{}, [], None, {"resourceType": "OperationOutcome"}, "fine"])
def test_an_answer_that_is_no_batch_response_took_all(answer: Any) -> None:
    assert audit_event.created(answer, 3) == 3
