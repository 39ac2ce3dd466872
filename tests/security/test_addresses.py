"""What an address is for: every kind that is no partner of the open Internet, and every way to wrap one in another."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.security.addresses import carried, is_metadata, kind, plain

KINDS = [
    ("0.0.0.0", "an unspecified"),
    ("0.1.2.3", "an unspecified"),
    ("10.0.0.0", "a private"),
    ("10.255.255.255", "a private"),
    ("100.64.0.1", "a carrier's private"),
    ("100.127.255.255", "a carrier's private"),
    ("127.0.0.1", "a loopback"),
    ("127.255.255.254", "a loopback"),
    ("169.254.1.1", "a link-local"),
    ("172.16.0.1", "a private"),
    ("172.31.255.255", "a private"),
    ("192.0.0.170", "a special-purpose"),
    ("192.0.2.1", "a documentation"),
    ("192.31.196.1", "a special-purpose"),
    ("192.52.193.1", "a special-purpose"),
    ("192.88.99.1", "a tunnel's"),
    ("192.168.0.1", "a private"),
    ("192.175.48.1", "a special-purpose"),
    ("198.18.0.1", "a benchmarking"),
    ("198.19.255.255", "a benchmarking"),
    ("198.51.100.1", "a documentation"),
    ("203.0.113.1", "a documentation"),
    ("224.0.0.1", "a multicast"),
    ("239.255.255.255", "a multicast"),
    ("240.0.0.1", "a reserved"),
    ("255.255.255.255", "a broadcast"),
    ("::", "an unspecified"),
    ("::1", "a loopback"),
    ("::7f00:1", "a loopback"),
    ("::808:808", "a reserved"),
    ("::ffff:10.1.2.3", "a private"),
    ("::ffff:0:10.1.2.3", "a private"),
    ("::ffff:0:8.8.8.8", "a translator's"),
    ("64:ff9b::10.1.2.3", "a private"),
    ("64:ff9b:1::8.8.8.8", "a translator's"),
    ("100::1", "a reserved"),
    ("2001:0:808:808::f7f7:f7f7", "a tunnel's"),
    ("2001:2::1", "a benchmarking"),
    ("2001:10::1", "a special-purpose"),
    ("2001:20::1", "a special-purpose"),
    ("2001:db8::1", "a documentation"),
    ("2002:7f00:1::", "a loopback"),
    ("2002:808:808::1", "a tunnel's"),
    ("3ffe:831f:808:808::f7f7:f7f7", "a tunnel's"),
    ("3fff::1", "a documentation"),
    ("4000::1", "a reserved"),
    ("5f00::1", "a reserved"),
    ("fc00::1", "a private"),
    ("fd12:3456::1", "a private"),
    ("fe80::1", "a link-local"),
    ("fe80::1%eth0", "a link-local"),
    ("fec0::1", "a private"),
    ("ff02::1", "a multicast"),
    ("2606:4700::5efe:10.0.0.1", "a private"),
    ("2606:4700::200:5efe:127.0.0.1", "a loopback"),
]
PUBLIC = [
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
    "128.0.0.0", "172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0",
    "223.255.255.255", "2001:200::1", "2606:4700::1111", "2a00::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8",
    "2606:4700::5efe:8.8.8.8",
]  # fmt: skip
METADATA = [
    "169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200", "168.63.129.16", "192.0.0.192",
    "169.254.0.23", "169.254.42.42", "169.254.169.250",
]  # fmt: skip
METADATA_6 = ["fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fd00:42::42", "fe80::a9fe:a9fe"]

denied = st.sampled_from([one for one, _ in KINDS if ":" not in one]).flatmap(
    lambda one: st.just(int(ipaddress.IPv4Address(one)))
)
prefixes = st.integers(0x2000, 0x3FFF).flatmap(
    lambda top: st.integers(0, (1 << 48) - 1).map(lambda low: top << 48 | low)
)


def wrapped(inner: int, prefix: int) -> list[int]:
    """Every way to make an IPv6 address of an IPv4 one; `prefix`: the upper half, where the way leaves it open."""
    own = 0x64_FF9B_0001 << 80
    flipped = ~inner & 0xFFFF_FFFF
    return [
        inner | 0xFFFF << 32,  # mapped
        inner | 0xFFFF << 48,  # translated, RFC 2765
        inner,  # compatible
        0x64_FF9B << 96 | inner,  # NAT64
        own | inner,
        own | (inner >> 16) << 64 | (inner & 0xFFFF) << 40,  # the same with a prefix of 48 bits, RFC 6052
        0x2002 << 112 | inner << 80 | 1,  # 6to4
        0x2001 << 112 | inner << 64 | 0x0808_0808,  # Teredo: the server
        0x2001 << 112 | 0x0808_0808 << 64 | flipped,  # Teredo: the client
        prefix << 64 | 0x5EFE << 32 | inner,  # ISATAP
        prefix << 64 | 0x0200_5EFE << 32 | inner,
    ]


def placed(inner: int, prefix: int) -> list[int]:
    """Where RFC 6052 puts an IPv4 address behind a network's own NAT64 prefix; bits 64 to 71 stay zero."""
    found = [prefix << 64 >> 96 << 96 | inner]
    for length in (32, 40, 48, 56, 64):
        without = prefix >> (64 - length) << (120 - length) | inner << (120 - length - 32)  # 120 bits
        found.append(without >> 56 << 64 | without & (1 << 56) - 1)
    return found


@pytest.mark.parametrize(("address", "what"), KINDS)
def test_what_is_no_partner_is_known(address: str, what: str) -> None:
    assert kind(ipaddress.ip_address(address)) == what


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_anybody_s_stays_so(address: str) -> None:
    assert kind(ipaddress.ip_address(address)) is None
    assert not is_metadata(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", [*METADATA, *METADATA_6, "fd00:ec2::254%eth0", "FD00:0EC2:0:0::254"])
def test_metadata_services_are_known(address: str) -> None:
    assert is_metadata(ipaddress.ip_address(address))


@given(denied, prefixes)
def test_an_ipv6_address_that_carries_a_denied_one_is_denied(inner: int, prefix: int) -> None:
    for number in wrapped(inner, prefix):
        address = ipaddress.IPv6Address(number)
        assert kind(address) is not None, address


@given(st.integers(0, (1 << 32) - 1), prefixes)
def test_what_is_carried_is_found(inner: int, prefix: int) -> None:
    for number in wrapped(inner, prefix):
        address = ipaddress.IPv6Address(number)
        if number > 1 and number >> 80 != 0x64_FF9B_0001:  # nobody knows where a network's own has it: all are denied
            assert ipaddress.IPv4Address(inner) in carried(address), address


@given(st.sampled_from(METADATA), prefixes)
def test_a_metadata_service_is_found_behind_every_translator(service: str, prefix: int) -> None:
    inner = int(ipaddress.IPv4Address(service))
    for number in (*wrapped(inner, prefix), *placed(inner, prefix)):
        assert is_metadata(ipaddress.IPv6Address(number)), ipaddress.IPv6Address(number)


@given(st.integers(0, (1 << 128) - 1))
def test_of_ipv6_an_eighth_is_anybody_s(number: int) -> None:
    """2000::/3, and what a NAT64 makes of public IPv4 addresses. A mapped one is an IPv4 address."""
    address = ipaddress.IPv6Address(number)
    if kind(address) is None and address.ipv4_mapped is None:
        assert number >> 125 == 1 or number >> 32 == 0x64_FF9B << 64


@given(st.integers(0, (1 << 32) - 1))
def test_a_mapped_address_is_the_ipv4_address(number: int) -> None:
    inner = ipaddress.IPv4Address(number)
    mapped = ipaddress.IPv6Address(number | 0xFFFF << 32)
    assert (plain(mapped), plain(inner)) == (inner, inner)
    assert kind(mapped) == kind(inner)
