"""Behind a proxy the peer is the proxy. Those that the operator trusts say who stands before them.

Each proxy appends the peer that it saw to X-Forwarded-For, so the list is read from its end: the first address that is
no trusted proxy is the client, and whatever stands left of it is the client's own invention. X-Forwarded-Proto and
X-Forwarded-Host count only from a trusted peer, and of a list the last one.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from hilum.api.edge import Network


class Forwarded:
    """Puts the client, the scheme and the host that trusted proxies tell into the request."""

    def __init__(self, app: ASGIApp, trusted: Sequence[Network]) -> None:
        self._app = app
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        known = scope["type"] in ("http", "websocket")
        if self._trusted and known and scope.get("client") and self._trusts(scope["client"][0]):
            self._believe(scope)
        await self._app(scope, receive, send)

    def _believe(self, scope: Scope) -> None:
        told: dict[bytes, str] = {}
        for name, value in scope["headers"]:
            if name.startswith(b"x-forwarded-"):
                text = value.decode("latin-1")
                told[name] = f"{told[name]},{text}" if name in told else text
        scope["client"] = (self._client(told.get(b"x-forwarded-for", ""), scope["client"][0]), 0)
        scheme = _last(told.get(b"x-forwarded-proto", "")).lower()
        if scheme in ("http", "https"):
            scope["scheme"] = scheme
        if host := _last(told.get(b"x-forwarded-host", "")):
            others = [(name, value) for name, value in scope["headers"] if name != b"host"]
            scope["headers"] = [*others, (b"host", host.encode("latin-1"))]

    def _client(self, chain: str, peer: str) -> str:
        """The right-most address that no trusted proxy has; where the chain breaks, the last one that was sound."""
        found = peer
        for text in reversed([one.strip() for one in chain.split(",") if one.strip()]):
            address = _address(text)
            if address is None:
                break
            found = address
            if not self._trusts(address):
                break
        return found

    def _trusts(self, text: str) -> bool:
        address = _address(text)
        return address is not None and any(ipaddress.ip_address(address) in one for one in self._trusted)


def _address(text: str) -> str | None:
    """An address without its port and brackets; an IPv4 one that IPv6 wraps is taken out."""
    text = text.strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def _last(text: str) -> str:
    return text.rpartition(",")[2].strip()
