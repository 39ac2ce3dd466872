"""What takes webhooks for an integration: what every Source keeps, and that a repeat is known."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from hilum.connectors import webhook
from hilum.errors import StoreError
from hilum.sdk.contracts import Inbox, Source
from hilum.sdk.testing import ConfigSuite, MemoryInbox, SourceSuite, within

pytestmark = pytest.mark.anyio


class Edge:
    """Stands for the HTTP edge: hands over to whatever source runs."""

    def __init__(self) -> None:
        self.source: webhook.Source | None = None


class TestConfig(ConfigSuite):
    module = webhook
    example: ClassVar[dict[str, Any]] = {"url": webhook.ADDRESS}


class TestSource(SourceSuite):
    module = webhook

    def address(self, folder: Path) -> Edge:
        return Edge()

    def values(self, place: Edge) -> dict[str, Any]:
        return {"url": webhook.ADDRESS}

    def source(self, place: Edge, inbox: Inbox) -> Source[Any]:
        made = super().source(place, inbox)
        assert isinstance(made, webhook.Source)
        place.source = made
        return made

    async def deliver(self, place: Edge, body: bytes) -> None:
        assert place.source is not None
        await place.source.take(body, {})

    async def test_an_address_in_use_raises_and_works_later(self, place: Edge) -> None:
        """It binds nothing: several integrations have the one address."""
        inbox, other = MemoryInbox(), MemoryInbox()
        async with self.running(place, inbox), self.running(Edge(), other):
            await within(self.patience, self.deliver(place, self.bodies[1]))
        assert (inbox.bodies, other.bodies) == ([self.bodies[1]], [])


@pytest.mark.parametrize("url", ["webhook://other", "webhook://receiver/x", "webhook:"])
def test_there_is_one_address(url: str) -> None:
    with pytest.raises(ValueError, match="webhook://receiver"):
        webhook.Config(url=url)


@contextlib.asynccontextmanager
async def listening(inbox: MemoryInbox, **values: Any) -> AsyncIterator[webhook.Source]:
    source = webhook.Source(webhook.Config(url=webhook.ADDRESS, **values), inbox, None)  # type: ignore[arg-type]  # it dials nobody
    await source.start()
    try:
        yield source
    finally:
        await source.stop()


async def test_a_repeat_is_answered_and_not_kept() -> None:
    inbox = MemoryInbox()
    async with listening(inbox) as source:
        first = await source.take(b"one", {"identity": "event|1"}, ["event|1"])
        again = await source.take(b"one", {"identity": "event|1"}, ["event|1"])
        other = await source.take(b"one", {"identity": "event|2"}, ["event|2"])
    assert (first.duplicate, again.duplicate, other.duplicate) == (False, True, False)
    assert inbox.bodies == [b"one", b"one"]


async def test_a_repeat_that_comes_while_the_first_is_stored_waits_for_it() -> None:
    inbox = MemoryInbox()
    inbox.hold()
    async with listening(inbox) as source:
        tasks = [
            asyncio.create_task(source.take(b"one", {"identity": "event|1"}, ["event|1", f"signed|{number}"]))
            for number in range(5)
        ]
        await inbox.until(1)
        await asyncio.sleep(0.05)  # time in which one could have been answered too early
        assert not any(task.done() for task in tasks)
        inbox.release()
        receipts = await within(10, asyncio.gather(*tasks))
    assert sorted(one.duplicate for one in receipts) == [False, True, True, True, True]
    assert inbox.bodies == [b"one"]


async def test_after_a_failure_the_repeat_is_the_first_one() -> None:
    inbox = MemoryInbox()
    inbox.fail()
    async with listening(inbox) as source:
        with pytest.raises(StoreError):
            await source.take(b"one", {"identity": "event|1"}, ["event|1"])
        assert not (await source.take(b"one", {"identity": "event|1"}, ["event|1"])).duplicate
    assert inbox.bodies == [b"one"]


async def test_who_left_before_the_answer_leaves_a_message_all_the_same() -> None:
    inbox = MemoryInbox()
    inbox.hold()
    async with listening(inbox) as source:
        posting = asyncio.create_task(source.take(b"one", {}))
        await inbox.until(1)
        posting.cancel()
        inbox.release()
    assert inbox.bodies == [b"one"]


async def test_a_pause_that_lasts_is_told() -> None:
    inbox = MemoryInbox()
    async with listening(inbox, timeout=100) as source:
        source.pause()
        with pytest.raises(StoreError, match="right now"):
            await source.take(b"one", {})
        source.resume()
        await source.take(b"two", {})
    assert inbox.bodies == [b"two"]
