"""Connections as people read of them: an endpoint each, where it leads, what of it and why, and when last."""

from __future__ import annotations

import dataclasses
import re
from urllib.parse import urlsplit

from hilum import clock
from hilum.model.access import Scope
from hilum.model.configuration import Integration
from hilum.store import Store, connections, organizations
from hilum.store.connections import Connected

_NOWHERE = frozenset({"file", "webhook"})
"""Schemes whose URLs name no other host."""

_AUTHORITY = re.compile(r"[^:/?#]+://(?:(?:\$\{[^}]*\}|\$(?!\{)|[^/?#$])*@)?((?:\$\{[^}]*\}|\$(?!\{)|[^/?#@$])*)")
"""What follows the userinfo (RFC 3986, 3.2); a reference such as ${file:/run/host} may stand in it."""


@dataclasses.dataclass(frozen=True, slots=True)
class ConnectionView:
    """An endpoint. Times are RFC 3339; null: never.

    `host` of what is outbound: where it connects to; of what is inbound: where it listens; null for a folder, and for
    a webhook's receiver. A reference stands as it was written. `last_access`: the newest message received, delivery
    that was sent or execution; `tls_version`: what the newest test or execution that was encrypted negotiated.
    """

    integration_id: str
    integration: str
    title: str
    type: str
    provider: str
    environment: str
    study: str | None
    status: str
    endpoint_id: str
    endpoint: str
    direction: str
    protocol: str
    scheme: str
    host: str | None
    port: int | None
    data_categories: list[str]
    legal_basis: list[str]
    last_test: str | None
    last_test_succeeded: bool | None
    last_sync: str | None
    last_access: str | None
    tls_version: str | None
    tls_seen_at: str | None


async def connected(store: Store, scope: Scope) -> tuple[str, list[ConnectionView]]:
    """The organization's name, and all that one may see of it. Raises NotFound (the organization)."""
    own = store.within(scope.organization)
    home = await own.read(organizations.get, scope.organization)
    found = await own.load(connections.listed, store.sealer, scope)
    return home.name, [_view(one, home.environment) for one in found]


def place(url: str) -> tuple[str | None, int | None]:
    """Host and port of a URL, without who signs in there; no port where it names none."""
    found = _AUTHORITY.match(url)
    authority = found[1] if found else ""
    if "${" in authority:
        return authority, None
    try:
        parts = urlsplit(f"//{authority}")
        return parts.hostname or None, parts.port
    except ValueError:  # a port that is none, half an IPv6 address
        return authority.rpartition(":")[0] or None, None


def _view(one: Connected, environment: str) -> ConnectionView:
    model = Integration.model_validate(one.owner.document)
    scheme = one.url.partition("://")[0].lower()
    host, port = (None, None) if scheme in _NOWHERE else place(one.url)
    version, seen_at = (None, None) if one.seen is None else (one.seen.version, one.seen.at)
    return ConnectionView(
        integration_id=str(one.owner.uuid), integration=model.name, title=model.title or model.name, type=model.type,
        provider=model.provider, environment=one.owner.environment or environment, study=model.study,
        status=one.owner.lifecycle, endpoint_id=str(one.uuid), endpoint=one.name, direction=one.direction,
        protocol=model.protocol, scheme=scheme, host=host, port=port, data_categories=list(model.data_categories),
        legal_basis=list(model.legal_basis), last_test=_moment(one.tested_at), last_test_succeeded=one.succeeded,
        last_sync=None, last_access=_moment(one.accessed_at), tls_version=version,
        tls_seen_at=_moment(seen_at),
    )  # fmt: skip


def _moment(at: int | None) -> str | None:
    return None if at is None else clock.iso(at)
