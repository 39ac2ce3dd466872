"""The data folder's keys: made at first start, readable by their owner only.

`hub.key` holds the master keys that bodies are sealed under and the key of the search index. The
recovery key (an age X25519 identity) is shown once and never stored; backups are encrypted to its public half.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import secrets
from pathlib import Path
from typing import Self

import pyrage

from hilum.errors import ConfigError


@dataclasses.dataclass(frozen=True, slots=True)
class Keyring:
    """Master keys by number (the highest is current), the search key, the recipient of backups."""

    masters: dict[int, bytes] = dataclasses.field(repr=False)
    search: bytes = dataclasses.field(repr=False)
    recipient: str

    @property
    def current(self) -> int:
        return max(self.masters)

    @classmethod
    def create(cls, path: Path) -> tuple[Self, str]:
        """Make new keys in `path` (mode 0600). Returns them and the recovery key, which is kept nowhere."""
        identity = pyrage.x25519.Identity.generate()
        ring = cls({1: secrets.token_bytes(32)}, secrets.token_bytes(32), str(identity.to_public()))
        ring.write(path)
        return ring, str(identity)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises ConfigError where the file is missing, readable by others, or not a key file."""
        try:
            if os.name == "posix" and path.stat().st_mode & 0o077:
                raise ConfigError(f"{path} is readable by others; run: chmod 600 {path}")
            return cls.decode(path.read_text())
        except OSError as error:
            raise ConfigError(f"cannot read the keys of this data folder: {error}") from None

    @classmethod
    def decode(cls, text: str) -> Self:
        try:
            document = json.loads(text)
            masters = {int(number): _key(key) for number, key in document["masters"].items()}
            if not masters:
                raise ValueError
            return cls(masters, _key(document["search"]), document["recipient"])
        except (ValueError, KeyError, AttributeError, TypeError):
            raise ConfigError("not a key file of Hilum") from None

    def encode(self) -> str:
        masters = {str(number): base64.b64encode(key).decode() for number, key in self.masters.items()}
        return json.dumps(
            {"masters": masters, "search": base64.b64encode(self.search).decode(), "recipient": self.recipient}
        )

    def write(self, path: Path) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(self.encode())
            file.flush()
            os.fsync(file.fileno())


def _key(text: str) -> bytes:
    key = base64.b64decode(text, validate=True)
    if len(key) != 32:
        raise ValueError
    return key
