"""What a plug-in or a partner does wrong stays its own trouble: exceptions, hanging, the breaker's knocking."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pydantic import Field

from hilum.errors import ConfigError
from hilum.model.delivery import DeliveryState
from hilum.sdk.config import Config
from hilum.sdk.contracts import Connector, Destination, Dialer, Outbound, Source
from hilum.sdk.outcome import Ambiguous, Delivered, Outcome, Permanent, Transient
from hilum.sdk.registry import Registry

pytestmark = pytest.mark.anyio

Adt = Callable[..., bytes]
DEAD, DELIVERED, EXPIRED, PENDING = (
    DeliveryState.DEAD,
    DeliveryState.DELIVERED,
    DeliveryState.EXPIRED,
    DeliveryState.PENDING,
)


class Address(Config):
    url: str = Field(..., description="play://name")
    timeout: int = Field(1_000, description="Unused.")


Act = Callable[[Outbound], Awaitable[Outcome] | Outcome]


class Stage:
    """What the played connector does, and what it saw."""

    def __init__(self) -> None:
        self.act: Act = lambda _: Delivered("OK")
        self.sent: list[Outbound] = []
        self.closed = 0
        self.out = self.most = 0
        self.start: Exception | None = None
        self.make: Exception | None = None

    def controls(self) -> list[str]:
        return [one.body.split(b"|")[9].decode() for one in self.sent]

    def connector(self) -> Connector:
        stage = self

        class Play(Destination[Address]):
            def __init__(self, config: Address, dialer: Dialer) -> None:
                if stage.make is not None:
                    raise stage.make
                super().__init__(config, dialer)

            async def send(self, outbound: Outbound) -> Outcome:
                stage.sent.append(outbound)
                stage.out += 1
                stage.most = max(stage.most, stage.out)
                try:
                    found = stage.act(outbound)
                    return await found if isinstance(found, Awaitable) else found
                finally:
                    stage.out -= 1

            async def close(self) -> None:
                stage.closed += 1

        class Hear(Source[Address]):
            async def start(self) -> None:
                if stage.start is not None:
                    raise stage.start

            async def stop(self) -> None: ...

            def pause(self) -> None: ...

            def resume(self) -> None: ...

        return Connector(schemes=("play",), config=Address, source=Hear, destination=Play, format="hl7v2")


@pytest.fixture
def stage(hub: Any) -> Stage:
    found = Stage()
    known: Registry = hub._registry
    hub._registry = dataclasses.replace(known, connectors=known.connectors | {"play": found.connector()})
    return found


def play(**options: Any) -> dict[str, Any]:
    return {"url": "play://partner", **options}


async def test_an_exception_is_an_attempt_and_the_lane_lives(hub: Any, config: Any, adt: Adt, stage: Stage) -> None:
    def act(outbound: Outbound) -> Outcome:
        if outbound.attempt == 1:
            raise RuntimeError("4711 is secret")
        return Delivered("OK")

    stage.act = act
    await hub.start(config({"lab": play()}))
    await hub.send(adt("M1"), adt("M2"))
    first, second = await hub.become(DELIVERED)
    assert stage.controls() == ["M1", "M1", "M2", "M2"]
    assert (first.attempts, second.attempts) == (2, 2)
    assert [one.detail for one in await hub.attempts(first.id)] == ["internal error: RuntimeError"]


async def test_the_same_delivery_has_the_same_id_and_body_each_time(
    hub: Any, config: Any, adt: Adt, stage: Stage
) -> None:
    outcomes: list[Outcome] = [Transient("busy", answered=True, retry_after=0.0), Ambiguous("?"), Transient("away")]
    stage.act = lambda _: outcomes.pop(0) if outcomes else Delivered("OK")
    await hub.start(config({"lab": play()}))
    await hub.send(adt("M1"))
    await hub.become(DELIVERED)
    assert len({(one.id, one.body, one.delivery) for one in stage.sent}) == 1
    (row,) = await hub.messages()
    assert stage.sent[0].id == f"{row.uuid}/0"
    assert [one.attempt for one in stage.sent] == [1, 2, 3, 3]  # knocking at a closed door counts once at the most


@pytest.mark.ledger_part("S2-114", "Retry-After wins")
async def test_what_the_partner_asks_for_is_waited(hub: Any, config: Any, adt: Adt, stage: Stage) -> None:
    stage.act = lambda one: Transient("429", answered=True, retry_after=3_000) if one.attempt == 1 else Delivered("OK")
    await hub.start(config({"lab": play()}))
    await hub.send(adt("M1"))
    async with asyncio.timeout(20):
        while not hub.lanes("lab/out").status(0, 0).stuck:  # noqa: ASYNC110 - the lane has no event for this
            await asyncio.sleep(0.01)
    (stuck,) = hub.lanes("lab/out").status(0, 0).stuck
    assert stuck.retry_in is not None
    assert 2_900 < stuck.retry_in <= 3_000
    assert (stuck.reason, stuck.attempts) == ("429", 1)
    hub.lanes("lab/out").retry_now()
    await hub.become(DELIVERED)


async def test_retries_now_forget_the_answers_so_far(hub: Any, config: Any, adt: Adt, stage: Stage) -> None:
    stage.act = lambda one: Transient("busy", answered=True, retry_after=3_000)
    await hub.start(config({"lab": play(retries=2)}))
    await hub.send(adt("M1"))
    lanes = hub.lanes("lab/out")
    for count in range(1, 7):  # more often than `retries`: a person asked for each
        async with asyncio.timeout(20):
            while len(stage.sent) < count or not lanes.status(0, 0).stuck:  # noqa: ASYNC110 - see above
                await asyncio.sleep(0.01)
        lanes.retry_now()
    assert (await hub.deliveries())[0].state is PENDING


@pytest.mark.ledger_part("S4-90", "visible, and resettable by a person")
async def test_a_partner_that_is_down_is_knocked_at_by_one(hub: Any, config: Any, adt: Adt, stage: Stage) -> None:
    stage.act = lambda _: Transient("away")
    lane = {"key": "PID-3.1", "concurrency": 8}
    await hub.start(config({"lab": play(lane=lane, breaker={"failures": 3, "open_for": 400})}))
    await hub.pour([adt(f"M{number}", f"P{number}") for number in range(60)])
    lanes = hub.lanes("lab/out")
    async with asyncio.timeout(20):
        while lanes.breaker.state == "closed":  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.01)
    before, stage.most = len(stage.sent), 0
    assert before <= 3 + 8  # what was out when it opened

    async def slowly(_: Outbound) -> Outcome:
        await asyncio.sleep(0.1)
        return Transient("away")

    stage.act = slowly
    await asyncio.sleep(1.5)
    assert stage.most == 1
    assert 1 <= len(stage.sent) - before <= 4
    assert hub.supervisor.status().lanes[0].breaker in ("open", "half-open")
    stage.act = lambda _: Delivered("OK")
    assert (await hub.job("retry_lane", destination=lanes.number)).state == "done"
    await hub.become(*[DELIVERED] * 60)
    assert lanes.breaker.state == "closed"


async def test_expired_ones_do_not_use_up_the_probe(hub: Any, config: Any, adt: Adt, stage: Stage) -> None:
    stage.act = lambda _: Transient("away")
    await hub.start(config({"lab": play(expire=1_000, breaker={"failures": 1, "open_for": 300})}))
    await hub.pour([adt(f"M{number}") for number in range(30)])
    await hub.become(*[EXPIRED] * 30)
    stage.act = lambda _: Delivered("OK")
    await hub.send(adt("LAST"))
    await hub.become(*[EXPIRED] * 30, DELIVERED)


async def test_a_destination_that_hangs_ends_with_the_hub(hub: Any, config: Any, adt: Adt, stage: Stage) -> None:
    stage.act = lambda _: asyncio.sleep(3_600, Delivered("OK"))
    await hub.start(config({"lab": play(timeout=300)}))
    await hub.send(adt("M1"))
    async with asyncio.timeout(20):
        await hub.stop()
    assert stage.closed == 1
    stage.act = lambda _: Delivered("OK")
    await hub.open()
    await hub.run()
    await hub.become(DELIVERED)


async def test_a_skip_is_refused_while_it_is_being_sent(hub: Any, config: Any, adt: Adt, stage: Stage) -> None:
    going = asyncio.Event()

    async def act(_: Outbound) -> Outcome:
        await going.wait()
        return Delivered("OK")

    stage.act = act
    await hub.start(config({"lab": play()}))
    await hub.send(adt("M1"), adt("M2"))
    number = (await hub.endpoints())["lab/out"]
    refused = await hub.job("skip_delivery", destination=number, delivery=1, reason="impatient")
    assert (refused.state, "not while it is being sent" in refused.result["reason"]) == ("failed", True)
    going.set()
    await hub.become(DELIVERED)
    assert stage.controls() == ["M1", "M2"]


async def test_lanes_take_turns(hub: Any, config: Any, adt: Adt, stage: Stage) -> None:
    """One patient's long line does not keep the others waiting until it is empty."""
    going = asyncio.Event()

    async def act(_: Outbound) -> Outcome:
        await going.wait()
        return Delivered("OK")

    stage.act = act
    await hub.start(config({"lab": play(lane={"key": "PID-3.1"})}))
    await hub.pour([adt(f"A{number}", "LONG") for number in range(50)] + [adt("B", "SHORT"), adt("C", "OTHER")])
    going.set()
    await hub.become(DELIVERED)
    assert {"B", "C"} <= set(stage.controls()[:5])
    assert [one for one in stage.controls() if one.startswith("A")] == [f"A{number}" for number in range(50)]


async def test_permanent_outcomes_keep_their_words(hub: Any, config: Any, adt: Adt, stage: Stage) -> None:
    stage.act = lambda _: Permanent("AR: no such ward")
    await hub.start(config({"lab": play()}))
    await hub.send(adt("M1"))
    (only,) = await hub.become(DEAD)
    assert [(one.outcome, one.detail) for one in await hub.attempts(only.id)] == [("permanent", "AR: no such ward")]
    assert hub.lanes("lab/out").status(0, 1).health == "degraded"


@pytest.mark.parametrize("fault", [RuntimeError("a bug"), OSError("taken")])
async def test_a_source_that_fails_to_start_leaves_the_others_running(
    hub: Any, config: Any, adt: Adt, stage: Stage, fault: Exception
) -> None:
    stage.start = fault
    await hub.start(config({"lab": play()}, {"adt": {}, "odd": play()}))
    assert hub.supervisor.problems == {"odd/in": str(fault)}
    assert await hub.send(adt("M1")) == ["AA"]
    await hub.become(DELIVERED)


async def test_a_destination_that_cannot_be_made_leaves_the_others_running(
    hub: Any, partners: Any, config: Any, adt: Adt, stage: Stage
) -> None:
    lab = await partners()
    stage.make = ConfigError("no driver")
    await hub.start(config({"lab": {"url": f"mllp://127.0.0.1:{lab.port}"}, "odd": play()}))
    await hub.send(adt("M1"))
    await lab.until(1)
    odd = hub.lanes("odd/out")
    async with asyncio.timeout(20):
        while "no driver" not in odd.reason:  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.01)
    stage.make = None
    odd.retry_now()
    await hub.become(DELIVERED)
    assert stage.controls() == ["M1"]


async def test_a_replaced_destination_is_closed_in_the_end(hub: Any, config: Any, adt: Adt, stage: Stage) -> None:
    await hub.start(config({"lab": play()}))
    for retries in (5, 6, 7):
        await hub.settled(hub.apply(config({"lab": play(retries=retries)})))
    assert stage.closed == 0  # what it was sending may end
    await hub.stop()
    assert stage.closed == 4
