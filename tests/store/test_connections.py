"""The last times of endpoints on both databases: out of the rows of messages, deliveries, executions and tests."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable

import pytest
import sqlalchemy as sa

from hilum.model.access import Scope
from hilum.model.delivery import DeliveryState, Pending, Settled
from hilum.model.execution import ExecutionState
from hilum.model.message import NewMessage
from hilum.store import Store, configuration, connections, executions, probes, schema, schema_activity
from hilum.store.connections import Connected, Seen
from hilum.store.executions import Ended, New
from hilum.store.probes import Probed

pytestmark = pytest.mark.anyio
ENDS = [
    {"name": "in", "direction": "inbound", "url": "mllp://127.0.0.1:2575"},
    {"name": "out", "direction": "outbound", "url": "https://hub:pass@lab.example.org/orders"},
]


@dataclasses.dataclass
class Home:
    organization: int
    integration: int
    inbound: int
    outbound: int
    study: int | None


Settle = Callable[..., Awaitable[Home]]


@pytest.fixture
def settle(store: Store) -> Settle:
    async def make(organization: str = "demo", name: str = "lab", study: str | None = None) -> Home:
        document = {"name": name, "protocol": "hl7_v2", "study": study, "data_categories": ["laboratory"],
                    "endpoints": ENDS}  # fmt: skip

        def write(connection: sa.Connection) -> Home:
            owner = configuration.put_organization(connection, organization, {})
            configuration.put_integration(connection, owner, name, document, "file")
            numbers = [configuration.put_endpoint(connection, owner, f"{name}/{one['name']}", one["direction"], one)
                       for one in ENDS]  # fmt: skip
            where = (schema.integration.c.organization == owner, schema.integration.c.name == name)
            row = connection.execute(sa.select(schema.integration).where(*where)).one()
            return Home(owner, row.id, *numbers, row.study)

        return await store.write(write)

    return make


async def listed(store: Store, home: Home, studies: frozenset[int] | None = None) -> dict[str, Connected]:
    scope = Scope(home.organization, studies)
    found = await store.within(home.organization).load(connections.listed, store.sealer, scope)
    return {f"{one.owner.document['name']}/{one.name}": one for one in found}


async def executed(store: Store, home: Home, version: str | None, *, answered: bool = True) -> executions.Stored:
    new = New(home.organization, home.integration, home.outbound, "c", "me", {}, executions.name())
    number = await store.write(executions.insert, store.sealer, new)
    tries = [{"at": 7_000 + number, "tls": version}]
    ended = Ended(ExecutionState.COMPLETED, 1, 1, 200 if answered else None, told={"error": None, "tries": tries})
    assert await store.write(executions.finish, store.sealer, number, new.uuid, ended)
    return await store.read(executions.get, store.sealer, number)


async def probed(store: Store, home: Home, version: str | None, *, success: bool = True) -> int:
    told = {} if version is None else {probes.TLS: version}
    found = Probed(home.outbound, success, 1_000, None, None, told)
    await store.write(probes.insert, store.sealer, home.organization, home.integration, "check", [found])
    table = schema_activity.probe_result
    return int(await store.read(lambda one: one.execute(sa.select(sa.func.max(table.c.stamp))).scalar_one()))


async def sent(store: Store, new: NewMessage, state: DeliveryState, at: int, attempts: int = 1) -> None:
    (one,) = (await store.append(new)).deliveries
    await store.settle([Settled(one.id, one.destination, one.message, state, attempts, at, "")], [], {}, [])


@pytest.mark.ledger_part("S0-06", "last access and last test equal the rows they come from, on both databases")
async def test_the_times_are_those_of_the_rows(
    store: Store, settle: Settle, arrived: Callable[..., NewMessage], queued: Callable[..., Pending]
) -> None:
    home = await settle()
    never = await listed(store, home)
    assert [(one.tested_at, one.succeeded, one.accessed_at, one.seen) for one in never.values()] == [(None,) * 4] * 2
    assert never["lab/out"].url == ENDS[1]["url"]

    def message(control: str, received: int) -> NewMessage:
        return arrived(control, organization=home.organization, endpoint=home.inbound, received_at=received,
                       deliveries=[queued(home.outbound, organization=home.organization)])  # fmt: skip

    await sent(store, message("1", 5_000), DeliveryState.DELIVERED, 6_000)
    await sent(store, message("2", 4_000), DeliveryState.DEAD, 6_500)
    for control, state in enumerate((DeliveryState.EXPIRED, DeliveryState.SKIPPED, DeliveryState.DISCARDED), 3):
        await sent(store, message(str(control), 3_000), state, 9_000, attempts=0)
    await sent(store, message("6", 3_000), DeliveryState.DEAD, 9_500, attempts=0)
    found = await listed(store, home)
    assert (found["lab/in"].accessed_at, found["lab/out"].accessed_at) == (5_000, 6_500), "partners saw these alone"

    execution = await executed(store, home, None)
    at = await probed(store, home, None, success=False)
    found = await listed(store, home)
    out = found["lab/out"]
    assert (out.accessed_at, out.tested_at, out.succeeded) == (execution.started_at, at, False)
    assert (found["lab/in"].accessed_at, found["lab/in"].tested_at) == (5_000, None)


@pytest.mark.ledger_part("S0-06", "the TLS version that was seen last")
async def test_the_last_tls_version_that_was_seen(store: Store, settle: Settle) -> None:
    home = await settle()
    first = await executed(store, home, "TLSv1.2")
    assert (await listed(store, home))["lab/out"].seen == Seen("TLSv1.2", 7_000 + first.id)
    at = await probed(store, home, "TLSv1.3")
    assert (await listed(store, home))["lab/out"].seen == Seen("TLSv1.3", at)
    await probed(store, home, None, success=False)
    await executed(store, home, None, answered=False)
    assert (await listed(store, home))["lab/out"].seen == Seen("TLSv1.3", at), "a failure saw none"


@pytest.mark.ledger_part("S0-06", "another organization's and another study's connections are absent")
async def test_others_connections_are_not_there(
    store: Store, settle: Settle, arrived: Callable[..., NewMessage]
) -> None:
    home, other = await settle(), await settle("other")
    alpha, beta = await settle(name="alpha", study="alpha"), await settle(name="beta", study="beta")
    assert alpha.study is not None
    for one in (home, other, alpha, beta):
        await store.append(arrived(organization=one.organization, endpoint=one.inbound, received_at=one.inbound))
        await probed(store, one, "TLSv1.3")
    assert list(await listed(store, home)) == [
        f"{name}/{end}" for name in ("alpha", "beta", "lab") for end in ("in", "out")
    ]
    theirs = await listed(store, other)
    assert [(name, one.accessed_at) for name, one in theirs.items()] == [("lab/in", other.inbound), ("lab/out", None)]
    narrowed = await listed(store, home, frozenset({alpha.study}))
    assert [one.accessed_at for one in narrowed.values()] == [alpha.inbound, None]
    assert list(narrowed) == ["alpha/in", "alpha/out"]


async def test_what_is_no_connection_any_more(store: Store, settle: Settle) -> None:
    home, gone = await settle(), await settle(name="gone")

    def end(connection: sa.Connection) -> int:
        configuration.remove_endpoint(connection, home.organization, "lab/in", draining=True)
        archived = schema.integration.update().where(schema.integration.c.id == gone.integration)
        return connection.execute(archived.values(archived_at=1, lifecycle="archived")).rowcount

    assert await store.write(end) == 1
    assert list(await listed(store, home)) == ["lab/out"]
