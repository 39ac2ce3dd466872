from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from hilum.errors import Refused, StoreError
from hilum.model.message import Ack, Disposition
from hilum.sdk import testing

pytestmark = pytest.mark.anyio


def test_suites_are_collected_through_their_subclasses_only() -> None:
    assert [name for name in testing.__all__ if name.startswith("Test")] == []


async def test_the_inbox_fails_holds_and_knows_what_it_has_seen() -> None:
    inbox = testing.MemoryInbox()
    inbox.fail()
    with pytest.raises(StoreError):
        await inbox.receive(b"one", {"identity": "a"})
    assert not await inbox.seen("a")
    inbox.hold()
    held = inbox.receive(b"one", {"identity": "a"})
    assert (inbox.bodies, held.done(), len(inbox.offered)) == ([], False, 2)
    inbox.release()
    assert (await held).code is Ack.AA
    assert await inbox.seen("a")
    assert (await inbox.reject(b"two", "too large")).disposition is Disposition.ERROR
    assert inbox.bodies == [b"one"]
    with pytest.raises(TimeoutError):
        await inbox.until(4, seconds=0.01)


async def test_the_dialer_allows_its_roots_only(tmp_path: Path) -> None:
    dialer = testing.DirectDialer(tmp_path / "a")
    assert dialer.directory(str(tmp_path / "a" / "b" / "..")) == tmp_path / "a"
    for outside in (tmp_path, tmp_path / "a" / "..", tmp_path / "ab"):
        with pytest.raises(Refused):
            dialer.directory(str(outside))


async def test_a_refusing_dialer_refuses_everything(tmp_path: Path) -> None:
    dialer = testing.RefusingDialer(tmp_path)
    with pytest.raises(Refused):
        await dialer.connect(asyncio.Protocol, "127.0.0.1", 1)
    with pytest.raises(Refused):
        dialer.directory(str(tmp_path))
    with pytest.raises(Refused):
        await dialer.transport().handle_async_request(None)
