"""ID tokens: what the provider signed for this very sign-in holds, everything else is refused."""

from __future__ import annotations

import functools
import json
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from hilum.errors import Refused
from hilum.security.id_tokens import Person, judge

ISSUER, CLIENT, NONCE, NOW = "https://id.example", "hilum", "nonce-1", 1_800_000_000
RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
EC = ECKey.generate_key("P-256", {"kid": "ec"})
ED = OKPKey.generate_key("Ed25519", {"kid": "ed"})
KEYS = {"keys": [one.as_dict(private=False) for one in (RSA, EC, ED)]}
CLAIMS = {
    "iss": ISSUER, "aud": CLIENT, "exp": NOW + 300, "iat": NOW, "nonce": NONCE, "sub": "s-1",
    "email": "Ada@Example.org", "email_verified": True,
}  # fmt: skip


def made(key: Any = RSA, algorithm: str = "RS256", header: dict[str, Any] | None = None, **claims: Any) -> str:
    said = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not None}
    head = {name: value for name, value in {"alg": algorithm, "kid": key.kid, **(header or {})}.items() if value}
    registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    return jws.serialize_compact(head, json.dumps(said).encode(), key, registry=registry)


judged = functools.partial(judge, keys=KEYS, issuer=ISSUER, client=CLIENT, nonce=NONCE, now=NOW)


@pytest.mark.parametrize(("key", "algorithm"), [(RSA, "RS256"), (RSA, "PS256"), (EC, "ES256"), (ED, "Ed25519")])
def test_what_the_provider_signed_holds(key: Any, algorithm: str) -> None:
    assert judged(made(key, algorithm)) == Person("s-1", "ada@example.org")


@pytest.mark.parametrize("claims", [{"email_verified": False}, {"email_verified": None}, {"email_verified": "true"},
                                    {"email": None}, {"email": 7}])  # fmt: skip
def test_an_address_that_is_not_verified_is_none(claims: dict[str, Any]) -> None:
    assert judged(made(**claims)) == Person("s-1", "")


@pytest.mark.parametrize("claims", [
    {"iss": "https://evil.example"}, {"iss": None}, {"aud": "another"}, {"aud": [CLIENT, "another"]}, {"aud": None},
    {"azp": "another"}, {"nonce": "nonce-2"}, {"nonce": None}, {"exp": NOW - 61}, {"exp": None}, {"exp": "9999999999"},
    {"iat": NOW + 61}, {"iat": NOW - 601}, {"iat": None}, {"sub": None}, {"sub": ""}, {"sub": 7},
])  # fmt: skip
def test_a_claim_that_does_not_fit_is_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        judged(made(**claims))


def test_only_asymmetric_algorithms_and_the_provider_s_own_keys_count() -> None:
    public = json.dumps(RSA.as_dict(private=False)).encode()
    shared = OctKey.import_key(public, {"kid": "rsa"})
    other = RSAKey.generate_key(2048, {"kid": "rsa"})
    unknown = RSAKey.generate_key(2048, {"kid": "other"})
    head, claims, _ = made().split(".")
    for text in (
        made(shared, "HS256"), made(other), made(unknown),
        made(unknown, header={"jwk": unknown.as_dict(private=False)}), made(header={"kid": None}),
        f"{head}.{claims}.", f"eyJhbGciOiJub25lIn0.{claims}.", "", "x.y.z", "a" * 20_000,
    ):  # fmt: skip
        with pytest.raises(Refused):
            judged(text)
    odd: tuple[dict[str, Any], ...] = (
        {},
        {"keys": "x"},
        {"keys": []},
        {"keys": [1]},
        {"keys": [{"kty": "oct", "kid": "rsa"}]},
    )
    for keys in odd:
        with pytest.raises(Refused):
            judge(made(), keys, issuer=ISSUER, client=CLIENT, nonce=NONCE, now=NOW)


def test_a_sole_key_needs_no_name() -> None:
    keys = {"keys": [RSA.as_dict(private=False)]}
    text = made(header={"kid": None})
    assert judge(text, keys, issuer=ISSUER, client=CLIENT, nonce=NONCE, now=NOW).subject == "s-1"
