"""Access tokens: what we issue verifies, and every attack of RFC 8725 is refused."""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hilum.errors import Unauthenticated
from hilum.security.tokens import AUDIENCE, LARGEST, LIFE, SigningKey, Tokens, UnknownKey

ISSUER = "urn:uuid:00000000-0000-0000-0000-000000000001"
USER, SESSION, HOME = (str(uuid.UUID(int=one)) for one in (1, 2, 3))
SECOND = 1_000_000
KEY = SigningKey.make(0)


class Clock:
    """A time of the test's own, in microseconds."""

    def __init__(self) -> None:
        self.now = 1_800_000_000 * SECOND

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(clock: Clock) -> Tokens:
    made = Tokens(ISSUER, clock)
    made.load([KEY])
    return made


def encode(value: Any) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(part: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(part + "=="))


def ed25519(data: bytes, key: SigningKey = KEY) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(key.private).sign(data)


def forged(
    header: dict[str, Any] | None = None,
    claims: dict[str, Any] | None = None,
    sign: Callable[[bytes], bytes] = ed25519,
) -> str:
    """A token with some of its header and claims replaced (None: removed), signed by `sign`."""
    head = {"alg": "Ed25519", "typ": "at+jwt", "kid": KEY.kid} | (header or {})
    now = 1_800_000_000
    said = {
        "iss": ISSUER, "aud": AUDIENCE, "exp": now + LIFE, "nbf": now, "iat": now, "jti": "j", "sub": USER,
        "client_id": "hilum", "sid": SESSION, "org": HOME,
    } | (claims or {})  # fmt: skip
    kept = [{name: value for name, value in one.items() if value is not None} for one in (head, said)]
    data = f"{encode(kept[0])}.{encode(kept[1])}"
    return f"{data}.{encode(sign(data.encode()))}"


def refused(tokens: Tokens, text: str) -> Unauthenticated:
    with pytest.raises(Unauthenticated) as error:
        tokens.verify(text)
    assert len(text) < 5 or text not in str(error.value)
    return error.value


def test_a_token_says_who_in_which_session_and_organization(tokens: Tokens) -> None:
    text = tokens.issue(USER, SESSION, HOME)
    header, claims, _ = text.split(".")
    assert decode(header) == {"alg": "Ed25519", "typ": "at+jwt", "kid": KEY.kid}
    said = decode(claims)
    assert said["exp"] - said["iat"] == LIFE == 900
    assert said["nbf"] == said["iat"]
    assert {"iss", "aud", "sub", "client_id", "jti", "sid", "org"} <= said.keys()
    found = tokens.verify(text)
    assert (str(found.subject), str(found.session), found.organization, found.id) == (USER, SESSION, HOME, said["jti"])
    assert tokens.verify(text) is found  # remembered
    assert decode(tokens.issue(USER, SESSION, HOME).split(".")[1])["jti"] != said["jti"]


def test_the_helper_of_these_tests_makes_tokens_that_hold(tokens: Tokens) -> None:
    assert str(tokens.verify(forged()).subject) == USER


@pytest.mark.ledger_part("S0-28", "alg none, an HMAC under the public key and RSA are refused")
@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", ""])
def test_no_signature_is_no_token(tokens: Tokens, algorithm: str) -> None:
    refused(tokens, forged({"alg": algorithm}, sign=lambda data: b""))
    refused(tokens, forged({"alg": algorithm}))
    refused(tokens, forged(sign=lambda data: b""))


@pytest.mark.ledger_part("S0-28", "alg none, an HMAC under the public key and RSA are refused")
@pytest.mark.parametrize("algorithm", ["HS256", "HS512"])
def test_the_public_key_is_no_shared_secret(tokens: Tokens, algorithm: str) -> None:
    public = Ed25519PrivateKey.from_private_bytes(KEY.private).public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    digest = {"HS256": hashlib.sha256, "HS512": hashlib.sha512}[algorithm]
    for secret in (pem, public.public_bytes_raw(), json.dumps(KEY.public).encode(), KEY.public["x"].encode()):
        sign = functools.partial(hmac.digest, secret, digest=digest)
        refused(tokens, forged({"alg": algorithm}, sign=sign))
        refused(tokens, forged(sign=sign))


@pytest.mark.ledger_part("S0-28", "alg none, an HMAC under the public key and RSA are refused")
@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA", "Ed448"])
def test_there_is_one_algorithm(tokens: Tokens, algorithm: str) -> None:
    key = rsa.generate_private_key(65_537, 2_048)
    refused(tokens, forged({"alg": algorithm}, sign=lambda data: key.sign(data, padding.PKCS1v15(), hashes.SHA256())))
    refused(tokens, forged({"alg": algorithm}))


@pytest.mark.ledger_part("S0-28", "a header that names or brings a key of its own is refused")
def test_a_key_that_the_token_brings_along_is_not_looked_at(tokens: Tokens) -> None:
    own = SigningKey.make(0)

    def sign(data: bytes) -> bytes:
        return ed25519(data, own)

    for header in (
        {"jwk": own.public},
        {"jku": "https://attacker.example/jwks.json"},
        {"x5u": "https://attacker.example/cert.pem"},
        {"x5c": ["MIIB"]},
        {"crit": ["exp"]},
        {"zip": "DEF"},
    ):
        refused(tokens, forged({**header, "kid": own.kid}, sign=sign))
        refused(tokens, forged(header, sign=sign))
        refused(tokens, forged(header))  # signed by us: such a header is not ours all the same


@pytest.mark.parametrize("kid", ["x" * 43, "", "../../etc/passwd", None, 7, [], {"a": 1}])
def test_an_unknown_key_verifies_nothing(tokens: Tokens, kid: Any) -> None:
    refused(tokens, forged({"kid": kid}))


@pytest.mark.ledger_part("S0-28", "wrong issuer, audience, type and times are refused")
@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "urn:uuid:00000000-0000-0000-0000-000000000002"},
        {"iss": None},
        {"aud": "another"},
        {"aud": None},
        {"aud": [AUDIENCE, "another"]},
        {"client_id": "another"},
        {"sub": None},
        {"sub": "admin"},
        {"sub": 7},
        {"sid": None},
        {"sid": "x"},
        {"org": None},
        {"jti": None},
        {"exp": None},
        {"exp": "1800000900"},
        {"exp": 1_800_000_900.5},
        {"exp": True},
        {"exp": 1e400},
        {"exp": 1_800_086_400},  # a day: longer than any of ours
        {"nbf": 1_800_000_060},
        {"iat": 1_800_000_060, "exp": 1_800_000_100},
        {"nbf": None},
        {"iat": None},
    ],
)
def test_a_claim_that_is_not_ours_is_refused(tokens: Tokens, claims: dict[str, Any]) -> None:
    refused(tokens, forged(claims=claims))


@pytest.mark.parametrize("kind", ["JWT", "jwt", "AT+JWT", "application/at+jwt", None, "logout+jwt"])
def test_another_type_is_refused(tokens: Tokens, kind: str | None) -> None:
    refused(tokens, forged({"typ": kind}))


@pytest.mark.parametrize(
    "text",
    [
        "", ".", "..", "a.b.c", "é.é.é", "e30.e30.e30", forged() + ".x", forged().rpartition(".")[0],
        "[" * 700, f"{encode([])}.{encode({})}.x", f"{encode(b'{' * 600)}.x.y", forged()[:-1],
    ],
)  # fmt: skip
def test_what_is_no_token_is_refused(tokens: Tokens, text: str) -> None:
    refused(tokens, text)


def test_a_changed_claim_breaks_the_signature(tokens: Tokens) -> None:
    header, claims, signature = tokens.issue(USER, SESSION, HOME).split(".")
    other = decode(claims) | {"sub": str(uuid.UUID(int=9))}
    refused(tokens, f"{header}.{encode(other)}.{signature}")


def test_a_token_that_is_too_large_is_not_looked_at(tokens: Tokens) -> None:
    refused(tokens, forged(claims={"more": "x" * LARGEST}))
    refused(tokens, "a" * 10_000_000)


def test_a_token_expires_also_where_it_is_remembered(tokens: Tokens, clock: Clock) -> None:
    text = tokens.issue(USER, SESSION, HOME)
    tokens.verify(text)
    clock.now += (LIFE - 1) * SECOND
    tokens.verify(text)
    clock.now += SECOND
    assert refused(tokens, text).expired
    assert refused(tokens, text).expired


@pytest.mark.ledger_part("S0-28", "keys rotate: what the old one signed holds until it expires")
def test_a_retired_key_verifies_until_its_last_token_expired(tokens: Tokens, clock: Clock) -> None:
    text = tokens.issue(USER, SESSION, HOME)
    made = SigningKey.make(clock.now)
    retired = SigningKey(KEY.kid, KEY.private, KEY.created_at, clock.now)
    tokens.load([retired, made])
    assert [one["kid"] for one in tokens.jwks["keys"]] == [KEY.kid, made.kid]
    assert str(tokens.verify(text).subject) == USER
    assert decode(tokens.issue(USER, SESSION, HOME).split(".")[0])["kid"] == made.kid
    clock.now += LIFE * SECOND
    tokens.load([retired, made])
    assert [one["kid"] for one in tokens.jwks["keys"]] == [made.kid]
    assert isinstance(refused(tokens, text), UnknownKey)


def test_what_is_published_holds_no_private_key(tokens: Tokens) -> None:
    assert all(set(one) == {"kty", "crv", "x", "kid", "use", "alg"} for one in tokens.jwks["keys"])
    assert KEY.private.hex() not in repr(KEY)
    assert repr(KEY.private) not in repr(KEY)


def test_nothing_is_signed_without_a_key(clock: Clock) -> None:
    with pytest.raises(LookupError):
        Tokens(ISSUER, clock).issue(USER, SESSION, HOME)
