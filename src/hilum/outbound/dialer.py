"""Opens every outgoing connection: resolves, asks the egress decision, connects to the checked address."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx

from hilum.errors import Refused
from hilum.outbound.resolve import resolve
from hilum.outbound.transport import GuardedTransport
from hilum.security import egress


class Dialer:
    """Implements the sdk's Dialer. One per process."""

    def __init__(self, roots: Sequence[Path]) -> None:
        """`roots`: the folders that file endpoints may use; their children too."""
        self._roots = [root.resolve() for root in roots]

    async def connect(
        self,
        protocol: Callable[[], asyncio.Protocol],
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        timeout: float = 10.0,  # noqa: ASYNC109 - connecting has its own limit, see the contract
        server_name: str | None = None,
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                last: OSError | None = None
                for address in await resolve(host, port):
                    egress.check(host, address)
                    try:
                        return await loop.create_connection(
                            protocol, address, port, ssl=tls, server_hostname=(server_name or host) if tls else None
                        )
                    except OSError as error:
                        last = error
                raise last or OSError(f"{host} has no address")
        except TimeoutError:
            raise TimeoutError(f"no connection to {host}:{port} within {timeout:g} s") from None

    def transport(self, *, tls: ssl.SSLContext | None = None) -> httpx.AsyncBaseTransport:
        return GuardedTransport(tls)

    def directory(self, path: str) -> Path:
        found = Path(path).resolve()
        if not any(found == root or root in found.parents for root in self._roots):
            allowed = ", ".join(map(str, self._roots)) or "none"
            raise Refused(f"{found} is outside the folders that files may use ({allowed})")
        return found
