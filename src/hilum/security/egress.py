"""Where may a connection go? Decides on names and on the addresses that they resolve to.

What the operator's file names is the operator's word; addresses that hand out a machine's own cloud
credentials are refused even then.
"""

from __future__ import annotations

import ipaddress

from hilum.errors import Refused

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_METADATA = frozenset(
    ipaddress.ip_address(one)
    for one in (
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "100.100.100.200",
        "fd00:ec2::254",
        "fd00:ec2::23",
    )
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def check(host: str, address: str) -> None:
    """Raises Refused where `address`, which `host` resolved to, may never be connected to."""
    found = plain(ipaddress.ip_address(address.partition("%")[0]))
    if found in _METADATA:
        raise Refused(f"{host} is {found}, a cloud metadata address: it is never connected to")


def plain(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one (mapped, 6to4, NAT64), or the address itself."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address
