"""Everything comes under the newest data key, whatever happens in the middle; it is readable throughout."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hilum.app import Hub
from hilum.errors import HilumError
from hilum.jobs import Context, reencrypt
from hilum.model.access import HUB, Scope
from hilum.model.audit import Act
from hilum.security.envelope import Place
from hilum.services.credentials import Credentials
from hilum.services.vault import Vault
from hilum.settings import Settings
from hilum.store import audit, configuration, jobs, vault

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


async def plant(hub: Hub, count: int) -> None:
    """Credentials with a secret each."""
    made = Credentials(hub.store, hub.vault)
    for n in range(count):
        await made.create(
            act("credential.create"), name=f"c{n}", kind="bearer", fields={}, secrets={"token": f"token-{n}"}
        )


async def readable(hub: Hub, holder: Vault, count: int) -> bool:
    found = await Credentials(hub.store, holder).values(1, None, {f"c{n}" for n in range(count)})
    return found == {name: f"token-{n}" for n in range(count) for name in (f"c{n}", f"c{n}.token")}


@pytest.mark.ledger_part("S0-33", "a new data key, and everything re-encrypted by a job that can be interrupted")
async def test_rotation_reencrypts_while_everything_is_readable(hub: Hub) -> None:
    await plant(hub, 5)
    made = await hub.vault.rotate(act("key.rotate"))
    assert (made.number, made.current, made.sealed) == (2, True, 0)
    assert await readable(hub, hub.vault, 5)
    job = next(job for job in await hub.store.read(jobs.open_ones) if job.kind == "reencrypt")

    class Interrupted(Exception):
        pass

    class Twice:
        """Ends in the middle, as a crash would; looks meanwhile."""

        left = 2

        async def open(self, at: Place, sealed: bytes) -> bytes:
            return await hub.vault.open(at, sealed)

        async def seal(self, at: Place, plain: bytes) -> tuple[bytes, int]:
            assert await readable(hub, hub.vault, 5)
            if not self.left:
                raise Interrupted
            self.left -= 1
            return await hub.vault.seal(at, plain)

    context = Context(hub.store, None, {}, Twice())  # type: ignore[arg-type]  # no engine runs
    with pytest.raises(Interrupted):
        await reencrypt.run(context, job)
    assert [key.sealed for key in await hub.vault.list(Scope(1))] == [2, 3]
    whole = dataclasses.replace(context, vault=hub.vault)
    assert await reencrypt.run(whole, job) == {"resealed": 3, "broken": 0, "retired": 1}
    assert await reencrypt.run(whole, job) == {"resealed": 0, "broken": 0, "retired": 0}
    newest, oldest = await hub.vault.list(Scope(1))
    assert (newest.sealed, oldest.sealed) == (5, 0)
    assert oldest.retired_at is not None
    assert await readable(hub, Vault(hub.store, hub.vault._providers), 5)


async def test_what_does_not_open_does_not_stop_the_others(hub: Hub) -> None:
    await plant(hub, 3)
    await hub.vault.rotate(act("key.rotate"))
    rows = await hub.store.read(vault.behind, 1, 2, 10)
    await hub.store.write(vault.resealed, 1, rows[0], rows[1].sealed, 1)  # somebody moved it
    job = next(job for job in await hub.store.read(jobs.open_ones) if job.kind == "reencrypt")
    context = Context(hub.store, None, {}, hub.vault)  # type: ignore[arg-type]  # no engine runs
    assert await reencrypt.run(context, job) == {"resealed": 2, "broken": 1, "retired": 0}
    event = (await hub.store.read(audit.newest, 1, audit.EventFilter(action="key.reencrypt")))[0].document
    assert event["details"] == {"resealed": 2, "broken": 1, "retired": 0}


async def test_without_a_vault_there_is_nothing_to_do(hub: Hub) -> None:
    number = await hub.store.write(jobs.insert, "reencrypt", {}, actor="test", organization=1)
    job = await hub.store.read(jobs.get, number)
    with pytest.raises(HilumError, match="the vault is not open here"):
        await reencrypt.run(Context(hub.store, None, {}), job)  # type: ignore[arg-type]  # no engine runs
    whole = Context(hub.store, None, {}, vault=hub.vault)  # type: ignore[arg-type]
    assert await reencrypt.run(whole, job) == {"resealed": 0, "broken": 0, "retired": 0}
