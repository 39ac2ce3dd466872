"""The suite of depositors notices who does not keep the contract."""

from __future__ import annotations

import asyncio
import contextlib
import types
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from hilum.sdk.config import Config
from hilum.sdk.contracts import Connector, Deposit, Depositor
from hilum.sdk.deposits import Broken, Progress, Unlike, blocks
from hilum.sdk.outcome import Ambiguous, Deposited, Permanent, Placed, Transient
from hilum.sdk.testing import DepositorSuite

pytestmark = pytest.mark.anyio


class Address(Config):
    port: int
    timeout: int = 2_000


class Good(Depositor[Address]):
    """Sends name and length in a line each, then the content; the partner says + once it has all of it."""

    async def deposit(self, deposit: Deposit, pieces: AsyncIterator[bytes]) -> Deposited:
        progress = Progress()
        try:
            async with contextlib.aclosing(blocks(deposit, pieces, 65_536, progress)) as content:
                async with asyncio.timeout(self.config.timeout / 1000):
                    return await self.send(deposit, content)
        except Broken as error:
            raise error.error from None
        except Unlike as error:
            return Permanent(str(error))
        except TimeoutError:
            return Ambiguous("no answer") if progress.whole else Transient("it stopped")
        except Exception as error:  # whatever the partner did, the outcome says how far we came
            return Ambiguous(f"{error!r}") if progress.whole else Transient(f"{error!r}")

    async def send(self, deposit: Deposit, content: AsyncIterator[bytes]) -> Deposited:
        class Talk(asyncio.StreamReaderProtocol):
            pass

        reader = asyncio.StreamReader()
        transport, protocol = await self.dialer.connect(lambda: Talk(reader), "127.0.0.1", self.config.port)
        writer = asyncio.StreamWriter(transport, protocol, reader, asyncio.get_running_loop())
        try:
            writer.write(f"{deposit.name}\n{deposit.size}\n".encode())
            async for block in content:
                writer.write(block)
                await writer.drain()
            said = await reader.readexactly(1)
            return Placed(deposit.name) if said == b"+" else Permanent("refused")
        finally:
            transport.abort()  # closing would wait for a partner that does not read
            with contextlib.suppress(OSError):
                await writer.wait_closed()


class Partner:
    """Keeps whole files; `hasty`: halves of them too."""

    def __init__(self, files: dict[str, bytes], hasty: bool) -> None:
        self.files, self.hasty, self.tasks = files, hasty, set[asyncio.Task[None]]()

    @property
    def received(self) -> list[bytes]:
        return list(self.files.values())

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self.take(reader, writer))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError), contextlib.closing(writer):
            name, size = [(await reader.readline()).decode().rstrip("\n") for _ in range(2)]
            try:
                self.files[name] = await reader.readexactly(int(size or "0"))
            except asyncio.IncompleteReadError as error:
                if self.hasty:
                    self.files[name] = error.partial
                return
            writer.write(b"+")
            await writer.drain()


class Suite(DepositorSuite):
    kept: ClassVar[dict[int, dict[str, bytes]]] = {}
    hasty: ClassVar[bool] = False

    def values(self, place: int) -> dict[str, Any]:
        return {"port": place}

    def partner(self, place: int, mood: str) -> Any:
        return self.listening(place)

    @contextlib.asynccontextmanager
    async def listening(self, place: int) -> AsyncIterator[Partner]:
        found = Partner(self.kept.setdefault(place, {}), self.hasty)
        async with await asyncio.start_server(found.accept, "127.0.0.1", place):
            yield found
        for task in list(found.tasks):
            task.cancel()
        await asyncio.gather(*found.tasks, return_exceptions=True)

    async def held(self, place: int) -> dict[str, bytes]:
        await asyncio.sleep(0.05)
        return dict(self.kept.get(place, {}))


def module(depositor: type[Depositor[Any]]) -> types.ModuleType:
    made = types.ModuleType("made")
    made.__dict__["connector"] = Connector(("made",), Address, depositor=depositor)
    return made


class TestGood(Suite):
    module: ClassVar[types.ModuleType] = module(Good)


class ReadsAllFirst(Good):
    async def deposit(self, deposit: Deposit, pieces: AsyncIterator[bytes]) -> Deposited:
        whole = [piece async for piece in pieces]

        async def again() -> AsyncIterator[bytes]:
            for piece in whole:
                yield piece

        return await super().deposit(deposit, again())


class DoesNotCompare(Good):
    async def deposit(self, deposit: Deposit, pieces: AsyncIterator[bytes]) -> Deposited:
        return await self.send(deposit, pieces)


class SwallowsWhatThePiecesRaise(Good):
    async def deposit(self, deposit: Deposit, pieces: AsyncIterator[bytes]) -> Deposited:
        try:
            return await super().deposit(deposit, pieces)
        except OSError:
            return Transient("it failed")


class SaysThatAllIsWell(Good):
    async def deposit(self, deposit: Deposit, pieces: AsyncIterator[bytes]) -> Deposited:
        await super().deposit(deposit, pieces)
        return Placed(deposit.name)


class Raises(Good):
    async def deposit(self, deposit: Deposit, pieces: AsyncIterator[bytes]) -> Deposited:
        outcome = await super().deposit(deposit, pieces)
        if isinstance(outcome, Transient):
            raise ConnectionError("unreachable")
        return outcome


class ChangesTheName(Good):
    async def send(self, deposit: Deposit, content: AsyncIterator[bytes]) -> Deposited:
        other = Deposit(deposit.id, f"x{deposit.name}", deposit.size, deposit.sha256)
        found = await super().send(other, content)
        return Placed(deposit.name) if isinstance(found, Placed) else found


@pytest.mark.parametrize(
    ("faulty", "check"),
    [
        (ReadsAllFirst, "a_file_is_taken_no_faster_than_the_partner_takes_it"),
        (DoesNotCompare, "other_content_than_announced_leaves_nothing"),
        (SwallowsWhatThePiecesRaise, "pieces_that_fail_leave_nothing"),
        (SaysThatAllIsWell, "a_connection_that_ends_at_ninety_percent_leaves_nothing"),
        (SaysThatAllIsWell, "a_partner_that_stops_reading_leaves_nothing"),
        (SaysThatAllIsWell, "what_policy_forbids_is_not_placed"),
        (Raises, "a_partner_out_of_reach_is_transient"),
        (ChangesTheName, "files_arrive_whole_under_their_names"),
    ],
)
async def test_a_faulty_depositor_is_caught(faulty: type[Depositor[Any]], check: str, tmp_path: Path) -> None:
    suite = type("Faulty", (Suite,), {"module": module(faulty), "patience": 3.0})()
    given = ("other",) if check.startswith("other") else ()
    with pytest.raises((AssertionError, OSError, pytest.fail.Exception)):
        await getattr(suite, f"test_{check}")(suite.address(tmp_path), *given)


async def test_a_partner_with_half_a_file_is_caught(tmp_path: Path) -> None:
    suite = type("Hasty", (Suite,), {"module": module(Good), "hasty": True})()
    with pytest.raises(AssertionError, match="it is not whole"):
        await suite.test_a_connection_that_ends_at_ninety_percent_leaves_nothing(suite.address(tmp_path))
