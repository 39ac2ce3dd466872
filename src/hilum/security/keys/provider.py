"""What a key provider is, and the set of them that a hub has.

A wrapped data key is bound to its organization and number (`context`): put into another row it does not unwrap.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
from collections.abc import Mapping
from typing import Protocol

from hilum.errors import ConfigError, StoreError

_DIGEST = 32


@dataclasses.dataclass(frozen=True, slots=True)
class Wrapped:
    """A data key as it is stored: which provider wrapped it, under which of its keys."""

    provider: str
    wrapped_by: str
    wrapped: bytes


class Provider(Protocol):
    """Wraps and unwraps. May ask another machine and block, so it is called on a thread."""

    @property
    def name(self) -> str:
        """As it stands in rows: file, environment, vault, kms."""

    @property
    def current(self) -> str:
        """The id of the key that wraps from now on, as far as it can be told without asking."""

    def knows(self, identifier: str) -> bool:
        """Whether something wrapped under that key can be unwrapped here, as far as can be told without asking."""

    def wrap(self, key: bytes, bound: bytes) -> Wrapped:
        """Raises StoreError (no answer, refused)."""

    def unwrap(self, wrapped: Wrapped, bound: bytes) -> bytes:
        """Raises ConfigError (an unknown key), StoreError (no answer, refused, changed or moved)."""

    def rewrap(self, wrapped: Wrapped, bound: bytes) -> Wrapped:
        """The same data key under the current key. Raises as `unwrap` does."""


class Providers:
    """Those that are set up; `current` wraps new data keys."""

    def __init__(self, every: Mapping[str, Provider], current: str = "file") -> None:
        """Raises ConfigError where `current` is not set up."""
        if current not in every:
            raise ConfigError(f"the key provider {current!r} is not set up; there are: {', '.join(sorted(every))}")
        self.every = dict(every)
        self.current = every[current]

    def check(self, one: Wrapped) -> None:
        """Raises ConfigError, saying what is missing, where this hub surely cannot unwrap `one`."""
        provider = self.every.get(one.provider)
        if provider is None:
            raise ConfigError(
                f"data keys of this store are wrapped by the key provider {one.provider!r}, which is not set up here"
            )
        if not provider.knows(one.wrapped_by):
            raise ConfigError(
                f"data keys of this store are wrapped under the key {one.wrapped_by!r} of the key provider "
                f"{one.provider!r}, which is not here: bring it back, nothing that they sealed opens without it"
            )

    def wrap(self, key: bytes, bound: bytes) -> Wrapped:
        return self.current.wrap(key, bound)

    def unwrap(self, one: Wrapped, bound: bytes) -> bytes:
        """Raises ConfigError, StoreError."""
        self.check(one)
        return self.every[one.provider].unwrap(one, bound)

    def rewrap(self, one: Wrapped, bound: bytes) -> Wrapped:
        """`one` under the current key of the current provider. Raises ConfigError, StoreError."""
        self.check(one)
        if one.provider == self.current.name:
            return self.current.rewrap(one, bound)
        return self.current.wrap(self.unwrap(one, bound), bound)


def context(organization: int, number: int) -> bytes:
    """What a wrapped data key is bound to."""
    return f"hilum|data_key|{organization}|{number}".encode()


def tied(key: bytes, bound: bytes) -> bytes:
    """A data key with what it is bound to, for providers that cannot bind it themselves."""
    return key + hashlib.sha256(bound).digest()


def untied(text: bytes, bound: bytes) -> bytes:
    """The data key of a `tied` one. Raises StoreError where it was bound to something else."""
    key, digest = text[:-_DIGEST], text[-_DIGEST:]
    if len(text) <= _DIGEST or not hmac.compare_digest(digest, hashlib.sha256(bound).digest()):
        raise StoreError("a wrapped data key was moved: it belongs to another organization or number")
    return key
