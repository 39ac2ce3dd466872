"""Signs the JSON Web Tokens that partners believe us by (RFC 7515, 7519): with a shared secret or a private key."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import Key, OctKey, import_key

from hilum import clock, telemetry
from hilum.errors import ConfigError

SHORTEST = 32  # bytes of a shared secret: 256 bits
_WEAKEST = 2_048  # bits of an RSA key
_FAMILIES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}


class Signer:
    """One key. A private key is PEM (PKCS#8, PKCS#1, SEC 1) or a JWK; a shared secret is text."""

    def __init__(self, key: str, algorithm: str, key_id: str = "") -> None:
        """Raises ConfigError where the key is none, too weak, or not one of the algorithm."""
        telemetry.secrets.add(key)
        self._header = {"alg": algorithm, "typ": "JWT", **({"kid": key_id} if key_id else {})}
        self._key = _shared(key) if algorithm.startswith("HS") else _private(key, algorithm)
        try:
            self.sign({})
        except (JoseError, ValueError, TypeError):
            raise ConfigError(f"the key is not one for {algorithm}") from None

    def sign(self, claims: Mapping[str, Any]) -> str:
        """The token, in compact form."""
        payload = json.dumps(claims).encode()
        if self._header["alg"] == "EdDSA":  # joserfc knows the algorithm by its newer name alone
            return self._by_hand(payload)
        return jws.serialize_compact(self._header, payload, self._key, algorithms=[self._header["alg"]])

    def issue(self, lifetime: int, **claims: Any) -> str:
        """A token with `claims` (empty ones left out), issued now, for `lifetime` seconds, with an id of its own."""
        now = clock.micros() // 1_000_000
        said = {name: value for name, value in claims.items() if value}
        return self.sign({**said, "iat": now, "exp": now + lifetime, "jti": secrets.token_urlsafe(16)})

    def _by_hand(self, payload: bytes) -> str:
        key = self._key.raw_value
        if not isinstance(key, ed25519.Ed25519PrivateKey):
            raise ValueError("not an Ed25519 key")
        text = f"{_encode(json.dumps(self._header).encode())}.{_encode(payload)}"
        return f"{text}.{_encode(key.sign(text.encode()))}"


def _shared(text: str) -> Key:
    if len(text.encode()) < SHORTEST:
        raise ConfigError(f"the secret has less than {SHORTEST} bytes (256 bits)")
    return OctKey.import_key(text.encode())


def _private(text: str, algorithm: str) -> Key:
    family: Any = _FAMILIES[algorithm[:2]]
    try:
        key: Key = import_key(json.loads(text) if text.lstrip().startswith("{") else text, family)
    except (JoseError, ValueError, TypeError, KeyError, RecursionError):
        raise ConfigError(f"the key cannot be read: {algorithm} needs a private {family} key, as PEM or JWK") from None
    if key.key_type != family or not key.is_private:
        raise ConfigError(f"{algorithm} needs a private {family} key")
    if isinstance(key.raw_value, rsa.RSAPrivateKey) and key.raw_value.key_size < _WEAKEST:
        raise ConfigError(f"the RSA key has less than {_WEAKEST} bits")
    return key


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
