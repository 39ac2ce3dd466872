"""What is appended can be read again, sealed and under its UUID; what is read misses what it must not see."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from hilum.errors import StoreError
from hilum.model.delivery import Pending
from hilum.model.message import Disposition, NewMessage
from hilum.security.keyring import Keyring
from hilum.security.seal import Sealer
from hilum.store import Connection, Store, deliveries, messages, schema
from hilum.store.hot import body_place, delivery_place

pytestmark = pytest.mark.anyio
Arrived = Callable[..., NewMessage]
Queued = Callable[..., Pending]
Open = Callable[..., Awaitable[Store]]
BODY = b"MSH|^~\\&|HIS|SITE|LAB|SITE|20240701||ADT^A01|17|P|2.5\rPID|1||4711\r"


def rows(connection: Connection, table: sa.Table) -> list[sa.Row[tuple[object, ...]]]:
    return list(connection.execute(sa.select(table).order_by(*table.primary_key.columns)))


async def test_a_message_becomes_rows(store: Store, arrived: Arrived, queued: Queued) -> None:
    made = [queued(2, lane=9, shard=3), queued(5, ordinal=1, shard=3, keep=True, body=b"kept"), queued(7, digest=-1)]
    new = arrived(
        "17", BODY, organization=4, endpoint=8, received_at=1_719_800_000_000_001, deliveries=made, routes="1 2",
        note="looked odd", attributes={"peer": "10.0.0.1"}, ack="AA", origin=None,
    )  # fmt: skip
    told: list[Pending] = []
    store.listeners.append(told.extend)
    stored = await store.append(new)
    assert stored is new
    (row,) = await store.read(rows, schema.message)
    assert (row.id, row.organization, row.endpoint, row.received_at) == (new.id, 4, 8, 1_719_800_000_000_001)
    assert (row.disposition, row.ack, row.type, row.control_id) == (1, "AA", "ADT^A01", "17")
    assert (row.origin, row.first_delivery, row.deliveries, row.routes) == (None, made[0].id, 3, "1 2")
    assert bytes(row.body_hash) == hashlib.sha256(BODY).digest()
    assert str(uuid.UUID(bytes=bytes(row.uuid))) == new.uuid
    view = messages.view(row, store.sealer)
    assert (view.note, view.attributes, view.disposition) == (
        "looked odd", {"peer": "10.0.0.1"}, Disposition.DELIVERING,
    )  # fmt: skip
    (body,) = await store.read(rows, schema.body)
    assert body.sealed != BODY
    assert store.sealer.open(body.sealed, body_place(new.id)) == BODY
    found = await store.read(rows, schema.delivery)
    assert [one.id for one in found] == [made[0].id, made[0].id + 1, made[0].id + 2]
    assert [(one.message, one.organization, one.destination, one.route, one.ordinal) for one in found] == [
        (new.id, 4, 2, 1, 0), (new.id, 4, 5, 1, 1), (new.id, 4, 7, 1, 0),
    ]  # fmt: skip
    assert [(one.shard, one.position, one.lane, one.digest) for one in found] == [
        (3, 1, 9, 7), (3, 2, 0, 7), (7, 1, 0, -1),
    ]  # fmt: skip
    assert [(one.state, one.attempts, one.done_at, one.detail) for one in found] == [(0, 0, None, "")] * 3
    assert [one.sealed is not None for one in found] == [False, True, False]
    assert store.sealer.open(found[1].sealed, delivery_place(found[1].id)) == b"kept"
    assert told == made
    assert {(one.uuid, one.message, one.queued_at, one.organization) for one in told} == {
        (new.uuid, new.id, new.received_at, 4)
    }


async def test_a_message_without_note_or_deliveries(store: Store, arrived: Arrived) -> None:
    new = await store.append(arrived(disposition=Disposition.FILTERED))
    (row,) = await store.read(rows, schema.message)
    assert (row.note, row.first_delivery, row.deliveries, row.disposition) == (None, None, 0, 2)
    assert messages.view(row, store.sealer, BODY).body == BODY
    assert await store.read(messages.bodies, store.sealer, [new.id]) == {new.id: new.body}


async def test_the_uuid_leads_to_its_row_alone(store: Store, arrived: Arrived) -> None:
    mine = await store.append(arrived(organization=1))
    other = await store.append(arrived(organization=2))
    row = await store.read(messages.find, 1, uuid.UUID(mine.uuid))
    assert row is not None
    assert row.id == mine.id
    assert await store.read(messages.find, 1, uuid.UUID(other.uuid)) is None, "another organization's"
    guessed = uuid.UUID(int=uuid.UUID(mine.uuid).int ^ 1 << 50)  # the row number is right, the noise is not
    assert await store.read(messages.find, 1, guessed) is None
    assert await store.read(messages.find, 1, uuid.UUID(int=uuid.UUID(mine.uuid).int + 1000)) is None


async def test_text_that_a_database_cannot_hold_does_not_stop_the_others(
    store: Store, arrived: Arrived, queued: Queued
) -> None:
    odd = arrived("a\0b", type="ADT\0^A01", deliveries=[queued()])
    plain = arrived("2")
    await asyncio.gather(store.append(odd), store.append(plain))
    found = {row.id: row for row in await store.read(rows, schema.message)}
    assert found[plain.id].control_id == "2"
    assert found[odd.id].control_id in {"a\0b", "a\ufffdb"}
    assert found[odd.id].type in {"ADT\0^A01", "ADT\ufffd^A01"}


async def test_a_reader_sees_what_was_committed(store: Store, arrived: Arrived) -> None:
    stored = [await store.append(arrived(str(number))) for number in range(5)]
    found = await store.read(messages.by_ids, [one.id for one in stored])
    assert [row.id for row in found] == [one.id for one in reversed(stored)]


async def test_a_reader_cannot_write(sqlite_store: Store) -> None:
    with pytest.raises(StoreError, match="readonly"):
        await sqlite_store.read(lambda connection: connection.execute(schema.setting.delete()))


async def test_nothing_is_taken_once_the_store_closes(store: Store, arrived: Arrived) -> None:
    last = store.append(arrived("last"))
    await store.close()
    assert (await last).id > 0, "what was queued is committed"
    with pytest.raises(StoreError, match="closing"):
        await store.append(arrived("late"))


async def test_other_keys_open_nothing(url: str | None, open_store: Open, arrived: Arrived, tmp_path: Path) -> None:
    store = await open_store(url=url)
    new = await store.append(arrived(note="secret"))
    await store.close()
    other = Keyring.create(tmp_path / "other.key")[0]
    with pytest.raises(StoreError, match=r"hub\.key does not belong to this store"):
        await Store(tmp_path, other, url).open(lambda message: ())
    again = await open_store(url=url)
    assert (await again.read(messages.bodies, again.sealer, [new.id]))[new.id] == new.body


async def test_a_body_moved_to_another_row_does_not_open(store: Store, arrived: Arrived) -> None:
    first, second = await store.append(arrived("1", b"one")), await store.append(arrived("2", b"two"))

    def swap(connection: Connection) -> None:
        sealed = {row.message: row.sealed for row in rows(connection, schema.body)}
        for to, source in ((first.id, second.id), (second.id, first.id)):
            connection.execute(schema.body.update().where(schema.body.c.message == to).values(sealed=sealed[source]))

    await store.write(swap)
    with pytest.raises(StoreError, match="changed or moved"):
        await store.read(messages.bodies, store.sealer, [first.id])


async def test_every_run_seals_under_a_key_of_its_own(url: str | None, open_store: Open, arrived: Arrived) -> None:
    sealed = []
    for _ in range(3):
        store = await open_store(url=url)
        await store.append(arrived("1", b"the same"))
        assert isinstance(store.sealer, Sealer)
        sealed = [bytes(row.sealed) for row in await store.read(rows, schema.body)]
        opened = await store.read(
            messages.bodies, store.sealer, [row.message for row in await store.read(rows, schema.body)]
        )
        assert set(opened.values()) == {b"the same"}, "what earlier runs sealed still opens"
        await store.close()
    assert len({one[:14] for one in sealed}) == 3
    assert len(set(sealed)) == 3


async def test_a_message_that_was_stored_first_is_routed_later(store: Store, arrived: Arrived, queued: Queued) -> None:
    told: list[Pending] = []
    store.listeners.append(told.extend)
    new = await store.append(arrived(disposition=Disposition.RECEIVED, routes="", attributes={"peer": "x"}))
    made = [queued(2), queued(3)]
    for one in made:
        one.message, one.uuid, one.organization, one.queued_at = new.id, new.uuid, 1, new.received_at
    (waiting,) = await store.read(messages.unrouted, 1)
    assert (waiting.id, waiting.first_delivery) == (new.id, None)
    await store.route(new, Disposition.DELIVERING, made, "4", "took its time")
    assert await store.read(messages.unrouted, 1) == []
    (row,) = await store.read(rows, schema.message)
    view = messages.view(row, store.sealer)
    assert (view.disposition, view.routes, view.note, view.attributes) == (
        Disposition.DELIVERING, (4,), "took its time", {"peer": "x"},
    )  # fmt: skip
    assert told == made
    found = await store.read(deliveries.of_message, row.first_delivery, row.deliveries)
    assert [(one.id, one.destination, one.message) for one in found] == [
        (made[0].id, 2, new.id),
        (made[1].id, 3, new.id),
    ]
    assert {key: count for key, count in store.tallies.received.items() if count} == {(1, Disposition.DELIVERING): 1}


async def test_it_tells_whoever_subscribed(sqlite_store: Store) -> None:
    told: list[str] = []
    sqlite_store.subscribe("job", lambda: told.append("job"))
    sqlite_store.subscribe("configuration", lambda: told.append("configuration"))
    sqlite_store.signal("job")
    sqlite_store.signal("nobody")
    assert told == ["job"]
