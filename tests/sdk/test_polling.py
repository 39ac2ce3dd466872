"""What polls a place: whatever happens there, it looks again, and it stops when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from hilum.errors import ConfigError, HilumError
from hilum.sdk.polling import Look, Polled, Poller
from hilum.sdk.testing import DirectDialer, MemoryInbox

pytestmark = pytest.mark.anyio


class Place(Poller[Polled]):
    """Files in a dictionary; `before` is asked before each thing that is done there."""

    whole = True

    def __init__(self, inbox: MemoryInbox, **changes: object) -> None:
        values = {"url": "place://x", "poll": 10, "stable_for": 0, **changes}
        super().__init__(Polled.model_validate(values), inbox, DirectDialer())
        self.files: dict[str, bytes] = {}
        self.away: list[tuple[str, bool]] = []
        self.done: list[str] = []
        self.before: Callable[[str, str], Awaitable[None]] = self.nothing

    async def nothing(self, what: str, name: str) -> None:
        pass

    async def _do(self, what: str, name: str = "") -> None:
        await self.before(what, name)
        self.done.append(what)

    async def open(self) -> None:
        await self._do("open")

    async def close(self) -> None:
        self.done.append("close")

    async def look(self) -> list[Look]:
        await self._do("look")
        return [Look(name, len(body), 0, str(body)) for name, body in self.files.items() if self.config.wants(name)]

    async def read(self, look: Look) -> tuple[str, bytes | None]:
        await self._do("read", look.name)
        return "", self.files[look.name]

    async def put_away(self, look: Look, failed: bool) -> None:
        await self._do("put_away", look.name)
        del self.files[look.name]
        self.away.append((look.name, failed))


@contextlib.asynccontextmanager
async def running(place: Place) -> AsyncIterator[Place]:
    await place.start()
    try:
        yield place
    finally:
        async with asyncio.timeout(5):
            await place.stop()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for is a dictionary
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("error", [ConfigError("no key"), HilumError("no partner"), OSError("no folder")])
async def test_a_place_that_cannot_be_used_raises_oserror_and_is_left(error: Exception) -> None:
    place = Place(MemoryInbox())

    async def fail(what: str, name: str) -> None:
        raise error

    place.before = fail
    with pytest.raises(OSError, match=str(error)):
        await place.start()
    assert place.done == ["close"]
    await place.stop()


async def test_a_file_that_cannot_be_handled_lets_the_others_pass() -> None:
    inbox, troubled = MemoryInbox(), {"a"}
    place = Place(inbox)

    async def trouble(what: str, name: str) -> None:
        if what == "put_away" and name in troubled:
            raise OSError(5, "no room in the archive")

    place.files, place.before = {"a": b"1", "b": b"2"}, trouble
    async with running(place):
        await until(lambda: "b" not in place.files)
        await asyncio.sleep(0.05)
        assert inbox.bodies == [b"1", b"2"], "it is not stored again because it cannot be put away"
        troubled.clear()
        await until(lambda: not place.files)
    assert place.away == [("b", False), ("a", False)]


@pytest.mark.parametrize("error", [HilumError("the partner is gone"), OSError("a"), RuntimeError("a plug-in's own")])
async def test_a_place_in_trouble_is_looked_at_again(error: Exception) -> None:
    inbox, left = MemoryInbox(), [error, error]
    place = Place(inbox)

    async def fail(what: str, name: str) -> None:
        if what == "look" and left:
            raise left.pop()

    place.files, place.before = {"a": b"1"}, fail
    async with running(place):
        await until(lambda: not place.files)
    assert inbox.bodies == [b"1"]


@pytest.mark.parametrize("stage", ["look", "read"])
async def test_stopping_does_not_wait_for_what_nobody_was_promised(stage: str) -> None:
    inbox, reached = MemoryInbox(), asyncio.Event()
    place = Place(inbox)

    async def hang(what: str, name: str) -> None:
        if what == stage:
            reached.set()
            await asyncio.Event().wait()

    place.files, place.before = {"a": b"1"}, hang
    async with running(place):
        await asyncio.wait_for(reached.wait(), 10)
    assert inbox.offered == []
    assert place.files == {"a": b"1"}


async def test_what_was_stored_is_put_away_before_it_stops() -> None:
    inbox = MemoryInbox()
    inbox.hold()
    place = Place(inbox)
    place.files = {"a": b"1", "b": b"2"}
    await place.start()
    await inbox.until(1)
    stopping = asyncio.ensure_future(place.stop())
    await asyncio.sleep(0.05)
    assert not stopping.done()
    inbox.release()
    await stopping
    assert (place.away, place.files) == ([("a", False)], {"b": b"2"})


async def test_what_is_kept_is_remembered_while_it_is_there_and_as_it_is() -> None:
    inbox = MemoryInbox()
    place = Place(inbox)
    place.keeps = True
    place.files = {"a": b"1"}
    async with running(place):
        await inbox.until(1)
        await until(lambda: place.done[-5:] == ["look"] * 5)
        place.files["a"] = b"2"
        await inbox.until(2)
        del place.files["a"]
        await until(lambda: place.done[-5:] == ["look"] * 5)
        assert place._kept == {}
        place.files["a"] = b"2"
        await until(lambda: place.done[-5:] == ["look"] * 5)
    assert inbox.bodies == [b"1", b"2"], "the same state again is known by the inbox"
    assert place.away == []


def test_names() -> None:
    config = Polled(url="place://x", pattern="*.hl7", temporary=".tmp")
    wanted = ["a.hl7", ".a.hl7", "a.hl7.tmp", "a.HL7", "a.txt", "ä.hl7"]
    assert [name for name in wanted if config.wants(name)] == ["a.hl7", "ä.hl7"]
