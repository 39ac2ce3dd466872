"""A private key of ours, shown over SSH (RFC 4252, 7)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from pydantic import Field

from hilum.errors import ConfigError
from hilum.sdk.authentication.kinds import Kind, plain
from hilum.security import credential_formats

_SEALED = "with a passphrase it must be a PEM file here: ssh-keygen -p -m PKCS8 -f KEY"


class SshKey(Kind):
    """A private key, in OpenSSH's form or as PEM."""

    type: Literal["ssh_key"] = Field("ssh_key", description="A private key whose public half the partner knows.")
    username: str = Field("", max_length=200, description="The user's name; by default the one in the URL.")
    private_key: str = Field("", repr=False, description="The private key, in OpenSSH's form or as PEM.")
    passphrase: str = Field("", repr=False, description="The key's passphrase.")

    @classmethod
    def _needs(cls, name: str, said: Mapping[str, Any]) -> str | None:
        return "SSH private key is required" if name == "private_key" else None

    def faults(self) -> Iterator[str]:
        if plain(self.username) and self.username and not self.username.isprintable():
            yield "the user's name may hold no control characters"
        if not plain(self.private_key, self.passphrase):
            return
        secrets = {"private_key": self.private_key, **({"passphrase": self.passphrase} if self.passphrase else {})}
        try:
            credential_formats.check("ssh_key", {}, secrets)
        except ConfigError as error:
            yield f"SSH key: {error.reason}"
            return
        if self.passphrase and "BEGIN OPENSSH" in self.private_key and not self._opens():
            yield f"SSH key: {_SEALED}"

    def _opens(self) -> bool:
        """False where this machine has not what opens OpenSSH's own way to encrypt a key."""
        try:
            serialization.load_ssh_private_key(self.private_key.encode(), self.passphrase.encode())
        except UnsupportedAlgorithm:
            return False
        return True
