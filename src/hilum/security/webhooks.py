"""Signs webhooks and verifies them: Standard Webhooks 1.0, Stripe's, GitHub's, and an HMAC in a header of any name.

What is signed are the bytes as they were sent: who parses a body and writes it anew gets other bytes. Comparing takes
the same time wherever two signatures differ, and several secrets may hold at a time, so that one can be rotated.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hilum.errors import ConfigError, Unauthenticated

TOLERANCE = 300
"""Seconds that a webhook's own time may differ from ours."""

SHARED, PRIVATE, PUBLIC = "whsec_", "whsk_", "whpk_"
"""What keys of Standard Webhooks begin with: an HMAC's, and the two halves of an Ed25519 pair."""

_MOST = 20  # signatures of one webhook that are looked at
_SECONDS = re.compile(r"[0-9]{1,12}")
Kind = Literal["standard", "stripe", "github", "hmac"]


class Forged(Unauthenticated):
    """A webhook is not what its sender signed, or was signed too long ago."""


@dataclasses.dataclass(frozen=True, slots=True)
class Proof:
    """What a sound signature covers. `id` and `seconds` (since 1970) are None where it covers none."""

    signed: bytes
    id: str | None = None
    seconds: int | None = None


class Scheme(Protocol):
    """One way to sign. Header names are in lower case."""

    def sign(self, keys: Sequence[str], identifier: str, seconds: int, body: bytes) -> dict[str, str]:
        """The headers of a webhook, with a signature by each key where the scheme has room. Raises ConfigError."""
        ...

    def prove(self, keys: Sequence[str], headers: Mapping[str, str], body: bytes) -> Proof:
        """Whatever its age. Raises Forged, and ConfigError for what is no key."""
        ...

    def check(self, key: str) -> None:
        """Raises ConfigError for what is no key of this scheme."""
        ...


def verify(
    scheme: Scheme, keys: Sequence[str], headers: Mapping[str, str], body: bytes, now: float, tolerance: int = TOLERANCE
) -> Proof:
    """`now`: seconds since 1970. Raises Forged: no signature is sound, or it is older or newer than `tolerance`."""
    proof = scheme.prove(keys, headers, body)
    if proof.seconds is not None and abs(now - proof.seconds) > tolerance:
        raise Forged(f"the webhook was signed more than {tolerance} seconds ago, or by a clock that is wrong")
    return proof


def new_secret() -> str:
    """A shared one: 256 random bits."""
    return SHARED + base64.b64encode(secrets.token_bytes(32)).decode()


def new_private() -> str:
    """An Ed25519 key that signs."""
    return PRIVATE + base64.b64encode(Ed25519PrivateKey.generate().private_bytes_raw()).decode()


def public_of(private: str) -> str:
    """What others verify with. Raises ConfigError."""
    key = _signer(private).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return PUBLIC + base64.b64encode(key).decode()


class Standard:
    """Standard Webhooks 1.0 (standardwebhooks.com): `id.seconds.body`, by HMAC-SHA256 (v1) or Ed25519 (v1a)."""

    def sign(self, keys: Sequence[str], identifier: str, seconds: int, body: bytes) -> dict[str, str]:
        content = self._content(identifier, str(seconds), body)
        made = [_standard_signature(key, content) for key in keys]
        return {
            "webhook-id": identifier, "webhook-timestamp": str(seconds), "webhook-signature": " ".join(made),
        }  # fmt: skip

    def prove(self, keys: Sequence[str], headers: Mapping[str, str], body: bytes) -> Proof:
        identifier, text = _header(headers, "webhook-id"), _header(headers, "webhook-timestamp")
        content, seconds = self._content(identifier, text, body), _seconds(text)
        given = [one.partition(",") for one in _header(headers, "webhook-signature").split(" ")[:_MOST]]
        for version, _, signature in given:
            raw = _decoded(signature)
            if raw is not None and any(_standard_proves(key, version, content, raw) for key in keys):
                return Proof(content, identifier, seconds)
        raise Forged("no signature of the webhook is sound")

    def check(self, key: str) -> None:
        if key.startswith(PUBLIC):
            _verifier(key)
        elif key.startswith(PRIVATE):
            _signer(key)
        else:
            _shared(key)

    @staticmethod
    def _content(identifier: str, seconds: str, body: bytes) -> bytes:
        return f"{identifier}.{seconds}.".encode() + body


class Stripe:
    """Stripe-Signature: t=seconds,v1=hex[,v1=hex]: HMAC-SHA256 of `seconds.body`; the key is the text as it stands."""

    def sign(self, keys: Sequence[str], identifier: str, seconds: int, body: bytes) -> dict[str, str]:
        content = self._content(str(seconds), body)
        made = [f"v1={_hmac(key, content, 'sha256').hex()}" for key in keys]
        return {"stripe-signature": ",".join([f"t={seconds}", *made])}

    def prove(self, keys: Sequence[str], headers: Mapping[str, str], body: bytes) -> Proof:
        given = [one.strip().partition("=") for one in _header(headers, "stripe-signature").split(",")[:_MOST]]
        times = [value for name, _, value in given if name == "t"]
        if len(times) != 1:
            raise Forged("the signature does not say when it was made")
        content, seconds = self._content(times[0], body), _seconds(times[0])
        found = [value for name, _, value in given if name == "v1"]
        if not _any_hex(keys, content, found, "sha256"):
            raise Forged("no signature of the webhook is sound")
        return Proof(content, None, seconds)

    def check(self, key: str) -> None:
        _text(key)

    @staticmethod
    def _content(seconds: str, body: bytes) -> bytes:
        return f"{seconds}.".encode() + body


class GitHub:
    """X-Hub-Signature-256: sha256=hex: HMAC-SHA256 of the body. It has no time: only its id tells a repeat."""

    def sign(self, keys: Sequence[str], identifier: str, seconds: int, body: bytes) -> dict[str, str]:
        signature = _hmac(keys[0], body, "sha256").hex()
        return {"x-hub-signature-256": f"sha256={signature}", "x-github-delivery": identifier}

    def prove(self, keys: Sequence[str], headers: Mapping[str, str], body: bytes) -> Proof:
        algorithm, _, signature = _header(headers, "x-hub-signature-256").partition("=")
        if algorithm != "sha256" or not _any_hex(keys, body, [signature], "sha256"):
            raise Forged("the signature of the webhook is not sound")
        return Proof(body)

    def check(self, key: str) -> None:
        _text(key)


@dataclasses.dataclass(frozen=True, slots=True)
class Hmac:
    """An HMAC in one header, after `prefix`; of the body, or of `seconds.body` where a header has the time."""

    header: str
    algorithm: Literal["sha256", "sha512"] = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    prefix: str = ""
    timestamp_header: str | None = None

    def sign(self, keys: Sequence[str], identifier: str, seconds: int, body: bytes) -> dict[str, str]:
        raw = _hmac(keys[0], self._content(str(seconds), body), self.algorithm)
        text = raw.hex() if self.encoding == "hex" else base64.b64encode(raw).decode()
        when = {} if self.timestamp_header is None else {self.timestamp_header.lower(): str(seconds)}
        return {self.header.lower(): self.prefix + text, **when}

    def prove(self, keys: Sequence[str], headers: Mapping[str, str], body: bytes) -> Proof:
        given = _header(headers, self.header)
        if not given.startswith(self.prefix):
            raise Forged("the signature does not begin as it should")
        said = None if self.timestamp_header is None else _header(headers, self.timestamp_header)
        content, seconds = self._content(said or "", body), None if said is None else _seconds(said)
        signature = given.removeprefix(self.prefix)
        if self.encoding == "base64":
            raw = _decoded(signature)
            signature = "" if raw is None else raw.hex()
        if not _any_hex(keys, content, [signature], self.algorithm):
            raise Forged("the signature of the webhook is not sound")
        return Proof(content, None, seconds)

    def check(self, key: str) -> None:
        _text(key)

    def _content(self, seconds: str, body: bytes) -> bytes:
        return body if self.timestamp_header is None else f"{seconds}.".encode() + body


def _header(headers: Mapping[str, str], name: str) -> str:
    found = headers.get(name.lower())
    if not found:
        raise Forged(f"the header {name} is missing")
    return found


def _seconds(text: str) -> int:
    if not _SECONDS.fullmatch(text):
        raise Forged("the webhook's time is not a number of seconds")
    return int(text)


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _hmac(key: str, content: bytes, algorithm: str) -> bytes:
    return hmac.digest(_text(key), content, algorithm)


def _any_hex(keys: Sequence[str], content: bytes, given: Sequence[str], algorithm: str) -> bool:
    """Whether one of these hexadecimal signatures is one of these keys'."""
    wanted = [_hmac(key, content, algorithm).hex().encode() for key in keys]
    found = [one.lower().encode("utf-8", "replace") for one in given]
    return any([hmac.compare_digest(one, other) for one in found for other in wanted])  # noqa: C419 - all of them


def _text(key: str) -> bytes:
    """A key that is text. Raises ConfigError where it is too short to be one."""
    raw = key.encode()
    if not 8 <= len(raw) <= 512:
        raise ConfigError("a webhook's secret has 8 to 512 bytes", where="secret")
    return raw


def _shared(key: str) -> bytes:
    """The bytes of a shared key of Standard Webhooks; its prefix may be left out. Raises ConfigError."""
    raw = _decoded(key.removeprefix(SHARED))
    if raw is None or not 24 <= len(raw) <= 64:
        raise ConfigError(f"must be {SHARED} and 24 to 64 bytes in base64", where="secret")
    return raw


def _signer(key: str) -> Ed25519PrivateKey:
    """The seed alone, or with the public half behind it. Raises ConfigError."""
    raw = _decoded(key.removeprefix(PRIVATE))
    if raw is None or len(raw) not in (32, 64):
        raise ConfigError(f"must be {PRIVATE} and an Ed25519 key in base64", where="secret")
    return Ed25519PrivateKey.from_private_bytes(raw[:32])


def _verifier(key: str) -> Ed25519PublicKey:
    raw = _decoded(key.removeprefix(PUBLIC))
    if raw is None or len(raw) != 32:
        raise ConfigError(f"must be {PUBLIC} and 32 bytes in base64", where="secret")
    return Ed25519PublicKey.from_public_bytes(raw)


def _standard_signature(key: str, content: bytes) -> str:
    if key.startswith(PRIVATE):
        return f"v1a,{base64.b64encode(_signer(key).sign(content)).decode()}"
    return f"v1,{base64.b64encode(hmac.digest(_shared(key), content, hashlib.sha256)).decode()}"


def _standard_proves(key: str, version: str, content: bytes, signature: bytes) -> bool:
    """A key proves signatures of its own kind alone: a public one is no HMAC's."""
    if key.startswith((PUBLIC, PRIVATE)):
        if version != "v1a":
            return False
        verifier = _verifier(key) if key.startswith(PUBLIC) else _signer(key).public_key()
        try:
            verifier.verify(signature, content)
        except InvalidSignature:
            return False
        return True
    wanted = hmac.digest(_shared(key), content, hashlib.sha256)
    return version == "v1" and hmac.compare_digest(wanted, signature)
