"""One POST of a webhook or an audit feed, and what became of it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import email.utils
import re
from collections.abc import Mapping
from typing import Any

import httpx

from hilum import __version__, clock, telemetry
from hilum.errors import Refused
from hilum.sdk.faults import reason_of

TIMEOUT = 20.0  # seconds for a whole request
PART = 2_000  # bytes of an answer that are kept


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What became of a try. `status` None: there was none; `detail`: why, or how the answer begins."""

    status: int | None
    detail: str
    retry_after: float | None = None
    body: bytes = dataclasses.field(default=b"", repr=False)

    @property
    def taken(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


async def post(
    client: httpx.AsyncClient, url: str, headers: Mapping[str, str], body: bytes, most: int = PART
) -> Answer:
    """Ask once; redirects are not followed. `most`: bytes of the answer's body that are read."""
    try:
        async with asyncio.timeout(TIMEOUT):
            return await _ask(client, url, headers, body, most)
    except TimeoutError:
        return Answer(None, "no answer in time")
    except (Refused, OSError, httpx.HTTPError, httpx.InvalidURL) as error:
        return Answer(None, telemetry.mask(reason_of(error)))


async def _ask(client: httpx.AsyncClient, url: str, headers: Mapping[str, str], body: bytes, most: int) -> Answer:
    headers = {"content-type": "application/json", "user-agent": f"Hilum/{__version__}", **headers}
    async with client.stream("POST", url, content=body, headers=headers) as response:
        said = b""
        with contextlib.suppress(httpx.HTTPError):  # the status alone decides
            async for part in response.aiter_raw():
                said += part
                if len(said) >= most:
                    break
        status, text = response.status_code, telemetry.mask(said[:PART].decode("utf-8", "replace"))
        if 300 <= status < 400:
            text = "redirects are not followed: change the URL"
        return Answer(status, text, _retry_after(response.headers), said[:most])


def _retry_after(headers: Mapping[str, Any]) -> float | None:
    """Retry-After (RFC 9110, 10.2.3) in seconds from now; None where it says nothing."""
    text = str(headers.get("retry-after", "")).strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        until = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (until - clock.now()).total_seconds()) if until.tzinfo else None
