"""kill -9 under load: what was acknowledged is there, in order, and comes twice at most once."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import psycopg
import pytest

pytestmark = pytest.mark.anyio


async def _kill_again_and_again(e2e: Any, folder: Path, kills: int, database: str | None = None) -> None:
    plain, keyed = await e2e.partner(), await e2e.partner()
    port = e2e.free_port()
    lane = {"key": "PID-3.1", "concurrency": 4}
    config = e2e.layout(
        {"feed": {"url": f"mllp://127.0.0.1:{port}"}},
        {"plain": {"url": plain.url}, "keyed": {"url": keyed.url, "lane": lane}},
    )
    hub = e2e.hub(folder, config, database=database)
    load = e2e.load(*(e2e.sender(port, f"s{number}") for number in range(6)))
    chance = random.Random()
    for life in range(kills):
        hub.spawn()
        if life % 5 == 4:  # while it starts
            await asyncio.sleep(chance.uniform(0.3, 1.5))
        else:
            await load.more()
            await asyncio.sleep(chance.uniform(0.1, 1.5))
        hub.kill()
        plain.life = keyed.life = life + 1
    await hub.start()
    await load.more(100)
    sent = await load.stop()
    await e2e.until(lambda: plain.distinct >= sent and keyed.distinct >= sent)
    await e2e.until(lambda: hub.rows("SELECT count(*) FROM delivery WHERE state = 0") == [(0,)])
    figures = await hub.figures()
    (stored,) = hub.rows("SELECT count(*) FROM message")[0]
    assert figures["hilum_messages_received_total", "delivering", "feed/in"] == stored
    for name in ("plain/out", "keyed/out"):
        assert figures["hilum_deliveries_total", name, "ward", "delivered"] == stored
        assert figures["hilum_backlog", name, "ward"] == 0
    assert await hub.stop() == 0
    assert sum(one.lost for one in load.senders) >= kills / 2, "the kills met no load"
    await e2e.proof.nothing_lost(hub, load.senders, {"plain": plain, "keyed": keyed})
    e2e.proof.order(hub, plain)
    e2e.proof.order(hub, keyed, keyed=True)


@pytest.mark.slow
@pytest.mark.ledger("S2-118")
@pytest.mark.ledger_part("S0-38", "inbox de-duplication, at-least-once delivery: nothing lost, no message stored twice")
async def test_twenty_kills_lose_nothing(e2e: Any, tmp_path: Path) -> None:
    await _kill_again_and_again(e2e, tmp_path, kills=20)


@pytest.mark.slow
@pytest.mark.ledger("S2-118")
async def test_five_kills_lose_nothing_on_postgresql(e2e: Any, tmp_path: Path, postgres: str) -> None:
    parts = psycopg.conninfo.conninfo_to_dict(postgres)
    password = f":{parts['password']}" if parts.get("password") else ""
    url = f"postgresql://{parts['user']}{password}@{parts['host']}:{parts['port']}/{parts['dbname']}"
    await _kill_again_and_again(e2e, tmp_path, kills=5, database=url)


async def test_positions_stay_gapless_where_a_lane_rested_over_two_kills(e2e: Any, tmp_path: Path) -> None:
    partner = await e2e.partner(lambda arrival: None)
    port = e2e.free_port()
    lane = {"key": "PID-3.1", "concurrency": 4}
    hub = e2e.hub(
        tmp_path, e2e.layout({"feed": {"url": f"mllp://127.0.0.1:{port}"}}, {"p": {"url": partner.url, "lane": lane}})
    )
    resting, moving = e2e.sender(port, "r", lambda _: "resting"), e2e.sender(port, "m", lambda _: "moving")
    await hub.start()
    await resting.run(1)  # in its lane without an answer, so no result writes down where the shards stand
    hub.kill()
    partner.judge = lambda arrival: None if arrival.patient == "resting" else "AA"
    partner.life = 1
    await hub.start()
    await moving.run(1)
    await e2e.until(lambda: hub.rows("SELECT count(*) FROM delivery WHERE state = 1") == [(1,)])
    hub.kill()
    partner.judge = lambda arrival: "AA"
    partner.life = 2
    await hub.start()
    await resting.run(2)
    await e2e.until(lambda: partner.distinct == 3)
    assert await hub.stop() == 0
    await e2e.proof.nothing_lost(hub, [resting, moving], {"p": partner})
    e2e.proof.order(hub, partner, keyed=True)


@pytest.mark.slow
async def test_a_kill_while_a_parked_lane_drains_repeats_one(e2e: Any, tmp_path: Path) -> None:
    """A stuck patient's deliveries are put aside; when they flow again, a crash must not send them all twice."""
    partner = await e2e.partner(lambda arrival: None if arrival.patient == "stuck" else "AA")
    port = e2e.free_port()
    out = {
        "url": partner.url, "lane": {"key": "PID-3.1", "concurrency": 2}, "timeout": 2_000, "max_lag": 100_000,
        "breaker": {"failures": 1_000},
    }  # fmt: skip
    hub = e2e.hub(tmp_path, e2e.layout({"feed": {"url": f"mllp://127.0.0.1:{port}"}}, {"p": out}))
    await hub.start()
    senders = [e2e.sender(port, f"x{number}", lambda _: "stuck") for number in range(8)]
    other = e2e.sender(port, "y", lambda _: "free")
    await asyncio.gather(*(one.run(620) for one in senders))
    await other.run(20)
    await e2e.until(lambda: hub.rows("SELECT count(*) FROM parked")[0][0] > 600)
    await e2e.until(lambda: sum(one.patient == "free" for one in partner.arrivals) >= 20)
    partner.judge, partner.delay = (lambda arrival: "AA"), 0.001
    await e2e.until(lambda: partner.distinct > 500)
    hub.kill()
    partner.life = 1
    await hub.start()
    await e2e.until(lambda: partner.distinct == 620 * 8 + 20)
    assert await hub.stop() == 0
    before = [one for one in partner.arrivals if one.life == 0]
    repeated = [one for one in partner.arrivals if one.life == 1 and one.control in {old.control for old in before}]
    assert len(repeated) <= 2
    assert hub.rows("SELECT count(*) FROM parked") == [(0,)]
    await e2e.proof.nothing_lost(hub, [*senders, other], {"p": partner})
