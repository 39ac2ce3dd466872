"""Who configured an endpoint decides where it may connect to: the operator's file, or people through the API."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from hilum.engine.supervisor import _managed_by
from hilum.model.access import HUB, Scope
from hilum.model.audit import Act
from hilum.security.egress import LOOPBACK, Allowed
from hilum.store import configuration, jobs
from hilum.store.schema import endpoint, integration

pytestmark = pytest.mark.anyio
Adt = Callable[..., bytes]
REFUSED = "127.0.0.1 is a loopback address: only the hub's operator can allow it"


def to(partner: Any, **options: Any) -> dict[str, Any]:
    """A destination that is tried again soon."""
    breaker = {"failures": 3, "open_for": 100}
    return {"url": f"mllp://127.0.0.1:{partner.port}", "timeout": 2_000, "breaker": breaker, **options}


async def release(hub: Any, name: str) -> None:
    """Hand it over to the API, and let the engine know."""
    organization = (await hub.store.read(configuration.read))[0].id
    await hub.configurations.release(Act(HUB, Scope(organization), "configuration.release"), name)
    await hub.supervisor.reconcile()


async def test_what_the_file_names_is_reached_and_refused_once_it_is_people_s(
    hub: Any, partners: Any, config: Any, adt: Adt, eventually: Any
) -> None:
    """A running lane is given another dialer at once, and no connection of before is used."""
    lab = await partners()
    await hub.start(config({"lab": to(lab)}))
    await hub.send(adt("M1"))
    await lab.until(1)
    await release(hub, "lab")
    await hub.send(adt("M2"))
    await eventually(lambda: REFUSED in hub.lanes("lab/out").reason)
    assert lab.controls == ["M1"]
    assert hub.lanes("lab/out").status(0, 0).backlog == 1, "what was allowed once more is delivered then"


@pytest.mark.ledger_part("S2-34", "an operator's allow-list opens private networks to what people configure")
@pytest.mark.parametrize("entry", ["127.0.0.0/8", "127.0.0.1", "demo=127.0.0.1/32", "port"])
async def test_a_private_address_that_the_operator_allows_works_from_end_to_end(
    hub: Any, partners: Any, config: Any, adt: Adt, entry: str
) -> None:
    lab = await partners()
    hub.allowed = [Allowed.read(f"127.0.0.1:{lab.port}" if entry == "port" else entry)]
    await hub.start(config({"lab": to(lab)}))
    await release(hub, "lab")
    await hub.send(adt("M1"))
    await lab.until(1)
    assert lab.controls == ["M1"]


@pytest.mark.parametrize("entry", ["other=127.0.0.1", "127.0.0.2", "127.0.0.1:1", "::1"])
async def test_what_is_allowed_to_others_is_not_allowed(
    hub: Any, partners: Any, config: Any, adt: Adt, eventually: Any, entry: str
) -> None:
    lab = await partners()
    hub.allowed = [Allowed.read(entry)]
    await hub.start(config({"lab": to(lab)}))
    await release(hub, "lab")
    await hub.send(adt("M1"))
    await eventually(lambda: REFUSED in hub.lanes("lab/out").reason)
    assert lab.received == []


async def test_the_file_is_not_believed_about_metadata_addresses(
    hub: Any, config: Any, adt: Adt, eventually: Any
) -> None:
    hub.allowed = [Allowed.read("0.0.0.0/0")]
    lanes = {"lab": {"url": "mllp://169.254.169.254:80"}, "ward": {"url": "mllp://[fd00:ec2::254]:80"}}
    await hub.start(config(lanes))
    await hub.send(adt("M1"))
    for name in lanes:
        await eventually(lambda name=name: "a cloud metadata address" in hub.lanes(f"{name}/out").reason)


async def test_a_removed_endpoint_drains_by_the_word_of_whoever_had_it(
    hub: Any, partners: Any, config: Any, adt: Adt, eventually: Any
) -> None:
    """An archived integration is still people's; one whose row a file removed was the file's."""
    lab = await partners(listen=False)
    await hub.start(config({"lab": to(lab)}))
    await release(hub, "lab")
    await hub.send(adt("M1"))

    def archive(connection: sa.Connection) -> None:
        connection.execute(integration.update().where(integration.c.name == "lab").values(archived_at=1))
        gone = endpoint.update().where(endpoint.c.reference == "lab/out")
        connection.execute(gone.values(removed_at=1, draining=1))

    await hub.store.write(archive)
    await hub.supervisor.reconcile()
    stored = (await hub.store.read(configuration.read))[0]
    assert "lab" not in stored.integrations
    assert _managed_by(stored, "lab") == "api"
    assert _managed_by(stored, "long-gone") == "file"
    await lab.start()
    hub.lanes("lab/out").retry_now()
    await eventually(lambda: REFUSED in hub.lanes("lab/out").reason)
    await asyncio.sleep(0.2)  # time in which something could have been sent
    assert lab.received == []


async def test_a_source_polls_in_its_organization_s_folder_alone(hub: Any, config: Any, eventually: Any) -> None:
    """The operator's folders are the operator's; what people configure has one below the data folder's files."""
    operators, peoples = hub.folder / "in", hub.folder / "demo" / "in"
    operators.mkdir()
    peoples.mkdir(parents=True)
    hub.allowed = LOOPBACK
    await hub.start(config({}, {"a": {"url": operators.as_uri()}, "b": {"url": peoples.as_uri()}}, []))
    assert hub.supervisor.problems == {}
    await release(hub, "a")
    await release(hub, "b")
    await eventually(lambda: set(hub.supervisor.problems) == {"a/in"})
    assert "outside the folders" in hub.supervisor.problems["a/in"]


@pytest.mark.parametrize(("entry", "reached"), [("other=127.0.0.1", False), ("demo=127.0.0.1", True)])
async def test_a_job_dials_where_its_organization_may(hub: Any, config: Any, entry: str, reached: bool) -> None:
    """A sign-in provider is configured by people."""
    visits = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visits.append(writer.get_extra_info("peername"))
        writer.transport.abort()

    hub.allowed = [Allowed.read(entry)]
    await hub.start(config({}, {}))
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        issuer = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        organization = (await hub.store.read(configuration.read))[0].id
        arguments = {"issuer": issuer, "authority": ""}
        number = await hub.store.write(jobs.insert, "oidc_discover", arguments, actor="test", organization=organization)
        done = asyncio.Event()
        hub.store.subscribe(f"job/{number}", done.set)
        hub.store.signal("job")
        await asyncio.wait_for(done.wait(), 20)
        job = await hub.store.read(jobs.get, number)
    assert job.state == "failed"  # it is no provider
    assert "cannot be reached" in job.result["reason"]
    assert bool(visits) is reached
