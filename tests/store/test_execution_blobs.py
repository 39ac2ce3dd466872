"""Bodies beside their executions' rows, and failures by class: on both databases, an organization's own."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable
from typing import Any

import pytest
import sqlalchemy as sa

from hilum import clock
from hilum.errors import NotFound, StoreError
from hilum.model.execution import ExecutionState
from hilum.store import (
    Store,
    activity_log,
    configuration,
    execution_blobs,
    executions,
    legal_holds,
    purges,
    schema,
    schema_activity,
)
from hilum.store.activity_log import Entry, Group, Wanted
from hilum.store.execution_blobs import Blob
from hilum.store.executions import Ended, New

pytestmark = pytest.mark.anyio
SECRET = b"Erika Mustermann" * 100_000


class Home:
    """An organization with an integration of two endpoints."""

    def __init__(self, store: Store, organization: int, integration: int, endpoints: dict[str, Any]) -> None:
        self.store, self.own = store, store.within(organization)
        self.organization, self.integration, self.endpoints = organization, integration, endpoints

    async def begin(self, *blobs: Blob, request: dict[str, Any] | None = None) -> tuple[int, uuid.UUID]:
        new = New(
            self.organization, self.integration, self.endpoints["out"].id, "c", "eva", request or {"data": 1},
            executions.name(), blobs=blobs,
        )  # fmt: skip
        return await self.own.write(executions.insert, self.store.sealer, new), new.uuid

    async def log(self, *entries: Entry) -> None:
        await self.own.write(activity_log.insert, self.store.sealer, entries)

    def failed(self, fault: str | None, endpoint: str | None = "out", **values: Any) -> Entry:
        number = None if endpoint is None else self.endpoints[endpoint].id
        return Entry(
            self.organization, self.integration, "execute", "error", "failure", "failed", fault=fault, endpoint=number,
            **values,
        )  # fmt: skip

    async def groups(self, limit: int = 50, **wanted: Any) -> list[Group]:
        found: list[Group] = await self.own.read(
            activity_log.failures, self.organization, self.integration, Wanted(outcome="failure", **wanted), limit
        )
        return found


async def home(store: Store, organization: str = "demo") -> Home:
    document = {"name": "lab", "protocol": "rest_api", "endpoints": []}

    def write(connection: sa.Connection) -> Home:
        owner = configuration.put_organization(connection, organization, {})
        configuration.put_integration(connection, owner, "lab", document, "file")
        for name in ("out", "back"):
            configuration.put_endpoint(connection, owner, f"lab/{name}", "outbound", {"name": name, "url": "http://x"})
        mine = schema.integration.c.organization == owner
        number = connection.execute(sa.select(schema.integration.c.id).where(mine)).scalar_one()
        rows = connection.execute(sa.select(schema.endpoint).where(schema.endpoint.c.organization == owner)).all()
        return Home(store, owner, number, {row.reference.partition("/")[2]: row for row in rows})

    return await store.write(write)


async def stored(store: Store) -> list[Any]:
    table = schema_activity.execution_blob
    return await store.read(lambda connection: list(connection.execute(sa.select(table).order_by(table.c.id))))


@pytest.mark.ledger_part("S3-51", "a body beside its row: sealed, found by its execution alone, gone with it")
async def test_a_blob_is_kept_sealed_with_its_execution(store: Store) -> None:
    one, other = await home(store), await home(store, "other")
    blob = execution_blobs.seal(store.sealer, SECRET, "text/plain")
    assert blob.pointer == {
        "id": str(blob.uuid), "size": len(SECRET), "sha256": hashlib.sha256(SECRET).hexdigest(), "type": "text/plain",
    }  # fmt: skip
    number, _ = await one.begin(blob, request={"data": None, "blob": blob.pointer})
    elsewhere, _ = await other.begin()
    (row,) = await stored(store)
    assert (row.organization, row.execution) == (one.organization, number)
    assert SECRET[:16] not in bytes(row.content)
    sealer = store.sealer
    assert await one.own.read(execution_blobs.content, sealer, number, blob.uuid) == SECRET
    whole = await one.own.read(execution_blobs.whole, sealer, number, {"data": None, "blob": blob.pointer})
    assert whole == {"data": SECRET.decode()}
    for who, execution, identifier in ((other, elsewhere, blob.uuid), (one, number, uuid.uuid4())):
        with pytest.raises(NotFound):
            await who.own.read(execution_blobs.content, sealer, execution, identifier)
    with pytest.raises(StoreError):
        sealer.open(bytes(row.content), b"execution_blob|" + uuid.uuid4().bytes)
    await other.own.write(execution_blobs.remove, other.organization, [number, elsewhere])
    assert len(await stored(store)) == 1, "another organization's stay"
    await one.own.write(execution_blobs.remove, one.organization, [number])
    assert await stored(store) == []


@pytest.mark.ledger_part("S3-51", "it goes when its execution's bodies go, and stays while a legal hold keeps them")
async def test_a_blob_goes_with_the_bodies_of_its_execution(store: Store) -> None:
    one = await home(store)
    for _ in range(2):
        blob = execution_blobs.seal(store.sealer, SECRET, "text/plain")
        number, identifier = await one.begin(blob, request={"data": None, "blob": blob.pointer})
        ended = Ended(ExecutionState.FAILED, 1, 1, 500, "http_5xx", trace={"url": "x"})
        assert await one.own.write(executions.finish, store.sealer, number, identifier, ended)
    (part,), cutoff = purges.PARTS["execution_bodies"], clock.micros() + 1
    ids, _ = await one.own.load(purges.due, one.organization, part, cutoff, 0, 9)
    assert len(ids) == 2
    placing = (store.sealer, one.organization, "eva", legal_holds.Wanted("all", "a claim"))
    hold = await one.own.write(legal_holds.place, *placing)
    removing = (one.organization, "execution_bodies", part, cutoff, ids[:1])
    with pytest.raises(NotFound):
        await one.own.write(purges.remove, *removing)
    assert len(await stored(store)) == 2
    await one.own.write(legal_holds.lift, one.organization, hold.result.uuid, 1, "eva", "over")
    await one.own.write(purges.remove, *removing)
    assert [row.execution for row in await stored(store)] == ids[1:]
    emptied, kept = [await one.own.read(executions.get, store.sealer, each) for each in ids]
    assert (emptied.request, emptied.trace, emptied.forgotten) == (None, None, True)
    assert (kept.trace, kept.forgotten) == ({"url": "x"}, False)
    (part,) = purges.PARTS["executions"]
    await one.own.write(purges.remove, one.organization, "executions", part, cutoff, ids)
    assert await stored(store) == []


async def test_what_ended_already_leaves_no_blob(store: Store) -> None:
    one = await home(store)
    number, identifier = await one.begin()
    ended = Ended(ExecutionState.CANCELLED, None, 0, told={})
    assert await one.own.write(executions.finish, store.sealer, number, identifier, ended)
    late = execution_blobs.seal(store.sealer, b"x", "text/plain")
    ended = Ended(ExecutionState.COMPLETED, 1, 1, 200, response={"blob": late.pointer}, blobs=(late,))
    assert not await one.own.write(executions.finish, store.sealer, number, identifier, ended)
    assert await stored(store) == []


async def test_a_blob_is_of_an_execution_of_its_organization(store: Store) -> None:
    one, other = await home(store), await home(store, "other")
    number, _ = await one.begin()

    def steal(connection: sa.Connection) -> None:
        values = {"uuid": uuid.uuid4(), "organization": other.organization, "execution": number, "content": b"x"}
        connection.execute(schema_activity.execution_blob.insert().values(values))

    with pytest.raises(StoreError):
        await store.write(steal)


def kinds(groups: Iterable[Group]) -> list[tuple[str | None, str | None, int]]:
    return [(one.reference, one.fault, one.count) for one in groups]


@pytest.mark.ledger_part("S2-56", "grouped by class and endpoint, with count, first, last and the newest example")
async def test_failures_by_class_and_endpoint(store: Store) -> None:
    one, other = await home(store), await home(store, "other")
    assert await one.groups() == []
    number, identifier = await one.begin()
    fine = Entry(one.organization, one.integration, "execute", "info", "success", "completed")
    await one.log(one.failed("dns", correlation="c-1"), fine, one.failed("refused", correlation="c-2"))
    await one.log(one.failed("dns", "back"), one.failed("dns", correlation="c-3", execution=number, attempt=2))
    await one.log(one.failed(None, None))
    await other.log(other.failed("dns"))
    nowhere, dns, back, refused = await one.groups()
    assert kinds([nowhere, dns, back, refused]) == [
        (None, None, 1), ("lab/out", "dns", 2), ("lab/back", "dns", 1), ("lab/out", "refused", 1)
    ]  # fmt: skip
    assert (dns.endpoint, dns.correlation, dns.execution, dns.payload) == (
        one.endpoints["out"].uuid, "c-3", identifier, True
    )  # fmt: skip
    assert dns.first_at < refused.last_at < back.last_at < dns.last_at
    assert (refused.correlation, refused.execution, refused.payload) == ("c-2", None, False)
    assert kinds(await one.groups(2)) == kinds([nowhere, dns])
    assert kinds(await one.groups(since=back.last_at)) == [
        (None, None, 1), ("lab/out", "dns", 1), ("lab/back", "dns", 1)
    ]  # fmt: skip
    assert kinds(await one.groups(until=back.first_at)) == [("lab/out", "refused", 1), ("lab/out", "dns", 1)]
    assert kinds(await one.groups(endpoint=one.endpoints["back"].uuid)) == [("lab/back", "dns", 1)]
    assert kinds(await other.groups()) == [("lab/out", "dns", 1)]
