"""AWS KMS, or what speaks like it: Encrypt, Decrypt and ReEncrypt with an encryption context, signed with SigV4.

https://docs.aws.amazon.com/kms/latest/APIReference/
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
from pathlib import Path
from typing import Any

from hilum import clock, telemetry
from hilum.errors import ConfigError, StoreError
from hilum.security.keys.asking import Asking
from hilum.security.keys.provider import Wrapped
from hilum.security.keys.signature import Signer

NAME = "kms"


@dataclasses.dataclass(frozen=True, slots=True)
class KmsAddress:
    """The service, its key (an id, ARN or alias) and the access key to sign with."""

    url: str
    region: str
    key: str
    access_key: str
    secret_key: str = dataclasses.field(repr=False)
    session_token: str = dataclasses.field(default="", repr=False)
    authority: Path | None = None


class KmsKeys:
    """The id of a wrapping key is what the service calls it: its ARN."""

    def __init__(self, address: KmsAddress) -> None:
        """Raises ConfigError where the address will not do."""
        missing = [name for name in ("region", "key", "access_key", "secret_key") if not getattr(address, name)]
        if missing:
            raise ConfigError(f"the key provider 'kms' needs its {', '.join(missing).replace('_', ' ')}")
        telemetry.secrets.add(address.secret_key)
        telemetry.secrets.add(address.session_token)
        self._address = address
        self._asking = Asking("KMS", address.url, address.authority)
        self._signer = Signer(address.access_key, address.secret_key, address.region, "kms", address.session_token)

    @property
    def name(self) -> str:
        return NAME

    @property
    def current(self) -> str:
        return self._address.key

    def knows(self, identifier: str) -> bool:
        return bool(identifier)  # an alias does not tell which key it leads to: the service decides

    def wrap(self, key: bytes, bound: bytes) -> Wrapped:
        asked = {"KeyId": self._address.key, "Plaintext": _text(key), "EncryptionContext": _context(bound)}
        return _wrapped(self._ask("Encrypt", asked))

    def unwrap(self, wrapped: Wrapped, bound: bytes) -> bytes:
        asked = {"CiphertextBlob": _text(wrapped.wrapped), "EncryptionContext": _context(bound)}
        return _bytes(self._ask("Decrypt", {**asked, "KeyId": wrapped.wrapped_by}), "Plaintext")

    def rewrap(self, wrapped: Wrapped, bound: bytes) -> Wrapped:
        """The service does it by itself: the data key does not come here."""
        asked = {"CiphertextBlob": _text(wrapped.wrapped), "SourceKeyId": wrapped.wrapped_by}
        contexts = {"SourceEncryptionContext": _context(bound), "DestinationEncryptionContext": _context(bound)}
        return _wrapped(self._ask("ReEncrypt", {**asked, **contexts, "DestinationKeyId": self._address.key}))

    def _ask(self, verb: str, asked: dict[str, Any]) -> dict[str, Any]:
        body = json.dumps(asked).encode()
        headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": f"TrentService.{verb}"}
        signed = self._signer.headers(f"{self._asking.url}/", body, headers, clock.now())
        return self._asking.post("/", body, signed)


def _wrapped(answer: dict[str, Any]) -> Wrapped:
    identifier = answer.get("KeyId")
    if not isinstance(identifier, str):
        raise StoreError("KMS answers without a key's id")
    return Wrapped(NAME, identifier, _bytes(answer, "CiphertextBlob"))


def _context(bound: bytes) -> dict[str, str]:
    return {"hilum": bound.decode()}


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _bytes(answer: dict[str, Any], name: str) -> bytes:
    try:
        return base64.b64decode(answer.get(name) or "", validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise StoreError(f"KMS answers without {name}") from None
