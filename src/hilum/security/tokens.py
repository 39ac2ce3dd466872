"""Access tokens: JWT as RFC 9068 profiles them, checked as RFC 8725 says. Nothing in a token chooses how it is checked.

One algorithm (Ed25519, RFC 9864), one type, one issuer, one audience. A key is found by its `kid` among our own and
nowhere else: a header that names another place (jku, x5u) or brings its own key (jwk, x5c) makes a token invalid.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import secrets
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from hilum import clock
from hilum.errors import Unauthenticated

ALGORITHM = "Ed25519"
TYPE = "at+jwt"
AUDIENCE = "urn:hilum:api"
CLIENT = "hilum"
LIFE = 900  # seconds
LARGEST = 2_048  # characters of a token
_SECOND = 1_000_000
_LEEWAY = 5  # seconds that another process of the hub may be ahead
_HEADER = {"alg", "typ", "kid"}
_KEPT = 4_096  # tokens that are remembered
INVALID = "the access token does not hold"


class UnknownKey(Unauthenticated):
    """Signed by a key that is not (or not yet) among ours."""


@dataclasses.dataclass(frozen=True, slots=True)
class SigningKey:
    """An Ed25519 key: its seed, and when it was made and retired (microseconds). `kid` is its RFC 7638 thumbprint."""

    kid: str
    private: bytes = dataclasses.field(repr=False)
    created_at: int
    retired_at: int | None = None

    @classmethod
    def make(cls, stamp: int) -> SigningKey:
        seed = secrets.token_bytes(32)
        return cls(_key(seed).thumbprint(), seed, stamp)

    @property
    def public(self) -> dict[str, Any]:
        """Its JWK, for everybody."""
        known = _key(self.private).as_dict(private=False)
        return {**known, "kid": self.kid, "use": "sig", "alg": ALGORITHM}


@dataclasses.dataclass(frozen=True, slots=True)
class Claims:
    """What a token says: UUIDs of the user, the session and the organization. `expires_at` in seconds."""

    subject: uuid.UUID
    session: uuid.UUID
    organization: str
    id: str
    expires_at: int


class Tokens:
    """Issues and verifies. One a process; `load` gives it the keys."""

    def __init__(self, issuer: str, now: Callable[[], int] = clock.micros) -> None:
        self.issuer = issuer
        self._now = now
        self._signing: tuple[str, OKPKey] | None = None
        self._keys: dict[str, OKPKey] = {}
        self._public: list[dict[str, Any]] = []
        self._known: OrderedDict[bytes, Claims] = OrderedDict()

    def load(self, keys: Iterable[SigningKey]) -> None:
        """Sign with the newest that is not retired; verify with it and those whose last token may still hold."""
        self._signing, self._known = None, OrderedDict()
        held = [one for one in keys if one.retired_at is None or self._now() < one.retired_at + LIFE * _SECOND]
        self._keys = {one.kid: _key(one.private) for one in held}
        self._public = [one.public for one in held]
        current = max((one for one in held if one.retired_at is None), key=lambda one: one.created_at, default=None)
        if current is not None:
            self._signing = current.kid, self._keys[current.kid]

    @property
    def jwks(self) -> dict[str, Any]:
        """The public keys (RFC 7517)."""
        return {"keys": self._public}

    def issue(self, subject: str, session: str, organization: str) -> str:
        """A token that holds for LIFE seconds. Raises LookupError before keys are loaded."""
        if self._signing is None:
            raise LookupError("no key to sign with")
        kid, key = self._signing
        now = self._now() // _SECOND
        claims = {
            "iss": self.issuer, "aud": AUDIENCE, "exp": now + LIFE, "nbf": now, "iat": now,
            "jti": secrets.token_urlsafe(12), "sub": subject, "client_id": CLIENT, "sid": session, "org": organization,
        }  # fmt: skip
        header = {"alg": ALGORITHM, "typ": TYPE, "kid": kid}
        return jws.serialize_compact(header, json.dumps(claims).encode(), key, algorithms=[ALGORITHM])

    def verify(self, text: str) -> Claims:
        """Raises Unauthenticated (`expired` where it held once), UnknownKey."""
        if len(text) > LARGEST:
            raise Unauthenticated(INVALID)
        digest = hashlib.sha256(text.encode("utf-8", "replace")).digest()
        known = self._known.get(digest)
        if known is None:
            known = self._verify(text)
            self._known[digest] = known
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
        if known.expires_at <= self._now() // _SECOND:
            self._known.pop(digest, None)
            raise Unauthenticated("the access token has expired", expired=True)
        return known

    def _verify(self, text: str) -> Claims:
        key = self._key_of(text)
        try:
            payload = json.loads(jws.deserialize_compact(text, key, algorithms=[ALGORITHM]).payload)
        except (JoseError, ValueError, RecursionError):
            raise Unauthenticated(INVALID) from None
        return self._claims(payload)

    def _key_of(self, text: str) -> OKPKey:
        """By the header, which must be exactly what we write; nothing is verified yet."""
        header = _object(text.partition(".")[0])
        if header.keys() != _HEADER or header["alg"] != ALGORITHM or header["typ"] != TYPE:
            raise Unauthenticated(INVALID)
        key = self._keys.get(header["kid"]) if isinstance(header["kid"], str) else None
        if key is None:
            raise UnknownKey(INVALID)
        return key

    def _claims(self, payload: Any) -> Claims:
        if not isinstance(payload, dict):
            raise Unauthenticated(INVALID)
        if payload.get("iss") != self.issuer or payload.get("aud") != AUDIENCE or payload.get("client_id") != CLIENT:
            raise Unauthenticated(INVALID)
        now, expires = self._now() // _SECOND, _whole(payload, "exp")
        issued = _whole(payload, "iat")
        if max(issued, _whole(payload, "nbf")) > now + _LEEWAY or expires > issued + LIFE:
            raise Unauthenticated(INVALID)
        try:
            subject, session = uuid.UUID(_text(payload, "sub")), uuid.UUID(_text(payload, "sid"))
        except ValueError:
            raise Unauthenticated(INVALID) from None
        return Claims(subject, session, _text(payload, "org"), _text(payload, "jti"), expires)


def _whole(payload: Mapping[str, Any], name: str) -> int:
    """A time claim in whole seconds, as we write them."""
    value = payload.get(name)
    if type(value) is not int:
        raise Unauthenticated(INVALID)
    return value


def _text(payload: Mapping[str, Any], name: str) -> str:
    value = payload.get(name)
    if not isinstance(value, str):
        raise Unauthenticated(INVALID)
    return value


def _object(part: str) -> Mapping[str, Any]:
    """A header's JSON object. Raises Unauthenticated."""
    try:
        found = json.loads(base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Unauthenticated(INVALID)
    return found


def _key(seed: bytes) -> OKPKey:
    return OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "d": _encode(seed), "x": _encode(_public(seed))})


def _public(seed: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
