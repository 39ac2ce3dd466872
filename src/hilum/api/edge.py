"""What an app is told about its surroundings: who may call it from where, how much, how often."""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Iterable

from hilum.errors import ConfigError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
MEGABYTE = 1_000_000


@dataclasses.dataclass(frozen=True, slots=True)
class Rate:
    """`count` requests in `seconds`."""

    name: str
    count: int
    seconds: int


@dataclasses.dataclass(frozen=True, slots=True)
class Edge:
    """The HTTP edge's settings; `read` makes one of what an operator writes."""

    origins: frozenset[str] = frozenset()  # that a browser may call from (CORS); none: the hub's own alone
    proxies: tuple[Network, ...] = ()  # whose X-Forwarded-… headers are believed
    docs: bool = False  # whether the OpenAPI document and its page are there for everybody
    body: int = MEGABYTE  # bytes that a request may have; routes for messages may allow more
    known: Rate = Rate("default", 6_000, 60)  # for each principal
    together: Rate = Rate("organization", 60_000, 60)  # for all principals of one
    unknown: Rate = Rate("address", 60, 60)  # for each address at which nobody is known
    sockets: int = 20  # WebSockets that each principal may have open
    legacy_limits: bool = False  # X-RateLimit-… beside the RateLimit fields
    logged: bool = False  # a line in the log for every request

    @classmethod
    def read(
        cls,
        *,
        origins: Iterable[str] = (),
        proxies: Iterable[str] = (),
        docs: bool = False,
        body: int = MEGABYTE,
        known: int = 6_000,
        together: int = 60_000,
        unknown: int = 60,
        legacy_limits: bool = False,
        logged: bool = True,
    ) -> Edge:
        """From what an operator writes; rates are for a minute. Raises ConfigError."""
        for name, value in (("body limit", body), ("rate", known), ("rate", together), ("rate", unknown)):
            if value < 1:
                raise ConfigError(f"must be at least 1, not {value}", where=name)
        return cls(
            frozenset(_origin(one) for one in origins),
            tuple(_network(one) for one in proxies),
            docs,
            body,
            Rate("default", known, 60),
            Rate("organization", together, 60),
            Rate("address", unknown, 60),
            legacy_limits=legacy_limits,
            logged=logged,
        )


def _origin(text: str) -> str:
    """As browsers send it: scheme://host[:port], in lower case. `*` is none: credentials are never for everybody."""
    origin = text.strip().lower().rstrip("/")
    scheme, separator, host = origin.partition("://")
    if scheme not in ("http", "https") or not separator or not host or set(host) & set("/*?#@ "):
        raise ConfigError(f"{text!r} is no origin, such as https://console.example.org", where="cors")
    return origin


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        raise ConfigError(f"{text!r} is no network, such as 10.0.0.0/8", where="trusted proxies") from None
