"""The default: data keys are wrapped under the newest master key in the data folder's `hub.key`."""

from __future__ import annotations

from pathlib import Path

from hilum.security.keyring import Keyring
from hilum.security.keys.local import LocalKeys

NAME = "file"


class FileKeys(LocalKeys):
    """The ids are the masters' numbers."""

    def __init__(self, ring: Keyring, path: Path) -> None:
        super().__init__(NAME, {str(number): key for number, key in ring.masters.items()}, str(ring.current))
        self._path = path

    def renew(self) -> str:
        """Add a master to the file, which wraps from now on. Returns its id. Raises ConfigError.

        Bodies are sealed under it from the hub's next start on.
        """
        ring = Keyring.load(self._path).renewed()
        ring.replace(self._path)
        super().__init__(NAME, {str(number): key for number, key in ring.masters.items()}, str(ring.current))
        return self.current
