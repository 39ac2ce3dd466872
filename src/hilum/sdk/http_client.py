"""An HTTP client for connectors: over their dialer, without redirects, cookies and proxies, answers read to a bound."""

from __future__ import annotations

import contextlib
import email.utils
import http
import http.cookiejar
import re
from collections.abc import AsyncIterator, Callable

import httpx

from hilum import clock, telemetry
from hilum.sdk.stopwatch import Stopwatch


class Client:
    """Connections, and what shows who we are, are kept between requests. Opened at the first one."""

    def __init__(self, transport: Callable[[], httpx.AsyncBaseTransport], server_name: str | None = None) -> None:
        """`transport` may raise ConfigError; so does `stream` then. `server_name`: of the partner's certificate."""
        self._transport = transport
        self._server_name = server_name
        self._open: httpx.AsyncClient | None = None

    def stream(
        self, watch: Stopwatch, method: str, url: str, said: httpx.Headers,
        content: bytes | AsyncIterator[bytes] | None, limit: float, *, target: bytes | None = None,
    ) -> contextlib.AbstractAsyncContextManager[httpx.Response]:  # fmt: skip
        """`limit`: seconds that each step may take. `target`: path and query, byte by byte as they are to be sent.

        What iterates needs its Content-Length in `said`.
        """
        extensions: dict[str, object] = {"trace": watch.trace}
        if self._server_name:
            extensions["sni_hostname"] = self._server_name
        if target is not None:
            extensions["target"] = target
        return self._opened().stream(method, url, content=content, headers=said, extensions=extensions, timeout=limit)

    async def close(self) -> None:
        client, self._open = self._open, None
        if client:
            await client.aclose()

    def _opened(self) -> httpx.AsyncClient:
        if self._open is None:
            self._open = httpx.AsyncClient(
                transport=self._transport(),
                follow_redirects=False,
                trust_env=False,
                cookies=http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[])),
            )
        return self._open


async def beginning(response: httpx.Response, most: int) -> tuple[bytes, bool]:
    """The body's first bytes, and whether there were more."""
    content = bytearray()
    async for part in response.aiter_raw():
        content += part
        if len(content) > most:
            return bytes(content[:most]), True
    return bytes(content), False


def phrase(response: httpx.Response) -> str:
    """The reason as the partner worded it, or as the standard does; HTTP/2 has none."""
    said = response.reason_phrase
    if said and said.isprintable() and len(said) <= 100:
        return telemetry.mask(said)
    try:
        return http.HTTPStatus(response.status_code).phrase
    except ValueError:
        return "unknown"


def place(response: httpx.Response) -> str:
    """Where a file went: as the partner says (RFC 9110, 10.2.2), or where it was asked to go. Queries hold secrets."""
    url, said = response.request.url, response.headers.get("location", "")
    if response.status_code == 201 and said.isprintable() and len(said) <= 2_000:
        with contextlib.suppress(httpx.InvalidURL, UnicodeError):
            url = url.join(said)
    return telemetry.mask(str(url.copy_with(query=None, fragment=None)))


def seconds(retry_after: str) -> float | None:
    """Retry-After (RFC 9110, 10.2.3) in seconds from now; None where it says nothing."""
    if re.fullmatch(r"\d{1,9}", retry_after.strip()):
        return float(retry_after)
    try:
        until = email.utils.parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(0.0, (until - clock.now()).total_seconds()) if until.tzinfo else None
