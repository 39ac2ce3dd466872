"""Where a connection may go: how a host may be written, what the operator says, and what nobody can say."""

from __future__ import annotations

import ipaddress
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import ConfigError, Refused
from hilum.security.egress import LOOPBACK, NEVER, Allowed, Policy, named, spelled

PEOPLE = Policy()
SPELLINGS = [
    ("partner.example", "partner.example"),
    ("Partner.EXAMPLE.", "partner.example"),
    ("lab_system", "lab_system"),
    ("localhost", "localhost"),
    ("xn--mnchen-3ya.example", "xn--mnchen-3ya.example"),
    ("München.example", "xn--mnchen-3ya.example"),
    ("１２７.０.０.１", "127.0.0.1"),  # full-width digits are digits
    ("127。0。0。1", "127.0.0.1"),  # so are ideographic full stops
    ("ⓛocalhost", "localhost"),
    ("10.0.0.1.", "10.0.0.1"),
    ("[::1]", "::1"),
    ("0:0:0:0:0:0:0:1", "::1"),
    ("::FFFF:127.0.0.1", "127.0.0.1"),
    ("[2606:4700:0:0::0001]", "2606:4700::1"),
    ("fe80::1%eth0", "fe80::1%eth0"),
    ("fe80::1%25eth0", "fe80::1%eth0"),
    ("1.2.3.4.nip.example", "1.2.3.4.nip.example"),
    ("3com.example", "3com.example"),
]
ODD = [
    "", ".", "..", "example..com", ".example.com", "example.com..",
    "2130706433", "017700000001", "0x7f000001", "0x7f.1", "0X7F.0.0.1", "127.1", "127.0.1", "0177.0.0.1", "127.0.0.01",
    "127.0.0.256", "127.0.0.1.1", "0", "0x", "1.2.3.4.5", "partner.example.1", "partner.0x7f",
    "%31%32%37.0.0.1", "127.0.0.1%2f", "localhost%00", "local\x00host", "local host", "a\tb", "a\nb", "a/b", "a\\b",
    "user@host", "host#x", "host?x", "[127.0.0.1]", "[::1", "::1]", "[]", "[partner.example]", "::1%lo",
    "2606:4700::1%eth0", "1:2:3", "::ffff:0177.0.0.1", "::12345", ":", "partner.example:80", "a" * 64,
    "a." * 127 + "aa", "-a.example", "a-.example", "á" * 70, "１２７.１",
]  # fmt: skip


@pytest.mark.ledger_part("S2-71", "a host's name is brought to its one spelling, IDNA included")
@pytest.mark.parametrize(("written", "spelling"), SPELLINGS)
def test_a_host_has_one_spelling(written: str, spelling: str) -> None:
    assert spelled(written) == spelling
    assert spelled(spelling) == spelling


@pytest.mark.ledger_part("S2-71", "hosts in odd notations are refused before anybody resolves them")
@pytest.mark.parametrize("host", ODD)
def test_what_resolvers_read_in_different_ways_is_refused(host: str) -> None:
    for policy in (PEOPLE, Policy(named=frozenset({(host, 80)}), allowed=LOOPBACK)):
        with pytest.raises(Refused, match="neither a host's name nor an address"):
            policy.place(host, 80)


@given(st.text(max_size=40))
def test_a_spelling_is_plain_whatever_was_written(host: str) -> None:
    try:
        found = spelled(host)
    except Refused:
        return
    assert spelled(found) == found
    assert found.isascii()
    try:
        ipaddress.ip_address(found)
    except ValueError:
        assert re.fullmatch(r"[a-z0-9_.-]+", found)
        assert not re.fullmatch(r"\d+|0x[0-9a-f]*", found.rpartition(".")[2])  # no resolver takes it for an address


@given(st.ip_addresses())
def test_every_address_is_one_in_its_own_form(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    assert ipaddress.ip_address(spelled(str(address))) in (address, getattr(address, "ipv4_mapped", None))


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("127.0.0.1", "127.0.0.1 is a loopback address: only the hub's operator can allow it"),
        ("10.1.2.3", "10.1.2.3 is a private address: only the hub's operator can allow it"),
        ("[::ffff:10.1.2.3]", "[::ffff:10.1.2.3] is a private address: only the hub's operator can allow it"),
        ("64:ff9b::a00:1", "64:ff9b::a00:1 is a private address: only the hub's operator can allow it"),
        ("169.254.1.1", "169.254.1.1 is a link-local address: only the hub's operator can allow it"),
    ],
)
def test_an_address_that_somebody_typed_is_named_with_the_reason(host: str, why: str) -> None:
    with pytest.raises(Refused) as refused:
        PEOPLE.place(host, 443)
    assert str(refused.value) == why


@pytest.mark.parametrize(
    "addresses",
    [
        ["10.20.30.40"], ["127.0.0.1"], ["169.254.169.254"], ["8.8.8.8", "10.20.30.40"], ["10.20.30.40", "8.8.8.8"],
        ["2606:4700::1", "fd00::1"], ["64:ff9b::a14:1e28"], ["fe80::1%eth0"],
    ],
)  # fmt: skip
def test_a_name_s_reason_tells_nothing_of_the_inside(addresses: list[str]) -> None:
    """One address that is not allowed is enough, and all of them are refused in the same words."""
    with pytest.raises(Refused) as refused:
        PEOPLE.check("partner.example", 443, addresses)
    assert str(refused.value) == "partner.example leads to an address that only the hub's operator can allow"


def test_public_addresses_are_open_to_everybody() -> None:
    for host in ("8.8.8.8", "2606:4700::1", "partner.example"):
        assert PEOPLE.place(host, 443) == host
        PEOPLE.check(host, 443, ["8.8.8.8", "2606:4700::1", "64:ff9b::808:808"])


@pytest.mark.parametrize("host", ["metadata.google.internal", "METADATA.goog.", "metadata", "instance-data"])
def test_the_names_of_metadata_services_are_asked_nobody_for(host: str) -> None:
    for policy in (PEOPLE, Policy(named({"url": f"http://{host}/"}), (Allowed.read("0.0.0.0/0"),))):
        with pytest.raises(Refused, match="metadata service"):
            policy.place(host, 80)


@pytest.mark.parametrize("address", ["169.254.169.254", "fd00:ec2::254", "64:ff9b::a9fe:a9fe", "168.63.129.16"])
def test_metadata_addresses_are_nobody_s_word(address: str) -> None:
    all_of_it = (Allowed.read("0.0.0.0/0"), Allowed.read("::/0"), Allowed.read("169.254.169.254:80"))
    written = f"[{address}]" if ":" in address else address
    file = Policy(named({"url": f"http://{written}/latest"}), all_of_it)
    assert file.named
    with pytest.raises(Refused, match="cloud metadata address"):
        file.place(address, 80)
    by_name = Policy(named({"url": "http://partner.example/"}), all_of_it)
    with pytest.raises(Refused, match="cloud metadata address"):
        by_name.check("partner.example", 80, ["8.8.8.8", address])


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.1.2.3", "169.254.1.1", "fd00::1", "203.0.113.9"])
def test_what_the_operator_s_file_names_is_the_operator_s_word(address: str) -> None:
    policy = Policy(named({"url": "mllp://Lab.Example:2575"}))
    policy.check("lab.example", 2575, [address])
    policy.check("LAB.example.", 2575, [address])
    for host, port in (("lab.example", 2576), ("other.example", 2575)):
        with pytest.raises(Refused):
            policy.check(host, port, [address])
    itself = Policy(named({"url": f"mllp://[{address}]:2575" if ":" in address else f"mllp://{address}:2575"}))
    assert itself.place(address, 2575) == address


def test_a_link_local_partner_is_named_with_its_zone() -> None:
    policy = Policy(named({"url": "mllp://[fe80::1%25eth0]:2575"}))
    assert policy.place("fe80::1%25eth0", 2575) == "fe80::1%eth0"
    with pytest.raises(Refused):
        policy.place("fe80::1%eth1", 2575)


def test_every_url_of_an_endpoint_is_named() -> None:
    values = {
        "url": "https://API.example/v1",
        "authentication": {"token_url": "https://user:pass@[2001:db8::1]:8443/token"},
        "brokers": ["kafka://one.example:9092,two.example:9093/topic"],
        "note": "see http://a.example and sftp://files.example/in",
        "timeout": 30_000,
        "folder": "file:///srv/hl7",
        "bad": "http://0x7f.1/ http://[::1:80/",
    }
    assert named(values) == {
        ("api.example", 443), ("2001:db8::1", 8443), ("one.example", 9092), ("two.example", 9093), ("a.example", 80),
        ("files.example", None),
    }  # fmt: skip
    assert Policy(named(values)).place("files.example", 22) == "files.example"


@pytest.mark.parametrize("port", sorted(NEVER))
def test_some_ports_are_no_partner_s(port: int) -> None:
    for host, addresses in (("8.8.8.8", []), ("partner.example", ["8.8.8.8"])):
        with pytest.raises(Refused, match=f"port {port} is never a partner's"):
            PEOPLE.place(host, port)
        with pytest.raises(Refused):
            PEOPLE.check(host, port, addresses or [host])
    within = Policy(allowed=(Allowed.read("10.0.0.0/8"),))
    with pytest.raises(Refused, match=r"is never a partner's|a private address"):
        within.place("10.0.0.1", port)
    if port:
        opened = Policy(allowed=(Allowed.read(f"10.0.0.0/8:{port}"),))
        assert opened.place("10.0.0.1", port) == "10.0.0.1"
        assert opened.place("partner.example", port) == "partner.example"
        opened.check("partner.example", port, ["10.0.0.1"])
        with pytest.raises(Refused):
            opened.check("partner.example", port, ["8.8.8.8"])


@pytest.mark.parametrize(
    ("text", "network", "port", "organization"),
    [
        ("10.0.0.0/8", "10.0.0.0/8", None, None),
        ("192.168.7.20", "192.168.7.20/32", None, None),
        ("192.168.7.0/24:6661", "192.168.7.0/24", 6661, None),
        ("fd12::/16", "fd12::/16", None, None),
        ("::1", "::1/128", None, None),
        ("[fd12::/16]:443", "fd12::/16", 443, None),
        ("[::1]:443", "::1/128", 443, None),
        ("clinic-a=10.1.0.0/16:443", "10.1.0.0/16", 443, "clinic-a"),
        ("clinic.a=fd12::/16", "fd12::/16", None, "clinic.a"),
    ],
)
def test_an_allow_list_is_read(text: str, network: str, port: int | None, organization: str | None) -> None:
    assert Allowed.read(text) == Allowed(ipaddress.ip_network(network), port, organization)


@pytest.mark.parametrize(
    "text",
    [
        "", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/8:0", "10.0.0.0/8:65536", "10.0.0.0/8:", "10.0.0.0/8:http",
        "lab.example", "*", "010.0.0.0/8", "fd12::/200", "=10.0.0.0/8", "a b=10.0.0.0/8", "[10.0.0.0/8", "10/8",
    ],
)  # fmt: skip
def test_an_allow_list_that_says_something_else_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError, match="HILUM_EGRESS_ALLOW"):
        Allowed.read(text)


def test_an_entry_allows_its_network_and_its_port_alone() -> None:
    policy = Policy(
        allowed=(Allowed.read("192.168.7.0/24:6661"), Allowed.read("fd12::/16"), Allowed.read("10.9.0.0/16"))
    )
    for host, port in (("192.168.7.20", 6661), ("fd12::7", 443), ("10.9.1.1", 8080), ("::ffff:10.9.1.1", 8080)):
        policy.place(host, port)
        policy.check("partner.example", port, [host, "8.8.8.8"])
    for host, port in (("192.168.7.20", 443), ("192.168.8.20", 6661), ("fd13::7", 443), ("127.0.0.1", 8080)):
        with pytest.raises(Refused):
            policy.place(host, port)
    for carrying in ("64:ff9b::a09:101", "2002:a09:101::1", "::a09:101"):  # that is another way than the one allowed
        with pytest.raises(Refused):
            policy.place(carrying, 8080)
