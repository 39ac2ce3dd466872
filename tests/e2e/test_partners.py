"""Partners that refuse, hang or are away: their messages wait in order, everybody else's go on."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.anyio


def _feed(port: int) -> dict[str, Any]:
    return {"feed": {"url": f"mllp://127.0.0.1:{port}"}}


@pytest.mark.ledger_part("S4-81", "queue: store-and-forward while the partner refuses")
async def test_a_message_that_is_refused_twice_is_delivered_at_the_third_try(e2e: Any, tmp_path: Path) -> None:
    tries: Counter[str] = Counter()

    def judge(arrival: Any) -> str:
        tries[arrival.control] += 1
        return "AE" if arrival.control == "s-1" and tries["s-1"] < 3 else "AA"

    partner, port = await e2e.partner(judge), e2e.free_port()
    hub = e2e.hub(tmp_path, e2e.layout(_feed(port), {"p": {"url": partner.url}}))
    sender = e2e.sender(port, "s")
    await hub.start()
    await sender.run(4)
    await e2e.until(lambda: partner.distinct == 4)
    assert await hub.stop() == 0
    assert partner.controls == ["s-0", "s-1", "s-1", "s-1", "s-2", "s-3"]
    assert len({one.body for one in partner.arrivals if one.control == "s-1"}) == 1  # the same bytes each time
    assert hub.rows("SELECT delivery, number, outcome FROM attempt ORDER BY id") == [
        (2, 1, "transient"),
        (2, 2, "transient"),
    ]
    assert hub.rows("SELECT id, state, attempts FROM delivery ORDER BY id") == [
        (1, 1, 1),
        (2, 1, 3),
        (3, 1, 1),
        (4, 1, 1),
    ]
    await e2e.proof.nothing_lost(hub, [sender], {"p": partner})


async def test_a_partner_that_hangs_gets_the_same_message_again_and_holds_up_nobody(e2e: Any, tmp_path: Path) -> None:
    hanging, prompt, port = await e2e.partner(lambda arrival: None), await e2e.partner(), e2e.free_port()
    slow = {"url": hanging.url, "timeout": 700}
    hub = e2e.hub(tmp_path, e2e.layout(_feed(port), {"slow": slow, "prompt": {"url": prompt.url}}))
    sender = e2e.sender(port, "s")
    await hub.start()
    await sender.run(50)
    await e2e.until(lambda: prompt.distinct == 50)
    await e2e.until(lambda: len(hanging.arrivals) >= 3)
    assert hanging.distinct == 1
    assert len({one.body for one in hanging.arrivals}) == 1
    hanging.judge = lambda arrival: "AA"
    await e2e.until(lambda: hanging.distinct == 50)
    assert await hub.stop() == 0
    assert {kind for (kind,) in hub.rows("SELECT outcome FROM attempt")} == {"ambiguous"}
    assert list(dict.fromkeys(hanging.controls)) == sender.acknowledged
    assert prompt.controls == sender.acknowledged
    await e2e.proof.nothing_lost(hub, [sender], {"slow": hanging, "prompt": prompt})


@pytest.mark.parametrize("answer", ["AR", None], ids=["blocked by a dead letter", "hanging"])
async def test_one_stuck_patient_does_not_stop_the_others(e2e: Any, tmp_path: Path, answer: str | None) -> None:
    """Also where more of the stuck one's messages wait than a healthy lane may lag."""
    partner = await e2e.partner(lambda arrival: answer if arrival.patient == "stuck" else "AA")
    port = e2e.free_port()
    out = {
        "url": partner.url, "lane": {"key": "PID-3.1", "concurrency": 2}, "max_lag": 40, "on_dead": "block",
        "timeout": 1_000,
    }  # fmt: skip
    hub = e2e.hub(tmp_path, e2e.layout(_feed(port), {"p": out}))
    stuck, others = e2e.sender(port, "x", lambda _: "stuck"), e2e.sender(port, "y")
    await hub.start()
    await others.run(5)
    await stuck.run(1)
    await e2e.until(lambda: any(one.patient == "stuck" for one in partner.arrivals))
    await asyncio.wait_for(asyncio.gather(stuck.run(100), others.run(300)), 30)
    await e2e.until(lambda: partner.distinct == 301)
    assert next(one.control for one in partner.arrivals if one.patient == "stuck") == "x-0"
    partner.judge = lambda arrival: "AA"
    if answer:  # a person frees what a dead letter blocks; a restart does not resend it by itself
        assert await hub.stop() == 0
        await hub.start()
    await e2e.until(lambda: partner.distinct == 400)
    assert await hub.stop() == 0
    await e2e.proof.nothing_lost(hub, [stuck, others], {"p": partner})
    mine = [one.control for one in partner.arrivals if one.patient == "stuck"]
    assert list(dict.fromkeys(mine)) == stuck.acknowledged


@pytest.mark.ledger_part("S4-88", "one partner down: the other's lane and the intake go on")
async def test_a_dead_destination_slows_neither_intake_nor_another(e2e: Any, tmp_path: Path) -> None:
    dead, alive, port = await e2e.partner(), await e2e.partner(), e2e.free_port()
    await dead.down()
    hub = e2e.hub(
        tmp_path,
        e2e.layout(_feed(port), {"dead": {"url": dead.url, "max_lag": 50}, "alive": {"url": alive.url, "max_lag": 50}}),
    )
    load = e2e.load(*(e2e.sender(port, f"s{number}") for number in range(4)))
    await hub.start()
    await load.more(2_000)  # forty times what a healthy lane may lag
    assert alive.distinct >= load.acknowledged - 60
    missed = await load.stop()
    await e2e.until(lambda: alive.distinct == missed)
    assert not dead.arrivals
    dead.delay = 0.005
    await dead.up()
    await e2e.until(lambda: dead.distinct > 10)
    load = e2e.load(*load.senders)
    await load.more(100)
    assert dead.distinct < missed, "intake waited until the partner had caught up"
    sent, dead.delay = await load.stop(), 0.0
    await e2e.until(lambda: dead.distinct == alive.distinct == sent)
    assert await hub.stop() == 0
    await e2e.proof.nothing_lost(hub, load.senders, {"dead": dead, "alive": alive})
    e2e.proof.order(hub, dead)
    e2e.proof.order(hub, alive)


async def test_delivery_keeps_pace_with_sixty_four_senders(e2e: Any, tmp_path: Path) -> None:
    """The bound is 200 messages; what is on its way when that is reached, one for each sender, still comes."""
    partner, port = await e2e.partner(), e2e.free_port()
    hub = e2e.hub(tmp_path, e2e.layout(_feed(port), {"p": {"url": partner.url, "max_lag": 200}}))
    load = e2e.load(*(e2e.sender(port, f"s{number:02}") for number in range(64)))
    await hub.start()
    lags = []
    while load.acknowledged < 6_000:
        await asyncio.sleep(0.005)
        lags.append(load.acknowledged - partner.distinct)
    sent = await load.stop()
    await e2e.until(lambda: partner.distinct == sent)
    assert await hub.stop() == 0
    assert max(lags) <= 200 + 2 * 64
    starts = sum(one.lost for one in load.senders)
    assert starts == 0, "a connection was dropped"
    assert min(len(one.acknowledged) for one in load.senders) > 0
    await e2e.proof.nothing_lost(hub, load.senders, {"p": partner})
    e2e.proof.order(hub, partner)
