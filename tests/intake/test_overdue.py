"""Routes that take their time: stored first, acknowledged within the budget, routed right after, in order."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from hilum.model.message import Ack, Disposition

pytestmark = pytest.mark.anyio

Adt = Callable[..., bytes]
GATED = "import {0}\ndef transform(m):\n    {0}.pass_through(m.control_id)\n    m.set('MSH-5', 'DONE')\n"


class Barrier:
    """Scripts call `pass_through`: they stand there until the test lets that message go, or all."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._open = threading.Event()
        self._let: set[str] = set()
        self._news = threading.Condition()

    def pass_through(self, control: str) -> None:
        self.seen.append(control)
        with self._news:
            assert self._news.wait_for(lambda: self._open.is_set() or control in self._let, timeout=30)

    def let(self, *controls: str) -> None:
        with self._news:
            self._let.update(controls)
            if not controls:
                self._open.set()
            self._news.notify_all()


@pytest.fixture
def barrier(monkeypatch: pytest.MonkeyPatch) -> Iterator[Barrier]:
    """Importable by scripts under the name `barrier`."""
    import sys

    found = Barrier()
    monkeypatch.setitem(sys.modules, "barrier", found)  # type: ignore[arg-type]  # what a script needs of a module
    yield found
    found.let()


async def _until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - threads and the store have no event for this
            await asyncio.sleep(0.01)


def slow(gate: Any) -> Any:
    """A routing whose script stands at the barrier."""
    return gate.routing(gate.route([gate.script(GATED.format("barrier"))]))


async def test_a_script_within_the_budget_is_stored_once_with_its_deliveries(gate: Any, adt: Adt) -> None:
    gate.inbox.routing = gate.routing(gate.route([gate.script("def transform(m):\n    m.set('MSH-5', 'DONE')\n")]))
    receipts = await asyncio.gather(*(gate.send(adt(f"M{number}")) for number in range(20)))
    assert {one.disposition for one in receipts} == {Disposition.DELIVERING}
    assert [one.control_id for one in await gate.rows()] == [f"M{number}" for number in range(20)]
    assert all(b"|DONE|" in one.body and one.keep for one in gate.announced)
    assert [one.message for one in gate.announced] == list(range(1, 21))


async def test_over_the_budget_it_is_stored_first_and_routed_right_after(gate: Any, adt: Adt, barrier: Barrier) -> None:
    gate.inbox.routing = slow(gate)
    receipt = await gate.send(adt())  # answered while the script still stands
    assert (receipt.code, receipt.disposition) == (Ack.AA, Disposition.RECEIVED)
    assert [one.disposition for one in await gate.rows()] == [Disposition.RECEIVED]
    assert gate.announced == []
    assert gate.inbox.unrouted == 1
    assert gate.store.tallies.received[7, Disposition.RECEIVED] == 1
    barrier.let()
    await _until(lambda: gate.announced)
    (row,) = await gate.rows()
    assert (row.disposition, row.deliveries, row.routes) == (Disposition.DELIVERING, 1, (2,))
    (made,) = gate.announced
    assert (made.message, made.uuid, made.id) == (row.id, row.uuid, row.first_delivery)
    assert b"|DONE|" in made.body
    assert gate.store.tallies.received[7, Disposition.DELIVERING] == 1
    assert gate.store.tallies.received[7, Disposition.RECEIVED] == 0
    await _until(lambda: not gate.inbox.unrouted)


async def test_order_is_kept_behind_a_slow_one(gate: Any, adt: Adt, barrier: Barrier) -> None:
    gate.inbox.routing = slow(gate)
    futures = [gate.inbox.receive(adt(f"M{number}")) for number in range(6)]
    receipts = await asyncio.wait_for(asyncio.gather(*futures), 20)
    assert {one.disposition for one in receipts} == {Disposition.RECEIVED}
    gate.inbox.routing = gate.routing(gate.route())  # a quick route now: it does not overtake
    late = gate.inbox.receive(adt("M6"))
    barrier.let()
    assert (await asyncio.wait_for(late, 20)).code is Ack.AA
    await _until(lambda: len(gate.announced) == 7)
    assert [one.message for one in gate.announced] == list(range(1, 8))
    ids = [one.id for one in gate.announced]
    assert ids == sorted(ids)


async def test_a_script_that_fails_after_the_answer_is_an_error_in_the_row(
    gate: Any, adt: Adt, barrier: Barrier
) -> None:
    text = "import barrier\ndef transform(message):\n    barrier.pass_through('x')\n    raise ValueError\n"
    gate.inbox.routing = gate.routing(gate.route([gate.script(text)]))
    assert (await gate.send(adt())).code is Ack.AA
    barrier.let()
    await _until(lambda: not gate.inbox.unrouted)
    (row,) = await gate.rows()
    assert gate.store.tallies.received[7, Disposition.ERROR] == 1
    assert (row.disposition, row.deliveries) == (Disposition.ERROR, 0)
    assert row.note == "r: steps[0].script: ValueError"


async def test_a_message_keeps_the_version_that_routed_it(gate: Any, adt: Adt, barrier: Barrier) -> None:
    """A reload while the script runs: the row names the version whose script it was."""
    gate.inbox.routing = slow(gate)
    future = gate.inbox.receive(adt())
    await _until(lambda: barrier.seen)
    gate.inbox.routing = gate.routing(gate.route())
    barrier.let()
    await asyncio.wait_for(future, 20)
    await _until(lambda: gate.announced)
    assert gate.announced[0].route == 2
    assert (await gate.rows())[0].routes == (2,)


async def test_a_restart_routes_what_was_left(
    opened: Callable[..., Awaitable[Any]], adt: Adt, barrier: Barrier
) -> None:
    gate = await opened()
    gate.inbox.routing = slow(gate)
    futures = [gate.inbox.receive(adt(f"M{number}")) for number in range(4)]
    await asyncio.wait_for(gate.inbox.close(), 20)  # stores what it took
    receipts = await asyncio.wait_for(asyncio.gather(*futures), 20)
    assert {one.code for one in receipts} == {Ack.AA}
    await gate.store.close()
    barrier.let()
    gate = await opened()
    assert {one.disposition for one in await gate.rows()} == {Disposition.RECEIVED}
    await gate.inbox.recover()
    new = gate.inbox.receive(adt("M4"))  # comes behind them
    await _until(lambda: len(gate.announced) == 5)
    assert (await asyncio.wait_for(new, 20)).code is Ack.AA
    assert [one.message for one in gate.announced] == [1, 2, 3, 4, 5]
    assert {one.disposition for one in await gate.rows()} == {Disposition.DELIVERING}
    assert (await gate.send(adt("M0"))).duplicate


async def test_close_lets_a_message_that_is_being_written_be_written(gate: Any, adt: Adt, barrier: Barrier) -> None:
    """A reload closes the inbox at any moment: no message is routed twice, none stays unannounced."""
    rounds = 15
    for number in range(rounds):
        gate.open()
        gate.inbox.routing = slow(gate)
        controls = [f"N{number}-{one}" for one in range(3)]
        await asyncio.wait_for(asyncio.gather(*(gate.inbox.receive(adt(one)) for one in controls)), 20)
        barrier.let(*controls)  # stored first, and routed now
        await asyncio.sleep(number * 0.0004)
        await asyncio.wait_for(gate.inbox.close(), 20)
        gate.open()
        gate.inbox.routing = gate.routing(gate.route([gate.script("def transform(m):\n    pass\n")]))
        await gate.inbox.recover()
        await _until(lambda: not gate.inbox.unrouted)
    await _until(lambda: len(gate.announced) >= 3 * rounds)
    rows = await gate.rows()
    assert {one.disposition for one in rows} == {Disposition.DELIVERING}
    made = await gate.deliveries()
    assert sorted(one.message for one in made) == [one.id for one in rows]
    assert sorted(one.id for one in gate.announced) == [one.id for one in made]


async def test_while_the_store_is_full_the_route_waits(
    gate: Any, adt: Adt, barrier: Barrier, full: Callable[[], Any]
) -> None:
    gate.inbox.routing = slow(gate)
    assert (await gate.send(adt())).disposition is Disposition.RECEIVED
    with full("UPDATE"):
        barrier.let()
        await asyncio.sleep(0.5)
        assert gate.announced == []
        assert gate.inbox.unrouted == 1
    await _until(lambda: gate.announced)
    assert len(await gate.deliveries()) == 1


async def test_the_answer_after_delivery_waits_for_the_route_too(gate: Any, adt: Adt, barrier: Barrier) -> None:
    gate.inbox.routing = slow(gate)
    future = gate.inbox.receive(adt(), wait=15)
    await asyncio.sleep(0.6)
    assert not future.done()  # stored, but neither routed nor delivered
    barrier.let()
    await _until(lambda: gate.announced)
    await gate.settle(gate.announced[0])
    receipt = await asyncio.wait_for(future, 20)
    assert (receipt.code, receipt.delivered) == (Ack.AA, True)


@pytest.mark.parametrize(("ending", "code"), [("return False", Ack.AA), ("raise ValueError", Ack.AE)])
async def test_the_answer_after_delivery_of_what_goes_nowhere(
    gate: Any, adt: Adt, barrier: Barrier, ending: str, code: Ack
) -> None:
    text = f"import barrier\ndef transform(message):\n    barrier.pass_through('x')\n    {ending}\n"
    gate.inbox.routing = gate.routing(gate.route([gate.script(text)]))
    future = gate.inbox.receive(adt(), wait=15)
    await asyncio.sleep(0.5)
    barrier.let()
    assert (await asyncio.wait_for(future, 20)).code is code


async def test_the_answer_after_delivery_is_pending_while_the_route_runs(gate: Any, adt: Adt, barrier: Barrier) -> None:
    gate.inbox.routing = slow(gate)
    first = await gate.send(adt(), wait=0.5)
    assert (first.code, first.note) == (Ack.AE, "stored, delivery pending")
    again = await gate.send(adt(), wait=0.5)
    assert (again.code, again.duplicate, again.delivered) == (Ack.AE, True, None)
    barrier.let()
    await _until(lambda: gate.announced)
    assert len(await gate.rows()) == 1


async def test_deliveries_are_announced_in_the_order_of_their_ids(gate: Any, adt: Adt, barrier: Barrier) -> None:
    """Lanes and watermarks count on it: what is announced late could be taken for delivered after a crash."""
    gate.inbox.routing = slow(gate)
    slow_one = gate.inbox
    early = [slow_one.receive(adt(f"S{number}")) for number in range(200)]
    await asyncio.wait_for(asyncio.gather(*early), 20)
    quick = gate.open(endpoint=8)
    barrier.let()
    number = 0
    async with asyncio.timeout(60):
        while slow_one.unrouted:
            number += 5
            await asyncio.gather(*(quick.receive(adt(f"Q{number + one}")) for one in range(5)))
    await gate.store.write(lambda connection: None)
    await asyncio.sleep(0.1)
    ids = [one.id for one in gate.announced]
    assert len(ids) == number + 200
    assert ids == sorted(ids)
