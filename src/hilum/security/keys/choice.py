"""Which key providers a hub has, and which of them wraps: what the operator says in settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from hilum.errors import ConfigError
from hilum.security.keyring import Keyring
from hilum.security.keys import environment
from hilum.security.keys.file import NAME as FILE
from hilum.security.keys.file import FileKeys
from hilum.security.keys.kms import KmsAddress, KmsKeys
from hilum.security.keys.provider import Provider, Providers
from hilum.security.keys.vault import VaultAddress, VaultKeys

NAMES = ("file", "environment", "vault", "kms")


@dataclasses.dataclass(frozen=True, slots=True)
class KeyChoice:
    """`provider` wraps; the others unwrap what they wrapped before, as far as they are still set up."""

    provider: str = FILE
    environ: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)
    vault: VaultAddress | None = None
    kms: KmsAddress | None = None


def providers(choice: KeyChoice, ring: Keyring, path: Path) -> Providers:
    """`path` is the file of `ring`. Asks nobody. Raises ConfigError where one is set up badly, or not at all."""
    if choice.provider not in NAMES:
        raise ConfigError(f"must be one of {', '.join(NAMES)}", where="HILUM_KEY_PROVIDER")
    found: list[Provider] = [FileKeys(ring, path)]
    local = environment.environment_keys(choice.environ)
    if local is not None:
        found.append(local)
    if choice.vault is not None:
        found.append(VaultKeys(choice.vault))
    if choice.kms is not None:
        found.append(KmsKeys(choice.kms))
    return Providers({one.name: one for one in found}, choice.provider)
