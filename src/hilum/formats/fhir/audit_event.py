"""Audit events as FHIR R4 AuditEvent, after the patterns of IHE Basic Audit Log Patterns (BALP, profiles.ihe.net).

A resource claims a BALP profile only where it has all that the profile wants: those profiles are for what succeeded,
and want the client's network address. What failed or was denied has the same shape and claims nothing. The queries of
searches are not in the trail, for they may name a patient, so BALP's Query is never claimed either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hilum.model.audit import Kind, kind_of

_BALP = "https://profiles.ihe.net/ITI/BALP"
_DCM = "http://dicom.nema.org/resources/ontology/DCM"
_HL7 = "http://terminology.hl7.org/CodeSystem"
_INTERACTION = "http://hl7.org/fhir/restful-interaction"
_HUB = "urn:hilum:audit"  # identifiers that are the hub's own words: noun/uuid, user and key ids

Coded = tuple[str, str, str]
_SOURCE: Coded = (_DCM, "110153", "Source Role ID")
_DESTINATION: Coded = (_DCM, "110152", "Destination Role ID")
_READING, _WRITING = (_DESTINATION, _SOURCE), (_SOURCE, _DESTINATION)  # client, server: whereto the data goes
_DELETING: tuple[Coded, Coded] = (
    (_DCM, "110150", "Application"), (f"{_HL7}/provenance-participant-type", "custodian", "Custodian"),
)  # fmt: skip

_QUERIES = frozenset({"list", "search"})
_REST = frozenset({"create", "invite", "change", "update", "remove", "revoke", "purge", "archive", "rotate", "replace"})
_LOGINS = {
    "session.create": ("110122", "Login"), "session.begin": ("110122", "Login"), "session.end": ("110123", "Logout"),
    "session.end-all": ("110123", "Logout"),
}  # fmt: skip
_OUTCOMES = {"success": "0", "denied": "4", "failure": "8"}  # minor: refused; serious: it did not come to be


def resource(event: Mapping[str, Any]) -> dict[str, Any]:
    """One event of the trail, as its document says it."""
    action, interaction, (client, server) = _kind(str(event["action"]))
    source = str(event.get("source", ""))
    resource: dict[str, Any] = {"resourceType": "AuditEvent", "id": event["id"]}
    profile = _profile(action, event, source)
    if profile is not None:
        resource["meta"] = {"profile": [f"{_BALP}/StructureDefinition/IHE.BasicAudit.{profile}"]}
    resource |= _type(interaction, str(event["action"]))
    resource |= {"action": action, "recorded": event["time"], "outcome": _OUTCOMES.get(str(event["outcome"]), "8")}
    why = " ".join(str(event[name]) for name in ("code", "error") if event.get(name))
    if why:
        resource["outcomeDesc"] = why
    if event.get("reason"):
        resource["purposeOfEvent"] = [{"text": event["reason"]}]
    return resource | {
        "agent": _agents(event, source, client, server),
        "source": {
            "observer": {"display": "Hilum"},
            "type": [_coding((f"{_HL7}/security-source-type", "4", "Application Server"))],
        },
        "entity": _entities(event, action),
    }  # fmt: skip


def bundle(events: Sequence[Mapping[str, Any]], base: str, moment: str, links: Mapping[str, str]) -> dict[str, Any]:
    """A searchset, as ITI-81 answers. `base` is what an event's id is appended to, `moment` an instant."""
    return {
        "resourceType": "Bundle",
        "type": "searchset",
        "timestamp": moment,
        "link": [{"relation": relation, "url": url} for relation, url in links.items()],
        "entry": [
            {"fullUrl": f"{base}/{one['id']}", "resource": resource(one), "search": {"mode": "match"}} for one in events
        ],
    }


def batch(events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What ITI-20 sends to a repository (RESTful ATNA, Send Audit Bundle): a batch of creates, known by their ids."""
    create = {"method": "POST", "url": "AuditEvent"}
    return {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [{"fullUrl": f"urn:uuid:{one['id']}", "resource": resource(one), "request": create} for one in events],
    }


def created(answer: Any, count: int) -> int:
    """How many of a batch's `count` entries, from the first one on, a repository's answer says that it took.

    All of them where the answer is no batch-response: then its status said so.
    """
    if not isinstance(answer, dict) or answer.get("type") != "batch-response":
        return count
    entries = answer.get("entry") or []
    for number, entry in enumerate(entries[:count]):
        response = entry.get("response") if isinstance(entry, dict) else None
        if not isinstance(response, dict) or not str(response.get("status", "")).startswith("2"):
            return number
    return min(len(entries), count)


def _kind(action: str) -> tuple[str, str, tuple[Coded, Coded]]:
    """The action (C, R, U, D, E), the RESTful interaction, the roles of client and server."""
    verb, kind = action.partition(".")[2], kind_of(action)
    if verb in _QUERIES:
        return "E", "search-type", _WRITING
    if kind is Kind.READ:
        return "R", "read", _READING
    if verb not in _REST:
        return "E", "operation", _WRITING
    if kind is Kind.DELETE:
        return "D", "delete", _DELETING
    return ("C", "create", _WRITING) if kind is Kind.CREATE else ("U", "update", _WRITING)


def _profile(action: str, event: Mapping[str, Any], source: str) -> str | None:
    if event["outcome"] != "success" or not _is_address(source) or not event.get("entity"):
        return None
    return {"C": "Create", "R": "Read", "U": "Update", "D": "Delete"}.get(action)


def _type(interaction: str, action: str) -> dict[str, Any]:
    """`subtype` ends with the hub's own word, so that nothing of it is lost."""
    own = _coding((_HUB, action, action))
    if action in _LOGINS:
        code, display = _LOGINS[action]
        return {
            "type": _coding((_DCM, "110114", "User Authentication")),
            "subtype": [_coding((_DCM, code, display)), own],
        }
    rest = _coding((f"{_HL7}/audit-event-type", "rest", "Restful Operation"))
    return {"type": rest, "subtype": [_coding((_INTERACTION, interaction, interaction)), own]}


def _agents(event: Mapping[str, Any], source: str, client: Coded, server: Coded) -> list[dict[str, Any]]:
    actor = event["actor"]
    person = actor["kind"] in ("user", "local")
    who: dict[str, Any] = {"display": actor["name"] or actor["kind"]}
    if actor["id"]:
        who["identifier"] = {"system": _HUB, "value": actor["id"]}
    calling: dict[str, Any] = {"type": _concept(client), "who": who, "requestor": not person}
    if person:  # the machine is told apart from the person at it
        calling["who"] = {"display": source or "this machine"}
    if source:
        calling["network"] = {"address": source, "type": "2" if _is_address(source) else "1"}
    agents = [
        calling,
        {
            "type": _concept(server), "who": {"display": "Hilum"}, "requestor": False,
            "network": {"address": "hilum", "type": "1"},
        },
    ]  # fmt: skip
    if person:
        recipient = _concept((f"{_HL7}/v3-ParticipationType", "IRCP", "information recipient"))
        agents.append({"type": recipient, "who": who, "name": who["display"], "requestor": True})
    return agents


def _entities(event: Mapping[str, Any], action: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if event.get("request_id"):
        kind = {"system": f"{_BALP}/CodeSystem/BasicAuditEntityType", "code": "XrequestId"}
        found.append({"type": kind, "what": {"identifier": {"value": event["request_id"]}}})
    if event.get("entity"):
        role = ("20", "Job") if str(event["entity"]).startswith("job/") else ("4", "Domain Resource")
        data: dict[str, Any] = {
            "what": {"identifier": {"system": _HUB, "value": event["entity"]}}, "type": _object(),
            "role": _coding((f"{_HL7}/object-role", *role)),
        }  # fmt: skip
        changes = [{"type": name, "valueString": _text(event[name])} for name in ("before", "after") if event.get(name)]
        found.append(data | {"detail": changes} if changes else data)
    elif action == "E":
        role = ("24", "Query")
        found.append({"type": _object(), "role": _coding((f"{_HL7}/object-role", *role)), "name": event["action"]})
    return found


def _object() -> dict[str, str]:
    return _coding((f"{_HL7}/audit-entity-type", "2", "System Object"))


def _text(value: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={part}" for name, part in sorted(value.items()))


def _is_address(source: str) -> bool:
    """An IP address, not `local:alice` and the like."""
    return bool(source) and all(one in "0123456789abcdefABCDEF.:" for one in source)


def _coding(coded: Coded) -> dict[str, str]:
    return dict(zip(("system", "code", "display"), coded, strict=True))


def _concept(coded: Coded) -> dict[str, Any]:
    return {"coding": [_coding(coded)]}
