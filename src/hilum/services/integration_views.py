"""Integrations as people see them: secrets hidden, times in RFC 3339, what stands elsewhere brought together."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from hilum.errors import StoreError
from hilum.model.configuration import Endpoint
from hilum.security.seal import Sealer
from hilum.services import drafts
from hilum.services.credentials import PART
from hilum.services.messages import stamp
from hilum.services.webhook_receivers import PATH
from hilum.store import Connection, credentials, initializations, integrations, organizations, webhook_receivers
from hilum.store.integrations import Row
from hilum.store.mappings import KEYS


@dataclasses.dataclass(frozen=True, slots=True)
class CredentialsView:
    """How it signs in, secrets hidden. `configured`: set up so by an initialization, and not changed since."""

    type: str
    configured: bool
    details: dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class View:
    """An integration as people see it. Times are RFC 3339; secrets are hidden; `handle` is its name in files.

    `mappings` are the stored ones that its endpoints name; `validation` is what the last initialization found.
    """

    id: str
    name: str
    handle: str
    type: str
    protocol: str
    provider: str
    description: str
    environment: str
    study: str | None
    tags: list[str]
    gxp: bool
    data_categories: list[str]
    legal_basis: list[str]
    error_after: int
    auto_recover: bool
    status: str
    health: str
    health_checked_at: str | None
    last_error: str | None
    last_synced_at: str | None
    authentication: dict[str, Any] | None
    credentials: CredentialsView
    headers: dict[str, str]
    timeout: int | None
    retries: int | None
    config: dict[str, Any]
    endpoints: list[dict[str, Any]]
    mappings: list[str]
    validation: dict[str, Any] | None
    webhook_url: str | None
    managed_by: str
    organization: str
    version: int
    created_at: str | None
    created_by: str | None
    updated_at: str | None
    archived_at: str | None


def entry_of(identifier: uuid.UUID) -> str:
    """The credential that holds an integration's own secrets."""
    return f"{PART}{identifier.hex}"


def views(connection: Connection, organization: int, rows: Sequence[Row], sealer: Sealer, base: str) -> list[View]:
    """In their order. `base`: where others reach the hub. Raises NotFound (the organization)."""
    home = organizations.get(connection, organization)
    documents = shown(connection, organization, rows)
    hooks = webhook_receivers.of(connection, [one.id for one in rows])
    tries = initializations.newest(connection, [one.id for one in rows])
    found = []
    for one, document in zip(rows, documents, strict=True):
        hook = hooks.get(one.id)
        url = None if hook is None else f"{base}{PATH}/{hook}"
        found.append(_view(one, home, document, url, sealer, _told(tries.get(one.id), sealer)))
    return found


def shown(connection: Connection, organization: int, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Their documents as people may see them."""
    entries = [entry_of(one.uuid) for one in rows]
    held = credentials.named(connection, organization, entries)
    found = []
    for one, name in zip(rows, entries, strict=True):
        entry = held.get(name)
        about = {} if entry is None else {key: _secret(told) for key, told in entry.secrets.items()}
        found.append(drafts.shown(one.document, about, name))
    return found


def signs(document: Mapping[str, Any]) -> str:
    """Another one where a document, as it is shown, signs in another way or with a newer secret."""
    given = [document, *(document.get("endpoints") or [])]
    text = json.dumps([one.get("authentication") for one in given], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _view(
    one: Row, home: organizations.Organization, document: dict[str, Any], webhook_url: str | None, sealer: Sealer,
    tried: Mapping[str, Any],
) -> View:  # fmt: skip
    model = one.model
    return View(
        id=str(one.uuid), name=one.title, handle=one.name, type=model.type, protocol=model.protocol,
        provider=model.provider, description=model.description, environment=one.environment or home.environment,
        study=model.study, tags=list(model.tags), gxp=model.gxp,
        data_categories=list(model.data_categories), legal_basis=list(model.legal_basis), error_after=model.error_after,
        auto_recover=model.auto_recover, status=one.lifecycle, health=one.health,
        health_checked_at=_stamp(one.health_at), last_error=_last_error(one, sealer), last_synced_at=None,
        authentication=document.get("authentication"), credentials=_credentials(document, tried),
        headers=document.get("headers") or {},
        timeout=model.timeout, retries=model.retries, config=model.config,
        endpoints=[_endpoint(each, given, one) for each, given in
                   zip(model.endpoints, document.get("endpoints") or [], strict=True)],
        mappings=_mappings(model.endpoints), validation=tried.get("validation"), webhook_url=webhook_url,
        managed_by=one.managed_by, organization=home.name, version=one.version, created_at=_stamp(one.created_at),
        created_by=one.created_by, updated_at=_stamp(one.updated_at), archived_at=_stamp(one.archived_at),
    )  # fmt: skip


def _mappings(endpoints: Sequence[Endpoint]) -> list[str]:
    given = [getattr(one, key) for one in endpoints for key in KEYS]
    return sorted({one for one in given if isinstance(one, str)})


def _credentials(document: Mapping[str, Any], tried: Mapping[str, Any]) -> CredentialsView:
    """The integration's own, or the first that an endpoint has."""
    given = [document, *(document.get("endpoints") or [])]
    own = next((one["authentication"] for one in given if one.get("authentication")), None) or {}
    kind = str(own.get("type") or "none")
    if kind == "none":
        return CredentialsView(kind, False, {"message": "No authentication configured"})
    done = {one["step"] for one in tried.get("steps", ()) if one["success"]}
    configured = "authentication" in done and tried.get("signs") == signs(document)
    return CredentialsView(kind, configured, {key: value for key, value in own.items() if key != "type"})


def _told(one: initializations.Try | None, sealer: Sealer) -> dict[str, Any]:
    """What an initialization came to; nothing where there was none, or it does not open."""
    try:
        return {} if one is None else initializations.told(sealer, one)
    except StoreError:
        return {}


def _last_error(one: Row, sealer: Sealer) -> str | None:
    """At most 1 KiB (S2-60)."""
    try:
        place = integrations.place(one.id, "last_error")
        return None if one.last_error is None else sealer.open(one.last_error, place).decode()[:1024]
    except StoreError:
        return None


def _secret(told: Mapping[str, Any]) -> dict[str, Any]:
    """What may be seen of one: its row holds the moment as microseconds."""
    return {**told, "updated_at": stamp(told["updated_at"])}


def _endpoint(each: Endpoint, given: dict[str, Any], one: Row) -> dict[str, Any]:
    """An endpoint as it works, what is hidden of it hidden."""
    works = {**each.model_dump(mode="json", by_alias=True, exclude_none=True), **given}
    if each.direction == "outbound" and each.scheme in ("http", "https"):
        works = {"headers": {}, "parameters": {}, **works}
    if "authentication" not in given:  # it is the integration's, and shown there
        works.pop("authentication", None)
    identifier = one.endpoints.get(each.name)
    return {"id": str(identifier) if identifier else None, **works, "status": "configured"}


def _stamp(moment: int | None) -> str | None:
    return None if moment is None else stamp(moment)
