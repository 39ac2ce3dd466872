"""Which of an integration's endpoints work by a person's consent (OAuth 2, grant authorization_code)."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from hilum.model.configuration import Integration

_PARTS = ("token_url", "client_id", "scopes", "audience", "subject")


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """One consent and the endpoints that share it. `form` names the authentication as it is written."""

    form: str
    endpoints: tuple[str, ...]
    scopes: tuple[str, ...]


def wanted(integration: Integration) -> list[Wanted]:
    """Every consent that an integration needs, in the order of its endpoints."""
    found: dict[str, list[str]] = {}
    scopes: dict[str, tuple[str, ...]] = {}
    for endpoint in integration.endpoints:
        given = endpoint.options.get("authentication")
        if endpoint.direction == "inbound" or not isinstance(given, Mapping) or not _by_consent(given):
            continue
        form = _form(given)
        found.setdefault(form, []).append(endpoint.name)
        scopes[form] = _scopes(given)
    return [Wanted(form, tuple(names), scopes[form]) for form, names in found.items()]


def _by_consent(given: Mapping[str, Any]) -> bool:
    return given.get("type") == "oauth2" and _said(given, "grant_type") == "authorization_code"


def _form(given: Mapping[str, Any]) -> str:
    """Another secret or key of the client's changes nothing: what a person consented to is still the same."""
    parts = [list(_scopes(given)) if name == "scopes" else _said(given, name) for name in _PARTS]
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()


def _scopes(given: Mapping[str, Any]) -> tuple[str, ...]:
    found = _said(given, "scopes") or []
    return tuple(sorted(found.split() if isinstance(found, str) else map(str, found)))


def _said(given: Mapping[str, Any], name: str) -> Any:
    """Keys may be written in camel case too."""
    first, *rest = name.split("_")
    return given.get(name) or given.get(first + "".join(map(str.capitalize, rest))) or None
