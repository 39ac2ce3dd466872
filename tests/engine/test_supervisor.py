"""What runs is what is configured: reloads change all or nothing, and only what differs."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest
import trustme

from hilum.errors import ConfigError, Conflict
from hilum.model.delivery import DeliveryState
from hilum.model.message import Disposition
from hilum.sdk.testing import free_port

pytestmark = pytest.mark.anyio

Adt = Callable[..., bytes]
DELIVERED, DISCARDED, PENDING = DeliveryState.DELIVERED, DeliveryState.DISCARDED, DeliveryState.PENDING
QUICK = {"breaker": {"failures": 2, "open_for": 200}}


def to(partner: Any, **options: Any) -> dict[str, Any]:
    return {"url": f"mllp://127.0.0.1:{partner.port}", **options}


def mapped(value: str) -> list[dict[str, Any]]:
    return [{"name": "r", "from": "adt/in", "steps": [{"map": {"set": {"MSH-5": value}}}], "to": ["lab/out"]}]


def receivers(partner: Any) -> list[str]:
    return [body.split(b"|")[4].decode() for body in partner.received]


async def test_a_reload_takes_effect_and_a_connection_survives_it(
    hub: Any, partners: Any, config: Any, adt: Adt
) -> None:
    lab = await partners()
    await hub.start(config({"lab": to(lab)}, routes=mapped("ONE")))
    port = hub.port()
    async with hub.client() as client:
        assert (await client.ask(adt("M1")))["MSA-1"] == "AA"
        await hub.settled(hub.apply(config({"lab": to(lab)}, routes=mapped("TWO"))))
        assert (await client.ask(adt("M2")))["MSA-1"] == "AA"
        assert (await client.ask(adt("M1")))["MSA-1"] == "AA"  # still known as a repeat
    await lab.until(2)
    assert receivers(lab) == ["ONE", "TWO"]
    assert hub.port() == port
    assert lab.accepted == 1  # the sender's connection survived as well
    assert len(await hub.messages()) == 2


async def test_an_invalid_reload_changes_nothing(hub: Any, partners: Any, config: Any, adt: Adt) -> None:
    lab, ward = await partners(), await partners()
    await hub.start(config({"lab": to(lab)}, routes=mapped("ONE")))
    broken = [*mapped("TWO"), {"name": "bad", "from": "adt/in", "steps": [{"nonsense": {}}], "to": ["lab/out"]}]
    with pytest.raises(ConfigError, match="nonsense"):
        await hub.apply(config({"lab": to(ward)}, routes=broken))
    await hub.supervisor.reconcile()
    await hub.send(adt("M1"))
    await lab.until(1)
    assert receivers(lab) == ["ONE"]
    assert ward.received == []
    await hub.restart()
    await hub.send(adt("M2"))
    await lab.until(2)


async def test_only_a_changed_listener_binds_anew(hub: Any, partners: Any, config: Any, adt: Adt) -> None:
    lab = await partners()
    ends = {"lab": to(lab)}
    await hub.start(config(ends, {"one": {}, "two": {"max_bytes": 5_000}}))
    first = {name: hub.source(f"{name}/in").source for name in ("one", "two")}
    async with hub.client("one/in") as stays, hub.client("two/in") as goes:
        assert (await stays.ask(adt("M1")))["MSA-1"] == (await goes.ask(adt("M2")))["MSA-1"] == "AA"
        await hub.settled(hub.apply(config(ends, {"one": {}, "two": {"max_bytes": 2_000}})))
        assert await goes.ended()
        assert (await stays.ask(adt("M3")))["MSA-1"] == "AA"
    assert hub.source("one/in").source is first["one"]
    assert hub.source("two/in").source is not first["two"]
    assert (await hub.send(adt("M4") + b"NTE|1||" + b"x" * 3_000, reference="two/in")) == ["AR"]


async def test_a_message_keeps_the_version_that_routed_it(
    hub: Any, partners: Any, config: Any, adt: Adt, eventually: Any
) -> None:
    lab = await partners(listen=False)
    hub.window = 4_000, 0  # no body is kept in memory: each is made again when its turn comes
    await hub.start(config({"lab": to(lab, **QUICK)}, routes=mapped("ONE")))
    await hub.send(adt("M1"), adt("M2"))
    await hub.settled(hub.apply(config({"lab": to(lab, **QUICK)}, routes=mapped("TWO"))))
    await hub.send(adt("M3"))
    await hub.restart()
    await lab.start()
    await lab.until(3)
    assert receivers(lab) == ["ONE", "ONE", "TWO"]
    one, two, three = await hub.messages()
    assert one.routes == two.routes != three.routes
    found = await hub.become(DELIVERED)
    assert [(one.route,) for one in found] == [one.routes, two.routes, three.routes]


async def test_a_port_that_is_taken_is_named_and_tried_again(
    hub: Any, partners: Any, config: Any, adt: Adt, eventually: Any
) -> None:
    lab = await partners()
    port = free_port()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        await hub.start(config({"lab": to(lab)}, {"adt": {"url": f"mllp://127.0.0.1:{port}"}, "fine": {}}))
        assert list(hub.supervisor.problems) == ["adt/in"]
        assert "in use" in hub.supervisor.problems["adt/in"]
        status = {one.reference: one for one in hub.supervisor.status().sources}
        assert [status[one].running for one in ("adt/in", "fine/in")] == [False, True]
        assert await hub.send(adt("M1"), reference="fine/in") == ["AA"]
        await lab.until(1)
    await eventually(lambda: not hub.supervisor.problems)
    assert await hub.send(adt("M2")) == ["AA"]


async def test_a_destination_that_cannot_be_set_up_holds_its_own_and_nobody_else_s(
    hub: Any, partners: Any, config: Any, adt: Adt, eventually: Any
) -> None:
    """A certificate that is not there: named in health, the hub starts, and once it is there the lane goes on."""
    lab, ward = await partners(), await partners()
    authority = trustme.CA()
    ca = hub.config_folder / "ca.pem"
    tls = {"url": f"mllps://127.0.0.1:{lab.port}", "tls": {"ca": str(ca)}, "timeout": 500, **QUICK}
    await hub.start(config({"lab": tls, "ward": to(ward)}))
    await hub.send(adt("M1"), adt("M2"))
    await ward.until(2)
    await eventually(lambda: "cannot be set up" in hub.lanes("lab/out").reason)
    assert hub.lanes("lab/out").status(0, 0).backlog == 2
    authority.cert_pem.write_to_path(ca)
    hub.lanes("lab/out").retry_now()
    await eventually(lambda: "set up" not in hub.lanes("lab/out").reason)  # it dials now (and finds no TLS there)
    await hub.settled(hub.apply(config({"lab": to(lab), "ward": to(ward)})))
    hub.lanes("lab/out").retry_now()
    await lab.until(2)
    assert lab.controls == ward.controls == ["M1", "M2"]


async def test_an_inactive_integration_waits(hub: Any, partners: Any, config: Any, adt: Adt, eventually: Any) -> None:
    lab = await partners()
    await hub.start(config({"lab": to(lab, active=False)}))
    await hub.send(adt("M1"), adt("M2"))
    await asyncio.sleep(0.3)
    status = hub.lanes("lab/out").status(0, 0)
    assert (status.state, status.backlog, lab.received) == ("paused", 2, [])
    await hub.settled(hub.apply(config({"lab": to(lab)})))
    await lab.until(2)
    await hub.settled(hub.apply(config({"lab": to(lab)}, {"adt": {"active": False}})))
    assert hub.supervisor.sources == {}
    await hub.settled(hub.apply(config({"lab": to(lab, active=False)})))
    await hub.send(adt("M3"))
    await hub.settled(hub.apply(config({"lab": to(lab)})))
    await lab.until(3)
    assert lab.controls == ["M1", "M2", "M3"]


async def test_an_endpoint_with_a_backlog_is_not_removed_by_accident(
    hub: Any, partners: Any, config: Any, adt: Adt
) -> None:
    lab, ward = await partners(listen=False), await partners()
    await hub.start(config({"lab": to(lab, **QUICK), "ward": to(ward)}))
    await hub.send(adt("M1"))
    with pytest.raises(Conflict, match=r"lab/out \(1\)"):
        await hub.apply(config({"ward": to(ward)}))
    assert hub.lanes("lab/out").line.backlog == 1


async def test_drain_delivers_the_rest_then_forgets(
    hub: Any, partners: Any, config: Any, adt: Adt, eventually: Any
) -> None:
    lab, ward = await partners(listen=False), await partners()
    await hub.start(config({"lab": to(lab, **QUICK), "ward": to(ward)}))
    await hub.send(adt("M1"), adt("M2"))
    await hub.settled(hub.apply(config({"ward": to(ward)}), drain=True))
    await hub.send(adt("M3"))
    await ward.until(3)
    assert hub.lanes("lab/out").line.backlog == 2
    await hub.restart()  # it is remembered
    assert hub.lanes("lab/out").line.backlog == 2
    await lab.start()
    await lab.until(2)
    number = (await hub.endpoints())["lab/out"]
    await eventually(lambda: number not in hub.supervisor.lanes)
    assert lab.controls == ["M1", "M2"]
    assert (await hub.standing("lab/out"))[1:] == (2, 0)
    await hub.restart()
    assert number not in hub.supervisor.lanes


async def test_drain_does_not_keep_a_removed_listener(
    hub: Any, partners: Any, config: Any, adt: Adt, eventually: Any
) -> None:
    lab = await partners()
    await hub.start(config({"lab": to(lab)}, {"adt": {}, "old": {}}))
    async with hub.client("old/in") as client:
        await client.ask(adt("M1"))
        await hub.settled(hub.apply(config({"lab": to(lab)}), drain=True))
        assert await client.ended()
    assert [one.reference for one in hub.supervisor.sources.values()] == ["adt/in"]
    await hub.restart()
    assert [one.reference for one in hub.supervisor.sources.values()] == ["adt/in"]


async def test_discard_ends_what_waits_with_its_reason(
    hub: Any, partners: Any, config: Any, adt: Adt, eventually: Any
) -> None:
    lab, ward = await partners(listen=False), await partners()
    await hub.start(config({"lab": to(lab, **QUICK), "ward": to(ward)}))
    await hub.send(adt("M1"), adt("M2"))
    await ward.until(2)
    number = (await hub.endpoints())["lab/out"]
    await hub.settled(hub.apply(config({"ward": to(ward)}), discard="the lab closed"))
    await hub.become(DISCARDED, reference="lab/out")
    found = await hub.deliveries("lab/out")
    assert [(one.state, one.detail) for one in found] == [(DISCARDED, "the lab closed")] * 2
    assert number not in hub.supervisor.lanes
    await lab.start()
    await hub.settled(hub.apply(config({"lab": to(lab), "ward": to(ward)})))  # brought back: what was discarded stays
    await hub.send(adt("M3"))
    await lab.until(1)
    assert lab.controls == ["M3"]
    assert (await hub.endpoints())["lab/out"] == number


async def test_an_endpoint_that_is_brought_back_keeps_its_backlog(
    hub: Any, partners: Any, config: Any, adt: Adt
) -> None:
    lab, ward = await partners(listen=False), await partners()
    both = config({"lab": to(lab, **QUICK), "ward": to(ward)})
    await hub.start(both)
    await hub.send(adt("M1"), adt("M2"))
    await hub.settled(hub.apply(config({"ward": to(ward)}), drain=True))
    await hub.settled(hub.apply(both))
    await hub.send(adt("M3"))
    await lab.start()
    await lab.until(3)
    await asyncio.sleep(1.5)  # the drain that was under way forgets nothing now
    await hub.send(adt("M4"))
    await lab.until(4)
    assert lab.controls == ["M1", "M2", "M3", "M4"]


async def test_a_changed_address_is_taken_up_by_what_waits(hub: Any, partners: Any, config: Any, adt: Adt) -> None:
    old, new = await partners(listen=False), await partners()
    await hub.start(config({"lab": to(old, **QUICK)}))
    await hub.send(adt("M1"), adt("M2"))
    await hub.settled(hub.apply(config({"lab": to(new, lane={"concurrency": 3}, **QUICK)})))
    hub.lanes("lab/out").retry_now()
    await new.until(2)
    assert new.controls == ["M1", "M2"]


async def test_reloads_under_load_lose_and_double_nothing(hub: Any, partners: Any, config: Any, adt: Adt) -> None:
    lab = await partners()
    await hub.start(config({"lab": to(lab)}, routes=mapped("R0")))
    controls = [f"M{number}" for number in range(800)]

    async def load() -> None:
        async with hub.client() as client:
            for one in controls:
                assert (await client.ask(adt(one), seconds=30))["MSA-1"] == "AA"

    loading = asyncio.create_task(load())
    for number in range(1, 30):
        await hub.settled(hub.apply(config({"lab": to(lab, retries=number)}, routes=mapped(f"R{number}"))))
        if loading.done():
            break
    await loading
    await lab.until(800)
    assert lab.controls == controls
    versions = [int(one[1:]) for one in receivers(lab)]
    assert versions == sorted(versions)
    assert max(versions) > 0


async def test_status_tells_how_everything_stands(
    hub: Any, partners: Any, config: Any, adt: Adt, eventually: Any
) -> None:
    lab = await partners()
    await hub.start(config({"lab": to(lab)}))
    await hub.send(adt("M1"))
    async with hub.client() as client:
        client.put(b"no message")
        await eventually(lambda: hub.store.tallies.received[hub.source().inbox.endpoint, Disposition.ERROR])
    await hub.become(DELIVERED)
    status = hub.supervisor.status()
    (lane,), (source,) = status.lanes, status.sources
    assert (lane.reference, lane.state, lane.health, lane.backlog) == ("lab/out", "idle", "healthy", 0)
    assert (lane.delivered, lane.failed, lane.breaker) == (1, 0, "closed")
    assert lane.last_delivered_at is not None
    assert (source.reference, source.running, source.received, source.errors) == ("adt/in", True, 2, 1)
    assert 0 < status.free_disk <= 1
    assert status.commits > 0


async def test_the_answer_after_delivery_over_the_wire(hub: Any, partners: Any, config: Any, adt: Adt) -> None:
    lab = await partners()
    ack = {"when": "delivered", "timeout": 500}
    await hub.start(config({"lab": to(lab)}, {"adt": {"ack": ack}}))
    assert await hub.send(adt("M1")) == ["AA"]
    assert lab.controls == ["M1"]  # it was there before its sender was answered
    await lab.stop()
    async with hub.client() as client:
        answer = await client.ask(adt("M2"))
        assert (answer["MSA-1"], answer["MSA-3"]) == ("AE", "stored, delivery pending")
        client.put(adt("M2"))  # joins the wait
        await lab.start()
        hub.lanes("lab/out").retry_now()
        codes = [(await client.answer())["MSA-1"]]
        while codes[-1] != "AA":
            codes.append((await client.ask(adt("M2")))["MSA-1"])
    assert lab.controls == ["M1", "M2"]
    assert len(await hub.messages()) == 2


async def test_stop_answers_who_waits_for_delivery(hub: Any, partners: Any, config: Any, adt: Adt) -> None:
    lab = await partners(lambda _: [0.3, "AA"])
    await hub.start(config({"lab": to(lab)}, {"adt": {"ack": {"when": "delivered"}}}))
    async with hub.client() as client:
        client.put(adt("M1"))
        await lab.until(1)
        stopping = asyncio.create_task(hub.stop())
        assert (await client.answer())["MSA-1"] == "AA"
        assert await client.ended()
        await stopping
    assert lab.controls == ["M1"]
