"""What secrets of each kind look like: judged before they are kept, so that a slip of the hand shows at once.

Whether a partner takes them only a connectivity test can tell. No message repeats anything of a secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from hilum.errors import ConfigError

Values = Mapping[str, str]
_VISIBLE = re.compile(r"[\x21-\x7e]+")  # what a header takes
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # b64token (RFC 6750, section 2.1)
_CLIENT = re.compile(r"[\x20-\x7e]+")  # VSCHAR (RFC 6749, appendix A)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff]")
_OPENSSH = "-----BEGIN OPENSSH PRIVATE KEY-----"
_RSA_LEAST = 2_048  # bits (RFC 7518, section 3.3)
_CURVES = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}


def check(kind: str, fields: Mapping[str, Any], secrets: Values) -> None:
    """Raises ConfigError naming the field (`secrets.key`) where one cannot be what it is said to be."""
    rules = _RULES.get(kind)
    if rules is not None:
        rules(fields, secrets)


def _api_key(_: Mapping[str, Any], secrets: Values) -> None:
    _like(_VISIBLE, secrets, "key", "must be visible ASCII characters without blanks")


def _bearer(_: Mapping[str, Any], secrets: Values) -> None:
    _like(_TOKEN, secrets, "token", "is no bearer token: letters, digits and -._~+/ with = at the end alone")


def _basic(fields: Mapping[str, Any], secrets: Values) -> None:
    if ":" in str(fields.get("username", "")):
        raise ConfigError("must hold no colon (RFC 7617)", where="fields.username")
    _plain(secrets, "password")


def _oauth2(fields: Mapping[str, Any], secrets: Values) -> None:
    _like(_CLIENT, secrets, "client_secret", "must be ASCII characters (RFC 6749)")
    _like(_CLIENT, secrets, "refresh_token", "must be ASCII characters (RFC 6749)")
    _plain(secrets, "client_secret")
    _plain(secrets, "refresh_token")
    _plain(secrets, "password")


def _jwt(fields: Mapping[str, Any], secrets: Values) -> None:
    algorithm = str(fields.get("algorithm", ""))
    if algorithm.startswith("HS"):
        _only(secrets, "shared_secret", "private_key", algorithm)
        least = int(algorithm[2:]) // 8
        if "shared_secret" in secrets and len(secrets["shared_secret"].encode()) < least:
            raise ConfigError(
                f"must have at least {least} bytes for {algorithm} (RFC 7518)", where="secrets.shared_secret"
            )
        _plain(secrets, "shared_secret")
        return
    _only(secrets, "private_key", "shared_secret", algorithm)
    if "private_key" in secrets:
        key = _pem(secrets["private_key"], None)
        if not _signs(key, algorithm):
            raise ConfigError(f"is no key that signs {algorithm}", where="secrets.private_key")


def _ssh_key(fields: Mapping[str, Any], secrets: Values) -> None:
    public = str(fields.get("public_key", "")).strip()
    known = _public(public) if public else None
    if "private_key" not in secrets:
        return
    text, passphrase = secrets["private_key"], secrets.get("passphrase")
    key = _openssh(text, passphrase) if text.lstrip().startswith(_OPENSSH) else _pem(text, passphrase)
    if key is not None and known is not None and _half(key.public_key()) != known:
        raise ConfigError("is not the public half of the private key", where="fields.public_key")


_RULES: dict[str, Callable[[Mapping[str, Any], Values], None]] = {
    "api_key": _api_key, "bearer": _bearer, "basic": _basic, "oauth2": _oauth2, "jwt": _jwt, "ssh_key": _ssh_key,
}  # fmt: skip


def _like(pattern: re.Pattern[str], secrets: Values, name: str, otherwise: str) -> None:
    if name in secrets and not pattern.fullmatch(secrets[name]):
        raise ConfigError(otherwise, where=f"secrets.{name}")


def _plain(secrets: Values, name: str) -> None:
    """What a person could have typed: no control characters, no blank that was copied along at either end."""
    value = secrets.get(name, "")
    if _CONTROL.search(value) or value != value.strip():
        raise ConfigError("must hold no control characters, and no blanks at its ends", where=f"secrets.{name}")


def _only(secrets: Values, wanted: str, other: str, algorithm: str) -> None:
    if other in secrets:
        raise ConfigError(f"{algorithm} signs with {wanted}", where=f"secrets.{other}")


def _pem(text: str, passphrase: str | None) -> Any:
    try:
        return serialization.load_pem_private_key(text.encode(), passphrase.encode() if passphrase else None)
    except TypeError:
        wrong = "has no passphrase" if passphrase else "needs its passphrase"
        raise ConfigError(wrong, where="secrets.private_key") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError("is no PEM private key, or has another passphrase", where="secrets.private_key") from None


def _openssh(text: str, passphrase: str | None) -> Any:
    """None where this machine has not what would open it: its form is right, the rest shows when it is used."""
    try:
        return serialization.load_ssh_private_key(text.encode(), passphrase.encode() if passphrase else None)
    except UnsupportedAlgorithm:
        return None
    except (ValueError, TypeError):
        raise ConfigError("is no OpenSSH private key, or has another passphrase", where="secrets.private_key") from None


def _public(text: str) -> bytes:
    try:
        return _half(serialization.load_ssh_public_key(text.encode()))
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError("is no public key as authorized_keys has it", where="fields.public_key") from None


def _half(key: Any) -> bytes:
    made: bytes = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return made


def _signs(key: Any, algorithm: str) -> bool:
    if algorithm[:2] in ("RS", "PS"):
        return isinstance(key, rsa.RSAPrivateKey) and key.key_size >= _RSA_LEAST
    if algorithm in _CURVES:
        return isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, _CURVES[algorithm])
    return algorithm == "EdDSA" and isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
