"""Back-pressure: who outruns a healthy partner is held, who feeds a dead one is not, and nothing is dropped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from hilum.model.delivery import DeliveryState
from hilum.sdk.testing.mllp import Reaction

pytestmark = pytest.mark.anyio

Adt = Callable[..., bytes]
DELIVERED = DeliveryState.DELIVERED
QUICK = {"breaker": {"failures": 2, "open_for": 200}}


def to(partner: Any, **options: Any) -> dict[str, Any]:
    return {"url": f"mllp://127.0.0.1:{partner.port}", **options}


async def sender(hub: Any, bodies: list[bytes], reference: str = "adt/in") -> None:
    """Waits for each answer, as most systems do."""
    async with hub.client(reference) as client:
        for body in bodies:
            answer = await client.ask(body, seconds=60)
            assert answer["MSA-1"] == "AA", answer["MSA-3"]


def backlogs(hub: Any, reference: str) -> list[int]:
    """The backlog of a destination after each commit."""
    found: list[int] = []
    line = hub.lanes(reference).line
    hub.store.listeners.append(lambda _: found.append(line.backlog))
    return found


async def test_64_senders_do_not_outrun_a_slow_partner(
    hub: Any, partners: Any, config: Any, adt: Adt, eventually: Any
) -> None:
    lab = await partners(lambda _: [0.001, "AA"])
    await hub.start(config({"lab": to(lab, max_lag=100)}))
    seen = backlogs(hub, "lab/out")
    held: set[str] = set()

    def watch() -> bool:
        held.update(hub.supervisor.status().sources[0].held)
        return all(one.done() for one in senders)

    senders = [
        asyncio.create_task(sender(hub, [adt(f"S{one}-{number}", f"P{one}") for number in range(30)]))
        for one in range(64)
    ]
    await eventually(watch, 60)
    await asyncio.gather(*senders)  # every one was answered AA on the connection that it had
    assert held == {"lab/out lags"}
    assert max(seen) <= 100 + 64
    await lab.until(64 * 30)
    order = lab.controls
    for one in range(64):
        mine = [control for control in order if control.startswith(f"S{one}-")]
        assert mine == [f"S{one}-{number}" for number in range(30)]
    await eventually(lambda: not hub.supervisor.status().sources[0].held)


async def test_who_waits_for_no_answer_is_held_by_his_socket(
    hub: Any, partners: Any, config: Any, adt: Adt, eventually: Any
) -> None:
    lab = await partners(lambda _: [0.001, "AA"])
    await hub.start(config({"lab": to(lab, max_lag=50)}))
    seen = backlogs(hub, "lab/out")
    controls = [f"M{number}" for number in range(1_500)]
    padding = b"NTE|1||" + b"x" * 2_000 + b"\r"
    async with hub.client() as client:
        client.put(*(adt(one) + padding for one in controls))
        for one in controls:
            answer = await client.answer(seconds=60)
            assert (answer["MSA-1"], answer["MSA-2"]) == ("AA", one)
    assert max(seen) < 700  # the bound, and what had been read from the socket when it was reached
    await lab.until(1_500)
    assert lab.controls == controls


async def test_a_dead_partner_holds_nobody(hub: Any, partners: Any, config: Any, adt: Adt, eventually: Any) -> None:
    lab, ward = await partners(listen=False), await partners()
    await hub.start(config({"lab": to(lab, max_lag=20, **QUICK), "ward": to(ward)}))
    controls = [f"M{number}" for number in range(300)]
    await hub.pour([adt(one) for one in controls])
    await ward.until(300)
    assert ward.controls == controls
    await eventually(lambda: hub.lanes("lab/out").line.backlog == 300)
    await eventually(lambda: hub.lanes("lab/out").health == "unhealthy")
    assert hub.supervisor.status().sources[0].held == ()
    await hub.pour([adt(f"N{number}") for number in range(300)])
    await ward.until(600)
    await lab.start()
    await lab.until(600)
    assert lab.controls == ward.controls


@pytest.mark.ledger_part("S4-88", "a partner that hangs or is down leaves other integrations flowing")
async def test_one_partner_that_hangs_leaves_the_others_alone(
    hub: Any, partners: Any, config: Any, adt: Adt, eventually: Any
) -> None:
    """Two feeds, two partners: while one partner is mute, then dead, the other feed's messages pass one for one."""
    mute, fine = await partners(lambda _: []), await partners()
    routes = [
        {"name": "a", "from": "one/in", "to": ["mute/out"]},
        {"name": "b", "from": "two/in", "to": ["fine/out"]},
        {"name": "c", "from": "both/in", "to": ["mute/out", "fine/out"]},
    ]
    ends = {"mute": to(mute, timeout=30_000, max_lag=10), "fine": to(fine)}
    await hub.start(config(ends, {"one": {}, "two": {}, "both": {}}, routes))
    await hub.pour([adt("A0")], "one/in")
    await mute.until(1)
    for part in range(3):
        await hub.pour([adt(f"B{part}-{number}") for number in range(100)], "two/in")
        await fine.until(100 * (part + 1))
        await eventually(lambda: hub.lanes("fine/out").line.backlog == 0)
    assert hub.lanes("fine/out").status(0, 0).health == "healthy"
    assert hub.supervisor.status().sources[1].held == ()
    await mute.stop()
    await hub.pour([adt(f"C{number}") for number in range(50)], "both/in")
    await fine.until(350)
    assert len(hub.lanes("mute/out").line.lanes) == 1
    await eventually(lambda: hub.lanes("mute/out").line.backlog == 51)


@pytest.mark.parametrize("away", [False, True])
async def test_a_backlog_that_must_not_grow_holds_its_sources(
    hub: Any, partners: Any, config: Any, adt: Adt, eventually: Any, away: bool
) -> None:
    """`max_backlog` is far below `max_lag` here, and holds for a partner that is away as well."""
    reaction: list[Reaction] = [[]]
    lab = await partners(lambda _: reaction[0], listen=not away)
    await hub.start(config({"lab": to(lab, max_backlog=30, timeout=60_000, **QUICK)}, {"adt": {}, "other": {}}))
    seen = backlogs(hub, "lab/out")
    if away:
        await hub.send(adt("FIRST"))
        await eventually(lambda: hub.lanes("lab/out").health == "unhealthy")
    senders = [asyncio.create_task(sender(hub, [adt(f"S{one}-{number}") for number in range(20)])) for one in range(4)]
    await eventually(lambda: hub.supervisor.status().sources[0].held == ("lab/out lags",))
    await asyncio.sleep(0.5)
    assert 30 <= max(seen) <= 30 + 4
    assert not any(one.done() for one in senders)
    reaction[0] = ["AA"]
    if away:
        await lab.start()
    else:
        lab.hang_up()
    await eventually(lambda: all(one.done() for one in senders), 60)
    await asyncio.gather(*senders)
    await lab.until(80)
    await eventually(lambda: not hub.supervisor.status().sources[0].held)


async def test_a_source_is_freed_when_it_no_longer_feeds_what_lags(
    hub: Any, partners: Any, config: Any, adt: Adt, eventually: Any
) -> None:
    mute, fine = await partners(lambda _: []), await partners()
    ends = {"mute": to(mute, max_backlog=5, timeout=60_000), "fine": to(fine)}
    routes = [{"name": "r", "from": "adt/in", "to": ["mute/out"]}]
    await hub.start(config(ends, routes=routes))
    async with hub.client() as client:
        client.put(*(adt(f"M{number}") for number in range(6)))
        for _ in range(6):
            await client.answer()
        await eventually(lambda: hub.supervisor.status().sources[0].held)
        routes = [{"name": "r", "from": "adt/in", "to": ["fine/out"]}]
        await hub.settled(hub.apply(config(ends, routes=routes)))
        assert (await client.ask(adt("M6")))["MSA-1"] == "AA"  # on the connection that was held
    await fine.until(1)
    assert hub.supervisor.status().sources[0].held == ()


async def test_a_full_disk_holds_every_source(hub: Any, partners: Any, config: Any, adt: Adt, eventually: Any) -> None:
    lab = await partners()
    await hub.start(config({"lab": to(lab)}, {"adt": {}, "other": {}}))
    for valve in hub.supervisor.pressure.valves.values():
        valve.hold("the disk is nearly full")
    async with hub.client() as client:
        client.put(adt("M1"))
        assert [one.held for one in hub.supervisor.status().sources] == [("the disk is nearly full",)] * 2
        # the next look finds that there is room on this disk (or the test's machine has none)
        assert (await client.answer(seconds=10))["MSA-1"] == "AA"
    assert hub.supervisor.pressure.free_disk > 0.1
