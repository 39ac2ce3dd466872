"""Wrapping keys from the process's environment: HILUM_KEY_<id> is 32 bytes in base64.

With several, HILUM_KEY_CURRENT names the id that wraps; the others still unwrap.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

from hilum import telemetry
from hilum.errors import ConfigError
from hilum.security.keys.local import LocalKeys

NAME = "environment"
PREFIX = "HILUM_KEY_"
_CURRENT = "HILUM_KEY_CURRENT"
_OTHERS = frozenset({_CURRENT, "HILUM_KEY_PROVIDER"})


def environment_keys(environ: Mapping[str, str]) -> LocalKeys | None:
    """None where no key is there. Raises ConfigError for what is no key, or where it is open which one wraps."""
    keys = {
        name.removeprefix(PREFIX): _key(name, value)
        for name, value in environ.items()
        if name.startswith(PREFIX) and name not in _OTHERS
    }
    if not keys:
        return None
    current = environ.get(_CURRENT) or (next(iter(keys)) if len(keys) == 1 else "")
    if current not in keys:
        raise ConfigError(
            f"{_CURRENT} must name one of the keys in the environment: {', '.join(sorted(keys))}", where=_CURRENT
        )
    return LocalKeys(NAME, keys, current)


def _key(name: str, value: str) -> bytes:
    try:
        key = base64.b64decode(value.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 32:
        raise ConfigError("must be 32 random bytes in base64; make one with: openssl rand -base64 32", where=name)
    telemetry.secrets.add(value.strip())
    return key
