"""Tokens that we sign: a partner who has the other half of the key believes them, and weak keys are refused."""

from __future__ import annotations

import json
import warnings
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jws
from joserfc.errors import BadSignatureError, SecurityWarning
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from hilum import clock
from hilum.errors import ConfigError
from hilum.security.assertions import Signer

SECRET = "canary-0123456789-0123456789-0123"
RSA = RSAKey.generate_key(2048)
KEYS: dict[str, Any] = {
    "HS256": OctKey.import_key(SECRET), "HS384": OctKey.import_key(SECRET), "HS512": OctKey.import_key(SECRET),
    "RS256": RSA, "RS384": RSA, "RS512": RSA, "PS256": RSA, "PS384": RSA, "PS512": RSA,
    "ES256": ECKey.generate_key("P-256"), "ES384": ECKey.generate_key("P-384"), "ES512": ECKey.generate_key("P-521"),
    "EdDSA": OKPKey.generate_key("Ed25519"), "Ed25519": OKPKey.generate_key("Ed25519"),
}  # fmt: skip


def written(algorithm: str, jwk: bool) -> str:
    key = KEYS[algorithm]
    if algorithm.startswith("HS"):
        return SECRET
    return json.dumps(key.as_dict(private=True)) if jwk else key.as_pem(private=True).decode()


def read(text: str, key: Any, algorithm: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, after the signature was verified."""
    with warnings.catch_warnings(action="ignore", category=SecurityWarning):
        found = jws.deserialize_compact(text, key, algorithms=[algorithm])
    return dict(found.protected), json.loads(found.payload)


@pytest.mark.ledger_part("S3-35", "HS, RS, ES, PS and EdDSA keys, as PEM and JWK; iat, exp and jti")
@pytest.mark.parametrize("jwk", [True, False])
@pytest.mark.parametrize("algorithm", list(KEYS))
def test_a_partner_with_the_other_half_believes_it(algorithm: str, jwk: bool) -> None:
    signer = Signer(written(algorithm, jwk), algorithm, "k-1")
    one, other = (signer.issue(300, iss="hub", sub="", aud="lab") for _ in range(2))
    header, claims = read(one, KEYS[algorithm], algorithm)
    assert header == {"alg": algorithm, "typ": "JWT", "kid": "k-1"}
    assert claims.keys() == {"iss", "aud", "iat", "exp", "jti"}
    assert (claims["iss"], claims["aud"], claims["exp"] - claims["iat"]) == ("hub", "lab", 300)
    assert abs(claims["iat"] - clock.micros() // 1_000_000) <= 2
    assert claims["jti"] != read(other, KEYS[algorithm], algorithm)[1]["jti"]
    stranger = type(KEYS[algorithm]).generate_key(*_size(algorithm))
    with pytest.raises(BadSignatureError):
        read(one, stranger, algorithm)


def _size(algorithm: str) -> tuple[Any, ...]:
    sizes: dict[str, Any] = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "EdDSA": "Ed25519",
                             "Ed25519": "Ed25519", "HS256": 256, "HS384": 256, "HS512": 256}  # fmt: skip
    return (sizes.get(algorithm, 2048),)


@pytest.mark.ledger_part("S3-35", "a shared secret has 32 bytes at least, an RSA key 2048 bits")
@pytest.mark.parametrize(
    ("key", "algorithm", "reason"),
    [
        ("canary-of-31-bytes-0123456789-0", "HS256", "less than 32 bytes"),
        ("canary", "RS256", "cannot be read"),
        ('{"kty": "canary"}', "RS256", "cannot be read"),
        ('["canary"', "RS256", "cannot be read"),
        (written("ES256", False), "RS256", "cannot be read"),
        (written("ES256", True), "RS256", "cannot be read|needs a private RSA key"),
        (written("ES384", False), "ES256", "not one for ES256"),
        (RSA.as_pem(private=False).decode(), "RS256", "needs a private RSA key"),
        (json.dumps(RSA.as_dict(private=False)), "PS256", "needs a private RSA key"),
    ],
)
def test_a_key_that_does_not_do_is_refused(key: str, algorithm: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        Signer(key, algorithm)
    assert "canary" not in str(caught.value)


def test_a_short_rsa_key_is_refused() -> None:
    weak = rsa.generate_private_key(65_537, 1_024)
    text = weak.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with warnings.catch_warnings(action="ignore", category=SecurityWarning), pytest.raises(ConfigError, match="2048"):
        Signer(text, "RS256")


def test_other_octet_keys_are_no_eddsa_keys() -> None:
    with pytest.raises(ConfigError, match="not one for EdDSA"):
        Signer(OKPKey.generate_key("X25519").as_pem(private=True).decode(), "EdDSA")
