"""Stands in for a destination that cannot be set up, such as without its certificate: the others must not suffer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hilum.errors import HilumError
from hilum.sdk.contracts import Destination, Outbound
from hilum.sdk.outcome import Outcome, Transient


class StandIn(Destination[Any]):
    """Holds what waits, in order, and tries to set the real one up at each send."""

    def __init__(self, make: Callable[[], Destination[Any]]) -> None:
        """`make` sets the real one up. Raises HilumError while it cannot."""
        super().__init__(None, None)  # type: ignore[arg-type]  # the real one has them
        self._make = make
        self._real: Destination[Any] | None = None

    async def send(self, outbound: Outbound) -> Outcome:
        if self._real is None:
            try:
                self._real = self._make()
            except HilumError as error:
                return Transient(f"cannot be set up: {error}")
            self._real.late = self.late
        return await self._real.send(outbound)

    async def close(self) -> None:
        if self._real is not None:
            await self._real.close()
