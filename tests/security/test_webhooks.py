"""Signatures of webhooks, both ways, by vectors that others published or that openssl made."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import ConfigError
from hilum.security import webhooks
from hilum.security.webhooks import Forged, GitHub, Hmac, Scheme, Standard, Stripe, verify

# the example of the Standard Webhooks reference libraries
STANDARD = (
    Standard(), ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
    b'{"test": 2432232314}',
    {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    },
)  # fmt: skip
# GitHub's documentation, "Validating webhook deliveries"
GITHUB = (
    GitHub(), ["It's a Secret to Everybody"], "72d3162e-cc78-11e3-81ab-4c9367dc0958", 0, b"Hello, World!",
    {
        "x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
        "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
    },
)  # fmt: skip
# printf '1492774577.{"id":"evt_1"}' | openssl dgst -sha256 -hmac whsec_test_secret
STRIPE = (
    Stripe(), ["whsec_test_secret"], "", 1492774577, b'{"id":"evt_1"}',
    {"stripe-signature": "t=1492774577,v1=799c4ba7bb339f3c8601adfd112f0e477c930a268be1243d341abb8286501c2f"},
)  # fmt: skip
VECTORS = {"standard": STANDARD, "github": GITHUB, "stripe": STRIPE}
# RFC 8032, 7.1, test 1: the seed and its public key
SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
KEY = "a key that two parties know"


def openssl(content: bytes, key: str, algorithm: str) -> bytes:
    """An HMAC that was made without us."""
    command = ["openssl", "dgst", f"-{algorithm}", "-hmac", key, "-binary"]
    return subprocess.run(command, input=content, capture_output=True, check=True).stdout


def flipped(text: str) -> str:
    """One bit of one character differs, and it stays the alphabet's."""
    at = len(text) // 2
    return text[:at] + ("b" if text[at] == "a" else "a") + text[at + 1 :]


@pytest.mark.parametrize("name", VECTORS)
def test_it_signs_as_the_vector_has_it(name: str) -> None:
    scheme, keys, identifier, seconds, body, headers = VECTORS[name]
    assert scheme.sign(keys, identifier, seconds, body) == headers


@pytest.mark.ledger_part("S2-25", "signature verification: Standard Webhooks, Stripe, GitHub, by published vectors")
@pytest.mark.parametrize("name", VECTORS)
def test_it_proves_the_vector_and_not_with_a_flipped_bit(name: str) -> None:
    scheme, keys, _, seconds, body, headers = VECTORS[name]
    proof = verify(scheme, keys, headers, body, seconds)
    assert proof.seconds == (seconds or None)
    assert proof.id == headers.get("webhook-id")
    with pytest.raises(Forged):
        verify(scheme, keys, headers, bytes([body[0] ^ 1]) + body[1:], seconds)
    signed = next(one for one in headers if "signature" in one)
    with pytest.raises(Forged):
        verify(scheme, keys, headers | {signed: flipped(headers[signed])}, body, seconds)
    with pytest.raises(Forged):
        verify(scheme, [flipped(keys[0])], headers, body, seconds)
    for missing in headers:
        if missing != "x-github-delivery":
            with pytest.raises(Forged, match="missing"):
                verify(scheme, keys, {key: one for key, one in headers.items() if key != missing}, body, seconds)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp"])
def test_what_a_standard_signature_covers_cannot_be_changed(name: str) -> None:
    scheme, keys, _, seconds, body, headers = STANDARD
    changed = headers | {name: flipped(headers[name]) if name == "webhook-id" else str(seconds + 1)}
    with pytest.raises(Forged):
        verify(scheme, keys, changed, body, seconds)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize(
    ("encoding", "written"), [("hex", bytes.hex), ("base64", lambda raw: base64.b64encode(raw).decode())]
)
@pytest.mark.parametrize("when", [None, "X-Time"])
def test_the_generic_scheme_is_what_openssl_makes(
    algorithm: Any, encoding: Any, written: Callable[[bytes], str], when: str | None
) -> None:
    scheme, body = Hmac("X-Sign", algorithm, encoding, "v0=", when), b"\x00raw \xff body"
    content = b"1700000000." + body if when else body
    headers = {"x-sign": "v0=" + written(openssl(content, KEY, algorithm))} | ({"x-time": "1700000000"} if when else {})
    assert scheme.sign([KEY], "", 1_700_000_000, body) == headers
    assert verify(scheme, [KEY], headers, body, 1_700_000_000).signed == content
    for broken in (
        headers | {"x-sign": flipped(headers["x-sign"])},
        headers | {"x-sign": headers["x-sign"].removeprefix("v0=")},
        headers | {"x-sign": "v0="},
        headers | {"x-sign": "v0=ä"},
    ):
        with pytest.raises(Forged):
            verify(scheme, [KEY], broken, body, 1_700_000_000)


def test_stripe_takes_any_of_several_and_wants_one_time() -> None:
    scheme, keys, _, seconds, body, headers = STRIPE
    (sound,) = headers.values()
    other = f"t={seconds},v1={'0' * 64},v0=abc,{sound.partition(',')[2]}"
    assert verify(scheme, keys, {"stripe-signature": other}, body, seconds).seconds == seconds
    for text in (sound.partition(",")[2], f"t=1,{sound}", f"t=x,{sound.partition(',')[2]}", ",,=", "t="):
        with pytest.raises(Forged):
            verify(scheme, keys, {"stripe-signature": text}, body, seconds)


def test_ed25519_is_that_of_rfc_8032() -> None:
    private, public = (prefix + base64.b64encode(raw).decode() for prefix, raw in (("whsk_", SEED), ("whpk_", PUBLIC)))
    assert webhooks.public_of(private) == public
    assert webhooks.public_of("whsk_" + base64.b64encode(SEED + PUBLIC).decode()) == public
    headers = Standard().sign([private], "msg_1", 1_700_000_000, b"{}")
    assert headers["webhook-signature"].startswith("v1a,")
    assert verify(Standard(), [public], headers, b"{}", 1_700_000_000).id == "msg_1"
    with pytest.raises(Forged):
        verify(Standard(), [public], headers, b"{ }", 1_700_000_000)
    with pytest.raises(Forged):
        verify(Standard(), [public], headers | {"webhook-signature": flipped(headers["webhook-signature"])}, b"{}",
               1_700_000_000)  # fmt: skip


def test_a_public_key_is_never_the_secret_of_an_hmac() -> None:
    """Else whoever knows it could sign."""
    public = webhooks.public_of(webhooks.new_private())
    forged = Standard().sign([f"whsec_{public.removeprefix('whpk_')}"], "msg_1", 1_700_000_000, b"{}")
    with pytest.raises(Forged):
        verify(Standard(), [public], forged, b"{}", 1_700_000_000)


@pytest.mark.ledger_part("S0-39", "while a secret is rotated both sign, and either is proof enough")
def test_two_secrets_hold_at_a_time() -> None:
    old, new = webhooks.new_secret(), webhooks.new_secret()
    headers = Standard().sign([new, old], "msg_1", 1_700_000_000, b"{}")
    assert len(headers["webhook-signature"].split(" ")) == 2
    for keys in ([old], [new], [new, old]):
        assert verify(Standard(), keys, headers, b"{}", 1_700_000_000).id == "msg_1"
    with pytest.raises(Forged):
        verify(Standard(), [webhooks.new_secret()], headers, b"{}", 1_700_000_000)
    for scheme in (Stripe(), GitHub(), Hmac("x-sign")):  # a receiver's: the sender has either
        for key in ("old secret", "new secret"):
            signed = scheme.sign([key], "1", 1_700_000_000, b"{}")
            verify(scheme, ["new secret", "old secret"], signed, b"{}", 1_700_000_000)


@pytest.mark.parametrize(
    "scheme", [Standard(), Stripe(), Hmac("x-sign", timestamp_header="x-time")], ids=lambda one: type(one).__name__
)
def test_what_is_old_or_of_tomorrow_is_refused(scheme: Scheme) -> None:
    key = webhooks.new_secret()
    headers = scheme.sign([key], "msg_1", 1_700_000_000, b"{}")
    for now in (1_700_000_300, 1_699_999_700):
        verify(scheme, [key], headers, b"{}", now)
    for now in (1_700_000_301, 1_699_999_699):
        with pytest.raises(Forged, match="300 seconds"):
            verify(scheme, [key], headers, b"{}", now)
    verify(scheme, [key], headers, b"{}", 1_700_003_600, tolerance=3_600)


@pytest.mark.parametrize(
    ("scheme", "key"),
    [
        (Standard(), "whsec_c2hvcnQ="), (Standard(), "whsec_not base64"), (Standard(), "whsk_AAAA"),
        (Standard(), "whpk_AAAA"), (Stripe(), "short"), (GitHub(), "x" * 513), (Hmac("x-sign"), ""),
    ],
)  # fmt: skip
def test_what_is_no_key_is_told(scheme: Scheme, key: str) -> None:
    with pytest.raises(ConfigError, match="secret"):
        scheme.check(key)


@given(
    headers=st.dictionaries(
        st.sampled_from([
            "webhook-id", "webhook-timestamp", "webhook-signature", "stripe-signature", "x-hub-signature-256", "x-sign"
        ]),
        st.text(max_size=80),
    ),
    body=st.binary(max_size=40),
)  # fmt: skip
def test_whatever_comes_is_forged_and_nothing_else(headers: dict[str, str], body: bytes) -> None:
    for scheme in (Standard(), Stripe(), GitHub(), Hmac("x-sign"), Hmac("x-sign", encoding="base64")):
        with pytest.raises(Forged):
            verify(scheme, [webhooks.new_secret()], headers, body, 0)
