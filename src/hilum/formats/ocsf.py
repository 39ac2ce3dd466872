"""Audit events as OCSF 1.8.0 (Open Cybersecurity Schema Framework, schema.ocsf.io), one JSON object each.

Four classes: Authentication (3002) for sessions, Account Change (3001) for users, Entity Management (3004) for changes
of anything else, API Activity (6003) for reading, and for whatever names nothing that it was done to. What the schema
has no place for stands in `unmapped` under its own name, so that nothing is lost. 1.9.0 is newer and reads these
events; of what is used here it deprecates Account Change alone, in favour of a class that few collectors know.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Mapping
from typing import Any

from hilum.model.audit import Kind, kind_of

SCHEMA = "1.8.0"
ACCOUNT_CHANGE, AUTHENTICATION, ENTITY_MANAGEMENT, API_ACTIVITY = 3001, 3002, 3004, 6003
_OTHER = 99
_INFORMATIONAL, _LOW, _HIGH = 1, 2, 4
_GRAVE = frozenset({"audit.check"})  # a failure of these says that evidence was touched

_SESSIONS = {"create": 1, "begin": 1, "end": 2, "end-all": 2}  # Logon, Logoff
_ACCOUNTS = {"invite": 1, "password": 3, "remove": 6, "lock": 9, "totp-set": 10, "totp-remove": 11}
_MANAGED = {
    "create": 1, "change": 3, "update": 3, "rotate": 3, "renew": 3, "replace": 3, "rollback": 3, "archive": 3,
    "restore": 3, "remove": 4, "revoke": 4, "purge": 4, "enable": 8, "disable": 9, "activate": 10, "deactivate": 11,
}  # fmt: skip
_CALLS = {Kind.CREATE: 1, Kind.READ: 2, Kind.UPDATE: 3, Kind.DELETE: 4}
_USERS = {"user": 1, "local": 1, "system": 3, "api_key": 4}  # User, System, Service; 0 is Unknown
_MAPPED = frozenset({"id", "time", "organization", "actor", "action", "request_id", "source", "code", "error"})

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def event(found: Mapping[str, Any], position: int, version: str) -> dict[str, Any]:
    """One event of the trail, `position` in its chain, as a hub of `version` says it."""
    action, entity = str(found["action"]), str(found.get("entity", ""))
    number, activity = _class(action, entity)
    succeeded = found["outcome"] == "success"
    result: dict[str, Any] = {
        "category_uid": number // 1_000,
        "class_uid": number,
        "activity_id": activity,
        "type_uid": number * 100 + activity,
        "severity_id": _INFORMATIONAL if succeeded else _HIGH if action in _GRAVE else _LOW,
        "time": milliseconds(str(found["time"])),
        "status_id": 1 if succeeded else 2,
        "status": "Success" if succeeded else "Failure",
        "message": " ".join(one for one in (action, entity, f"({found['outcome']})") if one),
        "metadata": _metadata(found, position, version),
        "actor": {"user": _user(found["actor"])},
        "src_endpoint": _source(str(found.get("source", ""))),
        "unmapped": _unmapped(found),
    }
    if activity == _OTHER:
        result["activity_name"] = action
    why = {"status_code": found.get("code"), "status_detail": found.get("error")}
    result |= {name: str(value) for name, value in why.items() if value}
    return result | _object(number, found, action, entity)


def milliseconds(time: str) -> int:
    """Since 1970, of an event's time."""
    return (datetime.datetime.fromisoformat(time) - _EPOCH) // datetime.timedelta(milliseconds=1)


def address(source: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that an event came from; None where its source is something else, such as `local:alice`."""
    try:
        return ipaddress.ip_address(source)
    except ValueError:
        return None


def _class(action: str, entity: str) -> tuple[int, int]:
    """class_uid and activity_id."""
    noun, _, verb = action.partition(".")
    kind = kind_of(action)
    if noun == "session" and verb in _SESSIONS:
        return AUTHENTICATION, _SESSIONS[verb]
    if kind is not Kind.READ and noun == "user" and entity.startswith("user/"):
        return ACCOUNT_CHANGE, _ACCOUNTS.get(verb, _OTHER)
    if verb in _MANAGED and entity:
        return ENTITY_MANAGEMENT, _MANAGED[verb]
    return API_ACTIVITY, _CALLS[kind]


def _metadata(found: Mapping[str, Any], position: int, version: str) -> dict[str, Any]:
    metadata = {
        "version": SCHEMA,
        "product": {"name": "Hilum", "vendor_name": "Hilum", "version": version},
        "uid": found["id"],
        "event_code": found["action"],
        "log_name": "audit",
        "original_time": found["time"],
        "sequence": position,
        "tenant_uid": str(found["organization"]),
    }
    return metadata | ({"correlation_uid": found["request_id"]} if found.get("request_id") else {})


def _object(number: int, found: Mapping[str, Any], action: str, entity: str) -> dict[str, Any]:
    """What the class is about."""
    noun, _, name = entity.partition("/")
    if number == AUTHENTICATION:
        return {"user": _user(found["actor"]), "service": {"name": "Hilum"}}
    shown = (found.get("after") or {}).get("name") or (found.get("before") or {}).get("name")
    named = {"name": shown} if isinstance(shown, str) else {}
    if number == ACCOUNT_CHANGE:
        return {"user": {"uid": name, **named}}
    if number == ENTITY_MANAGEMENT:
        managed = {"entity": {"uid": name or noun, "type_id": _OTHER, "type": noun, **named}}
        return managed | ({"comment": str(found["reason"])} if found.get("reason") else {})
    asked = {"request": {"uid": found["request_id"]}} if found.get("request_id") else {}
    call = {"api": {"operation": action, "service": {"name": "Hilum"}, **asked}}
    return call | ({"resources": [{"uid": name or noun, "type": noun}]} if entity else {})


def _user(actor: Mapping[str, Any]) -> dict[str, Any]:
    user = {"name": actor["name"] or actor["kind"], "type_id": _USERS.get(actor["kind"], 0)}
    return user | ({"uid": actor["id"]} if actor["id"] else {})


def _source(source: str) -> dict[str, str]:
    return {"ip": source} if address(source) is not None else {"name": source or "this machine"}


def _unmapped(found: Mapping[str, Any]) -> dict[str, Any]:
    """What has no place, and what its place tells less exactly."""
    rest = {name: value for name, value in found.items() if name not in _MAPPED and value}
    return {"actor_kind": found["actor"]["kind"], **rest}
