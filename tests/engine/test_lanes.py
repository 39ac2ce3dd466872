"""Delivery over real sockets: order, retries, dead letters, and what a partner's answers mean."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from hilum.model.delivery import DeliveryState
from hilum.sdk.testing.mllp import CLOSE

pytestmark = pytest.mark.anyio

Adt = Callable[..., bytes]
DELIVERED, DEAD, EXPIRED = DeliveryState.DELIVERED, DeliveryState.DEAD, DeliveryState.EXPIRED
PENDING, SKIPPED = DeliveryState.PENDING, DeliveryState.SKIPPED
QUICK = {"breaker": {"failures": 2, "open_for": 200}}


def to(partner: Any, **options: Any) -> dict[str, Any]:
    return {"url": f"mllp://127.0.0.1:{partner.port}", **options}


async def test_what_comes_in_goes_out_in_order(hub: Any, partners: Any, config: Any, adt: Adt) -> None:
    lab, ward = await partners(), await partners()
    await hub.start(config({"lab": to(lab), "ward": to(ward)}))
    controls = [f"M{number}" for number in range(400)]
    await hub.pour([adt(one) for one in controls])
    await lab.until(400)
    await ward.until(400)
    assert lab.controls == ward.controls == controls
    assert lab.accepted == ward.accepted == 1
    found = await hub.become(DELIVERED)
    assert {(one.attempts, one.detail) for one in found} == {(1, "AA")}
    assert (await hub.standing("lab/out"))[1:] == (400, 0)
    assert hub.lanes("lab/out").line.backlog == 0


@pytest.mark.ledger_part("S2-114", "an answer about the message uses up a retry, each attempt is logged")
async def test_ae_is_tried_again_then_the_next_follows(hub: Any, partners: Any, config: Any, adt: Adt) -> None:
    lab = await partners()
    lab.next.extend([["AE"], ["CE"], ["AA"]])
    await hub.start(config({"lab": to(lab, retries=3)}))
    assert await hub.send(adt("M1"), adt("M2")) == ["AA", "AA"]
    await lab.until(4)
    assert lab.controls == ["M1", "M1", "M1", "M2"]
    assert lab.received[0] == lab.received[2]
    first, second = await hub.become(DELIVERED)
    assert (first.attempts, second.attempts) == (3, 1)
    tried = await hub.attempts(first.id)
    assert [(one.number, one.outcome, one.detail) for one in tried] == [(1, "transient", "AE"), (2, "transient", "CE")]


async def test_retries_used_up_is_a_dead_letter_and_the_lane_goes_on(
    hub: Any, partners: Any, config: Any, adt: Adt
) -> None:
    lab = await partners(lambda body: ["AE"] if b"|M1|" in body else ["AA"])
    await hub.start(config({"lab": to(lab, retries=2)}))
    await hub.send(adt("M1"), adt("M2"))
    await lab.until(4)
    assert lab.controls == ["M1", "M1", "M1", "M2"]
    first, _second = await hub.become(DEAD, DELIVERED)
    assert (first.state, first.detail, first.attempts) == (DEAD, "retries used up", 3)
    assert (await hub.standing("lab/out"))[1:] == (1, 1)
    assert hub.store.tallies.failed[(await hub.endpoints())["lab/out"]] == 1


@pytest.mark.parametrize("code", ["AR", "CR"])
async def test_a_rejection_is_a_dead_letter_at_once(hub: Any, partners: Any, config: Any, adt: Adt, code: str) -> None:
    lab = await partners(lambda body: [code] if b"|M1|" in body else ["AA"])
    await hub.start(config({"lab": to(lab)}))
    await hub.send(adt("M1"), adt("M2"))
    await lab.until(2)
    first, _second = await hub.become(DEAD, DELIVERED)
    assert (first.state, first.detail, first.attempts) == (DEAD, "permanent", 1)
    assert [one.detail for one in await hub.attempts(first.id)] == [code]


async def test_a_dead_letter_may_block_its_lane_until_a_person_decides(
    hub: Any, partners: Any, config: Any, adt: Adt, eventually: Any
) -> None:
    lab = await partners(lambda body: ["AR"] if b"|M1|" in body else ["AA"])
    await hub.start(config({"lab": to(lab, on_dead="block")}))
    await hub.send(adt("M1"), adt("M2"))
    lanes = hub.lanes("lab/out")
    await eventually(lambda: lanes.status(0, 0).stuck)
    status = lanes.status(0, 0)
    assert (status.state, status.health, status.backlog) == ("blocked", "unhealthy", 2)
    (stuck,) = status.stuck
    assert (stuck.waiting, stuck.retry_in, stuck.attempts) == (2, None, 1)
    assert "dead letter" in stuck.reason
    assert lab.controls == ["M1"]
    number = (await hub.endpoints())["lab/out"]
    done = await hub.job("retry_lane", destination=number)
    assert done.state == "done"
    await lab.until(2)
    assert lab.controls == ["M1", "M1"]  # once more, and blocked again
    await eventually(lambda: lanes.status(0, 0).stuck)
    later = await hub.job("skip_delivery", destination=number, delivery=stuck.delivery + 1, reason="not the head")
    assert (later.state, "head" in later.result["reason"]) == ("failed", True)
    done = await hub.job("skip_delivery", destination=number, delivery=stuck.delivery, reason="wrong patient")
    assert done.state == "done"
    await lab.until(3)
    first, _second = await hub.become(SKIPPED, DELIVERED)
    assert (first.state, first.detail) == (SKIPPED, "wrong patient")
    assert (await hub.standing("lab/out"))[1:] == (1, 1)


async def test_a_blocked_lane_is_still_blocked_after_a_restart(
    hub: Any, partners: Any, config: Any, adt: Adt, eventually: Any
) -> None:
    lab = await partners(lambda body: ["AE"] if b"|M1|" in body else ["AA"])
    await hub.start(config({"lab": to(lab, on_dead="block", retries=0)}))
    await hub.send(adt("M1"), adt("M2"))
    await eventually(lambda: hub.lanes("lab/out").status(0, 0).stuck)
    await hub.restart()
    await eventually(lambda: hub.lanes("lab/out").status(0, 0).state == "blocked")
    assert lab.controls == ["M1", "M1"]
    await hub.become(PENDING)


@pytest.mark.ledger_part("S2-114", "a partner that is away uses up no retry")
async def test_a_partner_that_is_away_costs_no_retry_and_no_message(
    hub: Any, partners: Any, config: Any, adt: Adt, eventually: Any
) -> None:
    lab = await partners(listen=False)
    await hub.start(config({"lab": to(lab, retries=0, **QUICK)}))
    controls = [f"M{number}" for number in range(20)]
    await hub.pour([adt(one) for one in controls])
    lanes = hub.lanes("lab/out")
    await eventually(lambda: lanes.breaker.failures >= 4)
    assert lanes.status(0, 0).state == "holding"
    assert lanes.health == "unhealthy"
    assert "connect" in lanes.reason
    await lab.start()
    await lab.until(20)
    assert lab.controls == controls
    await hub.become(DELIVERED)
    found = await hub.deliveries()
    assert found[0].attempts <= 2  # knocking at a closed door is one attempt
    assert len(await hub.attempts(found[0].id)) == 1
    assert (lanes.breaker.state, lanes.health) == ("closed", "healthy")


async def test_silence_is_sent_again_with_the_same_bytes(hub: Any, partners: Any, config: Any, adt: Adt) -> None:
    lab = await partners()
    lab.next.extend([[], [CLOSE]])
    await hub.start(config({"lab": to(lab, timeout=300, retries=0)}))
    await hub.send(adt("M1"), adt("M2"))
    await lab.until(4)
    assert lab.controls == ["M1", "M1", "M1", "M2"]
    assert len(set(lab.received[:3])) == 1
    first, _ = await hub.become(DELIVERED)
    assert first.attempts == 3
    assert [one.outcome for one in await hub.attempts(first.id)] == ["ambiguous", "ambiguous"]


async def test_silence_may_be_a_dead_letter(hub: Any, partners: Any, config: Any, adt: Adt) -> None:
    lab = await partners(lambda body: [] if b"|M1|" in body else ["AA"])
    await hub.start(config({"lab": to(lab, timeout=300, on_ambiguous="dead")}))
    await hub.send(adt("M1"), adt("M2"))
    await lab.until(2)
    first, _second = await hub.become(DEAD, DELIVERED)
    assert (first.state, first.detail) == (DEAD, "ambiguous")


async def test_what_waits_too_long_expires(hub: Any, partners: Any, config: Any, adt: Adt) -> None:
    lab = await partners(listen=False)
    await hub.start(config({"lab": to(lab, expire=1_000, **QUICK)}))
    await hub.send(adt("M1"), adt("M2"))
    await hub.become(EXPIRED)
    await lab.start()
    await hub.send(adt("M3"))
    await lab.until(1)
    assert lab.controls == ["M3"]
    await hub.become(EXPIRED, EXPIRED, DELIVERED)
    assert (await hub.standing("lab/out"))[1:] == (1, 2)


async def test_a_limit_is_kept(hub: Any, partners: Any, config: Any, adt: Adt) -> None:
    lab = await partners()
    await hub.start(config({"lab": to(lab, rate_limit={"messages": 5, "period": 1_000})}))
    loop = asyncio.get_running_loop()
    began = loop.time()
    await hub.pour([adt(f"M{number}") for number in range(12)])
    await lab.until(12)
    assert loop.time() - began > 1.2  # 5 at once, 7 more at 5 a second: not a matter of the machine's speed
    assert lab.controls == [f"M{number}" for number in range(12)]


@pytest.mark.ledger_part("S3-41", "concurrency holds for lanes of several keys")
async def test_no_more_are_at_the_partner_than_its_limit_allows(hub: Any, partners: Any, config: Any, adt: Adt) -> None:
    lab = await partners(lambda _: [0.02, "AA"])
    limit = {"messages": 1_000, "concurrency": 1}
    await hub.start(config({"lab": to(lab, lane={"key": "PID-3.1", "concurrency": 8}, rate_limit=limit)}))
    await hub.pour([adt(f"M{number}", patient=f"p{number}") for number in range(8)])
    await lab.until(8)
    assert sorted(lab.controls) == [f"M{number}" for number in range(8)]
    assert lab.accepted == 1, "each waits for the one before it, and finds its connection free"
    await hub.become(DELIVERED)


async def test_commit_frees_the_lane_and_a_later_refusal_fails_the_delivery(
    hub: Any, partners: Any, config: Any, adt: Adt
) -> None:
    lab = await partners(lambda body: ["CA", 0.3, "AE"] if b"|M1|" in body else ["CA", "AA"])
    await hub.start(config({"lab": to(lab)}))
    async with hub.client() as client:
        client.put(adt("M1", wishes="|||NE|AL"), adt("M2", wishes="|||NE|AL"))
        assert [(await client.answer())["MSA-1"] for _ in range(2)] == ["AA", "AA"]
    await lab.until(2)
    first, _second = await hub.become(DEAD, DELIVERED)
    assert [one.detail for one in await hub.attempts(first.id)] == ["application acknowledgement AE"]
    assert (await hub.standing("lab/out"))[1:] == (1, 1)
    number = (await hub.endpoints())["lab/out"]
    assert (hub.store.tallies.delivered[number], hub.store.tallies.failed[number]) == (1, 1)
    assert lab.controls == ["M1", "M2"]  # nothing is sent again by itself


@pytest.mark.parametrize("code", ["AE", "AR"])
async def test_a_refusal_right_behind_the_commit_is_not_lost(
    hub: Any, partners: Any, config: Any, adt: Adt, code: str
) -> None:
    lab = await partners(lambda _: ["CA", code])
    await hub.start(config({"lab": to(lab)}))
    await hub.pour([adt(f"M{number}", wishes="|||NE|AL") for number in range(20)])
    await lab.until(20)
    await hub.become(DEAD)
    assert (await hub.standing("lab/out"))[1:] == (0, 20)


async def test_no_judgement_in_time_fails_the_delivery(hub: Any, partners: Any, config: Any, adt: Adt) -> None:
    lab = await partners(lambda _: ["CA"])
    await hub.start(config({"lab": to(lab, application_timeout=200)}))
    await hub.send(adt("M1", wishes="|||AL|AL"))
    (only,) = await hub.become(DEAD)
    assert [one.detail for one in await hub.attempts(only.id)] == ["no application acknowledgement came"]


async def test_a_refusal_waits_for_a_store_that_is_full(
    hub: Any, partners: Any, config: Any, adt: Adt, full: Any
) -> None:
    lab = await partners(lambda _: ["CA", 0.1, "AE"])
    await hub.start(config({"lab": to(lab)}))
    with full("delivery"):
        await hub.send(adt("M1", wishes="|||AL|AL"))
        await asyncio.sleep(0.5)
    await hub.become(DEAD)
    assert (await hub.standing("lab/out"))[1:] == (0, 1)


async def test_on_postgresql_it_is_the_same(postgres_hub: Any, partners: Any, config: Any, adt: Adt) -> None:
    hub = postgres_hub
    lab = await partners(lambda body: ["AR"] if b"|M7|" in body else ["AA"])
    lab.next.append(["AE"])
    await hub.start(config({"lab": to(lab)}))
    controls = [f"M{number}" for number in range(50)]
    await hub.pour([adt(one) for one in controls])
    await lab.until(51)
    assert lab.controls == ["M0", *controls]
    states = [DELIVERED] * 50
    states[7] = DEAD
    found = await hub.become(*states)
    assert (found[0].attempts, found[7].attempts) == (2, 1)
    await hub.restart()
    assert hub.lanes("lab/out").line.backlog == 0
    await hub.send(adt("M50"))
    await lab.until(52)
    await hub.become(*states, DELIVERED)
    assert (await hub.standing("lab/out"))[1:] == (50, 1)


@pytest.mark.ledger_part("S4-87", "messages are refused while the database is away, and taken again without a restart")
async def test_postgresql_may_go_away_and_come_back(
    postgres_hub: Any, partners: Any, config: Any, adt: Adt, eventually: Any
) -> None:
    hub = postgres_hub
    lab = await partners()
    await hub.start(config({"lab": to(lab)}))
    await hub.pour([adt(f"A{number}") for number in range(20)])
    await hub.become(DELIVERED)
    codes: list[str] = []
    for number in range(6):
        _cut(hub.url)
        codes += await hub.send(*(adt(f"B{number}-{one}") for one in range(5)))  # none hangs
    assert set(codes) <= {"AA", "AE"}
    assert "AA" in codes
    expected = [one.control_id for one in await hub.messages()]
    await lab.until(len(expected))
    assert [one for place, one in enumerate(lab.controls) if one not in lab.controls[:place]] == expected
    assert len(expected) >= 20 + codes.count("AA")
    await hub.become(DELIVERED)
    assert await hub.send(adt("LAST")) == ["AA"]


def _cut(url: str) -> None:
    """End every other connection to the database, as its restart does."""
    with psycopg.connect(url, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
