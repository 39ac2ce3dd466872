"""What an address is for: the kinds that are never a partner of the open Internet, whatever they are written as.

From the registries of RFC 6890 and the RFCs that added to them. `ipaddress.is_global` is no substitute: it takes
multicast, 6to4 and NAT64 addresses of private ones, and several metadata services, for global.
"""

from __future__ import annotations

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_KINDS: tuple[tuple[str, str], ...] = (
    ("a broadcast", "255.255.255.255"),
    ("an unspecified", "0.0.0.0/8 ::"),
    ("a loopback", "127.0.0.0/8 ::1"),
    ("a private", "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7 fec0::/10"),
    ("a carrier's private", "100.64.0.0/10"),
    ("a link-local", "169.254.0.0/16 fe80::/10"),
    ("a documentation", "192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 2001:db8::/32 3fff::/20"),
    ("a benchmarking", "198.18.0.0/15 2001:2::/48"),
    ("a tunnel's", "192.88.99.0/24 2002::/16 2001::/32 3ffe:831f::/32"),  # 6to4 (and its relays), Teredo
    ("a translator's", "64:ff9b:1::/48 ::ffff:0:0:0/96"),  # NAT64 for one's own use, SIIT
    ("a special-purpose", "192.0.0.0/24 192.31.196.0/24 192.52.193.0/24 192.175.48.0/24 2001::/23"),
    ("a multicast", "224.0.0.0/4 ff00::/8"),
    ("a reserved", "240.0.0.0/4 ::/3 4000::/2 8000::/1"),  # of IPv6 2000::/3 alone is given to anybody
)
_DENIED = tuple((name, ipaddress.ip_network(one)) for name, line in _KINDS for one in line.split())

_METADATA = frozenset(
    ipaddress.ip_address(one)
    for one in (
        "169.254.169.254",  # AWS, Azure, Google, OpenStack and most others
        "169.254.170.2",  # AWS, tasks and
        "169.254.170.23",  # pods
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",  # Google
        "168.63.129.16",  # Azure's wire server
        "100.100.100.200",  # Alibaba
        "192.0.0.192",  # Oracle
        "169.254.0.23",  # Tencent
        "169.254.42.42",  # Scaleway
        "fd00:42::42",
        "169.254.169.250",  # Rancher
    )
)

_MAPPED = ipaddress.ip_network("::ffff:0:0/96")
_COMPATIBLE = ipaddress.ip_network("::/96")
_TRANSLATED = ipaddress.ip_network("::ffff:0:0:0/96")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_SIX_TO_FOUR = ipaddress.ip_network("2002::/16")
_TEREDO = (ipaddress.ip_network("2001::/32"), ipaddress.ip_network("3ffe:831f::/32"))
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)  # the upper half of an interface identifier, RFC 5214


def plain(address: Address) -> Address:
    """An IPv4-mapped address is the IPv4 address, to every operating system; the others are what they are."""
    return getattr(address, "ipv4_mapped", None) or address


def kind(address: Address) -> str | None:
    """What it is ("a loopback"), or what the IPv4 address that it carries is; None: an ordinary public address."""
    address = plain(address)
    for inner in carried(address):
        if (found := kind(inner)) is not None:
            return found
    if address in _NAT64:
        return None  # what it carries is public: how a network without IPv4 reaches the rest
    return next((name for name, network in _DENIED if address in network), None)


def is_metadata(address: Address) -> bool:
    """Does it lead to a service that hands out a machine's own cloud credentials, by itself or by what it carries?"""
    address = plain(address)
    return bool(_METADATA.intersection({_unzoned(address), *carried(address), *_placed(address)}))


def carried(address: Address) -> tuple[ipaddress.IPv4Address, ...]:
    """The IPv4 addresses that an IPv6 one is made of, so that a gateway on the way would go there."""
    if isinstance(address, ipaddress.IPv4Address):
        return ()
    number = int(address)
    found: list[int] = []
    if any(address in one for one in (_MAPPED, _TRANSLATED, _NAT64)) or (address in _COMPATIBLE and number > 1):
        found.append(number)
    if address in _SIX_TO_FOUR:
        found.append(number >> 80)
    if any(address in one for one in _TEREDO):
        found += [number >> 64, ~number]  # the server, and the client, whose bits are turned over
    if number >> 32 & 0xFFFF_FFFF in _ISATAP:
        found.append(number)
    return tuple(ipaddress.IPv4Address(one & 0xFFFF_FFFF) for one in found)


def _placed(address: Address) -> tuple[ipaddress.IPv4Address, ...]:
    """The IPv4 address at every place that RFC 6052 has for it (prefixes of 32 to 96 bits; bits 64 to 71 are left out).

    A NAT64 may use any prefix of its own, so nobody can tell by the prefix.
    """
    if isinstance(address, ipaddress.IPv4Address):
        return ()
    number = int(address)
    without = (number >> 64 << 56) | (number & (1 << 56) - 1)  # 120 bits
    places = [without >> (120 - length - 32) for length in (32, 40, 48, 56, 64)]
    return tuple(ipaddress.IPv4Address(one & 0xFFFF_FFFF) for one in (*places, number))


def _unzoned(address: Address) -> Address:
    return ipaddress.IPv6Address(int(address)) if isinstance(address, ipaddress.IPv6Address) else address
