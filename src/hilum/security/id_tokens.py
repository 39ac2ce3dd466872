"""Judges the ID token of an OpenID Connect provider (OpenID Connect Core 1.0, section 3.1.3.7; RFC 8725).

Only asymmetric algorithms, only the provider's own keys by `kid`, our client as the audience, the nonce of this very
sign-in, and times that fit.
"""

from __future__ import annotations

import base64
import dataclasses
import hmac
import json
from collections.abc import Mapping
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from hilum.errors import Refused

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "Ed25519")
LARGEST = 16_384  # characters
_LEEWAY = 60  # seconds that the provider's clock may be off
_OLDEST = 600  # seconds since it was issued


@dataclasses.dataclass(frozen=True, slots=True)
class Person:
    """Who the provider says it is. `email` in lower case; empty where it has none that it verified."""

    subject: str
    email: str


def judge(text: str, keys: Mapping[str, Any], *, issuer: str, client: str, nonce: str, now: int) -> Person:
    """`keys` is the provider's JWKS, `now` in seconds. Raises Refused saying what does not fit."""
    claims = _verified(text, keys)
    if claims.get("iss") != issuer:
        raise Refused("the ID token is another issuer's")
    audience = claims.get("aud")
    if audience != client and audience != [client]:
        raise Refused("the ID token is for another client")
    if claims.get("azp", client) != client:
        raise Refused("the ID token was given to another client")
    if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
        raise Refused("the ID token is of another sign-in")
    expires, issued = claims.get("exp"), claims.get("iat")
    if type(expires) is not int or type(issued) is not int:
        raise Refused("the ID token has no times")
    if expires <= now - _LEEWAY or issued > now + _LEEWAY or issued < now - _OLDEST:
        raise Refused("the ID token does not hold now")
    if not isinstance(claims.get("sub"), str) or not claims["sub"]:
        raise Refused("the ID token names nobody")
    verified = claims.get("email_verified") is True and isinstance(claims.get("email"), str)
    return Person(claims["sub"], claims["email"].strip().lower() if verified else "")


def _verified(text: str, keys: Mapping[str, Any]) -> dict[str, Any]:
    if len(text) > LARGEST:
        raise Refused("the ID token is too large")
    header = _header(text)
    algorithm, kid = header.get("alg"), header.get("kid")
    if algorithm not in ALGORITHMS:
        raise Refused("the ID token is signed by an algorithm that is not accepted")
    try:
        held = [
            one for one in keys["keys"] if one.get("kty") in ("RSA", "EC", "OKP") and one.get("use", "sig") == "sig"
        ]
        meant = [one for one in held if one.get("kid") == kid] if kid is not None else held
        if len(meant) != 1:
            raise Refused("the ID token is signed by a key that the provider does not have")
        key = KeySet.import_key_set({"keys": meant}).keys[0]
        claims = json.loads(jws.deserialize_compact(text, key, algorithms=[algorithm]).payload)
    except (JoseError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Refused("the ID token's signature does not hold") from None
    if not isinstance(claims, dict):
        raise Refused("the ID token says nothing")
    return claims


def _header(text: str) -> Mapping[str, Any]:
    part = text.partition(".")[0]
    try:
        found = json.loads(base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Refused("the provider gave no ID token")
    return found
