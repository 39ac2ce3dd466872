"""What making an export needs of the hub, and how it tells where it is."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Awaitable, Callable

from hilum.errors import ConfigError, Conflict
from hilum.security.envelope import Sealing
from hilum.security.references import Entries
from hilum.store import Store


@dataclasses.dataclass(frozen=True, slots=True)
class Means:
    """`flush` waits until results of deliveries are in their rows. `entries` None: nothing reads the vault."""

    store: Store
    vault: Sealing
    flush: Callable[[], Awaitable[None]]
    entries: Entries | None = None

    async def secret(self, organization: int, study: int | None, name: str) -> str:
        """What a credential's NAME or NAME.FIELD stands for. Raises ConfigError, StoreError."""
        found = {} if self.entries is None else await self.entries.values(organization, study, {name})
        if name not in found:
            raise ConfigError(f"there is no credential {name} that this study may use")
        return found[name]


class Watch:
    """Told by a thread how far it is, asked by the loop; the other way round whether anybody still wants it."""

    def __init__(self) -> None:
        self.done = 0
        self.rows: int | None = None
        self.placing = False  # the file is whole, and on its way to a partner
        self._unwanted = threading.Event()

    def drop(self) -> None:
        """Nobody wants it any more."""
        self._unwanted.set()

    @property
    def dropped(self) -> bool:
        return self._unwanted.is_set()

    def more(self, rows: int) -> None:
        """So many rows further. Raises Conflict where nobody wants it any more."""
        self.check()
        self.done += rows

    def check(self) -> None:
        """Raises Conflict where nobody wants it any more."""
        if self._unwanted.is_set():
            raise Conflict("the export was cancelled")
