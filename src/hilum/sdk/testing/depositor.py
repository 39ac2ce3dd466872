"""What every Depositor keeps: a file is there whole, or it is not there, whatever happens on the way."""

# ruff: noqa: S101 - a suite asserts; pytest words its asserts

from __future__ import annotations

import asyncio
import functools
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

import pytest

from hilum.sdk.contracts import Deposit, Depositor, Dialer
from hilum.sdk.outcome import Ambiguous, Deposited, Permanent, Placed, Transient
from hilum.sdk.testing.base import begin, leaving_nothing, same, within
from hilum.sdk.testing.between import between
from hilum.sdk.testing.destination import SHORT, PartnerSuite
from hilum.sdk.testing.fakes import RefusingDialer

PIECE = 300_001  # bytes: no block's size fits it
BUFFERED = 64 << 20
"""Bytes that may be on their way at most: blocks that are held, what the system keeps for sockets."""


@functools.lru_cache(maxsize=16)
def content(size: int) -> bytes:
    """So many bytes, different at every place."""
    return b"".join(number.to_bytes(4, "big") for number in range(-(-size // 4)))[:size]


def equal(found: Mapping[str, bytes], wanted: Mapping[str, bytes]) -> None:
    """These names, and under each the same bytes."""
    assert found.keys() == wanted.keys()
    same([found[name] for name in wanted], list(wanted.values()))


class DepositorSuite(PartnerSuite):
    """Hooks: `partner` at the shared base, `held`; `port` and `through` where `place` is more than a port."""

    sizes: ClassVar[Sequence[int]] = (0, 1, 300_000, 3 << 20)
    large: ClassVar[int] = 8 << 20  # bytes of the file whose way is interrupted

    async def held(self, place: Any) -> Mapping[str, bytes]:
        """What the partner has by now, by name; what it knows to be unfinished is not asked for."""
        raise NotImplementedError

    def port(self, place: Any) -> int | None:
        """Where the partner listens; None: there is no network in between."""
        return place if isinstance(place, int) else None

    def through(self, place: Any, port: int) -> Any:
        """The same place, reached by another port."""
        return port

    def depositor(self, place: Any, dialer: Dialer | None = None, **changes: Any) -> Depositor[Any]:
        assert self.connector.depositor is not None, "the connector declares no depositor"
        return self.connector.depositor(self.config(place, **changes), dialer or self.dialer(place))

    def announced(self, size: int, name: str = "adsl.xpt") -> Deposit:
        identity = hashlib.sha256(f"{name}|{size}".encode()).hexdigest()
        return Deposit(identity, name, size, hashlib.sha256(content(size)).digest(), "text/csv")

    async def pieces(self, size: int, until: int | None = None) -> AsyncIterator[bytes]:
        for at in range(0, size if until is None else until, PIECE):
            yield content(size)[at : at + PIECE]
            await asyncio.sleep(0)

    async def put(
        self, depositor: Depositor[Any], deposit: Deposit, pieces: AsyncIterator[bytes] | None = None
    ) -> Deposited:
        """Deposits, and checks what holds for every outcome."""
        given = self.pieces(deposit.size) if pieces is None else pieces
        outcome = await within(self.patience * 3, depositor.deposit(deposit, given))
        assert isinstance(outcome, Placed | Transient | Ambiguous | Permanent)
        assert outcome.detail, "an outcome says what it is"
        return outcome

    async def again(self, place: Any, deposit: Deposit) -> None:
        """What went wrong before stands in nobody's way, and left nothing under the final name."""
        assert not (await self.held(place)).keys(), "something is there, and it is not whole"
        depositor = self.depositor(place)
        outcome = await self.put(depositor, deposit)
        await depositor.close()
        assert isinstance(outcome, Placed), outcome
        equal(await self.held(place), {deposit.name: content(deposit.size)})

    async def test_files_arrive_whole_under_their_names(self, place: Any) -> None:
        async with self.present(place):
            depositor = self.depositor(place)
            for size in self.sizes:
                outcome = await self.put(depositor, self.announced(size, f"{size}.bin"))
                assert isinstance(outcome, Placed), outcome
                assert f"{size}.bin" in outcome.place
            await depositor.close()
            equal(await self.held(place), {f"{size}.bin": content(size) for size in self.sizes})

    async def test_a_name_of_many_characters_is_kept(self, place: Any) -> None:
        name = "Größe + 100% (final) #2 &c.csv"
        async with self.present(place):
            depositor = self.depositor(place)
            assert isinstance(await self.put(depositor, self.announced(10, name)), Placed)
            await depositor.close()
            equal(await self.held(place), {name: content(10)})

    async def test_two_files_at_a_time(self, place: Any) -> None:
        async with self.present(place):
            depositor = self.depositor(place)
            names = ("one.bin", "two.bin")
            found = await asyncio.gather(*(self.put(depositor, self.announced(self.large, name)) for name in names))
            await depositor.close()
            assert all(isinstance(one, Placed) for one in found), found
            equal(await self.held(place), dict.fromkeys(names, content(self.large)))

    async def test_the_same_deposit_twice_is_the_same_bytes(self, place: Any) -> None:
        async with self.present(place):
            depositor = self.depositor(place)
            for _ in range(2):
                assert isinstance(await self.put(depositor, self.announced(300_000)), Placed)
            await depositor.close()
            found = await self.held(place)
            assert 1 <= len(found) <= 2
            equal(found, dict.fromkeys(found, content(300_000)))

    async def test_a_connection_that_ends_at_ninety_percent_leaves_nothing(self, place: Any) -> None:
        await self.interrupted(place, "cut")

    async def test_a_partner_that_stops_reading_leaves_nothing(self, place: Any) -> None:
        await self.interrupted(place, "hold", timeout=SHORT)

    async def interrupted(self, place: Any, then: Literal["cut", "hold"], **changes: Any) -> None:
        port, deposit = self.port(place), self.announced(self.large)
        if port is None:
            pytest.skip("there is no network in between")
        async with self.present(place):
            async with between(port, self.large * 9 // 10, then) as middle:
                depositor = self.depositor(self.through(place, middle.port), **changes)
                outcome = await self.put(depositor, deposit)
                assert middle.over, "it ended before it was interrupted"
                assert isinstance(outcome, Transient | Ambiguous), outcome
                await depositor.close()
            await self.again(place, deposit)

    async def test_a_file_is_taken_no_faster_than_the_partner_takes_it(self, place: Any) -> None:
        port, taken, size = self.port(place), 0, 1 << 30
        if port is None:
            pytest.skip("there is no network in between")

        async def endless() -> AsyncIterator[bytes]:
            nonlocal taken
            for _ in range(size >> 20):
                taken += 1 << 20
                yield bytes(1 << 20)

        async with self.present(place), between(port, 2 << 20, "hold") as middle:
            depositor = self.depositor(self.through(place, middle.port), timeout=SHORT)
            outcome = await self.put(depositor, Deposit("endless", "endless.bin", size, bytes(32)), endless())
            await depositor.close()
            assert isinstance(outcome, Transient | Ambiguous), outcome
        assert taken <= BUFFERED, "it was read into memory"

    async def test_pieces_that_fail_leave_nothing(self, place: Any) -> None:
        deposit = self.announced(self.large)

        async def failing() -> AsyncIterator[bytes]:
            async for piece in self.pieces(deposit.size, deposit.size * 9 // 10):
                yield piece
            raise OSError("the sealed file cannot be read")

        async with self.present(place):
            depositor = self.depositor(place)
            with pytest.raises(OSError, match="the sealed file cannot be read"):
                await self.put(depositor, deposit, failing())
            await depositor.close()
            await self.again(place, deposit)

    @pytest.mark.parametrize("wrong", ["shorter", "longer", "other"])
    async def test_other_content_than_announced_leaves_nothing(self, place: Any, wrong: str) -> None:
        deposit = self.announced(self.large)

        async def others() -> AsyncIterator[bytes]:
            async for piece in self.pieces(deposit.size, None if wrong != "shorter" else deposit.size - PIECE):
                yield piece if wrong != "other" else bytes(len(piece))
            if wrong == "longer":
                yield b"x"

        async with self.present(place):
            depositor = self.depositor(place)
            assert isinstance(await self.put(depositor, deposit, others()), Permanent)
            await depositor.close()
            await self.again(place, deposit)

    async def test_a_cancelled_deposit_leaves_nothing(self, place: Any) -> None:
        deposit, halted = self.announced(self.large), asyncio.Event()

        async def halting() -> AsyncIterator[bytes]:
            async for piece in self.pieces(deposit.size, deposit.size * 9 // 10):
                yield piece
            halted.set()
            await asyncio.Event().wait()

        async def once() -> None:
            depositor = self.depositor(place)
            putting = begin(depositor.deposit(deposit, halting()))
            await within(self.patience, halted.wait())
            putting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await within(self.patience, putting)
            await depositor.close()

        async with self.present(place):
            async with leaving_nothing():
                await once()
            await self.again(place, deposit)

    async def test_a_partner_out_of_reach_is_transient(self, place: Any) -> None:
        depositor = self.depositor(place, timeout=SHORT)
        outcome = await self.put(depositor, self.announced(10))
        assert isinstance(outcome, Transient)
        assert not outcome.answered
        async with self.present(place):
            assert isinstance(await self.put(depositor, self.announced(10)), Placed), "it does not recover"
            await depositor.close()

    async def test_what_policy_forbids_is_not_placed(self, place: Any) -> None:
        async with self.present(place):
            depositor = self.depositor(place, RefusingDialer())
            outcome = await self.put(depositor, self.announced(10))
            await depositor.close()
            assert isinstance(outcome, Transient | Permanent)
            assert not (isinstance(outcome, Transient) and outcome.answered)
            assert not (await self.held(place)).keys(), "it went past the dialer"

    async def test_it_survives_a_partner_that_restarts(self, place: Any) -> None:
        depositor = self.depositor(place)
        async with self.present(place):
            assert isinstance(await self.put(depositor, self.announced(10)), Placed)
        async with self.present(place):
            tries = [await self.put(depositor, self.announced(11, "after.bin")) for _ in range(3)]
            await depositor.close()
            assert any(isinstance(one, Placed) for one in tries), tries
            assert content(11) in (await self.held(place)).values()

    async def test_close_leaves_nothing_behind_and_may_come_twice(self, place: Any) -> None:
        async def once() -> None:
            depositor = self.depositor(place)
            assert isinstance(await self.put(depositor, self.announced(10)), Placed)
            await depositor.close()
            await depositor.close()
            await self.depositor(place).close()  # nor does it need a deposit before

        async with self.present(place), leaving_nothing():
            await once()
