"""Says what is wrong with an integration that somebody wants, all at once, in document 003's words (S3-21 … S3-30)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from hilum.model.configuration import Integration
from hilum.sdk import authentication
from hilum.sdk.registry import Registry
from hilum.services.drafts import PROTOCOLS, TYPES

REQUIRED = ("name", "type", "endpoints")
METHODS = frozenset({"GET", "POST", "PUT", "DELETE", "PATCH"})
UNSAID = "Neither data_categories nor legal_basis is said, as production should for the report of connections"
_HTTP = frozenset({"http", "https"})
_LONGEST = 2_048  # characters of a URL
_MOST_RETRIES = 10


@dataclasses.dataclass(slots=True)
class Validation:
    """Document 003's shape. `field`: the JSON pointer of the first error."""

    valid: bool = True
    errors: list[str] = dataclasses.field(default_factory=list)
    warnings: list[str] = dataclasses.field(default_factory=list)
    checkedFields: list[str] = dataclasses.field(default_factory=list)
    field: str | None = None

    def refuse(self, text: str, field: str) -> None:
        self.valid = False
        self.errors.append(text)
        self.field = self.field or field

    @property
    def message(self) -> str:
        """What is told where an integration was to be made of it (S3-17)."""
        return f"Integration validation failed: {', '.join(self.errors)}"


def validate(draft: Mapping[str, Any], registry: Registry) -> Validation:
    """`draft`: as services/drafts.py reads it, its secrets still inside. Dials nobody and writes nothing."""
    found = Validation()
    for field in REQUIRED:
        found.checkedFields.append(field)
        value = draft.get(field)
        lacking = not (value.strip() if isinstance(value, str) else value)
        if lacking and not (field == "endpoints" and draft.get("type") == "WEBHOOK"):
            found.refuse(f"Required field '{field}' is missing", f"/{field}")
    _kinds(found, draft)
    _numbers(found, draft, "", "")
    endpoints = draft.get("endpoints")
    if endpoints is not None and not isinstance(endpoints, list):
        found.refuse("endpoints must be a list", "/endpoints")
    for number, endpoint in enumerate(endpoints if isinstance(endpoints, list) else []):
        _endpoint(found, draft, number, endpoint, registry)
    _authentication(found, draft)
    if _in_production(draft) and not (draft.get("data_categories") or draft.get("legal_basis")):
        found.warnings.append(UNSAID)
    if found.valid:
        for text, field in _model(draft):
            found.refuse(text, field)
    return found


def _in_production(draft: Mapping[str, Any]) -> bool:
    """What names no environment is made in production."""
    return (draft.get("environment") or "production") == "production"


def _kinds(found: Validation, draft: Mapping[str, Any]) -> None:
    for field, known in (("type", TYPES), ("protocol", PROTOCOLS)):
        value = draft.get(field)
        if not value:
            continue
        if not isinstance(value, str):
            found.refuse(f"{field} must be text", f"/{field}")
        elif value not in known:
            found.refuse(f"Invalid integration type: {value}", f"/{field}")


def _endpoint(found: Validation, draft: Mapping[str, Any], number: int, endpoint: Any, registry: Registry) -> None:
    place = f"/endpoints/{number}"
    if not isinstance(endpoint, Mapping):
        found.refuse(f"endpoints[{number}]: must be an object", place)
        return
    name = f"endpoints[{number}] ({endpoint.get('name')})"
    for text, field in _address(endpoint, str(draft.get("protocol")), registry):
        found.refuse(f"{name}: {text}", f"{place}/{field}")
    for text, field in _method(endpoint):
        found.refuse(f"{name}: {text}", f"{place}/{field}")
    _numbers(found, endpoint, f"{name}: ", place)
    url = endpoint.get("url")
    if isinstance(url, str) and url.lower().startswith("http://"):
        found.warnings.append(f"{name}: HTTP endpoint detected - recommend using HTTPS for security")
    if isinstance(endpoint.get("authentication"), Mapping):
        errors, warnings = authentication.problems(endpoint["authentication"])
        for text in errors:
            found.refuse(f"{name}: {text}", f"{place}/authentication")
        found.warnings += [f"{name}: {text}" for text in warnings]


def _numbers(found: Validation, given: Mapping[str, Any], name: str, place: str) -> None:
    """Whole numbers, written as such. What a time-out may be, the model says."""
    for key in ("timeout", "retries"):
        value = given.get(key)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            found.refuse(f"{name}{key} must be a whole number", f"{place}/{key}")
        elif key == "retries" and value is not None and not 0 <= value <= _MOST_RETRIES:
            found.refuse(f"{name}retries must be 0 to {_MOST_RETRIES}", f"{place}/retries")


def _address(endpoint: Mapping[str, Any], protocol: str, registry: Registry) -> Iterator[tuple[str, str]]:
    url = endpoint.get("url")
    if not url:
        yield "Endpoint URL is required", "url"
        return
    if not isinstance(url, str):
        yield "the URL must be text", "url"
        return
    try:
        parts = urlsplit(url)
        sound = bool(parts.scheme) and "://" in url and (bool(parts.hostname) or parts.path.startswith("/"))
        _ = parts.port  # raises ValueError beyond 65535
    except ValueError:
        sound = False
    if not sound or any(one.isspace() or ord(one) < 32 for one in url):
        yield f"Invalid URL format: {url}", "url"
        return
    if len(url) > _LONGEST:
        yield f"the URL has more than {_LONGEST} characters", "url"
    scheme = parts.scheme.lower()
    if parts.password is not None or (parts.username is not None and scheme != "sftp"):  # where a user is no secret
        yield "the URL must hold no credentials", "url"
    if scheme not in registry.connectors:
        yield f"no connector speaks {scheme!r}; there are: {', '.join(sorted(registry.connectors))}", "url"
    elif protocol in PROTOCOLS and not _fits(scheme, protocol):
        yield f"{scheme} is not how {protocol} is spoken", "url"


_SPOKEN = {
    "rest_api": {"http", "https"}, "fhir_api": {"http", "https"}, "websocket": {"ws", "wss"},
    "hl7_v2": {"mllp", "mllps", "http", "https", "file", "sftp"}, "dicom": {"dicom", "http", "https"},
    "file_transfer": {"file", "sftp", "ftp", "ftps", "s3"}, "smtp": {"smtp", "smtps"},
    "database": {"postgresql", "mysql", "mariadb", "mssql", "oracle", "sqlite"},
    "message_queue": {"amqp", "amqps", "kafka", "nats", "redis", "rediss"},
}  # fmt: skip


def _fits(scheme: str, protocol: str) -> bool:
    """A protocol that names no schemes takes what its connectors take."""
    known = _SPOKEN.get(protocol)
    return known is None or scheme in known or all(scheme not in one for one in _SPOKEN.values())


def _method(endpoint: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    scheme = str(endpoint.get("url") or "").partition("://")[0].lower()
    method = endpoint.get("method")
    if method and not isinstance(method, str):
        yield "the method must be text", "method"
    elif method:
        if method.upper() not in METHODS:
            yield f"Invalid HTTP method: {method}", "method"
    elif scheme in _HTTP and endpoint.get("direction") == "outbound":
        yield "HTTP method is required", "method"


def _authentication(found: Validation, draft: Mapping[str, Any]) -> None:
    given = draft.get("authentication")
    endpoints = draft.get("endpoints")
    own = isinstance(endpoints, list) and any(
        isinstance(one, Mapping) and one.get("authentication") for one in endpoints
    )
    if not given:
        if not own:
            found.warnings.append("No authentication configuration provided")
        return
    if not isinstance(given, Mapping):
        found.refuse("authentication must be an object", "/authentication")
        return
    errors, warnings = authentication.problems(given)
    for text in errors:
        found.refuse(text, "/authentication")
    found.warnings += warnings


def _model(draft: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What the document's own model says: unknown keys, ranges, names."""
    document = {**draft, "name": draft.get("handle") or "integration", "title": draft.get("name") or ""}
    document.pop("handle", None)
    try:
        model = Integration.model_validate(document)
    except ValidationError as error:
        for one in error.errors(include_url=False, include_input=False, include_context=False):
            place = "/".join(map(str, one["loc"])).replace("title", "name", 1)
            text = {"extra_forbidden": "there is no such key"}.get(one["type"], one["msg"])
            yield f"{place.replace('/', '.')}: {text.removeprefix('Value error, ')}", f"/{place}"
        return
    seen: set[str] = set()
    for number, endpoint in enumerate(model.endpoints):
        if endpoint.name in seen:
            yield (
                f"endpoints[{number}]: {endpoint.name} is the name of another endpoint already",
                f"/endpoints/{number}",
            )
        seen.add(endpoint.name)
