"""Webhooks: what others post to an integration's receiver URL, once its signature was verified.

The hub's own HTTP edge takes the requests (POST /api/v1/webhooks/in/…) and hands them over here, in the same process;
so every process that serves the API has to run the sources as well. From here on they are messages as any others.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence

from pydantic import Field, field_validator

from hilum.errors import StoreError
from hilum.model.message import Ack, Disposition
from hilum.sdk import config, contracts
from hilum.sdk.contracts import Connector, Dialer, Inbox, Receipt

ADDRESS = "webhook://receiver"


class Config(config.Config):
    """What receives is set up with the integration's webhook receiver: signature, event id, secrets."""

    url: str = Field(..., description=f"{ADDRESS}: the integration's receiver has the address that others are given.")
    timeout: int = Field(30_000, ge=100, le=300_000, description="Milliseconds that a request is held at the most.")
    format: str = Field("json", pattern="^(json|hl7v2|bytes)$", description="What the bodies are.")

    @field_validator("url")
    @classmethod
    def _is_the_receiver(cls, url: str) -> str:
        if url != ADDRESS:
            raise ValueError(f"must be {ADDRESS}")
        return url


class Source(contracts.Source[Config]):
    """Takes webhooks while it runs. A repeat is known by the identities that come with it."""

    def __init__(self, config: Config, inbox: Inbox, dialer: Dialer) -> None:
        super().__init__(config, inbox, dialer)
        self._room = asyncio.Event()
        self._listens = False
        self._taking: dict[str, asyncio.Future[Receipt]] = {}  # by identity: what is being stored
        self._tasks: set[asyncio.Future[Receipt]] = set()

    async def start(self) -> None:
        self._listens = True
        self._room.set()

    async def stop(self) -> None:
        self._listens = False
        self._room.set()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def pause(self) -> None:
        self._room.clear()

    def resume(self) -> None:
        self._room.set()

    async def take(self, body: bytes, attributes: Mapping[str, str], known: Sequence[str] = ()) -> Receipt:
        """Returns once it is on disk, at once where one of `known` was received before. Raises StoreError."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._room.wait(), self.config.timeout / 1000)
        if not self._listens or not self._room.is_set():
            raise StoreError("the integration takes nothing right now")
        task = asyncio.ensure_future(self._take(body, attributes, known))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)  # who posted may be gone: what was begun is stored all the same

    async def _take(self, body: bytes, attributes: Mapping[str, str], known: Sequence[str]) -> Receipt:
        while (first := next((self._taking[one] for one in known if one in self._taking), None)) is not None:
            await asyncio.wait([first])
        storing: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self._taking |= dict.fromkeys(known, storing)
        try:
            for one in known:
                if await self.inbox.seen(one):
                    return Receipt("", Ack.AA, Disposition.DELIVERING, duplicate=True)
            return await self.inbox.receive(body, attributes)
        finally:
            for one in known:
                self._taking.pop(one, None)
            storing.cancel()


connector = Connector(("webhook",), Config, Source, format="json")
