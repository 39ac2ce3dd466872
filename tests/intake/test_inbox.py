"""Stored, then acknowledged: dispositions, what cannot be stored, answers after delivery."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest

from hilum.errors import StoreError, StoreFull
from hilum.model.delivery import DeliveryState
from hilum.model.message import Ack, Disposition

pytestmark = pytest.mark.anyio

Adt = Callable[..., bytes]
BOTH = {"to": ("lab/out", "ward/out")}


async def test_the_receipt_comes_after_the_commit(gate: Any, adt: Adt) -> None:
    future = gate.inbox.receive(adt())
    assert not future.done()
    receipt = await asyncio.wait_for(future, 20)
    with sqlite3.connect(gate.store.database.path) as other:  # another connection sees committed rows alone
        rows = other.execute("SELECT control_id, disposition, ack, type, routes FROM message").fetchall()
        waiting = other.execute("SELECT destination, state, message FROM delivery").fetchall()
    assert rows == [("M1", Disposition.DELIVERING, "AA", "ADT^A01^ADT_A01", "1")]
    assert waiting == [(11, 0, 1)]
    assert (receipt.code, receipt.disposition, receipt.duplicate) == (Ack.AA, Disposition.DELIVERING, False)
    (row,) = await gate.rows()
    assert (row.uuid, row.body) == (receipt.uuid, adt())


async def test_a_message_goes_along_all_routes(gate: Any, adt: Adt) -> None:
    one = gate.route([{"map": {"set": {"MSH-5": "ONE"}}}], to=("lab/out",), name="one")
    two = gate.route([{"map": {"set": {"MSH-5": "TWO"}}}], to=("lab/out", "ward/out"), name="two")
    gate.inbox.routing = gate.routing(one, two)
    await gate.send(adt())
    made = [(item.destination, item.route, item.ordinal, item.body.split(b"|")[4]) for item in gate.announced]
    assert made == [(11, 2, 0, b"ONE"), (11, 3, 0, b"TWO"), (12, 3, 1, b"TWO")]
    assert (await gate.rows())[0].routes == (2, 3)


@pytest.mark.ledger_part("S4-82", "what fails validation is quarantined or refused, the original kept, nothing guessed")
@pytest.mark.parametrize(
    ("steps", "disposition", "code"),
    [
        ([{"filter": {"where": "MSH-9.1 == 'ORU'"}}], Disposition.FILTERED, Ack.AA),
        ([{"validate": {}}], Disposition.ERROR, Ack.AE),
        ([{"validate": {"on_error": "review"}}], Disposition.REVIEW, Ack.AA),
    ],
)
async def test_every_message_ends_in_a_disposition(
    gate: Any, adt: Adt, steps: list[Any], disposition: Disposition, code: Ack
) -> None:
    gate.inbox.routing = gate.routing(gate.route(steps))
    receipt = await gate.send(adt())
    (row,) = await gate.rows()
    assert (receipt.code, receipt.disposition) == (code, disposition)
    assert (row.disposition, row.ack, row.deliveries) == (disposition, code.value, 0)
    assert row.note.startswith("r: steps[0].")
    assert gate.store.tallies.received[7, disposition] == 1
    assert gate.announced == []


async def test_a_message_that_no_route_takes_is_unrouted(gate: Any, adt: Adt) -> None:
    gate.inbox.routing = gate.routing()
    assert (await gate.send(adt())).disposition is Disposition.UNROUTED
    assert "no route" in (await gate.rows())[0].note


async def test_all_routes_or_none(gate: Any, adt: Adt) -> None:
    """One route fails: the others send nothing either, so that the sender's repeat is no second delivery."""
    bad = gate.route([gate.script("def transform(message):\n    raise ValueError('4711')\n")], name="bad")
    gate.inbox.routing = gate.routing(gate.route(name="good"), bad)
    receipt = await gate.send(adt())
    assert (receipt.code, receipt.disposition) == (Ack.AE, Disposition.ERROR)
    assert "4711" not in receipt.note
    assert receipt.note == "bad: steps[0].script: ValueError"
    assert gate.announced == await gate.deliveries() == []


async def test_a_filter_on_one_route_does_not_stop_another(gate: Any, adt: Adt) -> None:
    picky = gate.route([{"filter": {"where": "MSH-9.1 == 'ORU'"}}], name="picky")
    gate.inbox.routing = gate.routing(gate.route(to=("ward/out",), name="all"), picky)
    assert (await gate.send(adt())).disposition is Disposition.DELIVERING
    assert [one.destination for one in gate.announced] == [12]


async def test_a_rejecting_step_says_what_is_wrong(gate: Any, adt: Adt) -> None:
    gate.inbox.routing = gate.routing(gate.route([{"validate": {}}]))
    receipt = await gate.send(adt())
    assert receipt.errors
    assert {one.severity for one in receipt.errors} == {"E"}


@pytest.mark.parametrize("body", [b"", b"no message", b"\x00\xff", b"PID|1||4711\r", b"MSH"])
async def test_what_cannot_be_read_is_stored_as_an_error(gate: Any, body: bytes) -> None:
    receipt = await gate.send(body)
    (row,) = await gate.rows()
    assert (receipt.code, receipt.disposition) == (Ack.AR, Disposition.ERROR)
    assert (row.disposition, row.ack, row.body) == (Disposition.ERROR, "AR", body)
    assert row.note.startswith("unreadable: ")
    assert gate.store.tallies.received[7, Disposition.ERROR] == 1


async def test_what_was_rejected_is_stored_with_what_is_known(gate: Any, adt: Adt) -> None:
    receipt = await asyncio.wait_for(gate.inbox.reject(adt(), "larger than 10 bytes"), 20)
    (row,) = await gate.rows()
    assert (receipt.code, receipt.note) == (Ack.AR, "larger than 10 bytes")
    assert (row.control_id, row.type, row.disposition) == ("M1", "ADT^A01^ADT_A01", Disposition.ERROR)
    unreadable = await asyncio.wait_for(gate.inbox.reject(b"junk", "no"), 20)
    assert unreadable.code is Ack.AR


async def test_what_was_not_stored_has_no_receipt(gate: Any, adt: Adt, full: Callable[[], Any]) -> None:
    """No room: the sender is told so, nothing half-written stays, and later it works again."""
    await gate.send(adt("M0"))
    with full():
        for _ in range(3):
            with pytest.raises(StoreFull):
                await gate.send(adt("M1"))
    assert [one.control_id for one in await gate.rows()] == ["M0"]
    assert len(gate.announced) == len(await gate.deliveries()) == 1
    receipt = await gate.send(adt("M1"))
    assert (receipt.code, receipt.duplicate) == (Ack.AA, False)  # the failed tries are not remembered
    assert gate.store.tallies.received[7, Disposition.DELIVERING] == 2


async def test_a_database_that_may_not_grow_refuses(gate: Any, adt: Adt) -> None:
    """SQLite's own word for a full disk."""
    await gate.send(adt("M0"))

    def stop_growing(connection: Any) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    await gate.store.write(stop_growing)
    with pytest.raises(StoreFull):
        await gate.send(adt("M1", note=random.randbytes(50_000).hex()))
    receipt = await gate.send(adt("M1", note=random.randbytes(50_000).hex()))  # the writer has connected anew
    assert receipt.code is Ack.AA
    assert [one.control_id for one in await gate.rows()] == ["M0", "M1"]


async def test_a_database_that_cannot_tell_fails_the_one_and_not_the_line(
    opened: Callable[..., Awaitable[Any]], adt: Adt, owner_url: str
) -> None:
    """A lookup that fails answers its sender at once, and what was held behind it goes on."""
    gate = await opened(owner_url)
    with psycopg.connect(owner_url, autocommit=True) as other:
        other.execute("ALTER TABLE search_key RENAME TO gone")
        futures = [gate.inbox.receive(adt(one)) for one in ("M1", "M2")]
        results = await asyncio.wait_for(asyncio.gather(*futures, return_exceptions=True), 20)
        assert all(isinstance(one, StoreError) for one in results), results
        other.execute("ALTER TABLE gone RENAME TO search_key")
    assert (await gate.send(adt("M1"))).code is Ack.AA
    assert gate.inbox.unrouted == 0


async def test_answer_after_delivery(gate: Any, adt: Adt) -> None:
    gate.inbox.routing = gate.routing(gate.route(to=("lab/out", "ward/out")))
    future = gate.inbox.receive(adt(), wait=10)
    await _announced(gate, 2)
    await gate.settle(gate.announced[0])
    await asyncio.sleep(0.1)
    assert not future.done()  # all of them, not one of them
    await gate.settle(gate.announced[1])
    receipt = await asyncio.wait_for(future, 20)
    assert (receipt.code, receipt.delivered, receipt.note) == (Ack.AA, True, "")


async def test_delivery_goes_on_after_the_answer_was_due(gate: Any, adt: Adt) -> None:
    receipt = await gate.send(adt(), wait=0.1)
    assert (receipt.code, receipt.delivered, receipt.note) == (Ack.AE, None, "stored, delivery pending")
    assert len(gate.announced) == 1
    assert [one.state for one in await gate.deliveries()] == [DeliveryState.PENDING]
    await gate.settle(gate.announced[0])
    assert (await gate.send(adt(), wait=10)).code is Ack.AA


async def test_a_message_that_goes_nowhere_needs_no_wait(gate: Any, adt: Adt) -> None:
    gate.inbox.routing = gate.routing(gate.route([{"filter": {"where": "MSH-9.1 == 'ORU'"}}]))
    assert (await gate.send(adt(), wait=30)).code is Ack.AA
    assert (await gate.send(adt(), wait=30)).duplicate


async def test_close_waits_for_what_was_taken(gate: Any, adt: Adt) -> None:
    futures = [gate.inbox.receive(adt("M1")), gate.inbox.receive(adt("M1")), gate.inbox.receive(adt("M2"))]
    await asyncio.wait_for(gate.inbox.close(), 20)
    await gate.store.write(lambda connection: None)
    assert [one.done() for one in futures] == [True] * 3
    assert [one.result().duplicate for one in futures] == [False, True, False]


async def test_a_sender_that_was_cancelled_harms_nobody(gate: Any, adt: Adt) -> None:
    futures = [gate.inbox.receive(adt(f"M{number}"), wait=0.2 if number else None) for number in range(3)]
    futures[0].cancel()
    assert [(await asyncio.wait_for(one, 20)).code for one in futures[1:]] == [Ack.AE, Ack.AE]
    assert len(await gate.rows()) == 3


async def test_a_file_is_seen_by_its_identity(gate: Any, adt: Adt) -> None:
    assert not await gate.inbox.seen("a.hl7|3|abc")
    receipt = await asyncio.wait_for(gate.inbox.receive(adt(), {"identity": "a.hl7|3|abc", "name": "a.hl7"}), 20)
    assert receipt.code is Ack.AA
    assert await gate.inbox.seen("a.hl7|3|abc")
    assert not await gate.inbox.seen("b.hl7|3|abc")
    assert (await gate.rows())[0].attributes == {"identity": "a.hl7|3|abc", "name": "a.hl7"}
    gate.open(endpoint=8)
    assert not await gate.inbox.seen("a.hl7|3|abc")  # another folder's


async def test_order_is_the_order_of_arrival(gate: Any, adt: Adt) -> None:
    controls = [f"M{number}" for number in range(1_500)]
    futures = [gate.inbox.receive(adt(one)) for one in controls]
    await asyncio.wait_for(asyncio.gather(*futures), 60)
    assert [one.control_id for one in await gate.rows()] == controls
    ids = [one.id for one in gate.announced]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(controls)
    assert [one.message for one in gate.announced] == list(range(1, 1_501))


async def _announced(gate: Any, count: int) -> None:
    async with asyncio.timeout(20):
        while len(gate.announced) < count:  # noqa: ASYNC110 - the store tells the loop
            await asyncio.sleep(0.005)
