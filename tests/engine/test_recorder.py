"""What became of a delivery is written down: in the mark at once, in rows in batches, and never lost on the way."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hilum.model.delivery import DeliveryState

pytestmark = pytest.mark.anyio

Adt = Callable[..., bytes]
DELIVERED, PENDING = DeliveryState.DELIVERED, DeliveryState.PENDING
QUICK = {"breaker": {"failures": 2, "open_for": 200}}


def to(partner: Any, **options: Any) -> dict[str, Any]:
    return {"url": f"mllp://127.0.0.1:{partner.port}", **options}


def marked(folder: Path) -> list[int]:
    """The deliveries that the mark names, as the next start would read them."""
    data = (folder / "data" / "hub.mark").read_bytes()[16:]
    return sorted(one for (one,) in struct.iter_unpack("<Q", data) if one)


async def test_rows_follow_and_the_mark_empties(hub: Any, partners: Any, config: Any, adt: Adt) -> None:
    lab = await partners()
    await hub.start(config({"lab": to(lab)}))
    await hub.pour([adt(f"M{number}") for number in range(700)])
    await lab.until(700)
    found = await hub.become(DELIVERED)
    assert len(found) == 700
    assert all(one.done_at is not None for one in found)
    watermark, delivered, failed = await hub.standing("lab/out")
    assert (watermark, delivered, failed) == (700, 700, 0)
    assert marked(hub.folder) == []


async def test_while_rows_cannot_be_written_nothing_more_is_sent(
    hub: Any, partners: Any, config: Any, adt: Adt, eventually: Any, full: Any
) -> None:
    lab = await partners()
    await hub.start(config({"lab": to(lab)}))
    with full("delivery", "UPDATE"):
        await hub.pour([adt(f"M{number}") for number in range(10)])
        await lab.until(10)
        await eventually(lambda: not hub.supervisor.recorder._room.is_set())  # the first try to write has failed
        assert marked(hub.folder) == list(range(1, 11))
        codes = await hub.send(*(adt(f"N{number}") for number in range(30)))
        await asyncio.sleep(1.5)  # more tries fail
        assert lab.controls == [f"M{number}" for number in range(10)]
        assert await hub.store.read(_states) == {PENDING: 10 + codes.count("AA")}
    stored = [f"N{number}" for number, code in enumerate(codes) if code == "AA"]
    assert stored
    await lab.until(10 + len(stored))
    assert lab.controls == [f"M{number}" for number in range(10)] + stored
    await hub.become(DELIVERED)
    assert (await hub.standing("lab/out"))[1:] == (10 + len(stored), 0)
    assert marked(hub.folder) == []


def _states(connection: Any) -> dict[DeliveryState, int]:
    rows = connection.exec_driver_sql("SELECT state, count(*) FROM delivery GROUP BY state")
    return {DeliveryState(state): count for state, count in rows}


async def test_attempts_survive_a_full_store_too(hub: Any, partners: Any, config: Any, adt: Adt, full: Any) -> None:
    lab = await partners()
    lab.next.append(["AE"])
    await hub.start(config({"lab": to(lab)}))
    with full("attempt", "INSERT"):
        await hub.send(adt("M1"))
        await lab.until(1)
        await asyncio.sleep(0.3)
    await lab.until(2)
    (only,) = await hub.become(DELIVERED)
    assert [one.detail for one in await hub.attempts(only.id)] == ["AE"]


async def test_what_the_mark_names_is_delivered_after_a_crash(
    hub: Any, partners: Any, config: Any, adt: Adt, full: Any
) -> None:
    lab = await partners()
    await hub.start(config({"lab": to(lab)}))
    await hub.send(adt("M1"))
    await hub.become(DELIVERED)
    with full("delivery", "UPDATE"):
        await hub.pour([adt(f"M{number}") for number in range(2, 12)])
        await asyncio.sleep(1.3)
        sent = lab.controls
        ids = marked(hub.folder)
        assert ids == list(range(2, len(sent) + 1))
        crashed = hub.folder / "crashed"
        shutil.copytree(hub.folder / "data", crashed / "data")  # what kill -9 would leave
    await lab.until(11)
    await hub.stop()
    shutil.rmtree(hub.folder / "data")
    shutil.copytree(crashed / "data", hub.folder / "data")
    _lift(hub.folder / "data" / "hub.db")
    await hub.open()
    await hub.run()
    await lab.until(11 + 11 - len(sent))
    assert lab.controls[11:] == [f"M{number}" for number in range(len(sent) + 1, 12)]
    found = await hub.become(DELIVERED)
    assert {one.detail for one in found[1 : len(sent)]} == {"acknowledged before a crash"}
    assert (await hub.standing("lab/out"))[1:] == (11, 0)


def _lift(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("DROP TRIGGER full")
    connection.commit()
    connection.close()


async def test_a_full_mark_loses_no_result(hub: Any, partners: Any, config: Any, adt: Adt, eventually: Any) -> None:
    """Sixteen lanes are out when the last free slot of the mark goes: their results are written all the same."""
    lab = await partners(lambda _: [0.2, "AA"])
    await hub.start(config({"lab": to(lab, lane={"key": "PID-3.1", "concurrency": 16})}))
    mark = hub.store.mark
    taken = [mark.add(1 << 40) for _ in range(len(mark._free) - 3)]  # the store is slow: 3 slots are left
    await hub.pour([adt(f"M{number}", f"P{number}") for number in range(40)])
    await lab.until(16)
    await hub.become(*[DELIVERED] * 40)
    mark.clear(taken)
    assert hub.lanes("lab/out").line.backlog == 0
    assert len(set(lab.controls)) == len(lab.controls) == 40


async def test_results_of_a_closing_hub_are_written(hub: Any, partners: Any, config: Any, adt: Adt) -> None:
    lab = await partners(lambda _: [0.3, "AA"])
    await hub.start(config({"lab": to(lab)}))
    await hub.send(adt("M1"), adt("M2"), adt("M3"))
    await lab.until(1)
    await hub.stop()  # M1 is out: its answer is awaited and written
    assert lab.controls == ["M1"]
    await hub.open()
    await hub.run()
    await lab.until(3)
    assert lab.controls == ["M1", "M2", "M3"]
    await hub.become(DELIVERED)


async def test_a_watermark_never_passes_what_waits(
    hub: Any, partners: Any, config: Any, adt: Adt, eventually: Any
) -> None:
    """Two destinations share the ids: one that has nothing follows the other's, one that waits stays behind."""
    lab, ward = await partners(), await partners(listen=False)
    routes = [
        {"name": "a", "from": "adt/in", "to": ["lab/out"]},
        {"name": "b", "from": "other/in", "to": ["ward/out"]},
    ]
    await hub.start(config({"lab": to(lab), "ward": to(ward, **QUICK)}, {"adt": {}, "other": {}}, routes))
    await hub.pour([adt(f"A{number}") for number in range(10)])
    await lab.until(10)
    await hub.send(adt("B1"), reference="other/in")
    await hub.pour([adt(f"C{number}") for number in range(10)])
    await lab.until(20)
    await hub.become(*[DELIVERED] * 10, PENDING, *[DELIVERED] * 10)
    assert (await hub.standing("lab/out"))[0] == 21
    assert (await hub.standing("ward/out"))[0] == 10
    await hub.restart()
    await ward.start()
    await ward.until(1)
    assert ward.controls == ["B1"]
    assert lab.controls == [f"A{number}" for number in range(10)] + [f"C{number}" for number in range(10)]
