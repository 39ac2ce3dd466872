"""The data folder's keys: made at first start, readable by their owner only.

`hub.key` holds the master keys that bodies are sealed under, the key of the search index and the one that signs the
evidence. The recovery key (an age X25519 identity) is shown once and never stored; backups are encrypted to its
public half.
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

LAST = 255  # a master's number is one byte in front of what it sealed


@dataclasses.dataclass(frozen=True, slots=True)
class Keyring:
    """Master keys by number (the highest is current), the search key, the recipient of backups, the evidence key.

    `evidence` is an Ed25519 private key (32 bytes): the checkpoints of the audit trail are signed with it.
    """

    masters: dict[int, bytes] = dataclasses.field(repr=False)
    search: bytes = dataclasses.field(repr=False)
    recipient: str
    evidence: bytes = dataclasses.field(default_factory=lambda: secrets.token_bytes(32), repr=False)

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
        """Raises ConfigError where the file is missing, readable by others, or not a key file.

        A file that an older Hilum wrote has no evidence key: it gets one.
        """
        try:
            if os.name == "posix" and path.stat().st_mode & 0o077:
                raise ConfigError(f"{path} is readable by others; run: chmod 600 {path}")
            text = path.read_text()
            ring = cls.decode(text)
            if "evidence" not in json.loads(text):
                ring.replace(path)
            return ring
        except OSError as error:
            raise ConfigError(f"cannot read the keys of this data folder: {error}") from None

    @classmethod
    def decode(cls, text: str) -> Self:
        try:
            document = json.loads(text)
            masters = {int(number): _key(key) for number, key in document["masters"].items()}
            if not masters:
                raise ValueError
            ring = cls(masters, _key(document["search"]), document["recipient"])
            if "evidence" in document:
                ring = dataclasses.replace(ring, evidence=_key(document["evidence"]))
            return ring
        except (ValueError, KeyError, AttributeError, TypeError):
            raise ConfigError("not a key file of Hilum") from None

    def encode(self) -> str:
        masters = {str(number): _text(key) for number, key in self.masters.items()}
        keys = {"masters": masters, "search": _text(self.search), "evidence": _text(self.evidence)}
        return json.dumps({**keys, "recipient": self.recipient})

    def renewed(self) -> Keyring:
        """The same keys and one more master, which is the current one from now on."""
        number = self.current + 1
        if number > LAST:
            raise ConfigError(f"a key file holds {LAST} master keys at most")
        return dataclasses.replace(self, masters={**self.masters, number: secrets.token_bytes(32)})

    def replace(self, path: Path) -> None:
        """Write over the file in one step: whenever the power fails, it is the old one or the new one."""
        beside = path.with_name(f"{path.name}.new")
        beside.unlink(missing_ok=True)
        self.write(beside)
        beside.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def write(self, path: Path) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(self.encode())
            file.flush()
            os.fsync(file.fileno())


def _text(key: bytes) -> str:
    return base64.b64encode(key).decode()


def _key(text: str) -> bytes:
    key = base64.b64decode(text, validate=True)
    if len(key) != 32:
        raise ValueError
    return key
