"""Partners past their lanes: set up from the rows, kept open, set up anew when something changed."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import sqlalchemy as sa

from hilum import clock
from hilum.engine.partners import Partner, Partners
from hilum.errors import ConfigError, StepError
from hilum.jobs import At
from hilum.sdk.contracts import Call
from hilum.sdk.faults import Failed, Fault
from hilum.sdk.testing.web import HttpPartner, Said
from hilum.services import drafts
from hilum.store import integrations, schema

pytestmark = pytest.mark.anyio


@pytest.fixture
async def web() -> AsyncIterator[HttpPartner]:
    partner = HttpPartner()
    await partner.start()
    yield partner
    await partner.stop()


def rest(url: str, **options: Any) -> dict[str, Any]:
    """A configuration with one REST endpoint, rest/out."""
    end = {"name": "out", "direction": "outbound", "url": url, "timeout": 2_000, **options}
    one = {"name": "rest", "protocol": "rest_api", "endpoints": [end]}
    return {"version": 1, "organization": "demo", "integrations": [one], "routes": []}


async def row(hub: Any, name: str) -> integrations.Row:
    def read(connection: sa.Connection) -> integrations.Row:
        number = connection.execute(sa.select(schema.integration.c.id).where(schema.integration.c.name == name))
        return integrations.get(connection, number.scalar_one())

    found: integrations.Row = await hub.store.read(read)
    return found


async def found(hub: Any, name: str = "rest") -> At:
    return At.of(await row(hub, name), "out")


@contextlib.asynccontextmanager
async def partner(hub: Any, name: str = "rest") -> AsyncIterator[Partner]:
    partners: Partners = hub.runner._partners
    async with partners.open(await found(hub, name)) as opened:
        yield opened


async def test_connections_are_kept_from_one_call_to_the_next(hub: Any, web: HttpPartner) -> None:
    await hub.start(rest(web.url("/orders")))
    for _ in range(3):
        async with partner(hub) as one:
            reply = await one.ask(Call(b'{"a": 1}'), 1.0)
            assert (reply.status, reply.body, one.method) == (200, b"{}", "POST")
    assert (len(web.heard), web.accepted) == (3, 1)
    assert (web.heard[0].target, web.heard[0].body) == ("/orders", b'{"a": 1}')


async def test_a_changed_configuration_is_followed_and_another_s_change_is_not(hub: Any, web: HttpPartner) -> None:
    await hub.start(rest(web.url("/old")))
    async with partner(hub) as first:
        await first.ask(Call(b"1"), 1.0)
    wanted = rest(web.url("/old"))
    wanted["integrations"] += [{**rest(web.url("/x"))["integrations"][0], "name": "other"}]
    await hub.settled(hub.apply(wanted))
    async with partner(hub) as same:
        assert same is first
    await hub.settled(hub.apply(rest(web.url("/new"))))
    async with partner(hub) as changed:
        assert changed is not first
        await changed.ask(Call(b"2"), 1.0)
    assert [one.target for one in web.heard] == ["/old", "/new"]
    assert first._exchange is None, "closed, for nobody uses it any more"


async def test_who_is_asking_ends_with_the_old_configuration(hub: Any, web: HttpPartner) -> None:
    await hub.start(rest(web.url("/old")))
    web.next.append(Said(wait=0.3))
    async with partner(hub) as first:
        asking = asyncio.create_task(first.ask(Call(b"1"), 1.0))
        await web.until(1)
        await hub.settled(hub.apply(rest(web.url("/new"))))
        async with partner(hub) as changed:
            assert (await changed.ask(Call(b"2"), 1.0)).status == 200
        assert (await asking).status == 200
    assert first._exchange is None


async def test_a_changed_secret_is_followed(hub: Any, web: HttpPartner) -> None:
    values = {"token": "first-secret"}

    class Vault:
        async def values(self, organization: int, study: int | None, wanted: set[str]) -> dict[str, str]:
            return {name: values[name] for name in wanted if name in values}

    await hub.start(rest(web.url(), headers={"X-Token": "${secret:token}"}))
    hub.runner._partners._entries = Vault()

    async def stand(version: int) -> None:
        row = {
            "organization": 1, "uuid": uuid.uuid4(), "name": f"c{version}", "kind": "basic", "fields": {},
            "secrets": {}, "sealed": b"x", "key": 1, "version": version, "created_at": 0, "rotated_at": 0,
        }  # fmt: skip
        table = schema.metadata.tables["credential"]
        await hub.store.write(lambda connection: connection.execute(table.insert().values(row)).rowcount)

    for version, secret in ((1, "first-secret"), (2, "second-secret")):
        values["token"] = secret
        await stand(version)
        async with partner(hub) as one:
            await one.ask(Call(b""), 1.0)
        assert web.heard[-1].headers["x-token"] == secret
    del values["token"]
    await stand(3)
    with pytest.raises(ConfigError, match="no such entry"):
        async with partner(hub):
            pass


async def test_what_is_asked_beside_a_lane_does_not_go_through_it(
    hub: Any, config: Any, adt: Callable[..., bytes], partners: Any
) -> None:
    lab = await partners()
    await hub.start(config({"lab": {"url": f"mllp://127.0.0.1:{lab.port}"}}))
    assert await hub.send(adt("1")) == ["AA"]
    await lab.until(1)
    lab.next.append([])  # the lane's next message waits for its answer
    assert await hub.send(adt("2")) == ["AA"]
    await lab.until(2)
    async with partner(hub, "lab") as one:
        assert (await one.probe()).reachable
        reply = await one.ask(Call(adt("3")), 1.0)
        assert (reply.status, reply.reason) == (200, "AA")
        assert b"|3" in reply.body
        assert one.method is None
    assert lab.controls == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("reaction", "status"), [(["AE"], 500), (["AR"], 400)]
)  # fmt: skip
async def test_what_an_hl7_partner_refuses_is_an_answer(
    hub: Any, config: Any, adt: Callable[..., bytes], partners: Any, reaction: list[str], status: int
) -> None:
    lab = await partners(lambda _: reaction)
    await hub.start(config({"lab": {"url": f"mllp://127.0.0.1:{lab.port}"}}))
    async with partner(hub, "lab") as one:
        reply = await one.ask(Call(adt("1")), 1.0)
    assert (reply.status, reply.reason[:2]) == (status, reaction[0])


async def test_an_hl7_partner_that_does_not_answer(hub: Any, config: Any, adt: Any, partners: Any) -> None:
    lab = await partners(lambda _: [])
    await hub.start(config({"lab": {"url": f"mllp://127.0.0.1:{lab.port}", "timeout": 5_000}}))
    async with partner(hub, "lab") as one:
        with pytest.raises(Failed) as caught:
            await one.ask(Call(adt("1"), timeout=200), 1.0)
    assert (caught.value.fault, caught.value.sent) == (Fault.TIMEOUT, True)


async def test_after_failures_in_a_row_the_partner_is_left_alone(
    hub: Any, web: HttpPartner, monkeypatch: pytest.MonkeyPatch
) -> None:
    await hub.start(rest(web.url(), breaker={"failures": 2, "open_for": 60_000}))
    await web.stop()
    async with partner(hub) as one:
        for _ in range(2):
            with pytest.raises(Failed) as caught:
                await one.ask(Call(b""), 1.0)
            assert caught.value.fault is Fault.REFUSED
        await web.start()
        with pytest.raises(Failed, match="2 times in a row") as caught:
            await one.ask(Call(b""), 1.0)
        assert caught.value.fault is Fault.REFUSED
        assert web.heard == []
        later = clock.monotonic() + 61
        monkeypatch.setattr(clock, "monotonic", lambda: later)  # the clock is there to be moved
        assert (await one.ask(Call(b""), 1.0)).status == 200
        assert one.breaker.state == "closed"


async def test_a_test_that_succeeds_closes_the_breaker(hub: Any, web: HttpPartner) -> None:
    await hub.start(rest(web.url(), breaker={"failures": 1, "open_for": 60_000}))
    port = web.port
    await web.stop()
    async with partner(hub) as one:
        with pytest.raises(Failed):
            await one.ask(Call(b""), 1.0)
        await web.start(port)
        assert (await one.probe()).reachable
        assert (await one.ask(Call(b""), 1.0)).status == 200
    assert web.methods == ["HEAD", "POST"]


async def test_the_rate_limit_is_shared_with_the_lane(hub: Any, web: HttpPartner) -> None:
    await hub.start(rest(web.url(), rate_limit={"messages": 1, "period": 600_000}))
    async with partner(hub) as one:
        assert (await one.ask(Call(b""), 1.0)).status == 200
        with pytest.raises(Failed) as caught:
            await one.ask(Call(b""), 1.0)
        assert caught.value.fault is Fault.RATE_LIMITED
        assert one.breaker.failures == 0
    limiter = hub.lanes("rest/out").limiter
    assert limiter.wait() > 500, "what was refused gave its token back, and the lane knows of the other"
    assert limiter.wait() < 1_300


@pytest.mark.ledger("S3-41")
async def test_the_rate_limit_of_document_003(hub: Any, web: HttpPartner) -> None:
    """3 at once and then 5 in 600 s; no more than 2 beside each other; the lane has what executions leave."""
    limit = {"requests": 5, "perSeconds": 600, "burst": 3, "concurrency": 2}
    endpoint = {"url": web.url(), "method": "GET", "rateLimit": limit}
    draft = drafts.read({"name": "rest", "type": "rest_api", "endpoints": [endpoint]})
    await hub.start(rest(web.url(), rate_limit=draft["endpoints"][0]["rate_limit"]))
    web.gate.clear()
    async with partner(hub) as one:
        asking = [asyncio.create_task(one.ask(Call(b""), 30.0)) for _ in range(2)]
        await web.until(2)
        with pytest.raises(Failed, match="own rate limit") as caught:
            await one.ask(Call(b""), 0.1)
        assert caught.value.fault is Fault.RATE_LIMITED
        asking.append(asyncio.create_task(one.ask(Call(b""), 30.0)))
        web.gate.set()
        assert [each.status for each in await asyncio.gather(*asking)] == [200] * 3
        with pytest.raises(Failed, match="own rate limit"):
            await one.ask(Call(b""), 1.0)
        assert len(web.heard) == 3
        assert one.breaker.failures == 0
    limiter = hub.lanes("rest/out").limiter
    assert 60 < limiter.wait() <= 120, "the next token comes after 120 s, less what passed meanwhile"


async def test_what_is_configured_of_mappings(hub: Any, web: HttpPartner, adt: Callable[..., bytes]) -> None:
    mapping = {"set": {"MSH-5": "XFORMED"}}
    await hub.start(rest(web.url(), format="hl7v2", data_mapping=mapping, response_mapping=mapping))
    async with partner(hub) as one:
        assert b"|XFORMED|" in one.outgoing(adt("1"))
        assert b"|XFORMED|" in (one.incoming(adt("1")) or b"")
        with pytest.raises(StepError):
            one.outgoing(b"{}")
    await hub.settled(hub.apply(rest(web.url(), data_mapping={"set": {"$.b": 2}})))
    async with partner(hub) as one:
        assert one.incoming(b"x") is None
        assert one.outgoing(b'{"a":1}') == b'{"a":1,"b":2}'
        with pytest.raises(StepError, match="no JSON"):
            one.outgoing(b"x")
    await hub.settled(hub.apply(rest(web.url(), data_mapping="orders")))
    async with partner(hub) as one:
        with pytest.raises(ConfigError, match="no mapping 'orders'"):
            one.outgoing(b"{}")


async def test_an_endpoint_that_is_not_there(hub: Any, web: HttpPartner) -> None:
    await hub.start(rest(web.url()))
    at = await found(hub)
    with pytest.raises(ConfigError):
        async with hub.runner._partners.open(At(at.organization, at.integration, "gone", 1, "file")):
            pass


async def test_a_listener_that_runs_and_one_that_cannot(hub: Any, config: Any) -> None:
    taken = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    await hub.start(config({}, {"adt": {}, "late": {"url": f"mllp://127.0.0.1:{port}"}, "off": {"active": False}}))
    rows = {name: await row(hub, name) for name in ("adt", "late", "off")}
    silent = {name: await hub.runner._partners.silent(one, "in") for name, one in rows.items()}
    assert (silent["adt"], silent["off"]) == ("", "")
    assert "in use" in silent["late"]
    taken.close()
    await taken.wait_closed()
