"""A hub to ask, that blocks (Hilum) or does not (AsyncHilum). Both may be used by many at once.

with Hilum("https://hub.example.org", api_key="…") as hub:
    one = hub(calls.read_integration(identifier))
    for message in hub.each(calls.list_messages(state="failed")):
        ...
"""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Self, TypedDict, TypeVar, Unpack

import httpx

from hilum_client import calls, models
from hilum_client.cache import Cache, Remember
from hilum_client.call import Answer, Call, Listing
from hilum_client.errors import Stale
from hilum_client.exchange import Exchange, Pause, Renew, Reply, Step, Steps
from hilum_client.service import AsyncService, Service
from hilum_client.waits import Waits

T = TypeVar("T")
R = TypeVar("R")
_EDITS = 3  # tries to change what others change as well


class Options(TypedDict, total=False):
    """What a hub may be told about itself."""

    api_key: str | None
    tokens: models.Tokens | None
    """Of an earlier sign-in."""
    on_tokens: Callable[[models.Tokens], None] | None
    """Is told of new ones, to keep them."""
    timeout: float
    """Seconds to connect, and that the hub may be silent; 60."""
    waits: Waits
    """How often something is tried, and how long to wait for it."""
    remember: Remember
    """Which answers are kept with their ETag: "allowed" by the hub, "all" (patients' too, in memory), "nothing"."""
    verify: bool | ssl.SSLContext
    """Whether the hub's certificate is checked, and against what."""
    transport: Any
    """httpx's, for proxies and sockets."""


def _exchange(url: str, given: Options) -> Exchange:
    waits, cache = given.get("waits", Waits()), Cache(given.get("remember", "allowed"))
    return Exchange(url, given.get("api_key"), given.get("tokens"), given.get("on_tokens"), waits, cache)


def _http(given: Options) -> dict[str, Any]:
    verify, transport = given.get("verify", True), given.get("transport")
    return {"timeout": given.get("timeout", 60.0), "verify": verify, "transport": transport}


class Hilum(Service):
    """Asks and waits for the answer. Call it with what `calls` makes."""

    def __init__(self, url: str, *, sleep: Callable[[float], object] = time.sleep, **options: Unpack[Options]) -> None:
        self._exchange = _exchange(url, options)
        self._http = httpx.Client(**_http(options))
        self._sleep = sleep
        self._renewing = threading.Lock()

    def __call__(self, call: Call[T]) -> T:
        """What the hub answers. Raises HilumError."""
        return self.answer(call).data

    def answer(self, call: Call[T]) -> Answer[T]:
        """The same with its ETag and headers. Raises HilumError."""
        return self._carry_out(self._exchange.steps(call))

    def each(self, listing: Listing[Any, T]) -> Iterator[T]:
        """Every item of every page."""
        following: Listing[Any, T] | None = listing.full()
        while following is not None:
            page = self(following)
            yield from following.items(page)
            following = following.after(page)

    def edit(self, read: Call[T], change: Callable[[T, str], Call[R]]) -> R:
        """Read, then change what was read: `change` gets it and its ETag. Once more where somebody was faster."""
        for left in reversed(range(_EDITS)):
            found = self.answer(read)
            try:
                return self(change(found.data, found.etag))
            except Stale:
                if not left:
                    raise
        raise AssertionError

    def sign_in(self, email: str, password: str, *, code: str | None = None, organization: str | None = None) -> None:
        """With a password; from then on tokens are renewed as needed. Raises Unauthenticated."""
        wanted = _credentials(email, password, code, organization)
        tokens = self._once(calls.sign_in(wanted))
        self._exchange.use(tokens, other=True)

    def sign_out(self) -> None:
        self(calls.sign_out())
        self._exchange.use(None, other=True)

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _once(self, call: Call[T]) -> T:
        return self._carry_out(self._exchange.steps(call, renews=False)).data

    def _carry_out(self, steps: Steps[T]) -> Answer[T]:
        reply: Reply = None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as done:
                found: Answer[T] = done.value
                return found
            reply = self._do(step)

    def _do(self, step: Step) -> Reply:
        if isinstance(step, Pause):
            self._sleep(step.seconds)
        elif isinstance(step, Renew):
            with self._renewing:
                if self._exchange.bearer == step.spent:
                    tokens = self._once(self._exchange.renewal())
                    self._exchange.use(tokens)
        else:
            try:
                return self._http.send(step)
            except httpx.TransportError as error:
                return error
        return None


class AsyncHilum(AsyncService):
    """The same for a program with an event loop."""

    def __init__(
        self, url: str, *, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep, **options: Unpack[Options]
    ) -> None:
        self._exchange = _exchange(url, options)
        self._http = httpx.AsyncClient(**_http(options))
        self._sleep = sleep
        self._renewing = asyncio.Lock()

    async def __call__(self, call: Call[T]) -> T:
        """What the hub answers. Raises HilumError."""
        return (await self.answer(call)).data

    async def answer(self, call: Call[T]) -> Answer[T]:
        """The same with its ETag and headers. Raises HilumError."""
        return await self._carry_out(self._exchange.steps(call))

    async def each(self, listing: Listing[Any, T]) -> AsyncIterator[T]:
        """Every item of every page."""
        following: Listing[Any, T] | None = listing.full()
        while following is not None:
            page = await self(following)
            for one in following.items(page):
                yield one
            following = following.after(page)

    async def edit(self, read: Call[T], change: Callable[[T, str], Call[R]]) -> R:
        """Read, then change what was read: `change` gets it and its ETag. Once more where somebody was faster."""
        for left in reversed(range(_EDITS)):
            found = await self.answer(read)
            try:
                return await self(change(found.data, found.etag))
            except Stale:
                if not left:
                    raise
        raise AssertionError

    async def sign_in(
        self, email: str, password: str, *, code: str | None = None, organization: str | None = None
    ) -> None:
        """With a password; from then on tokens are renewed as needed. Raises Unauthenticated."""
        wanted = _credentials(email, password, code, organization)
        tokens = await self._once(calls.sign_in(wanted))
        self._exchange.use(tokens, other=True)

    async def sign_out(self) -> None:
        await self(calls.sign_out())
        self._exchange.use(None, other=True)

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _once(self, call: Call[T]) -> T:
        return (await self._carry_out(self._exchange.steps(call, renews=False))).data

    async def _carry_out(self, steps: Steps[T]) -> Answer[T]:
        reply: Reply = None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as done:
                found: Answer[T] = done.value
                return found
            reply = await self._do(step)

    async def _do(self, step: Step) -> Reply:
        if isinstance(step, Pause):
            await self._sleep(step.seconds)
        elif isinstance(step, Renew):
            async with self._renewing:
                if self._exchange.bearer == step.spent:
                    tokens = await self._once(self._exchange.renewal())
                    self._exchange.use(tokens)
        else:
            try:
                return await self._http.send(step)
            except httpx.TransportError as error:
                return error
        return None


def _credentials(email: str, password: str, code: str | None, organization: str | None) -> models.Credentials:
    wanted: models.Credentials = {"email": email, "password": password}
    if code is not None:
        wanted["code"] = code
    if organization is not None:
        wanted["organization"] = organization
    return wanted
