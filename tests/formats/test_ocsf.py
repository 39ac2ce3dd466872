"""Events read as OCSF 1.8.0: what the schema wants of each class is there, nothing that it does not know, nothing lost.

The facts below are the schema's own, from github.com/ocsf/ocsf-schema (Apache-2.0): events/base_event.json,
events/iam/{iam,authentication,account_change,entity_management}.json, events/application/api_activity.json, the files
of the objects and dictionary.json, as compiled for 1.7.0; by the changelog 1.8.0 only adds optional attributes to them.
"""

from __future__ import annotations

import copy
import ipaddress
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.formats import ocsf
from hilum.model.audit import Kind, kind_of

REQUIRED = {"activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid"}
KNOWN = REQUIRED | {
    "message", "observables", "status", "status_code", "status_detail", "status_id", "timezone_offset", "activity_name",
    "category_name", "class_name", "count", "duration", "end_time", "enrichments", "raw_data", "severity", "start_time",
    "type_name", "unmapped",
}  # fmt: skip
IAM = {"actor", "src_endpoint", "http_request", "http_response"}
CLASSES: dict[int, dict[str, Any]] = {
    3001: {
        "required": {"user"}, "known": IAM | {"user", "user_result", "auth_factors", "policies"},
        "activities": {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 99},
    },
    3002: {
        "required": {"user"}, "one_of": {"service", "dst_endpoint"},
        "known": IAM | {"user", "service", "dst_endpoint", "session", "is_mfa", "is_remote", "auth_protocol_id"},
        "activities": {0, 1, 2, 3, 4, 5, 6, 7, 99},
    },
    3004: {
        "required": {"entity"}, "known": IAM | {"entity", "entity_result", "comment", "access_list", "access_mask"},
        "activities": {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 99},
    },
    6003: {
        "required": {"actor", "api", "src_endpoint"},
        "known": {"actor", "api", "src_endpoint", "dst_endpoint", "http_request", "http_response", "resources"},
        "activities": {0, 1, 2, 3, 4, 99},
    },
}  # fmt: skip
OBJECTS: dict[str, dict[str, Any]] = {
    "metadata": {
        "required": {"product", "version"},
        "known": {
            "product", "version", "correlation_uid", "event_code", "log_name", "log_provider", "logged_time", "labels",
            "original_event_uid", "original_time", "processed_time", "profiles", "reporter", "sequence", "tenant_uid",
            "uid",
        },
    },
    "product": {"one_of": {"name", "uid"}, "known": {"name", "uid", "vendor_name", "version", "feature", "lang"}},
    "actor": {"one_of": {"process", "user", "session", "app_name", "app_uid"}, "known": {"user", "session", "process"}},
    "user": {
        "one_of": {"account", "name", "uid"}, "known": {"name", "uid", "type_id", "type", "email_addr", "org"},
        "type_id": {0, 1, 2, 3, 4, 99},
    },
    "api": {"required": {"operation"}, "known": {"operation", "request", "response", "service", "group", "version"}},
    "request": {"required": {"uid"}, "known": {"uid", "data", "flags", "containers"}},
    "service": {"one_of": {"name", "uid"}, "known": {"name", "uid", "version", "labels"}},
    "src_endpoint": {
        "one_of": {"ip", "uid", "name", "hostname", "svc_name", "instance_uid", "domain"},
        "known": {"ip", "uid", "name", "hostname", "svc_name", "port", "type_id", "type"},
    },
    "entity": {
        "one_of": {"name", "uid", "device", "group", "org", "policy", "user"},
        "known": {"name", "uid", "type", "type_id", "version", "data", "user"}, "type_id": {0, 1, 2, 3, 4, 5, 6, 7, 99},
    },
    "resources": {"one_of": {"name", "uid"}, "known": {"name", "uid", "type", "data", "labels", "role_id"}},
}  # fmt: skip
SEVERITIES, STATUSES = {0, 1, 2, 3, 4, 5, 6, 99}, {0: "Unknown", 1: "Success", 2: "Failure"}
NUMBERS = {"activity_id", "category_uid", "class_uid", "severity_id", "time", "type_uid", "status_id", "sequence"}


def faults(event: dict[str, Any]) -> Iterator[str]:
    """What is wrong with an event by the schema."""
    facts = CLASSES.get(event.get("class_uid", 0))
    if facts is None:
        yield "class"
        return
    known = {"required": REQUIRED | facts["required"], "known": KNOWN | facts["known"], "one_of": facts.get("one_of")}
    yield from _shape("event", event, known)
    number, activity = event["class_uid"], event.get("activity_id")
    if activity not in facts["activities"] or event.get("type_uid") != number * 100 + activity:
        yield "activity"
    if activity == 99 and not event.get("activity_name"):
        yield "an activity of one's own has a name"
    if event.get("category_uid") != number // 1_000:
        yield "category"
    if event.get("severity_id") not in SEVERITIES or STATUSES.get(event.get("status_id", 0)) != event.get("status"):
        yield "severity or status"


def _shape(name: str, value: dict[str, Any], facts: dict[str, Any]) -> Iterator[str]:
    yield from (f"{name} lacks {one}" for one in facts.get("required", set()) - value.keys())
    yield from (f"{name} does not know {one}" for one in value.keys() - facts["known"])
    if facts.get("one_of") and not facts["one_of"] & value.keys():
        yield f"{name} has none of {facts['one_of']}"
    if value.get("type_id", 0) not in facts.get("type_id", {0}) or (
        value.get("type_id") == 99 and not value.get("type")
    ):
        yield f"{name} has a type that is none"
    for key, one in value.items():
        if key == "unmapped":
            continue
        if key == "ip":
            ipaddress.ip_address(one)
        several = one if isinstance(one, list) else [one]
        if key in OBJECTS:
            for each in several:
                yield from _shape(key, each, OBJECTS[key])
        elif type(one) is not (int if key in NUMBERS or key == "type_id" else str):
            yield f"{name}.{key} is {type(one).__name__}"


def event(action: str = "message.show", **changes: Any) -> dict[str, Any]:
    actor = {"kind": "user", "id": "019a0000-0000-7000-8000-000000000007", "name": "Ada Example"}
    base = {
        "id": "019a0000-0000-7000-8000-000000000001", "time": "2026-05-04T10:20:30.123999Z", "organization": 7,
        "actor": actor, "action": action, "entity": "message/019a0000-0000-7000-8000-000000000002",
        "outcome": "success", "request_id": "r-1", "source": "10.0.0.9",
    }  # fmt: skip
    return base | changes


def made(action: str = "message.show", **changes: Any) -> dict[str, Any]:
    return ocsf.event(event(action, **changes), 5, "1.2.3")


@pytest.mark.parametrize(
    ("action", "entity", "number", "activity"),
    [
        ("message.show", "message/1", 6003, 2),
        ("message.search", "", 6003, 2),
        ("message.replay", "message/1", 6003, 1),
        ("lane.retry", "endpoint/1", 6003, 3),
        ("user.read", "user/1", 6003, 2),
        ("user.invite", "", 6003, 1),  # denied before there was anybody
        ("session.create", "", 3002, 1),
        ("session.begin", "", 3002, 1),
        ("session.end", "session/1", 3002, 2),
        ("session.list", "", 6003, 2),
        ("user.invite", "user/1", 3001, 1),
        ("user.password", "user/1", 3001, 3),
        ("user.remove", "user/1", 3001, 6),
        ("user.lock", "user/1", 3001, 9),
        ("user.totp-set", "user/1", 3001, 10),
        ("user.totp-remove", "user/1", 3001, 11),
        ("user.roles", "user/1", 3001, 99),
        ("integration.create", "integration/1", 3004, 1),
        ("organization.change", "organization/1", 3004, 3),
        ("api-key.revoke", "api-key/1", 3004, 4),
        ("integration.activate", "integration/1", 3004, 10),
        ("integration.deactivate", "integration/1", 3004, 11),
        ("webhook-subscription.disable", "webhook/1", 3004, 9),
    ],
)
def test_each_kind_has_its_class(action: str, entity: str, number: int, activity: int) -> None:
    found = made(action, entity=entity)
    assert (found["class_uid"], found["activity_id"], found["type_uid"]) == (number, activity, number * 100 + activity)
    assert list(faults(found)) == []


def test_an_event_with_everything() -> None:
    found = made(
        "integration.change", entity="integration/019a", reason="new partner", before={"name": "lab"},
        after={"name": "lab-2"}, details={"file": "hub.yaml"}, studies=[3],
    )  # fmt: skip
    assert found == {
        "category_uid": 3, "class_uid": 3004, "activity_id": 3, "type_uid": 300403, "severity_id": 1,
        "time": 1_777_890_030_123, "status_id": 1, "status": "Success",
        "message": "integration.change integration/019a (success)",
        "metadata": {
            "version": "1.8.0", "product": {"name": "Hilum", "vendor_name": "Hilum", "version": "1.2.3"},
            "uid": "019a0000-0000-7000-8000-000000000001", "event_code": "integration.change", "log_name": "audit",
            "original_time": "2026-05-04T10:20:30.123999Z", "sequence": 5, "tenant_uid": "7", "correlation_uid": "r-1",
        },
        "actor": {"user": {"name": "Ada Example", "type_id": 1, "uid": "019a0000-0000-7000-8000-000000000007"}},
        "src_endpoint": {"ip": "10.0.0.9"},
        "entity": {"uid": "019a", "type_id": 99, "type": "integration", "name": "lab-2"},
        "comment": "new partner",
        "unmapped": {
            "actor_kind": "user", "entity": "integration/019a", "outcome": "success", "reason": "new partner",
            "before": {"name": "lab"}, "after": {"name": "lab-2"}, "details": {"file": "hub.yaml"}, "studies": [3],
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("action", "outcome", "severity"),
    [("user.invite", "denied", 2), ("job.show", "failure", 2), ("audit.check", "failure", 4)],
)
def test_what_did_not_succeed_says_why(action: str, outcome: str, severity: int) -> None:
    found = made(action, outcome=outcome, code="INT003", error="this needs the permission users:write", entity="")
    assert (found["status_id"], found["status"], found["severity_id"]) == (2, "Failure", severity)
    assert (found["status_code"], found["status_detail"]) == ("INT003", "this needs the permission users:write")
    assert found["unmapped"]["outcome"] == outcome
    assert list(faults(found)) == []


@pytest.mark.parametrize(
    ("kind", "identifier", "user"),
    [
        ("system", "hub", {"name": "system", "type_id": 3, "uid": "hub"}),
        ("api_key", "k1", {"name": "api_key", "type_id": 4, "uid": "k1"}),
        ("nobody", "", {"name": "nobody", "type_id": 0}),
    ],
)
def test_who_has_no_name_or_address(kind: str, identifier: str, user: dict[str, Any]) -> None:
    found = made("session.create", actor={"kind": kind, "id": identifier, "name": ""}, source="", entity="")
    assert found["user"] == found["actor"]["user"] == user
    assert found["src_endpoint"] == {"name": "this machine"}
    assert list(faults(found)) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("class_uid",), 6004), (("activity_id",), 7), (("type_uid",), 1), (("category_uid",), 3),
        (("severity_id",), 9),
        (("status",), "Fine"), (("api", "operation"), None), (("actor", "user"), None), (("src_endpoint", "ip"), None),
        (("metadata", "product"), None), (("patient",), "4711"), (("metadata", "colour"), "red"), (("time",), "now"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_noticed(path: tuple[str, ...], value: Any) -> None:
    broken = copy.deepcopy(made())
    at = broken
    for one in path[:-1]:
        at = at[one]
    at[path[-1]] = value
    if value is None:
        del at[path[-1]]
    assert list(faults(broken))


NOUNS = ("user", "session", "message", "integration", "api-key", "audit", "lane", "organization", "link")
VERBS = (
    "list", "read", "create", "change", "remove", "revoke", "rotate", "enable", "disable", "activate", "lock", "roles",
    "password", "invite", "begin", "end", "replay", "retry", "refresh", "export", "check",
)  # fmt: skip
TEXTS = st.text(max_size=30)
EVENTS = st.builds(
    lambda noun, verb, named, **rest: event(f"{noun}.{verb}", entity=f"{noun}/{named}" if named else "", **rest),
    st.sampled_from(NOUNS), st.sampled_from(VERBS), st.sampled_from(["", "019a", "x/y"]),
    actor=st.fixed_dictionaries({
        "kind": st.sampled_from(["user", "local", "system", "api_key", "nobody"]), "id": TEXTS, "name": TEXTS,
    }),
    outcome=st.sampled_from(["success", "denied", "failure"]),
    source=st.one_of(TEXTS, st.ip_addresses().map(str)), request_id=TEXTS, reason=TEXTS, code=TEXTS, error=TEXTS,
    before=st.none() | st.dictionaries(TEXTS, TEXTS), after=st.none() | st.dictionaries(TEXTS, TEXTS | st.integers()),
)  # fmt: skip


@given(EVENTS)
def test_every_event_is_valid_and_nothing_of_it_is_lost(given_event: dict[str, Any]) -> None:
    found = ocsf.event(given_event, 12, "1.0")
    assert list(faults(found)) == []
    assert json.loads(json.dumps(found)) == found
    metadata, user, own = found["metadata"], found["actor"]["user"], found["unmapped"]
    kind = given_event["actor"]["kind"]
    back = {
        "id": metadata["uid"], "time": metadata["original_time"], "organization": int(metadata["tenant_uid"]),
        "action": metadata["event_code"], "request_id": metadata.get("correlation_uid", ""),
        "actor": {"kind": own["actor_kind"], "id": user.get("uid", ""), "name": user["name"]},
        "source": found["src_endpoint"].get("ip", found["src_endpoint"].get("name")),
        "code": found.get("status_code", ""), "error": found.get("status_detail", ""),
        **{name: own.get(name) for name in ("outcome", "before", "after")},
        **{name: own.get(name, "") for name in ("entity", "reason")},
    }  # fmt: skip
    wanted = given_event | {"source": given_event["source"] or "this machine"}
    wanted["actor"] = given_event["actor"] | {"name": given_event["actor"]["name"] or kind}
    wanted |= {name: given_event[name] or None for name in ("before", "after")}
    assert back == wanted


@given(EVENTS)
def test_reading_is_never_called_changing(given_event: dict[str, Any]) -> None:
    found = ocsf.event(given_event, 1, "1.0")
    if kind_of(given_event["action"]) is Kind.READ:
        assert (found["class_uid"], found["activity_id"]) == (6003, 2)
