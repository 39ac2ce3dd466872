"""Names to addresses."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Host and port to addresses, in the order to try them. Raises OSError where there is none."""


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, in the system's order. Raises OSError where it has none."""
    loop = asyncio.get_running_loop()
    found: list[Any] = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(one[4][0] for one in found))
