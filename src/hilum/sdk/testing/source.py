"""What every Source keeps: nothing acknowledged before the commit, nothing lost, nothing left behind."""

# ruff: noqa: S101 - a suite asserts; pytest words its asserts

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar

import pytest

from hilum.model.message import Ack, Disposition
from hilum.sdk.contracts import Inbox, Source
from hilum.sdk.testing.base import ConnectorSuite, begin, leaving_nothing, same, within
from hilum.sdk.testing.fakes import MemoryInbox


class SourceSuite(ConnectorSuite):
    """Hooks: `deliver` plays the partner, `occupied` makes the address unusable."""

    bodies: ClassVar[Sequence[bytes]] = (b"MSH|^~\\&|A|B\rPID|1\r", b"one", bytes(range(256)), b"x" * 300_000)

    async def deliver(self, place: Any, body: bytes) -> None:
        """Hand one message over as a partner would; return once it is acknowledged, raise where it is not."""
        raise NotImplementedError

    def occupied(self, place: Any) -> AbstractAsyncContextManager[None]:
        """While this is entered, `start` cannot work: the port is taken, the folder is missing …"""
        raise NotImplementedError

    def source(self, place: Any, inbox: Inbox) -> Source[Any]:
        assert self.connector.source is not None, "the connector declares no source"
        return self.connector.source(self.config(place), inbox, self.dialer(place))

    @contextlib.asynccontextmanager
    async def running(self, place: Any, inbox: Inbox) -> AsyncIterator[Source[Any]]:
        source = self.source(place, inbox)
        await within(self.patience, source.start())
        try:
            yield source
        finally:
            await within(self.patience, source.stop())

    async def test_bodies_arrive_unchanged_and_in_order(self, place: Any) -> None:
        inbox = MemoryInbox()
        async with self.running(place, inbox):
            for body in self.bodies:
                await within(self.patience, self.deliver(place, body))
        same(inbox.bodies, self.bodies)

    async def test_nothing_is_acknowledged_before_the_commit(self, place: Any) -> None:
        inbox = MemoryInbox()
        inbox.hold()
        async with self.running(place, inbox):
            sending = begin(self.deliver(place, self.bodies[0]))
            await inbox.until(1, seconds=self.patience)
            await asyncio.sleep(self.quiet)
            early = sending.done()
            inbox.release()
            await within(self.patience, asyncio.wait([sending]))
        assert not early, "it was acknowledged (or refused) while the commit was still to come"
        await sending
        same(inbox.bodies, self.bodies[:1])

    async def test_what_was_not_stored_is_not_acknowledged(self, place: Any) -> None:
        inbox = MemoryInbox()
        inbox.fail()
        async with self.running(place, inbox):
            for _ in range(3):
                with contextlib.suppress(Exception):
                    await within(self.patience, self.deliver(place, self.bodies[0]))
                    break
        assert len(inbox.offered) > 1, "it was acknowledged although nothing was stored"
        same(inbox.bodies, self.bodies[:1])

    async def test_a_message_in_error_does_not_stop_the_next(self, place: Any) -> None:
        inbox = MemoryInbox()
        inbox.disposition, inbox.code = Disposition.ERROR, Ack.AR
        async with self.running(place, inbox):
            with contextlib.suppress(Exception):
                await within(self.patience, self.deliver(place, self.bodies[0]))
            inbox.disposition, inbox.code = Disposition.DELIVERING, Ack.AA
            await within(self.patience, self.deliver(place, self.bodies[1]))
        same(inbox.bodies, self.bodies[:2])

    async def test_a_pause_holds_and_a_resume_goes_on(self, place: Any) -> None:
        inbox = MemoryInbox()
        async with self.running(place, inbox) as source:
            await within(self.patience, self.deliver(place, self.bodies[0]))
            source.pause()
            sending = begin(self.deliver(place, self.bodies[1]))
            await asyncio.sleep(self.quiet)
            held, refused = len(inbox.offered) == 1, sending.done()
            source.resume()
            await within(self.patience, asyncio.wait([sending]))
        assert held, "a paused source went on reading"
        assert not refused, "a paused source must hold the partner, not refuse it"
        await sending
        same(inbox.bodies, self.bodies[:2])

    async def test_an_address_in_use_raises_and_works_later(self, place: Any) -> None:
        inbox = MemoryInbox()
        source = self.source(place, inbox)
        async with self.occupied(place):
            with pytest.raises(OSError):  # noqa: PT011 - the contract names no narrower one
                await within(self.patience, source.start())
            await within(self.patience, source.stop())
        await within(self.patience, source.start())
        try:
            await within(self.patience, self.deliver(place, self.bodies[0]))
        finally:
            await within(self.patience, source.stop())
        same(inbox.bodies, self.bodies[:1])

    async def test_a_stopped_source_takes_nothing_and_starts_again(self, place: Any) -> None:
        inbox = MemoryInbox()
        source = self.source(place, inbox)
        await within(self.patience, source.start())
        await within(self.patience, source.stop())
        sending = begin(self.deliver(place, self.bodies[0]))
        await asyncio.wait([sending], timeout=self.quiet)
        taken = sending.done() and sending.exception() is None
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        assert not taken, "a stopped source acknowledged a message"
        assert not inbox.offered, "a stopped source took a message"
        await within(self.patience, source.start())
        try:
            await within(self.patience, self.deliver(place, self.bodies[1]))
        finally:
            await within(self.patience, source.stop())
        assert self.bodies[1] in inbox.bodies

    async def test_stop_answers_what_was_taken(self, place: Any) -> None:
        inbox = MemoryInbox()
        inbox.hold()
        source = self.source(place, inbox)
        await within(self.patience, source.start())
        sending = begin(self.deliver(place, self.bodies[0]))
        await inbox.until(1, seconds=self.patience)
        stopping = begin(source.stop())
        await asyncio.sleep(self.quiet)
        early = stopping.done()
        inbox.release()
        await within(self.patience, asyncio.wait([sending, stopping]))
        assert not early, "stop did not wait for the commit of what was taken"
        await stopping
        await sending  # raises where it was taken, but not acknowledged
        same(inbox.bodies, self.bodies[:1])

    async def test_stop_leaves_nothing_behind(self, place: Any) -> None:
        async def once() -> None:
            async with self.running(place, MemoryInbox()) as source:
                await within(self.patience, self.deliver(place, self.bodies[0]))
                source.pause()
            await within(self.patience, source.stop())  # a second time does no harm

        async with leaving_nothing():
            await once()
