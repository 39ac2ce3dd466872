"""A transport that shows the partner who we are, in every request that goes through it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import httpx

from hilum.sdk.authentication import Kind

Access = Callable[[str], Awaitable[str]]
"""Gives an access token, other than the one that it is told was refused; empty: none was. Raises Failed."""


class SigningTransport(httpx.AsyncBaseTransport):
    """Signs, and hands on. An access token that is refused (401) is replaced once: it may have been revoked."""

    def __init__(self, inner: httpx.AsyncBaseTransport, authentication: Kind, access: Access | None = None) -> None:
        """`access`: where the authentication works by tokens."""
        self._inner = inner
        self._authentication = authentication
        self._access = access

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._access is None:
            self._authentication.sign(request)
            return await self._inner.handle_async_request(request)
        token = await self._access("")
        response = await self._send(request, token)
        if response.status_code == 401 and isinstance(request.stream, httpx.ByteStream):  # which can be sent again
            await response.aclose()
            response = await self._send(request, await self._access(token))
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _send(self, request: httpx.Request, token: str) -> httpx.Response:
        request.headers["Authorization"] = f"Bearer {token}"
        return await self._inner.handle_async_request(request)
