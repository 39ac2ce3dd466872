"""The one way from a command to a hub: its local API, over the socket of a running hub or in this process.

Where no hub runs, the command takes the data folder's lock and serves that same API to itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx

from hilum.errors import ConfigError, Conflict, HilumError, HubUnreachable, NotFound, StoreLocked
from hilum.settings import Settings

SOCKET = "hub.sock"
PREFIX = "/api/v1"
T = TypeVar("T")


class Client:
    """A hub. Paths are below /api/v1; errors come back as the HilumError that the hub raised."""

    def __init__(self, http: httpx.AsyncClient, *, running: bool) -> None:
        self._http = http
        self.running = running

    async def get(self, path: str, **query: Any) -> Any:
        return (await self._ask("GET", path, params=_given(query))).json()

    async def content(self, path: str) -> bytes:
        return (await self._ask("GET", path)).content

    async def post(self, path: str, **body: Any) -> Any:
        return (await self._ask("POST", path, json=body)).json()

    async def root(self, path: str) -> httpx.Response:
        """Outside /api/v1: /health/ready, /metrics; whatever the status."""
        return await self._http.get(path)

    async def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            response = await self._http.request(method, PREFIX + path, **options)
        except httpx.HTTPError as error:
            raise HubUnreachable(f"the hub stopped answering ({type(error).__name__})") from None
        if response.is_error:
            raise _error(response)
        return response


def ask(data: Path, question: Callable[[Client], Awaitable[T]]) -> T:
    """Connect, ask, disconnect."""

    async def work() -> T:
        async with connect(data) as client:
            return await question(client)

    return asyncio.run(work())


@contextlib.asynccontextmanager
async def connect(data: Path) -> AsyncIterator[Client]:
    """A client of the hub in `data`. Raises HubUnreachable saying what to do."""
    if await answers(data):
        async with _http(httpx.AsyncHTTPTransport(uds=str(data / SOCKET))) as http:
            yield Client(http, running=True)
        return
    async with _opened(data) as transport, _http(transport) as http:
        yield Client(http, running=False)


@contextlib.asynccontextmanager
async def _opened(data: Path) -> AsyncIterator[httpx.ASGITransport]:
    settings = Settings.read(data=data)
    if settings.database is None and not (data / "hub.db").exists():
        raise HubUnreachable(f"no hub in {data}; start one with: hilum serve --config hub.yaml --data {data}")
    from hilum.api import create_app  # loaded only where no hub answers: it takes a second
    from hilum.app import Hub

    hub = Hub(settings)
    try:
        await hub.open()
    except StoreLocked as error:
        raise HubUnreachable(
            f"{error}, but nothing answers on {data / SOCKET}: it is starting, stopping or stuck; look at its log"
        ) from None
    try:
        yield httpx.ASGITransport(create_app(hub.services(), local=True))
    finally:
        await hub.close()


def _http(transport: httpx.AsyncBaseTransport) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=transport, base_url="http://hub", timeout=httpx.Timeout(600, connect=5))


async def answers(data: Path) -> bool:
    """Whether a running hub listens on the folder's socket; a file that a dead one left does not count."""
    try:
        _, writer = await asyncio.wait_for(asyncio.open_unix_connection(str(data / SOCKET)), 5)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def _given(query: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in query.items() if value is not None}


def _error(response: httpx.Response) -> HilumError:
    """The error of the API's envelope as an exception."""
    try:
        error = response.json()["error"]
        message, details = str(error["message"]), error.get("details")
    except (ValueError, KeyError, TypeError):
        return HilumError(f"the hub answered {response.status_code}")
    problems = details.get("problems") if isinstance(details, dict) else None
    if problems:
        return ConfigError("\n".join(map(str, problems)))
    kinds: dict[int, type[HilumError]] = {404: NotFound, 409: Conflict, 400: ConfigError}
    return kinds.get(response.status_code, HilumError)(message)
