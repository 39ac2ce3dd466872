"""Host keys of SSH servers as people write them down: public keys, lines of known_hosts, fingerprints (RFC 4253, 7)."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
from collections.abc import Iterable

from hilum.errors import FormatError

SIGNATURES: dict[str, tuple[str, ...]] = {
    "ssh-ed25519": ("ssh-ed25519",),
    "ecdsa-sha2-nistp256": ("ecdsa-sha2-nistp256",),
    "ecdsa-sha2-nistp384": ("ecdsa-sha2-nistp384",),
    "ecdsa-sha2-nistp521": ("ecdsa-sha2-nistp521",),
    "ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256"),  # never with SHA-1 (RFC 8332)
}
"""By the type of a key, the algorithms that it may sign with; the ones that are preferred first."""

_FINGERPRINT = re.compile(r"SHA256:([A-Za-z0-9+/]{43})=?")


@dataclasses.dataclass(frozen=True, slots=True)
class HostKey:
    """One that is trusted. `fingerprint`: as ssh-keygen -l prints it; `type` is empty where it was not said."""

    fingerprint: str
    type: str = ""


def read(text: str) -> HostKey:
    """`SHA256:…`, `TYPE SHA256:…`, `TYPE BASE64 COMMENT` or the same after a host's name. Raises FormatError."""
    words = text.split()
    if words and not _is_known(words[0]) and len(words) > 2 and _is_known(words[1]) and words[0][0] not in "@#|":
        words = words[1:]  # a line of ssh-keyscan
    if len(words) == 1 and (found := _FINGERPRINT.fullmatch(words[0])):
        return HostKey(f"SHA256:{found[1]}")
    if len(words) < 2 or not _is_known(words[0]):
        raise FormatError(f"is no host key: write TYPE BASE64 or SHA256:…, with a type of {', '.join(SIGNATURES)}")
    if found := _FINGERPRINT.fullmatch(words[1]):
        return HostKey(f"SHA256:{found[1]}", words[0])
    try:
        key = base64.b64decode(words[1], validate=True)
    except ValueError:
        raise FormatError("is no host key: what follows its type is no base64") from None
    name = words[0].encode()
    if not key.startswith(len(name).to_bytes(4, "big") + name):
        raise FormatError("is no host key: it is not of the type that it says")
    return HostKey(fingerprint(key), words[0])


def fingerprint(key: bytes) -> str:
    """Of a public key in its binary form."""
    return f"SHA256:{base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip('=')}"


def algorithms(keys: Iterable[HostKey]) -> list[str]:
    """What to ask the server for: keys of these types, or of any type where one does not say its own."""
    types = {one.type for one in keys}
    wanted = SIGNATURES if not types or "" in types else [one for one in SIGNATURES if one in types]
    return [algorithm for one in wanted for algorithm in SIGNATURES[one]]


def _is_known(word: str) -> bool:
    return word in SIGNATURES
