"""A repeated message is recognised, answered as before and processed once; a refused one is processed anew."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hilum import clock
from hilum.model.delivery import DeliveryState
from hilum.model.message import Ack, Disposition
from hilum.store import keys

pytestmark = pytest.mark.anyio

Adt = Callable[..., bytes]


@pytest.mark.ledger_part("S3-09", "duplicate control id detection")
async def test_the_same_bytes_get_the_same_answer_and_go_on_once(gate: Any, adt: Adt) -> None:
    first = await gate.send(adt())
    again = [await gate.send(adt()) for _ in range(3)]
    assert first.code is Ack.AA
    assert not first.duplicate
    assert {(one.code, one.uuid, one.duplicate) for one in again} == {(Ack.AA, first.uuid, True)}
    assert len(await gate.rows()) == len(gate.announced) == len(await gate.deliveries()) == 1


async def test_a_repeat_while_the_first_is_still_being_stored(gate: Any, adt: Adt) -> None:
    futures = [gate.inbox.receive(adt()) for _ in range(5)]
    receipts = await asyncio.wait_for(asyncio.gather(*futures), 20)
    assert len({one.uuid for one in receipts}) == 1
    assert [one.duplicate for one in receipts] == [False, True, True, True, True]
    assert len(await gate.rows()) == 1


async def test_a_repeat_after_a_restart(opened: Callable[..., Awaitable[Any]], adt: Adt) -> None:
    gate = await opened()
    first = await gate.send(adt())
    await gate.store.close()
    gate = await opened()
    again = await gate.send(adt())
    assert (again.duplicate, again.uuid) == (True, first.uuid)
    assert len(await gate.rows()) == 1
    assert gate.announced == []


async def test_a_repeat_after_the_keys_went_to_the_file(gate: Any, adt: Adt) -> None:
    first = await gate.send(adt())
    index = gate.store.keys
    async with asyncio.timeout(20):
        while index._fresh or index._flushing:  # noqa: ASYNC110 - a thread flushes them
            await asyncio.sleep(0.05)
    again = await gate.send(adt())
    assert (again.duplicate, again.uuid) == (True, first.uuid)


async def test_the_same_id_with_another_body_is_a_new_message_with_a_note(gate: Any, adt: Adt) -> None:
    first = await gate.send(adt())
    other = await gate.send(adt(note="changed"))
    assert other.code is Ack.AA
    assert not other.duplicate
    assert other.uuid != first.uuid
    _, row = await gate.rows()
    assert "another message with this control id" in row.note
    assert len(gate.announced) == 2
    assert (await gate.send(adt())).uuid == first.uuid  # both are known now
    assert (await gate.send(adt(note="changed"))).uuid == other.uuid


async def test_another_sender_s_id_is_another_id(gate: Any, adt: Adt) -> None:
    await gate.send(adt())
    other = await gate.send(adt().replace(b"|GENERAL|HUB", b"|NORTH|HUB"))
    assert not other.duplicate
    assert (await gate.rows())[1].note == ""


async def test_another_endpoint_s_message_is_no_repeat(gate: Any, adt: Adt) -> None:
    await gate.send(adt())
    gate.open(endpoint=8)
    assert not (await gate.send(adt())).duplicate
    assert len(await gate.rows()) == 2


async def test_without_control_id_nothing_is_a_repeat(gate: Any, adt: Adt) -> None:
    for _ in range(3):
        assert not (await gate.send(adt(""))).duplicate
    assert len(await gate.rows()) == len(gate.announced) == 3


async def test_it_can_be_switched_off(gate: Any, adt: Adt) -> None:
    gate.open(dedupe=False)
    for _ in range(3):
        assert not (await gate.send(adt())).duplicate
    assert len(gate.announced) == 3


async def test_it_ends_with_the_window(gate: Any, adt: Adt) -> None:
    await gate.send(adt())

    def age(connection: Any) -> None:
        connection.exec_driver_sql("UPDATE message SET received_at = ?", (clock.micros() - keys.WINDOW - 1_000_000,))

    await gate.store.write(age)
    assert not (await gate.send(adt())).duplicate


async def test_after_ae_the_message_is_processed_anew(gate: Any, adt: Adt) -> None:
    gate.inbox.routing = gate.routing(gate.route([gate.script("def transform(message):\n    raise ValueError\n")]))
    assert (await gate.send(adt())).code is Ack.AE
    assert (await gate.send(adt())).code is Ack.AE
    gate.inbox.routing = gate.routing(gate.route())  # someone repaired it
    third = await gate.send(adt())
    assert (third.code, third.duplicate) == (Ack.AA, False)
    assert (await gate.send(adt())).uuid == third.uuid
    assert [one.disposition for one in await gate.rows()] == [
        Disposition.ERROR,
        Disposition.ERROR,
        Disposition.DELIVERING,
    ]


async def test_after_ar_the_message_is_processed_anew(gate: Any, adt: Adt) -> None:
    rejected = await asyncio.wait_for(gate.inbox.reject(adt(), "too big"), 20)
    assert rejected.code is Ack.AR
    assert (await gate.send(adt())).code is Ack.AA
    assert [one.ack for one in await gate.rows()] == ["AR", "AA"]


async def test_a_reject_does_not_make_one_forget_what_is_being_stored(gate: Any, adt: Adt) -> None:
    slow = "import time\ndef transform(message):\n    time.sleep(0.1)\n"
    gate.inbox.routing = gate.routing(gate.route([gate.script(slow)]))
    first = gate.inbox.receive(adt())
    rejected = await asyncio.wait_for(gate.inbox.reject(adt(note="x" * 9), "too big"), 20)
    again = gate.inbox.receive(adt())
    one, two = await asyncio.wait_for(asyncio.gather(first, again), 20)
    assert rejected.code is Ack.AR
    assert (one.duplicate, two.duplicate) == (False, True)
    assert one.uuid == two.uuid
    assert len(gate.announced) == 1


async def test_what_is_pipelined_behind_a_possible_repeat_keeps_its_place(gate: Any, adt: Adt) -> None:
    await gate.send(adt("M1"))
    order = ["M1", "M2", "M3", "M1", "M4", "M2", "M5"]
    futures = [gate.inbox.receive(adt(one)) for one in order]
    receipts = await asyncio.wait_for(asyncio.gather(*futures), 20)
    assert [one.duplicate for one in receipts] == [True, False, False, True, False, True, False]
    assert [one.control_id for one in await gate.rows()] == ["M1", "M2", "M3", "M4", "M5"]
    assert [one.id for one in gate.announced] == sorted(one.id for one in gate.announced)
    assert gate.inbox.unrouted == 0


async def test_on_postgresql_it_is_the_same(opened: Callable[..., Awaitable[Any]], adt: Adt, owner_url: str) -> None:
    gate = await opened(owner_url)
    futures = [gate.inbox.receive(adt(one)) for one in ("M1", "M2", "M1", "M3")]
    receipts = await asyncio.wait_for(asyncio.gather(*futures), 20)
    assert [one.duplicate for one in receipts] == [False, False, True, False]
    other = await gate.send(adt("M2", note="changed"))
    assert not other.duplicate
    assert [one.control_id for one in await gate.rows()] == ["M1", "M2", "M3", "M2"]
    assert len(await gate.deliveries()) == 4


async def test_a_repeat_of_what_waits_for_delivery_joins_the_wait(gate: Any, adt: Adt) -> None:
    first = gate.inbox.receive(adt(), wait=10)
    await _announced(gate, 1)
    again = gate.inbox.receive(adt(), wait=10)
    await asyncio.sleep(0.3)
    assert not first.done()
    assert not again.done()
    await gate.settle(gate.announced[0])
    one, two = await asyncio.wait_for(asyncio.gather(first, again), 20)
    assert (one.code, one.delivered, one.duplicate) == (Ack.AA, True, False)
    assert (two.code, two.delivered, two.duplicate, two.uuid) == (Ack.AA, True, True, one.uuid)


async def test_a_repeat_after_the_first_gave_up_waits_for_itself(gate: Any, adt: Adt) -> None:
    first = await gate.send(adt(), wait=0.1)
    assert (first.code, first.note, first.delivered) == (Ack.AE, "stored, delivery pending", None)
    again = gate.inbox.receive(adt(), wait=10)
    await asyncio.sleep(0.3)
    assert not again.done()
    await gate.settle(gate.announced[0])
    receipt = await asyncio.wait_for(again, 20)
    assert (receipt.code, receipt.duplicate, receipt.uuid) == (Ack.AA, True, first.uuid)
    assert len(await gate.rows()) == 1


async def test_a_repeat_that_waits_holds_up_nobody(gate: Any, adt: Adt) -> None:
    """One dead partner never blocks intake: not even by the repeats that its senders make."""
    await gate.send(adt("M1"), wait=0.1)
    waiting = gate.inbox.receive(adt("M1"), wait=30)
    others = [gate.inbox.receive(adt(f"N{number}")) for number in range(10)]
    receipts = await asyncio.wait_for(asyncio.gather(*others), 10)
    assert {one.code for one in receipts} == {Ack.AA}
    assert not waiting.done()
    await gate.settle(gate.announced[0])
    assert (await asyncio.wait_for(waiting, 20)).code is Ack.AA


async def test_repeats_in_one_breath_hold_up_nobody_either(gate: Any, adt: Adt) -> None:
    first, again = gate.inbox.receive(adt("M1"), wait=30), gate.inbox.receive(adt("M1"), wait=30)
    other = await asyncio.wait_for(gate.inbox.receive(adt("M2")), 10)
    assert other.code is Ack.AA
    await gate.settle(next(one for one in gate.announced if one.message == 1))
    assert [one.code for one in await asyncio.wait_for(asyncio.gather(first, again), 20)] == [Ack.AA] * 2


async def test_what_could_not_be_delivered_is_processed_anew(gate: Any, adt: Adt) -> None:
    first = gate.inbox.receive(adt(), wait=10)
    await _announced(gate, 1)
    await gate.settle(gate.announced[0], DeliveryState.DEAD)
    told = await asyncio.wait_for(first, 20)
    assert (told.code, told.note, told.delivered) == (Ack.AE, "stored, delivery failed", False)
    again = gate.inbox.receive(adt(), wait=10)
    await _announced(gate, 2)
    await gate.settle(gate.announced[1])
    receipt = await asyncio.wait_for(again, 20)
    assert (receipt.code, receipt.duplicate) == (Ack.AA, False)
    assert "its delivery failed" in (await gate.rows())[1].note


async def _announced(gate: Any, count: int) -> None:
    async with asyncio.timeout(20):
        while len(gate.announced) < count:  # noqa: ASYNC110 - the store tells the loop
            await asyncio.sleep(0.005)
