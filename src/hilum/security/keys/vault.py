"""HashiCorp Vault's transit engine (OpenBao's is the same): encrypt, decrypt and rewrap under a named key.

https://developer.hashicorp.com/vault/api-docs/secret/transit. `rewrap` takes no associated data, so a data key carries
what it is bound to inside.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
from pathlib import Path

from hilum import telemetry
from hilum.errors import ConfigError, StoreError
from hilum.security.keys.asking import Asking
from hilum.security.keys.provider import Wrapped, tied, untied

NAME = "vault"


@dataclasses.dataclass(frozen=True, slots=True)
class VaultAddress:
    """Where the engine is and how to get in. `token_file` is read at each call: an agent may renew it."""

    url: str
    key: str = "hilum"
    mount: str = "transit"
    token: str = dataclasses.field(default="", repr=False)
    token_file: Path | None = None
    namespace: str = ""
    authority: Path | None = None


class VaultKeys:
    """The id of a wrapping key is its name and version, as the engine tells it: hilum:v3."""

    def __init__(self, address: VaultAddress) -> None:
        """Raises ConfigError where the address will not do."""
        if not address.token and address.token_file is None:
            raise ConfigError("the key provider 'vault' needs HILUM_VAULT_TOKEN_FILE or HILUM_VAULT_TOKEN")
        if not _plain(address.key) or not all(map(_plain, address.mount.split("/"))):
            raise ConfigError("a Vault key or mount has a name that cannot stand in a path")
        self._address = address
        self._asking = Asking("Vault", address.url, address.authority)

    @property
    def name(self) -> str:
        return NAME

    @property
    def current(self) -> str:
        return self._address.key

    def knows(self, identifier: str) -> bool:
        return identifier.partition(":")[0] == self._address.key

    def wrap(self, key: bytes, bound: bytes) -> Wrapped:
        plain = base64.b64encode(tied(key, bound)).decode()
        return self._wrapped(self._ask("encrypt", "ciphertext", plaintext=plain))

    def unwrap(self, wrapped: Wrapped, bound: bytes) -> bytes:
        answer = self._ask("decrypt", "plaintext", ciphertext=wrapped.wrapped.decode("ascii", "replace"))
        try:
            return untied(base64.b64decode(answer, validate=True), bound)
        except binascii.Error:
            raise StoreError("Vault answers with something that is no base64") from None

    def rewrap(self, wrapped: Wrapped, bound: bytes) -> Wrapped:
        """Vault does it by itself: the data key does not come here."""
        return self._wrapped(self._ask("rewrap", "ciphertext", ciphertext=wrapped.wrapped.decode("ascii", "replace")))

    def _wrapped(self, ciphertext: str) -> Wrapped:
        vault, version, rest = [*ciphertext.split(":", 2), "", ""][:3]
        if vault != "vault" or not rest:
            raise StoreError("Vault answers with something that is no ciphertext")
        return Wrapped(NAME, f"{self._address.key}:{version}", ciphertext.encode())

    def _ask(self, verb: str, wanted: str, **body: str) -> str:
        headers = {"X-Vault-Token": self._token(), "X-Vault-Request": "true", "Content-Type": "application/json"}
        if self._address.namespace:
            headers["X-Vault-Namespace"] = self._address.namespace
        path = f"/v1/{self._address.mount}/{verb}/{self._address.key}"
        found = self._asking.post(path, json.dumps(body).encode(), headers).get("data")
        value = found.get(wanted) if isinstance(found, dict) else None
        if not isinstance(value, str):
            raise StoreError(f"Vault answers without {wanted}")
        return value

    def _token(self) -> str:
        token, path = self._address.token, self._address.token_file
        if path is not None:
            try:
                token = path.read_text("ascii").strip()
            except (OSError, UnicodeDecodeError):
                raise StoreError(f"cannot read Vault's token from {path}") from None
        telemetry.secrets.add(token)
        return token


def _plain(name: str) -> bool:
    return bool(name) and all(one.isascii() and (one.isalnum() or one in "-_.") for one in name) and ".." not in name
