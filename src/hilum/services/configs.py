"""Document 002's view of an integration: 22 fields in camelCase, one endpoint, its own words for what it says.

The same rows as everywhere else. Its words are ours by the conflicts C-04, C-05 and C-06.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from hilum.errors import ConfigError
from hilum.services.drafts import HIDDEN
from hilum.services.integration_views import View

AUTHENTICATIONS = {
    "API_KEY": "api_key", "OAUTH": "oauth2", "BASIC_AUTH": "basic", "TOKEN": "bearer", "NONE": "none", "JWT": "jwt",
    "CERTIFICATE": "certificate", "SSH_KEY": "ssh_key", "ACCESS_KEY": "access_key",
}  # fmt: skip
TYPES = (
    "HL7", "FHIR", "PAYMENT_GATEWAY", "LAB_SYSTEM", "IMAGING_SYSTEM", "PHARMACY_SYSTEM", "EHR_SYSTEM", "INSURANCE",
    "API", "WEBHOOK",
)  # fmt: skip
STATUSES = {
    "initializing": "TESTING", "testing": "TESTING", "active": "ACTIVE", "inactive": "INACTIVE", "error": "ERROR",
    "archived": "INACTIVE",
}  # fmt: skip
LIFECYCLES = {
    "ACTIVE": ("active",), "INACTIVE": ("inactive",), "ERROR": ("error",), "TESTING": ("initializing", "testing"),
}  # fmt: skip
READ_ONLY = frozenset({"id", "webhookUrl", "lastSyncedAt", "lastError", "tenantId", "createdAt", "updatedAt"})
FIELDS = frozenset({
    "id", "name", "type", "provider", "description", "endpoint", "apiKey", "apiSecret", "username", "password",
    "authType", "status", "config", "webhookUrl", "headers", "timeout", "retryAttempts", "lastSyncedAt", "lastError",
    "tenantId", "createdAt", "updatedAt",
})  # fmt: skip

_HELD = {  # which of its four fields an authentication keeps where
    "api_key": {"apiKey": "key"}, "oauth2": {"apiKey": "client_id", "apiSecret": "client_secret"},
    "basic": {"username": "username", "password": "password"}, "bearer": {"apiKey": "token"},
    "jwt": {"apiKey": "issuer", "apiSecret": "secret"}, "certificate": {"apiSecret": "key"}, "none": {},
    "ssh_key": {"username": "username", "password": "passphrase", "apiSecret": "private_key"},
    "access_key": {"apiKey": "access_key_id", "apiSecret": "secret_access_key"},
}  # fmt: skip
_SETTINGS = {  # what `config` says of an authentication, for which document 002 has no field
    "oauth2": {"tokenUrl": "token_url", "scopes": "scopes", "grantType": "grant_type"},
    "jwt": {"algorithm": "algorithm", "audience": "audience", "expiresIn": "expires_in", "issuer": "issuer"},
    "certificate": {"certificate": "certificate", "ca": "ca"}, "api_key": {"headerName": "header_name"},
}  # fmt: skip
_PLAIN = {"name": "name", "type": "type", "provider": "provider", "description": "description", "headers": "headers"}
_CREDENTIALS = ("authType", "apiKey", "apiSecret", "username", "password")
_METHOD = "POST"
"""Document 002 knows no method; what a partner is sent is posted."""


def apply(draft: Mapping[str, Any], given: Mapping[str, Any], tenant: str) -> dict[str, Any]:
    """A draft after a request: what is given is set, null clears. Raises ConfigError (no such field, or not yours)."""
    for key in given:
        if key not in FIELDS:
            raise ConfigError("there is no such key", where=key)
    if given.get("tenantId") not in (None, tenant):
        raise ConfigError("is the token's, and cannot be chosen", where="tenantId")
    changed = copy.deepcopy(dict(draft))
    for key, ours in _PLAIN.items():
        if key in given:
            _set(changed, ours, given[key])
    if "type" in given and given["type"] not in TYPES:
        raise ConfigError(f"must be one of {', '.join(TYPES)}", where="type")
    _endpoint(changed, given)
    _authentication(changed, given)
    return changed


def view(one: View) -> dict[str, Any]:
    """As document 002 shows it. What is secret is masked; what is not there is null."""
    first = next((each for each in one.endpoints if not _receives(each)), {})
    signs = one.authentication or first.get("authentication") or {"type": "none"}
    kind = str(signs.get("type", "none"))
    held: dict[str, Any] = dict.fromkeys(("apiKey", "apiSecret", "username", "password"))
    for field, ours in _HELD.get(kind, {}).items():
        value = signs.get(ours)
        held[field] = HIDDEN if isinstance(value, Mapping) else value
    config = dict(one.config)
    config |= {field: signs[ours] for field, ours in _SETTINGS.get(kind, {}).items() if ours in signs}
    return {
        "id": one.id, "name": one.name, "type": "API" if one.type == "OTHER" else one.type,
        "provider": one.provider or None, "description": one.description or None, "endpoint": first.get("url"),
        **held, "authType": next(name for name, ours in AUTHENTICATIONS.items() if ours == kind),
        "status": STATUSES[one.status], "config": config, "webhookUrl": one.webhook_url, "headers": one.headers,
        "timeout": first.get("timeout", one.timeout), "retryAttempts": first.get("retries", one.retries),
        "lastSyncedAt": one.last_synced_at, "lastError": one.last_error, "tenantId": one.organization,
        "createdAt": one.created_at, "updatedAt": one.updated_at or one.created_at,
    }  # fmt: skip


def _endpoint(changed: dict[str, Any], given: Mapping[str, Any]) -> None:
    """Its only endpoint is our first one; the others stay."""
    every = list(changed.get("endpoints") or [])
    receiving, endpoints = [one for one in every if _receives(one)], [one for one in every if not _receives(one)]
    if "endpoint" in given:
        url = given["endpoint"]
        if url is None:
            endpoints = endpoints[1:]
        elif endpoints:
            endpoints[0] = {**endpoints[0], "url": url}
        else:
            endpoints = [{"name": "main", "url": url}]
        if url is not None:
            http = str(url).lower().startswith(("http://", "https://"))
            endpoints[0].setdefault("method", _METHOD) if http else endpoints[0].pop("method", None)
    for key, ours in (("timeout", "timeout"), ("retryAttempts", "retries")):
        if key in given:
            _set(changed, ours, given[key])
            if endpoints:
                endpoints[0].pop(ours, None)  # so that it is handed down
    changed["endpoints"] = [*endpoints, *receiving]


def _receives(endpoint: Mapping[str, Any]) -> bool:
    """The one that takes webhooks is no address that one could type: `webhookUrl` is."""
    return str(endpoint.get("url")).startswith("webhook:")


def _authentication(changed: dict[str, Any], given: Mapping[str, Any]) -> None:
    config = given.get("config") if isinstance(given.get("config"), Mapping) else None
    if config is None and not any(key in given for key in _CREDENTIALS):
        if "config" in given:
            _set(changed, "config", given["config"])
        return
    before = changed.get("authentication") or {"type": "none"}
    kind = before.get("type", "none")
    if "authType" in given and given["authType"] is not None:
        if given["authType"] not in AUTHENTICATIONS:
            raise ConfigError(f"must be one of {', '.join(AUTHENTICATIONS)}", where="authType")
        kind = AUTHENTICATIONS[given["authType"]]
    signs = dict(before) if kind == before.get("type") else {"type": kind}
    for field, ours in _HELD[kind].items():
        if field in given:
            signs[ours] = given[field]
    settings = _SETTINGS.get(kind, {})
    for field, ours in settings.items():
        if config is not None and field in config:
            signs[ours] = config[field]
    if config is not None:
        changed["config"] = {key: value for key, value in config.items() if key not in settings}
    changed["authentication"] = signs


def _set(changed: dict[str, Any], key: str, value: Any) -> None:
    if value is None:
        changed.pop(key, None)
    else:
        changed[key] = value
