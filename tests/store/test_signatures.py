"""Signatures and approvals of several organizations, as the role that owns nothing sees them."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
import sqlalchemy as sa

from hilum import clock
from hilum.errors import StoreError
from hilum.model.access import Scope
from hilum.model.identifier import new
from hilum.store import Store, approvals, configuration, records, signatures
from hilum.store.schema_evidence import approval, signature
from hilum.store.schema_people import user

pytestmark = pytest.mark.anyio
ENTITY = "credential/1"


@pytest.fixture
async def owners(store: Store) -> list[int]:
    return await _two(store)


async def _two(store: Store) -> list[int]:
    """Two organizations with a user, a signature and an approval each, all for an entity of the same name."""
    made = []
    for name in ("one", "other"):
        owner = await store.write(configuration.put_organization, name, {"environment": "test"})
        await store.write(_fill, owner)
        made.append(owner)
    return made


def _fill(connection: sa.Connection, owner: int) -> None:
    now = clock.micros()
    about = {"organization": owner, "uuid": new(now), "email": "eva@example.org", "name": f"Eva {owner}",
             "state": "active", "totp_step": 0, "failures": 0, "identity_proofed": 0, "version": 1,
             "created_at": now}  # fmt: skip
    person = connection.execute(user.insert().values(about)).inserted_primary_key
    assert person is not None
    signatures.add(
        connection, 0, uuid=new(now), organization=owner, study=None, user=person[0], operation="credential.change",
        entity=ENTITY, entity_version=1, stamp=now, document="{}", seal=b"seal",
    )  # fmt: skip
    approvals.add(
        connection, uuid=new(now), organization=owner, study=None, operation="credential.change", entity=ENTITY,
        fingerprint=b"", document="{}", reason="why", asked_by=str(about["uuid"]), asked_at=now,
        expires_at=now + 10**10,
    )  # fmt: skip


async def test_each_organization_has_its_own(store: Store, owners: list[int]) -> None:
    mine, theirs = owners
    for owner, other in ((mine, theirs), (theirs, mine)):
        within, now = store.within(owner), clock.micros()
        signed, total = await within.read(signatures.newest, Scope(owner), ENTITY, 0, 20)
        assert (total, [one.organization for one in signed]) == (1, [owner])
        asked, total = await within.read(approvals.newest, Scope(owner), None, now, 0, 20)
        assert (total, [one.organization for one in asked]) == (1, [owner])
        elsewhere = store.within(other)
        assert await elsewhere.read(signatures.find, Scope(other), signed[0].uuid) is None
        assert await elsewhere.read(approvals.find, Scope(other), asked[0].uuid) is None
        assert not await elsewhere.write(signatures.use, other, signed[0].id, now)
        assert (await elsewhere.read(signatures.signer, other, signed[0].user)) is None
        assert await elsewhere.read(approvals.names, other, [asked[0].asked_by]) == {}
        assert await within.read(approvals.names, owner, [asked[0].asked_by]) == {asked[0].asked_by: f"Eva {owner}"}


async def test_row_level_security_holds_without_the_filter(role_url: str, open_store: Any) -> None:
    store = await open_store(url=role_url)
    mine, theirs = await _two(store)

    def everything(connection: sa.Connection) -> set[int]:
        return {row.organization for table in (signature, approval) for row in connection.execute(sa.select(table))}

    assert await store.read(everything) == {mine, theirs}
    assert await store.within(mine).read(everything) == {mine}
    with pytest.raises(StoreError):
        await store.within(mine).write(_fill, theirs)


async def test_a_signature_is_used_once_whoever_is_quicker(store: Store, owners: list[int]) -> None:
    within = store.within(owners[0])
    [one], _ = await within.read(signatures.newest, Scope(owners[0]), None, 0, 20)
    tries = [within.write(signatures.use, owners[0], one.id, clock.micros()) for _ in range(10)]
    assert sorted(await asyncio.gather(*tries)) == [False] * 9 + [True]


async def test_an_approval_is_decided_and_used_once(store: Store, owners: list[int]) -> None:
    within, now = store.within(owners[0]), clock.micros()
    [one], _ = await within.read(approvals.newest, Scope(owners[0]), "waiting", now, 0, 20)
    assert not await within.write(approvals.use, one, now), "nobody approved it"
    assert not await within.write(approvals.decide, one, "approved", "tom", "", one.expires_at), "its time is over"
    assert await within.write(approvals.decide, one, "approved", "tom", "fine", now)
    assert not await within.write(approvals.decide, one, "denied", "tim", "no", now)
    [one], _ = await within.read(approvals.newest, Scope(owners[0]), "approved", now, 0, 20)
    assert (one.decided_by, one.decision, one.version) == ("tom", "fine", 2)
    assert not await within.write(approvals.use, one, one.expires_at)
    assert await within.write(approvals.use, one, now)
    assert not await within.write(approvals.use, one, now)


async def test_another_organizations_record_is_not_there(store: Store, owners: list[int]) -> None:
    mine, theirs = owners
    [person] = [row.uuid for row in await store.read(_users) if row.organization == theirs]
    assert await store.within(theirs).read(records.read, theirs, f"user/{person}") is not None
    assert await store.within(mine).read(records.read, mine, f"user/{person}") is None
    home = await store.within(theirs).read(signatures.home, theirs)
    assert home is not None
    for noun in ("organization", "configuration"):
        assert await store.within(theirs).read(records.read, theirs, f"{noun}/{home.uuid}") is not None
        assert await store.within(mine).read(records.read, mine, f"{noun}/{home.uuid}") is None
    for wrong in (
        f"user/{str(person).upper()}",
        f"user/{{{person}}}",
        f"user/{uuid.uuid4()}",
        f"thing/{person}",
        "user",
    ):
        assert await store.within(theirs).read(records.read, theirs, wrong) is None


def _users(connection: sa.Connection) -> list[Any]:
    return list(connection.execute(sa.select(user)))


def test_a_record_has_a_text_whatever_the_documents_hold() -> None:
    assert records.plain({"a": [1.5, 2**60, True, None], "b": {"c": (1, "x")}}) == {
        "a": ["1.5", str(2**60), True, None], "b": {"c": [1, "x"]}
    }  # fmt: skip
