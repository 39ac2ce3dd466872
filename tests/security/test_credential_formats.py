"""What secrets of each kind look like, and what is said where one cannot be what it is said to be."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from hilum.errors import ConfigError
from hilum.model.credential import KINDS
from hilum.security.credential_formats import check

OPENSSH, PKCS8 = serialization.PrivateFormat.OpenSSH, serialization.PrivateFormat.PKCS8


@functools.cache
def key(kind: str) -> Any:
    made = {
        "ed25519": ed25519.Ed25519PrivateKey.generate,
        "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "rsa": lambda: rsa.generate_private_key(65_537, 2_048),
        "rsa-1024": lambda: rsa.generate_private_key(65_537, 1_024),
    }
    return made[kind]()


def pem(kind: str, form: Any = PKCS8, passphrase: bytes | None = None) -> str:
    how = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    text: bytes = key(kind).private_bytes(serialization.Encoding.PEM, form, how)
    return text.decode()


def public(kind: str) -> str:
    half = key(kind).public_key()
    text: bytes = half.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return text.decode()


GOOD: list[tuple[str, dict[str, Any], dict[str, str]]] = [
    ("api_key", {}, {"key": "sk_live_51H8=+/"}),
    ("bearer", {}, {"token": "eyJhbGciOiJIUzI1NiJ9.e30.abc-_~+/=="}),
    ("basic", {"username": "hub"}, {"password": "pass word: ümlaut"}),
    ("oauth2", {}, {"client_secret": "a b!~", "refresh_token": "r", "password": "p w"}),
    ("jwt", {"algorithm": "RS384"}, {"private_key": pem("rsa")}),
    ("jwt", {"algorithm": "PS256"}, {"private_key": pem("rsa")}),
    ("jwt", {"algorithm": "ES256"}, {"private_key": pem("p256")}),
    ("jwt", {"algorithm": "ES384"}, {"private_key": pem("p384")}),
    ("jwt", {"algorithm": "EdDSA"}, {"private_key": pem("ed25519")}),
    ("jwt", {"algorithm": "HS256"}, {"shared_secret": "x" * 32}),
    ("jwt", {"algorithm": "HS384"}, {"shared_secret": "é" * 24}),  # bytes count, not characters
    ("ssh_key", {"username": "u"}, {"private_key": pem("ed25519", OPENSSH)}),
    ("ssh_key", {"username": "u"}, {"private_key": pem("rsa", passphrase=b"p"), "passphrase": "p"}),
    ("ssh_key", {"username": "u", "public_key": public("rsa") + " hub@clinic"}, {"private_key": pem("rsa")}),
    ("generic", {}, {"anything": " \t it is "}),
]
RSA_PEM = pem("rsa")
BAD: list[tuple[str, dict[str, Any], dict[str, str], str]] = [
    ("api_key", {}, {"key": "sk_live 51H8"}, "secrets.key"),
    ("api_key", {}, {"key": "sk_live\n"}, "secrets.key"),
    ("api_key", {}, {"key": "schlüssel"}, "secrets.key"),
    ("bearer", {}, {"token": "Bearer abc"}, "secrets.token"),
    ("bearer", {}, {"token": "abc=def"}, "secrets.token"),
    ("basic", {"username": "hub:2"}, {"password": "p"}, "fields.username"),
    ("basic", {"username": "hub"}, {"password": "copied along "}, "secrets.password"),
    ("basic", {"username": "hub"}, {"password": "two\nlines"}, "secrets.password"),
    ("oauth2", {}, {"client_secret": "geheim-ü"}, "secrets.client_secret"),
    ("oauth2", {}, {"client_secret": " copied"}, "secrets.client_secret"),
    ("oauth2", {}, {"refresh_token": "a\tb"}, "secrets.refresh_token"),
    ("jwt", {"algorithm": "HS256"}, {"shared_secret": "x" * 31}, "secrets.shared_secret"),
    ("jwt", {"algorithm": "HS384"}, {"shared_secret": "x" * 47}, "secrets.shared_secret"),
    ("jwt", {"algorithm": "HS256"}, {"private_key": RSA_PEM}, "secrets.private_key"),
    ("jwt", {"algorithm": "RS256"}, {"shared_secret": "x" * 40}, "secrets.shared_secret"),
    ("jwt", {"algorithm": "RS256"}, {"private_key": pem("p256")}, "secrets.private_key"),
    ("jwt", {"algorithm": "RS256"}, {"private_key": pem("rsa-1024")}, "secrets.private_key"),
    ("jwt", {"algorithm": "ES256"}, {"private_key": pem("p384")}, "secrets.private_key"),
    ("jwt", {"algorithm": "ES384"}, {"private_key": pem("p256")}, "secrets.private_key"),
    ("jwt", {"algorithm": "EdDSA"}, {"private_key": RSA_PEM}, "secrets.private_key"),
    ("jwt", {"algorithm": "RS256"}, {"private_key": "not a key at all"}, "secrets.private_key"),
    ("jwt", {"algorithm": "RS256"}, {"private_key": RSA_PEM.replace("A", "!")}, "secrets.private_key"),
    ("jwt", {"algorithm": "RS256"}, {"private_key": pem("rsa", passphrase=b"p")}, "secrets.private_key"),
    ("ssh_key", {}, {"private_key": "no key"}, "secrets.private_key"),
    ("ssh_key", {}, {"private_key": pem("ed25519", OPENSSH)[:200]}, "secrets.private_key"),
    ("ssh_key", {}, {"private_key": pem("rsa", passphrase=b"p"), "passphrase": "q"}, "secrets.private_key"),
    ("ssh_key", {}, {"private_key": pem("rsa", passphrase=b"p")}, "secrets.private_key"),
    ("ssh_key", {}, {"private_key": RSA_PEM, "passphrase": "p"}, "secrets.private_key"),
    ("ssh_key", {"public_key": public("p256")}, {"private_key": RSA_PEM}, "fields.public_key"),
    ("ssh_key", {"public_key": "ssh-rsa AAAA!"}, {}, "fields.public_key"),
]


def test_every_kind_is_judged_or_is_any_text() -> None:
    assert {kind for kind, *_ in GOOD} == KINDS.keys()
    assert {kind for kind, *_ in BAD} == KINDS.keys() - {"generic"}


@pytest.mark.parametrize(("kind", "fields", "secrets"), GOOD)
def test_what_fits_is_taken(kind: str, fields: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
    check(kind, fields, secrets)
    check(kind, fields, {})  # a secret may come later


@pytest.mark.parametrize(("kind", "fields", "secrets", "where"), BAD)
def test_what_cannot_be_it_is_named(
    kind: str, fields: Mapping[str, Any], secrets: Mapping[str, str], where: str
) -> None:
    with pytest.raises(ConfigError) as error:
        check(kind, fields, secrets)
    assert error.value.where == where
    assert all(len(one) < 3 or one not in str(error.value) for one in secrets.values())
