"""Keyed lanes and bounded memory: stuck patients stop nobody, a day's backlog is no matter of memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from hilum.engine.line import WINDOW
from hilum.model.delivery import DeliveryState

pytestmark = pytest.mark.anyio

Adt = Callable[..., bytes]
Sorted = Callable[[Sequence[bytes]], dict[str, list[str]]]
DEAD, DELIVERED, PENDING = DeliveryState.DEAD, DeliveryState.DELIVERED, DeliveryState.PENDING
SMALL = 200, 1 << 20  # so that few messages show what many do
QUICK = {"breaker": {"failures": 2, "open_for": 200}}


def to(partner: Any, **options: Any) -> dict[str, Any]:
    return {"url": f"mllp://127.0.0.1:{partner.port}", **options}


def keyed(partner: Any, concurrency: int = 1, **options: Any) -> dict[str, Any]:
    return to(partner, lane={"key": "PID-3.1", "concurrency": concurrency}, **options)


def stubborn(body: bytes) -> list[str]:
    """A partner that does not want to hear of one patient."""
    return ["AE"] if b"||STUCK^" in body else ["AA"]


@pytest.mark.parametrize("concurrency", [1, 8])
async def test_one_stuck_patient_does_not_stop_the_others(
    hub: Any, partners: Any, config: Any, adt: Adt, by_patient: Sorted, eventually: Any, concurrency: int
) -> None:
    lab = await partners(stubborn)
    await hub.start(config({"lab": keyed(lab, concurrency, retries=1_000)}))
    patients = ["STUCK", *(f"P{number}" for number in range(12))]
    controls = [(f"M{number}", patients[number % len(patients)]) for number in range(260)]
    await hub.pour([adt(*one) for one in controls])
    others = [one for one, patient in controls if patient != "STUCK"]
    async with asyncio.timeout(30):
        while len({one for one in lab.controls if one in others}) < len(others):  # noqa: ASYNC110 - the partner counts
            await asyncio.sleep(0.02)
    seen = by_patient(lab.received)
    for patient in patients[1:]:
        assert seen[patient] == [one for one, whose in controls if whose == patient]
    assert set(seen["STUCK"]) == {"M0"}  # its first one, again and again
    await eventually(lambda: hub.lanes("lab/out").line.backlog == 20)
    status = hub.lanes("lab/out").status(0, 0)
    assert [one.waiting for one in status.stuck] == [20] or status.state == "sending"


async def test_each_lane_has_one_message_out_at_a_time(
    hub: Any, partners: Any, config: Any, adt: Adt, by_patient: Sorted
) -> None:
    out: dict[str, int] = {}
    worst: dict[str, int] = {}

    def react(body: bytes) -> list[Any]:
        patient = body.split(b"PID|1||")[1].split(b"^")[0].decode()
        out[patient] = out.get(patient, 0) + 1
        worst[patient] = max(worst.get(patient, 0), out[patient])
        asyncio.get_running_loop().call_later(0.005, lambda: out.update({patient: out[patient] - 1}))
        return [0.01, "AA"]

    lab = await partners(react)
    await hub.start(config({"lab": keyed(lab, 8)}))
    controls = [(f"M{number}", f"P{number % 5}") for number in range(100)]
    await hub.pour([adt(*one) for one in controls])
    await hub.become(DELIVERED)
    assert worst == {f"P{number}": 1 for number in range(5)}
    assert 1 < lab.accepted <= 8
    assert by_patient(lab.received) == {
        f"P{number}": [one for one, whose in controls if whose == f"P{number}"] for number in range(5)
    }


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_twenty_thousand_wait_in_bounded_memory(
    hub: Any, partners: Any, config: Any, adt: Adt, eventually: Any
) -> None:
    lab = await partners(listen=False)
    await hub.start(config({"lab": to(lab, **QUICK)}))
    controls = [f"M{number}" for number in range(20_000)]
    await hub.pour([adt(one) for one in controls[:15_000]])
    held = hub.lanes("lab/out").line
    await eventually(lambda: held.backlog == 15_000)
    assert held.held == WINDOW
    await hub.restart()  # in between
    held = hub.lanes("lab/out").line
    await hub.pour([adt(one) for one in controls[15_000:]])
    await eventually(lambda: held.backlog == 20_000)
    assert held.held <= WINDOW
    most = 0

    def watch() -> bool:
        nonlocal most
        most = max(most, held.held)
        return len(lab.received) >= 20_000

    await lab.start()
    await eventually(watch, 120)
    assert most <= WINDOW
    assert lab.controls == controls
    await eventually(lambda: not held.backlog)
    assert (held.held, held.held_bytes, held.lanes) == (0, 0, {})
    assert (await hub.standing("lab/out"))[1:] == (20_000, 0)
    watermark = (await hub.standing("lab/out"))[0]
    assert watermark == 20_000


async def test_what_did_not_fit_follows_in_order(
    hub: Any, partners: Any, config: Any, adt: Adt, eventually: Any
) -> None:
    lab = await partners(listen=False)
    hub.window = SMALL
    await hub.start(config({"lab": to(lab, **QUICK)}))
    controls = [f"M{number}" for number in range(1_500)]
    await hub.pour([adt(one) for one in controls[:1_000]])
    held = hub.lanes("lab/out").line
    assert held.held <= 200
    await lab.start()
    await hub.pour([adt(one) for one in controls[1_000:]])  # while it catches up
    await lab.until(1_500)
    assert lab.controls == controls
    await eventually(lambda: not held.backlog)
    assert (held.held, held.held_bytes, held.behind) == (0, 0, False)


@pytest.mark.parametrize("restart", [False, True])
async def test_a_stuck_patient_is_parked_and_the_watermark_moves_on(
    hub: Any, partners: Any, config: Any, adt: Adt, by_patient: Sorted, eventually: Any, restart: bool
) -> None:
    """More waits for one patient than memory holds: the others flow, and afterwards that one follows in order."""
    lab = await partners(stubborn)
    # blocked at once, so that it does not depend on when it is tried
    hub.window = SMALL
    await hub.start(config({"lab": keyed(lab, 4, retries=0, on_dead="block")}))
    stuck = [f"S{number}" for number in range(400)]
    await hub.pour([adt(one, "STUCK") for one in stuck])
    others = [f"O{number}" for number in range(300)]
    await hub.pour([adt(one, f"P{number % 7}") for number, one in enumerate(others)])
    await eventually(lambda: {*others} <= {*lab.controls})
    held = hub.lanes("lab/out").line
    await eventually(lambda: held.backlog == 400)
    assert held.held <= 200
    await hub.send(adt("LAST", "P1"))
    await eventually(lambda: "LAST" in lab.controls)
    await hub.become(*[PENDING] * 400, *[DELIVERED] * 301)
    assert (await hub.standing("lab/out"))[0] == 701  # all that is open is parked
    if restart:
        await hub.restart()
        assert hub.lanes("lab/out").line.backlog == 400
        await eventually(lambda: hub.lanes("lab/out").status(0, 0).stuck)
        await hub.send(adt("NEXT", "P2"))
        await eventually(lambda: "NEXT" in lab.controls)
        held = hub.lanes("lab/out").line
    await hub.send(adt("S400", "STUCK"))  # comes behind those that are parked
    lab.react = lambda _: ["AA"]
    hub.lanes("lab/out").retry_now()
    await eventually(lambda: not held.backlog)
    seen = by_patient(lab.received)["STUCK"]
    first = seen.index("S1")
    assert set(seen[:first]) == {"S0"}
    assert seen[first - 1 :] == [*stuck, "S400"]
    await hub.supervisor.recorder.flush()
    assert await hub.store.read(_parked_rows) == 0
    assert (held.held, held.held_bytes, held.lanes) == (0, 0, {})


def _parked_rows(connection: Any) -> int:
    found: int = connection.exec_driver_sql("SELECT count(*) FROM parked").scalar_one()
    return found


async def test_many_stuck_patients_do_not_stop_the_others_either(
    hub: Any, partners: Any, config: Any, adt: Adt, eventually: Any
) -> None:
    lab = await partners(lambda body: ["AR"] if b"||BAD" in body else ["AA"])
    hub.window = SMALL
    await hub.start(config({"lab": keyed(lab, 4, on_dead="block")}))
    bad = [adt(f"B{number}", f"BAD{number % 150}") for number in range(900)]
    await hub.pour(bad)
    await hub.pour([adt(f"G{number}", f"P{number % 9}") for number in range(300)])
    await eventually(lambda: sum(one.startswith("G") for one in lab.controls) == 300)
    held = hub.lanes("lab/out").line
    await eventually(lambda: held.backlog == 900)
    assert held.held <= 200 + 150  # a head for each of the stuck
    await hub.restart()
    await hub.pour([adt(f"H{number}", f"P{number % 9}") for number in range(300)])
    await eventually(lambda: sum(one.startswith("H") for one in lab.controls) == 300)
    assert [one for one in lab.controls if one.startswith("H")] != []
    await eventually(lambda: hub.lanes("lab/out").line.backlog == 900)


async def test_memory_does_not_grow_behind_one_that_is_stuck(
    hub: Any, partners: Any, config: Any, adt: Adt, eventually: Any
) -> None:
    """Nothing overflows, yet thousands end behind one that does not: the watermark must not wait for it."""
    lab = await partners(stubborn)
    hub.window = SMALL
    await hub.start(config({"lab": keyed(lab, retries=0, on_dead="block")}))
    await hub.send(adt("S0", "STUCK"))
    for part in range(10):
        await hub.pour([adt(f"M{part}-{number}", f"P{number % 3}") for number in range(150)])
        await eventually(lambda: hub.lanes("lab/out").line.backlog <= 1)
    held = hub.lanes("lab/out").line
    assert len(held._order) <= 2 * 200 + 1
    assert len(held._done) <= 2 * 200 + 1
    assert (await hub.standing("lab/out"))[0] > 1_000
    await hub.restart()
    await eventually(lambda: hub.lanes("lab/out").status(0, 0).state == "blocked")
    assert hub.lanes("lab/out").line.backlog == 1


async def test_a_new_delivery_for_a_parked_lane_holds_up_nobody(
    hub: Any, partners: Any, config: Any, adt: Adt, eventually: Any
) -> None:
    lab = await partners(stubborn)
    hub.window = SMALL
    await hub.start(config({"lab": keyed(lab, retries=0, on_dead="block")}))
    await hub.pour([adt(f"S{number}", "STUCK") for number in range(300)])
    await hub.send(adt("O1", "P1"))
    await eventually(lambda: "O1" in lab.controls)
    for number in range(5):
        await hub.send(adt(f"T{number}", "STUCK"), adt(f"Q{number}", "P1"))
        await eventually(lambda: f"Q{number}" in lab.controls)  # noqa: B023 - awaited within the turn
    await eventually(lambda: hub.lanes("lab/out").line.backlog == 305)


async def test_parking_survives_a_store_that_is_full(
    hub: Any, partners: Any, config: Any, adt: Adt, eventually: Any, full: Any
) -> None:
    lab = await partners(lambda body: ["AE"] if b"||STUCK^" in body else ["AA"])
    hub.window = SMALL
    await hub.start(config({"lab": keyed(lab, retries=1_000)}))
    await hub.pour([adt(f"S{number}", "STUCK") for number in range(300)])
    with full("parked", "INSERT"):
        await hub.send(adt("O1", "P1"))
        await asyncio.sleep(1.5)  # retries fall into the tries to park
    await eventually(lambda: "O1" in lab.controls)
    lab.react = lambda _: ["AA"]
    hub.lanes("lab/out").retry_now()
    await eventually(lambda: not hub.lanes("lab/out").line.backlog)
    seen = [one for one in lab.controls if one.startswith("S")]
    assert list(dict.fromkeys(seen)) == [f"S{number}" for number in range(300)]


async def test_a_body_is_made_again_when_its_turn_comes(hub: Any, partners: Any, config: Any, adt: Adt) -> None:
    lab = await partners(listen=False)
    script = hub.config_folder / "number.py"
    script.write_text("n = 0\ndef transform(m):\n    global n\n    n += 1\n    m.set('MSH-6', str(n))\n")
    routes = [
        {"name": "pure", "from": "adt/in", "steps": [{"map": {"set": {"MSH-5": "LAB"}}}], "to": ["lab/out"]},
        {"name": "kept", "from": "adt/in", "steps": [{"script": {"file": "number.py"}}], "to": ["lab/out"]},
    ]
    hub.window = WINDOW, 1_000
    await hub.start(config({"lab": to(lab, **QUICK)}, routes=routes))
    await hub.pour([adt(f"M{number}") for number in range(50)])
    held = hub.lanes("lab/out").line
    assert held.held_bytes <= 1_000
    assert sum(one.body is None for one in held.lanes[0].queue) >= 80
    await lab.start()
    await lab.until(100)
    fields = [body.split(b"|") for body in lab.received]
    assert sorted(one[4] for one in fields) == [b"HUB"] * 50 + [b"LAB"] * 50
    assert [one[5] for one in fields if one[4] == b"HUB"] == [b"%d" % number for number in range(1, 51)]
    await hub.become(DELIVERED)
    assert held.held_bytes == 0


async def test_a_body_that_cannot_be_made_again_is_a_dead_letter_with_a_reason(
    hub: Any, partners: Any, config: Any, adt: Adt
) -> None:
    lab = await partners(listen=False)
    routes = [{"name": "r", "from": "adt/in", "steps": [{"map": {"set": {"MSH-5": "LAB"}}}], "to": ["lab/out"]}]
    await hub.start(config({"lab": to(lab, **QUICK)}, routes=routes))
    await hub.pour([adt("M1"), adt("M2"), adt("M3"), adt("M4")])
    await hub.stop()
    await hub.open()

    def damage(connection: Any) -> None:
        connection.exec_driver_sql("UPDATE delivery SET digest = digest + 1 WHERE id = 1")  # an upgrade made it differ
        connection.exec_driver_sql("DELETE FROM body WHERE message = 2")  # retention
        connection.exec_driver_sql("UPDATE body SET sealed = zeroblob(99) WHERE message = 3")  # a bad disk

    await hub.store.write(damage)
    await lab.start()
    await hub.run()
    found = await hub.become(DEAD, DEAD, DEAD, DELIVERED)
    assert {one.detail for one in found[:3]} == {"cannot be made again"}
    reasons = [(await hub.attempts(one.id))[-1].detail for one in found[:3]]
    assert "no longer makes the bytes" in reasons[0]
    assert "retention" in reasons[1]
    assert "does not have" in reasons[2] or "changed" in reasons[2]
    assert lab.controls == ["M4"]


async def test_what_cannot_be_made_again_may_block_too(
    hub: Any, partners: Any, config: Any, adt: Adt, eventually: Any
) -> None:
    lab = await partners(listen=False)
    await hub.start(config({"lab": to(lab, on_dead="block", **QUICK)}))
    await hub.pour([adt("M1"), adt("M2")])
    await hub.stop()
    await hub.open()
    await hub.store.write(lambda connection: connection.exec_driver_sql("DELETE FROM body WHERE message = 1"))
    await lab.start()
    await hub.run()
    await eventually(lambda: hub.lanes("lab/out").status(0, 0).state == "blocked")
    assert "cannot be made again" in hub.lanes("lab/out").status(0, 0).stuck[0].reason
    assert lab.controls == []
