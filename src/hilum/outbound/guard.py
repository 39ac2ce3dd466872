"""Where to connect to: asks the name server once, and the egress decision about all that it answers.

Whoever connects goes to one of these addresses and asks nobody again, so that a name server that answers differently
the next time wins nothing.
"""

from __future__ import annotations

import ipaddress

from hilum.outbound.resolve import Resolve, resolve
from hilum.security.egress import Policy


class Guard:
    """One policy, for every kind of connection."""

    def __init__(self, policy: Policy, resolve: Resolve = resolve) -> None:
        self._policy = policy
        self._resolve = resolve

    async def addresses(self, host: str, port: int) -> list[str]:
        """Checked, in the order to try them. Raises Refused, and OSError where the host has none."""
        place = self._policy.place(host, port)
        try:
            return [str(ipaddress.ip_address(place))]
        except ValueError:
            found = await self._resolve(place, port)
        self._policy.check(host, port, found)
        if not found:
            raise OSError(f"{host} has no address")
        return found
