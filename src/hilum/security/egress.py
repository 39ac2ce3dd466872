"""Where may a connection go? Decides on a host as it is written, and on every address that it resolves to.

What the operator's file names is the operator's word. What people create through API or console reaches public
addresses, and those that the operator allows (`HILUM_EGRESS_ALLOW`). Addresses that hand out a machine's own cloud
credentials are refused even where both say otherwise.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hilum import telemetry
from hilum.errors import ConfigError, Refused
from hilum.security.addresses import Address, Network, is_metadata, kind, plain

SETTING = "HILUM_EGRESS_ALLOW"

NEVER = frozenset({
    0, 1, 7, 9, 11, 13, 15, 17, 19,  # echo, discard, chargen and their like
    53, 111, 135, 137, 138, 139, 179, 445, 512, 513, 514,  # names, RPC, NetBIOS, routes, SMB, remote shells
    2049, 2375, 2376, 2379, 2380, 4194, 10250, 10255, 11211,  # NFS, and what containers and caches are steered by
})  # fmt: skip
"""Ports that no partner has: only an entry of the allow-list that names the port opens one."""

_NAMES = frozenset({
    "metadata", "metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal",
    "metadata.tencentyun.com", "metadata.azure.internal", "rancher-metadata",
})  # fmt: skip
_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#\s]+)")
_PLACE = re.compile(r"(\[[^\]]+\]|[^:]+)(?::(\d{1,5}))?")
_ENTRY = re.compile(
    r"(?:(?P<organization>[a-z0-9][a-z0-9._-]*)=)?"
    r"(?:\[(?P<bracketed>[0-9A-Fa-f:.]+(?:/\d+)?)\]|(?P<network>[\d.]+(?:/\d+)?|[0-9A-Fa-f:]+(?:/\d+)?))"
    r"(?::(?P<port>\d{1,5}))?"
)
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

log = telemetry.logger("egress")

Pair = tuple[str, int | None]
"""A host in its one spelling and a port; None: all of them."""


@dataclasses.dataclass(frozen=True, slots=True)
class Allowed:
    """An entry of the operator's allow-list: a network, for one port or all, for one organization or all."""

    network: Network
    port: int | None = None
    organization: str | None = None

    @classmethod
    def read(cls, text: str) -> Allowed:
        """`[ORGANIZATION=]NETWORK[:PORT]`; an IPv6 network with a port stands in brackets. Raises ConfigError."""
        found = _ENTRY.fullmatch(text)
        if found is None:
            raise ConfigError(f"{text!r} is not [ORGANIZATION=]NETWORK[:PORT]", where=SETTING)
        port = None if found["port"] is None else int(found["port"])
        if port is not None and not 1 <= port <= 65_535:
            raise ConfigError(f"{text!r}: there is no such port", where=SETTING)
        try:
            network = ipaddress.ip_network(found["bracketed"] or found["network"])
        except ValueError as error:
            raise ConfigError(str(error), where=SETTING) from None
        return cls(network, port, found["organization"])

    def covers(self, address: Address, port: int) -> bool:
        return address in self.network and (self.port == port or (self.port is None and port not in NEVER))


LOOPBACK = (Allowed.read("127.0.0.0/8"), Allowed.read("::1"))
"""This machine itself, for a demo whose partners run beside it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Policy:
    """What holds for the connections of whoever configured them. By default: public addresses alone."""

    named: frozenset[Pair] = frozenset()  # by the operator's file: allowed wherever they lead
    allowed: tuple[Allowed, ...] = ()

    def place(self, host: str, port: int) -> str:
        """The host as a name server is to be asked for it. Asks nobody.

        Raises Refused where it is written oddly, is an address that is not allowed, or goes to a port of no partner.
        """
        found = spelled(host)
        if found in _NAMES:
            raise Refused(f"{host} is a cloud's metadata service: it is never connected to")
        address = _literal(found)
        if address is not None:
            self._judge(host, found, port, address)
        elif port in NEVER and not self._names(found, port) and all(one.port != port for one in self.allowed):
            raise Refused(f"port {port} is never a partner's: only the hub's operator can allow it")
        return found

    def check(self, host: str, port: int, addresses: Iterable[str]) -> None:
        """Judge what a host resolved to: one address that is not allowed is enough. Raises Refused."""
        place = spelled(host)
        for one in addresses:
            self._judge(host, place, port, ipaddress.ip_address(one))

    def _judge(self, host: str, place: str, port: int, address: Address) -> None:
        """A name's reason is one and the same: whoever typed it does not learn what is inside."""
        address = plain(address)
        named, typed = self._names(place, port), _literal(place) is not None
        if is_metadata(address):
            what = f"{host} is {address}, a cloud metadata address: it is never connected to"
        elif named or any(one.covers(address, port) for one in self.allowed):
            return
        elif (found := kind(address)) is not None:
            what = f"{host} is {found} address: only the hub's operator can allow it"
        elif port in NEVER:
            what = f"port {port} is never a partner's: only the hub's operator can allow it"
        else:
            return
        log.warning("a connection was refused", host=host, port=port, address=str(address), reason=what)
        if not typed and not named:
            what = f"{host} leads to an address that only the hub's operator can allow"
        raise Refused(what)

    def _names(self, place: str, port: int) -> bool:
        return (place, port) in self.named or (place, None) in self.named


def spelled(host: str) -> str:
    """The one spelling of a host: an address, or a name in lower-case ASCII without its last dot.

    Raises Refused for what resolvers read in different ways: 2130706433, 0177.0.0.1, 0x7f.1, 127.1, %31.
    """
    odd = Refused(f"{host[:100]!r} is neither a host's name nor an address in its usual form")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if ":" in bare or bare is not host:
        return _six(bare, odd)
    name = bare
    if not name.isascii():
        try:
            name = name[:254].encode("idna").decode()
        except UnicodeError:
            raise odd from None
    name = name.lower().removesuffix(".")
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            return str(ipaddress.IPv4Address(name))
        except ValueError:
            raise odd from None
    if len(name) > 253 or not all(map(_LABEL.fullmatch, labels)):
        raise odd
    return name


def named(value: Any) -> frozenset[Pair]:
    """The hosts and ports of every URL in `value`, which may be nested."""
    found: set[Pair] = set()
    for text in _texts(value):
        for scheme, places in _URL.findall(text):
            for place in places.rpartition("@")[2].split(","):  # brokers come as several
                if (match := _PLACE.fullmatch(place)) is None:
                    continue
                try:
                    host = spelled(match[1])
                except Refused:
                    continue
                found.add((host, _PORTS.get(scheme.lower()) if match[2] is None else int(match[2])))
    return frozenset(found)


def _six(text: str, odd: Refused) -> str:
    """An IPv6 address. A zone belongs to link-local ones alone; in a URL its sign is written %25 (RFC 6874)."""
    try:
        address = ipaddress.IPv6Address(text.replace("%25", "%", 1))
    except ValueError:
        raise odd from None
    if address.scope_id is not None and not address.is_link_local:
        raise odd
    return str(plain(address))


def _literal(place: str) -> Address | None:
    try:
        return ipaddress.ip_address(place)
    except ValueError:
        return None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)
