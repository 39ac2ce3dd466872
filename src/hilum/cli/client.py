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

from hilum.errors import ConfigError, Conflict, HilumError, HubUnreachable, NotFound, Stale, StoreLocked
from hilum.settings import Settings

SOCKET = "hub.sock"
PREFIX = "/api/v1"
_FIRST = "version: 1\norganization: default\n"
T = TypeVar("T")


class Client:
    """A hub. Paths are below /api/v1; errors come back as the HilumError that the hub raised."""

    def __init__(self, http: httpx.AsyncClient, *, running: bool) -> None:
        self._http = http
        self.running = running

    async def get(self, path: str, **query: Any) -> Any:
        return (await self._ask("GET", path, params=_given(query))).json()

    async def all(self, path: str, **query: Any) -> list[Any]:
        """The items of every page of a list."""
        found, page, pages = list[Any](), 0, 1
        while page < pages:
            page += 1
            told = await self.get(path, page=page, size=100, **query)
            found, pages = [*found, *told["items"]], told["pages"]
        return found

    async def filled(self, path: str, *, size: int, **query: Any) -> Any:
        """A page by cursor, as full as it can be: the hub looks through so much at a time."""
        found = await self.get(path, size=size, **query)
        while len(found["items"]) < size and found["next"] is not None:
            query["before"] = found["next"]
            more = await self.get(path, size=size - len(found["items"]), **query)
            found = {**more, "items": [*found["items"], *more["items"]]}
        return found

    async def content(self, path: str) -> bytes:
        return (await self._ask("GET", path)).content

    async def pieces(self, path: str, **query: Any) -> AsyncIterator[bytes]:
        """What is too big for one piece."""
        try:
            async with self._http.stream("GET", PREFIX + path, params=_given(query)) as response:
                if response.is_error:
                    await response.aread()
                    raise _error(response)
                async for piece in response.aiter_bytes():
                    yield piece
        except httpx.HTTPError as error:
            raise HubUnreachable(f"the hub stopped answering ({type(error).__name__})") from None

    async def upload(self, path: str, content: AsyncIterator[bytes], **query: Any) -> Any:
        """Send a file as the body."""
        return (await self._ask("POST", path, params=_given(query), content=content)).json()

    async def post(self, path: str, **body: Any) -> Any:
        return (await self._ask("POST", path, json=body)).json()

    async def post_on(self, path: str, version: int, **body: Any) -> Any:
        """Do something to what is still at this version. Raises Stale."""
        return (await self._ask("POST", path, json=body, headers=_based_on(version))).json()

    async def patch(self, path: str, version: int, **body: Any) -> Any:
        """Change what is still at this version. Raises Stale."""
        return (await self._ask("PATCH", path, json=body, headers=_based_on(version))).json()

    async def put(self, path: str, version: int, **body: Any) -> Any:
        """Replace what is still at this version. Raises Stale."""
        return (await self._ask("PUT", path, json=body, headers=_based_on(version))).json()

    async def delete(self, path: str) -> None:
        await self._ask("DELETE", path)

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


def ask(
    data: Path,
    question: Callable[[Client], Awaitable[T]],
    *,
    organization: str | None = None,
    reason: str | None = None,
) -> T:
    """Connect, ask, disconnect. `organization` None: the hub's first; `reason` goes into the audit trail."""

    async def work() -> T:
        async with connect(data, organization=organization, reason=reason) as client:
            return await question(client)

    return asyncio.run(work())


@contextlib.asynccontextmanager
async def connect(
    data: Path,
    *,
    organization: str | None = None,
    reason: str | None = None,
    founding: Callable[[str], None] | None = None,
) -> AsyncIterator[Client]:
    """A client of the hub in `data`. Raises HubUnreachable saying what to do.

    `founding`: where there is no hub yet one is made there, with an organization, and this is told its recovery key.
    """
    query = _given({"organization": organization})
    headers = {} if reason is None else {b"x-reason": reason.encode()}
    if await answers(data):
        async with _http(httpx.AsyncHTTPTransport(uds=str(data / SOCKET)), query, headers) as http:
            yield Client(http, running=True)
        return
    async with _opened(data, founding is not None) as (transport, key), _http(transport, query, headers) as http:
        client = Client(http, running=False)
        if key is not None and founding is not None:
            founding(key)
            await client.post("/configuration/apply", documents=[{"name": "hub.yaml", "text": _FIRST}])
        yield client


@contextlib.asynccontextmanager
async def _opened(data: Path, found: bool) -> AsyncIterator[tuple[httpx.AsyncHTTPTransport, str | None]]:
    """The way to a hub that this process opens, and its recovery key where that is new."""
    settings = Settings.read(data=data)
    if not found and settings.database is None and not (data / "hub.db").exists():
        raise HubUnreachable(f"no hub in {data}; start one with: hilum serve --config hub.yaml --data {data}")
    from hilum.api import Server, create_app  # loaded only where no hub answers: it takes a second
    from hilum.app import Hub

    hub = Hub(settings)
    try:
        await hub.open()
    except StoreLocked as error:
        raise HubUnreachable(
            f"{error}, but nothing answers on {data / SOCKET}: it is starting, stopping or stuck; look at its log"
        ) from None
    server = Server(create_app(hub.services(), local=True), data / SOCKET)
    try:
        await server.start()
        yield httpx.AsyncHTTPTransport(uds=str(data / SOCKET)), hub.recovery_key
    finally:
        await server.stop()
        await hub.close()


def _http(transport: httpx.AsyncBaseTransport, query: dict[str, Any], headers: dict[bytes, bytes]) -> httpx.AsyncClient:
    timeout = httpx.Timeout(600, connect=5)
    return httpx.AsyncClient(
        transport=transport, base_url="http://hub", timeout=timeout, params=query, headers=headers
    )  # fmt: skip


async def answers(data: Path) -> bool:
    """Whether a running hub listens on the folder's socket; a file that a dead one left does not count."""
    try:
        _, writer = await asyncio.wait_for(asyncio.open_unix_connection(str(data / SOCKET)), 5)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def _based_on(version: int) -> dict[str, str]:
    return {"if-match": f'"v{version}"'}


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
    kinds: dict[int, type[HilumError]] = {404: NotFound, 409: Conflict, 412: Stale, 400: ConfigError}
    return kinds.get(response.status_code, HilumError)(message)
