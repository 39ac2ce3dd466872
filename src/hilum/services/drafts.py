"""What people send to make an integration, brought into the form that files have; and what of it is a secret.

Names may be written as document 003 has them (`tokenUrl`, `rateLimit`) or as ours (`token_url`, `rate_limit`).
"""

from __future__ import annotations

import copy
import dataclasses
import re
import zlib
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, get_args

from hilum.model.configuration import IntegrationType, Protocol
from hilum.sdk.authentication import SECRETS
from hilum.sdk.headers import is_secret

PROTOCOLS = frozenset(get_args(Protocol))
TYPES = frozenset(get_args(IntegrationType))
HIDDEN = "********"
"""What stands for a header's secret when it is read; sent back, it changes nothing."""

_BY_SCHEME = {
    "mllp": "hl7_v2", "mllps": "hl7_v2", "http": "rest_api", "https": "rest_api", "ws": "websocket",
    "wss": "websocket", "file": "file_transfer", "sftp": "file_transfer", "ftp": "file_transfer",
    "ftps": "file_transfer", "s3": "file_transfer", "postgresql": "database", "mysql": "database",
    "mariadb": "database", "sqlite": "database", "amqp": "message_queue", "amqps": "message_queue",
    "kafka": "message_queue", "nats": "message_queue", "dicom": "dicom", "smtp": "smtp", "smtps": "smtp",
}  # fmt: skip
_BY_TYPE = {"HL7": "hl7_v2", "FHIR": "fhir_api"}
_BY_PROTOCOL = {"hl7_v2": "HL7", "fhir_api": "FHIR", "rest_api": "API"}
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def read(given: Mapping[str, Any]) -> dict[str, Any]:
    """The document that a request means. Raises nothing: what does not fit is left for the model to refuse."""
    draft = _snake(given)
    if isinstance(draft.get("type"), str) and draft["type"] in PROTOCOLS:  # document 003's type is our protocol
        draft.setdefault("protocol", draft["type"])
        draft["type"] = _BY_PROTOCOL.get(str(draft["protocol"]), "OTHER")
    if draft.get("type") == "WEBHOOK" and not draft.get("endpoints"):
        draft["endpoints"] = [{"name": "in", "direction": "inbound", "url": "webhook://receiver"}]
    endpoints = draft.get("endpoints")
    if isinstance(endpoints, list):
        scheme = next((_scheme(one) for one in endpoints if _scheme(one)), "")
        draft.setdefault("protocol", _BY_TYPE.get(str(draft.get("type"))) or _BY_SCHEME.get(scheme, "rest_api"))
        draft["endpoints"] = [_endpoint(one, draft, number) for number, one in enumerate(endpoints, 1)]
    elif draft.get("type") is not None:
        draft.setdefault("protocol", _BY_TYPE.get(str(draft["type"]), "rest_api"))
    for key in ("authentication", "headers", "config"):
        if draft.get(key) is None:
            draft.pop(key, None)
    for key in ("created_by", "organization"):  # who asks says both; document 003's requests name them all the same
        draft.pop(key, None)
    return draft


def read_patch(given: Mapping[str, Any]) -> dict[str, Any]:
    """A merge patch in our spelling: null stays, for it removes."""
    return _snake(given)


def given(document: Mapping[str, Any]) -> dict[str, Any]:
    """What was sent to make a stored document, references in its secrets' place."""
    rest = {key: copy.deepcopy(value) for key, value in document.items() if key not in ("name", "title", "active")}
    return {"name": document.get("title") or document["name"], "handle": document["name"], **rest}


def handle(title: str, taken: set[str]) -> str:
    """A name for configuration files and routes, made of a title, that nobody has yet."""
    base = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:50] or "integration"
    found, number = base, 1
    while found in taken:
        number += 1
        found = f"{base}-{number}"
    return found


def merged(document: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(document) if isinstance(document, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


@dataclasses.dataclass(frozen=True, slots=True)
class Split:
    """A document without its secrets, and those: by name, None where one is to be cleared."""

    document: dict[str, Any]
    secrets: dict[str, str | None]


def split(draft: Mapping[str, Any], entry: str, before: Mapping[str, Any] | None = None) -> Split:
    """Take the secrets out; a reference to the vault's `entry` takes the place of each.

    `before`: the document that this one replaces. A secret that is left out, or sent back as it was shown, stays.
    """
    document = copy.deepcopy(dict(draft))
    secrets: dict[str, str | None] = {}
    old = dict(_holders(before or {}))
    for path, holder in _holders(document):
        authenticates = path.endswith("authentication")
        same = old.get(path, {})
        if authenticates and same.get("type") != holder.get("type"):
            same = {}
        for key in sorted({*holder, *(SECRETS & same.keys() if authenticates else ())}):
            if not (key in SECRETS if authenticates else is_secret(key)):
                continue
            name, value = _code(path, key), holder.get(key, HIDDEN)
            if value is None:
                holder.pop(key)
                secrets[name] = None
            elif value == HIDDEN or isinstance(value, Mapping):
                if key in same:
                    holder[key] = same[key]
                else:
                    holder.pop(key, None)
            elif isinstance(value, str) and "${" not in value:
                secrets[name] = value
                holder[key] = f"${{secret:{entry}.{name}}}"
    return Split(document, secrets)


def inline(parts: Split, entry: str) -> dict[str, Any]:
    """The document with its new secrets in place: to be checked, never to be kept."""
    document = copy.deepcopy(parts.document)
    for _, holder in _holders(document):
        for key, value in holder.items():
            for name, secret in parts.secrets.items():
                if secret is not None and value == f"${{secret:{entry}.{name}}}":
                    holder[key] = secret
    return document


def shown(document: Mapping[str, Any], about: Mapping[str, Mapping[str, Any]], entry: str) -> dict[str, Any]:
    """A document as people may see it. `about`: what may be seen of the entry's secrets, by name."""
    seen = copy.deepcopy(dict(document))
    for path, holder in _holders(seen):
        for key, value in holder.items():
            if path.endswith("authentication"):
                if key in SECRETS and isinstance(value, str):
                    own = about.get(_code(path, key)) if f"secret:{entry}." in value else None
                    holder[key] = {"set": True, **own} if own else {"set": True, "reference": value}
            elif is_secret(key):
                holder[key] = HIDDEN
    return seen


def _holders(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where secrets may stand: authentications and headers, with their paths."""
    for key in ("authentication", "headers"):
        if isinstance(document.get(key), dict):
            yield key, document[key]
    endpoints = document.get("endpoints")
    for one in endpoints if isinstance(endpoints, list) else []:
        if isinstance(one, dict):
            for key in ("authentication", "headers"):
                if isinstance(one.get(key), dict):
                    yield f"{one.get('name')}.{key}", one[key]


def _code(path: str, key: str) -> str:
    """A secret's name in the vault: letters, digits and underscores."""
    text = f"{path}.{key}".replace(".", "_")
    plain = re.sub(r"[^A-Za-z0-9_]", "_", text)[:50]
    plain = plain if plain[:1].isalpha() else f"e{plain}"
    return plain if plain == text else f"{plain}_{zlib.crc32(text.encode()):08x}"


def _endpoint(given: Any, draft: Mapping[str, Any], number: int) -> Any:
    if not isinstance(given, dict):
        return given
    endpoint = dict(given)
    for key in ("id", "status", "health"):  # what an answer shows and nobody sets
        endpoint.pop(key, None)
    if not endpoint.get("name"):
        endpoint["name"] = f"{draft.get('protocol')}_{number}"
    endpoint.setdefault("direction", "outbound")
    if isinstance(endpoint.get("method"), str):
        endpoint["method"] = endpoint["method"].upper()
    limit = endpoint.get("rate_limit")
    if isinstance(limit, dict) and "requests" in limit:
        seconds = limit.get("per_seconds", 1)
        rest = {key: value for key, value in limit.items() if key not in ("requests", "per_seconds")}
        period = seconds * 1000 if isinstance(seconds, int | float) else seconds
        endpoint["rate_limit"] = {"messages": limit["requests"], "period": period, **rest}
    return {key: value for key, value in endpoint.items() if value is not None}


def _scheme(endpoint: Any) -> str:
    url = endpoint.get("url") if isinstance(endpoint, dict) else None
    return url.partition("://")[0].lower() if isinstance(url, str) and "://" in url else ""


def _snake(given: Mapping[str, Any]) -> dict[str, Any]:
    """Our spelling of names, where they are ours: not those of headers, parameters or a site's own facts."""
    draft: dict[str, Any] = {_name(key): copy.deepcopy(value) for key, value in given.items()}
    endpoints = draft.get("endpoints")
    if isinstance(endpoints, list):
        draft["endpoints"] = [_members(one) for one in endpoints]
    return dict(_members(draft))


def _members(given: Any) -> Any:
    if not isinstance(given, Mapping):
        return given
    found: MutableMapping[str, Any] = {_name(key): value for key, value in given.items()}
    for key in ("authentication", "rate_limit", "probe"):
        if isinstance(found.get(key), Mapping):
            found[key] = {_name(one): value for one, value in found[key].items()}
    return dict(found)


def _name(key: str) -> str:
    return _CAMEL.sub("_", key).lower() if "-" not in key else key
