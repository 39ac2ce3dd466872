"""Addresses that hand out a machine's own credentials are refused, however they are written."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import Refused
from hilum.security.egress import check, plain

METADATA = ["169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200", "fd00:ec2::254", "fd00:ec2::23"]


def disguises(address: str) -> list[str]:
    """The ways of writing an IPv4 address as an IPv6 one that reaches the same machine."""
    number = int(ipaddress.IPv4Address(address))
    high, low = f"{number >> 16:x}", f"{number & 0xFFFF:x}"
    return [f"::ffff:{address}", f"::ffff:{high}:{low}", f"64:ff9b::{high}:{low}", f"2002:{high}:{low}::1"]


@pytest.mark.parametrize("address", METADATA)
def test_metadata_addresses_are_never_connected_to(address: str) -> None:
    with pytest.raises(Refused, match=r"partner\.example is .* a cloud metadata address"):
        check("partner.example", address)


@pytest.mark.parametrize("address", [one for known in METADATA[:4] for one in disguises(known)])
def test_nor_in_disguise(address: str) -> None:
    with pytest.raises(Refused, match="cloud metadata"):
        check("partner.example", address)


@pytest.mark.parametrize("address", ["fd00:ec2::254%eth0", "fd00:0ec2:0:0:0:0:0:254", "FD00:EC2::254"])
def test_nor_with_a_zone_or_in_another_spelling(address: str) -> None:
    with pytest.raises(Refused):
        check("partner.example", address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "::1",
        "10.1.2.3",
        "192.168.1.1",
        "169.254.1.1",
        "fe80::1%eth0",
        "203.0.113.9",
        "2001:db8::1",
        "fd00::1",
    ],
)
def test_what_the_operator_names_is_the_operators_word(address: str) -> None:
    check("partner.example", address)


@given(st.integers(0, (1 << 32) - 1))
def test_the_address_inside_is_found(number: int) -> None:
    inner = ipaddress.IPv4Address(number)
    assert {plain(ipaddress.ip_address(one)) for one in disguises(str(inner))} == {inner}
    assert plain(inner) == inner


@given(st.integers(0, (1 << 128) - 1))
def test_other_addresses_stay_what_they_are(number: int) -> None:
    address = ipaddress.IPv6Address(number)
    networks = [ipaddress.ip_network(one) for one in ("::ffff:0:0/96", "64:ff9b::/96", "2002::/16")]
    if not any(address in one for one in networks):
        assert plain(address) == address


def test_what_is_no_address_is_no_way_around() -> None:
    with pytest.raises(ValueError, match="does not appear to be"):
        check("partner.example", "0251.0376.0251.0376")
