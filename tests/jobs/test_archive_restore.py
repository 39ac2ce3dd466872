"""What was archived comes back as it was, for a while; a changed archive puts nothing back."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hilum.errors import HilumError, NotFound, StoreError
from hilum.jobs import archive_restore, reencrypt, retention
from hilum.model.access import Scope
from hilum.model.message import NewMessage
from hilum.store import archives, deliveries, schema, schema_retention
from hilum.store.archives import Archive
from hilum.store.jobs import Job

pytestmark = pytest.mark.anyio


@pytest.fixture
async def three(kept: Any, job: Callable[..., Job]) -> list[NewMessage]:
    """Messages of the north whose bodies are in one archive alone; two had a body with their delivery as well."""
    await kept.settings(archive_bodies=True)
    stored = [await kept.receive(f"C{n}", days=20, made=f"sent {n}".encode() if n else None) for n in range(3)]
    await retention.run(kept.context, job("retention"))
    assert await kept.bodies(*stored) == set()
    return stored


async def only(kept: Any) -> Archive:
    (one,) = await kept.hub.store.read(archives.there, 1)
    found: Archive = one
    return found


async def restore(kept: Any, job: Callable[..., Job], one: Archive, days: int = 7) -> dict[str, Any]:
    return await archive_restore.run(kept.context, job("archive_restore", archive=str(one.uuid), days=days))


@pytest.mark.ledger_part("S0-65", "an archive is re-imported: every body as it was, for some days, both audited")
async def test_every_body_comes_back_and_goes_again(
    kept: Any, three: list[NewMessage], job: Callable[..., Job], later: Callable[[float], None]
) -> None:
    one = await only(kept)
    assert await restore(kept, job, one) == {"bodies": 3, "messages": 3}
    assert await kept.bodies(*three) == {"C0", "C1", "C2"}
    sent = [await kept.hub.store.read(deliveries.kept_bodies, kept.hub.store.sealer, each.deliveries[0].id, 1)
            for each in three]  # fmt: skip
    assert sent == [{}, {three[1].deliveries[0].id: b"sent 1"}, {three[2].deliveries[0].id: b"sent 2"}]
    (event,) = await kept.events("archive.restored")
    assert (event["entity"], event["details"]["bodies"]) == (one.entity, 3)
    assert await kept.hub.services().messages.body(kept.act("message.body"), uuid.UUID(three[0].uuid)) == three[0].body

    await retention.run(kept.context, job("retention"))
    assert await kept.bodies(*three) == {"C0", "C1", "C2"}, "they are back for a week"
    later(3)
    assert await restore(kept, job, one) == {"bodies": 0, "messages": 3}, "that only makes it longer"
    later(8)
    await retention.run(kept.context, job("retention"))
    assert len(await kept.bodies(*three)) == 3
    later(10.1)
    assert await retention.run(kept.context, job("retention")) == {"bodies": {"north": 3, "south": 0}}
    assert await kept.bodies(*three) == set()
    assert await only(kept) == one, "it is archived already"


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.ledger_part("S0-65", "a tampered archive is refused by name, and then nothing is removed either")
@pytest.mark.parametrize("change", [flip, lambda path: path.write_bytes(path.read_bytes()[:-1]), Path.unlink],
                         ids=["changed", "cut", "gone"])  # fmt: skip
async def test_a_changed_archive_is_refused_by_name(
    kept: Any, three: list[NewMessage], job: Callable[..., Job], later: Callable[[float], None],
    change: Callable[[Path], None],
) -> None:  # fmt: skip
    one = await only(kept)
    await restore(kept, job, one)
    (file,) = kept.files()
    change(file)
    with pytest.raises(StoreError, match=f"archive {one.uuid} (is not what was written|cannot be read)"):
        await restore(kept, job, one)
    later(8)
    assert (await retention.run(kept.context, job("retention")))["bodies"] == {"north": 0, "south": 0}
    assert len(await kept.bodies(*three)) == 3, "its bodies are here alone now"
    (event,) = await kept.events("archive.verify")
    assert (event["outcome"], event["entity"]) == ("failure", one.entity)


async def test_a_new_data_key_opens_older_archives(kept: Any, three: list[NewMessage], job: Callable[..., Job]) -> None:
    """The key of the file is sealed anew; the file stays as it is."""
    one, (file,) = await only(kept), kept.files()
    before = file.read_bytes()
    await kept.hub.vault.rotate(kept.act("key.rotate"))
    done = await reencrypt.run(kept.context, job("reencrypt"))
    assert done == {"resealed": 1, "broken": 0, "retired": 1}
    moved = await only(kept)
    assert (moved.key, moved.sealed != one.sealed, file.read_bytes() == before) == (2, True, True)
    assert [key.sealed for key in await kept.hub.vault.list(Scope(1))] == [1, 0]
    assert await restore(kept, job, one) == {"bodies": 3, "messages": 3}
    assert await kept.bodies(*three) == {"C0", "C1", "C2"}


async def test_an_archive_in_anothers_place_does_not_open(
    kept: Any, three: list[NewMessage], job: Callable[..., Job]
) -> None:
    """Even where its checksum was made to fit: it is bound to the organization and to itself."""
    await kept.settings(2, archive_bodies=True)
    theirs = await kept.receive("theirs", days=20, organization=2)
    await retention.run(kept.context, job("retention"))
    one, (other,) = await only(kept), await kept.hub.store.read(archives.there, 2)
    mine, foreign = (
        next(path for path in kept.files() if path.name.startswith(str(each.uuid))) for each in (one, other)
    )
    mine.write_bytes(foreign.read_bytes())
    table = archives.archive
    fits = table.update().where(table.c.id == one.id).values(size=other.size, sha256=other.sha256)
    await kept.hub.store.write(lambda connection: connection.execute(fits))
    with pytest.raises(StoreError, match="does not open"):
        await restore(kept, job, one)
    key = table.update().where(table.c.id == one.id).values(sealed=other.sealed, key=other.key)
    await kept.hub.store.write(lambda connection: connection.execute(key))
    with pytest.raises(StoreError, match="does not open"):
        await restore(kept, job, one)
    assert await kept.bodies(*three, theirs) == set()


async def test_a_body_that_is_not_what_was_received_is_not_put_back(
    kept: Any, three: list[NewMessage], job: Callable[..., Job]
) -> None:
    one, table = await only(kept), schema.message
    other = sa.update(table).where(table.c.id == three[1].id).values(body_hash=b"another")
    await kept.hub.store.write(lambda connection: connection.execute(other))
    with pytest.raises(StoreError, match=f"the body of message {three[1].uuid} is not what was received"):
        await restore(kept, job, one)
    assert await kept.bodies(*three) == set()


async def test_another_organization_restores_nothing_of_it(
    kept: Any, three: list[NewMessage], job: Callable[..., Job]
) -> None:
    one = await only(kept)
    asked = job("archive_restore", archive=str(one.uuid), days=7)
    theirs = Job(asked.id, asked.uuid, 2, asked.kind, asked.state, asked.arguments, None, asked.actor, 0, None)
    with pytest.raises(NotFound):
        await archive_restore.run(kept.context, theirs)
    with pytest.raises(HilumError, match="the vault is not open"):
        await archive_restore.run(
            type(kept.context)(kept.hub.store, None, {}),  # type: ignore[arg-type]  # no engine runs
            asked,
        )


@pytest.mark.ledger_part("S4-76", "archives and legal holds of another organization are not there, on both databases")
async def test_another_organization_sees_none_of_it(kept: Any, three: list[NewMessage]) -> None:
    one, services = await only(kept), kept.hub.services()
    placed = await services.legal_holds.place(
        kept.act("legal-hold.create"), "case 17", "a claim", patient="P4711", endpoint=None, since=None, until=None
    )
    south, act = Scope(2), kept.act("archive.read", 2)
    assert await services.archives.list(south, 0, 10) == ([], 0)
    assert await services.legal_holds.list(act, None, 0, 10) == ([], 0)
    assert {each.removed + each.held for each in (await services.retention.preview(south)).classes} == {0}
    for asked in (
        services.archives.show(south, one.uuid),
        services.archives.verify(act, one.uuid),
        services.archives.restore(act, one.uuid, 7, "not ours"),
        services.legal_holds.show(act, placed.id),
        services.legal_holds.lift(act, placed.id, 1, "not ours"),
    ):
        with pytest.raises(NotFound):
            await asked
    for table in (schema_retention.archive, schema_retention.archived, schema_retention.legal_hold):
        count = sa.select(sa.func.count()).select_from(table)  # without any filter
        found = [await kept.hub.store.within(number).read(_scalar, count) for number in (1, 2)]
        assert (found[0] > 0, found[1]) == (True, 0), table.name


def _scalar(connection: Any, query: Any) -> Any:
    return connection.execute(query).scalar()


@pytest.mark.ledger_part("S0-65", "what was archived is found by its keys after a backup was restored, and re-imported")
async def test_its_messages_are_found_by_patient_after_their_keys_were_lost(
    kept: Any, three: list[NewMessage], job: Callable[..., Job]
) -> None:
    """keys.db is no part of a backup: it is made again from the rows."""
    await kept.close()
    for path in kept.folder.glob("keys.db*"):
        path.unlink()
    await kept.reopen()
    messages, act = kept.hub.services().messages, kept.act("message.search")
    found = await messages.search(act, "patient", "P4711")
    assert {one.control_id for one in found.items} == {"C0", "C1", "C2"}
    await restore(kept, job, await only(kept))
    assert await messages.body(kept.act("message.body"), uuid.UUID(three[2].uuid)) == three[2].body
