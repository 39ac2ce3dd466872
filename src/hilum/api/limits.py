"""Limits how often somebody may ask: a token bucket for each principal, organization, and address of unknown callers.

What a client is told stands in RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-10), and in
Retry-After, which wins. A request that was turned away here leaves no audit event: a flood must not fill the trail.
"""

from __future__ import annotations

import contextlib
import ipaddress
import math
from collections import Counter, OrderedDict
from collections.abc import Iterator

from fastapi import Request

from hilum import clock
from hilum.api.callers import SOCKET
from hilum.api.edge import Edge, Rate
from hilum.errors import TooMany
from hilum.model.access import Principal, PrincipalKind

_KEPT = 10_000  # buckets that are remembered; one that is forgotten is full again


class Flood(TooMany):
    """Turned away before anything was looked at."""


class Buckets:
    """Token buckets of one rate, by whatever tells callers apart."""

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when there were that many

    def take(self, key: str) -> float:
        """Take a token; how many are left, below 0 where there was none: then it is the part of one that lacks."""
        now, rate = clock.monotonic(), self.rate
        left, since = self._left.pop(key, (float(rate.count), now))
        left = min(left + (now - since) * rate.count / rate.seconds, rate.count)
        taken = left - 1
        self._left[key] = (taken if taken >= 0 else left), now
        if len(self._left) > _KEPT:
            self._left.popitem(last=False)
        return taken


class Limits:
    """One set an app. Whoever has the data folder is not limited."""

    def __init__(self, edge: Edge) -> None:
        self._known = Buckets(edge.known)
        self._together = Buckets(edge.together)
        self._unknown = Buckets(edge.unknown)
        self._receivers = Buckets(edge.known)
        self._most, self._sockets = edge.sockets, Counter[str]()
        self._legacy = edge.legacy_limits

    def principal(self, request: Request, principal: Principal) -> None:
        """Raises Flood where this principal, or its organization as a whole, asks too often."""
        if principal.kind is PrincipalKind.LOCAL:
            return
        self._take(request, self._known, principal.id)
        left = self._together.take(str(principal.organization))
        if left < 0:
            self._refuse(request, self._together.rate, left)

    def source(self, request: Request, address: str) -> None:
        """For sign-in and for whoever could not say who they are. Raises Flood."""
        self._take(request, self._unknown, network(address))

    def receiver(self, request: Request, address: str, receiver: str) -> None:
        """For webhooks, which show who sent them only once they were read. Raises Flood."""
        self._take(request, self._receivers, f"{network(address)} {receiver}")

    @contextlib.contextmanager
    def socket(self, principal: Principal) -> Iterator[None]:
        """For as long as a WebSocket is open. Raises Flood where this principal has too many."""
        if self._sockets[principal.id] >= self._most:
            raise Flood(f"more than {self._most} WebSockets at once", after=10)
        self._sockets[principal.id] += 1
        try:
            yield
        finally:
            self._sockets[principal.id] -= 1
            self._sockets += Counter()  # which leaves out who has none

    def _take(self, request: Request, buckets: Buckets, key: str) -> None:
        left = buckets.take(key)
        if left < 0:
            self._refuse(request, buckets.rate, left)
        request.state.limited = headers(buckets.rate, left, self._legacy)

    def _refuse(self, request: Request, rate: Rate, left: float) -> None:
        request.state.limited = headers(rate, 0, self._legacy)
        raise Flood(
            f"more than {rate.count} requests in {rate.seconds} seconds", after=-left * rate.seconds / rate.count
        )


def headers(rate: Rate, left: float, legacy: bool = False) -> tuple[tuple[bytes, bytes], ...]:
    """What the client is told: what is left, and in how many seconds all of it is there again."""
    until_full = math.ceil((rate.count - left) * rate.seconds / rate.count)
    told = (
        (b"ratelimit-policy", f'"{rate.name}";q={rate.count};w={rate.seconds}'.encode()),
        (b"ratelimit", f'"{rate.name}";r={int(left)};t={until_full}'.encode()),
    )
    if not legacy:
        return told
    return (
        *told,
        (b"x-ratelimit-limit", b"%d" % rate.count),
        (b"x-ratelimit-remaining", b"%d" % int(left)),
        (b"x-ratelimit-reset", b"%d" % until_full),
    )


def network(address: str) -> str:
    """An IPv6 client has a whole /64 to ask from; they share a bucket."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else address


def check(request: Request, principal: Principal) -> None:
    """Raises Flood where a known caller asks too often."""
    limits: Limits = request.app.state.limits
    limits.principal(request, principal)


def hold(request: Request, principal: Principal) -> None:
    """Count a WebSocket until it ends. Raises Flood where there are too many."""
    limits: Limits = request.app.state.limits
    request.scope[SOCKET].kept.enter_context(limits.socket(principal))


def check_source(request: Request, address: str) -> None:
    """Raises Flood where too much comes from an address at which nobody is known."""
    if not request.app.state.local:
        limits: Limits = request.app.state.limits
        limits.source(request, address)


def check_receiver(request: Request, address: str, receiver: str) -> None:
    """Raises Flood where too much comes from an address for one webhook receiver."""
    limits: Limits = request.app.state.limits
    limits.receiver(request, address, receiver)
