"""A certificate's end and a credential's rotation are said in time, and not again and again."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import trustme

from hilum import clock
from hilum.app import Hub
from hilum.jobs import Context, vault_reminders
from hilum.model.access import HUB, Scope
from hilum.model.audit import Act
from hilum.services.certificates import Upload
from hilum.settings import Settings
from hilum.store import Connection, audit, configuration, jobs, outbox
from hilum.store.credentials import DAY
from hilum.store.schema_people import certificate, credential

pytestmark = pytest.mark.anyio


@pytest.fixture
async def hub(tmp_path: Path, anyio_backend: object) -> AsyncIterator[Hub]:
    """A data folder that is open, with an organization."""
    hub = Hub(Settings(data=tmp_path / "data", http=None))
    await hub.open()
    await hub.store.write(configuration.put_organization, "demo", {})
    yield hub
    await hub.close()


def act(action: str) -> Act:
    return Act(dataclasses.replace(HUB, organization=1), Scope(1), action)


async def add(hub: Hub, name: str, rotate_every: int | None = None) -> str:
    made = await hub.entries.credentials.create(
        act("credential.create"), name=name, kind="bearer", fields={}, secrets={"token": "number-one"},
        rotate_every=rotate_every,
    )  # fmt: skip
    return made.id


@pytest.fixture
async def remind(hub: Hub) -> Callable[[], Awaitable[tuple[int, int]]]:
    """Runs the job; of how many certificates and credentials it told."""
    number = await hub.store.write(jobs.insert, "vault_reminders", {}, actor="schedule")
    job = await hub.store.read(jobs.get, number)

    async def run() -> tuple[int, int]:
        done = await vault_reminders.run(Context(hub.store, None, {}), job)  # type: ignore[arg-type]  # no engine runs
        return done["certificates"], done["credentials"]

    return run


def rotated(connection: Connection, days: int) -> None:
    connection.execute(credential.update().values(rotated_at=clock.micros() - days * DAY))


def reminded(connection: Connection, days: int) -> None:
    connection.execute(credential.update().values(reminded_at=clock.micros() - days * DAY))


def ends(connection: Connection, at: int) -> None:
    connection.execute(certificate.update().values(not_after=at))


@pytest.mark.ledger_part("S4-103", "age, last use, and a reminder of rotation")
async def test_a_rotation_that_is_due_is_said_once_and_again_after_a_week(
    hub: Hub, remind: Callable[[], Awaitable[tuple[int, int]]]
) -> None:
    identifier = await add(hub, "lab", 30)
    await add(hub, "never")
    desk, one = hub.entries.credentials, uuid.UUID(identifier)
    assert (await desk.show(Scope(1), one)).rotation == "ok"
    assert await remind() == (0, 0)
    await hub.store.write(rotated, 31)
    found = await desk.show(Scope(1), one)
    assert (found.rotation, found.age, found.unused_for) == ("due", 31, None)
    assert [await remind(), await remind()] == [(0, 1), (0, 0)]
    notes = [note for note in await hub.store.read(outbox.after, 0) if note.topic == "credential.rotation_due"]
    assert [note.entity for note in notes] == [f"credential/{identifier}"]
    event = (await hub.store.read(audit.newest, 1, audit.EventFilter(action="credential.rotation_due")))[0].document
    assert event["actor"]["kind"] == "system"
    assert event["after"]["name"] == "lab"
    await hub.store.write(reminded, 8)
    assert await remind() == (0, 1)
    await desk.rotate(act("credential.rotate"), one, 1, {"token": "number-two"})
    assert (await desk.show(Scope(1), one)).rotation == "ok"
    assert await remind() == (0, 0)


@pytest.mark.ledger_part("S3-04", "expiry is said 60, 30, 14, 7 and 1 days before, once each")
async def test_the_end_is_said_in_time_and_once(hub: Hub, remind: Callable[[], Awaitable[tuple[int, int]]]) -> None:
    leaf, desk = trustme.CA().issue_cert("lab.example"), hub.entries.certificates
    given = Upload(leaf.cert_chain_pems[0].bytes().decode(), leaf.private_key_pem.bytes().decode())
    made = (await desk.upload(act("certificate.create"), "lab-tls", given)).certificate
    said = []
    for days in (*range(100, -3, -1), -2, -1, 0):
        await hub.store.write(ends, clock.micros() + days * DAY + DAY // 2)
        if await remind() == (1, 0):
            said.append(days)
    assert said == [59, 29, 13, 6, 0]
    notes = [note for note in await hub.store.read(outbox.after, 0) if note.topic == "certificate.expiring"]
    assert [note.entity for note in notes] == [f"certificate/{made.id}"] * 5
    listed = (await desk.list(Scope(1), 0, 10))[0][0]
    assert (listed.state, listed.days_left) == ("expiring", 0)
    await desk.replace(act("certificate.replace"), uuid.UUID(made.id), 1, given)
    await hub.store.write(ends, clock.micros() + 20 * DAY)
    assert await remind() == (1, 0), "a renewed one is warned of anew"
