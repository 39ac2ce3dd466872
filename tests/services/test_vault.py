"""Data keys of organizations: made, used, replaced and wrapped anew, with everything readable throughout."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import secrets
import uuid
from pathlib import Path

import pytest

from hilum.app import Hub
from hilum.errors import ConfigError, StoreError
from hilum.model.access import Principal, PrincipalKind, Scope
from hilum.model.audit import Act
from hilum.security.envelope import DataKey, Place
from hilum.security.keys import Providers
from hilum.security.keys.choice import KeyChoice, providers
from hilum.services import backup
from hilum.services.credentials import Credentials
from hilum.services.vault import Vault
from hilum.settings import Settings
from hilum.store import audit, configuration, jobs, vault

pytestmark = pytest.mark.anyio
SOMEBODY = Principal(PrincipalKind.LOCAL, "local:ada", "Ada", 1)
KEY = base64.b64encode(secrets.token_bytes(32)).decode()


def act(action: str, organization: int = 1) -> Act:
    return Act(dataclasses.replace(SOMEBODY, organization=organization), Scope(organization), action)


def place(organization: int = 1) -> Place:
    return Place(organization, "credential", uuid.uuid4())


def environment(hub: Hub) -> Providers:
    """The hub's key file, and a key of the environment that wraps from now on."""
    return providers(KeyChoice("environment", {"HILUM_KEY_A": KEY}), hub.keyring, hub.settings.data / "hub.key")


async def plant(hub: Hub, count: int) -> list[str]:
    """Credentials with a secret each; their ids."""
    made = Credentials(hub.store, hub.vault)
    return [
        (
            await made.create(
                act("credential.create"), name=f"c{n}", kind="bearer", fields={}, secrets={"token": f"token-{n}"}
            )
        ).id
        for n in range(count)
    ]


async def readable(hub: Hub, holder: Vault, count: int) -> bool:
    found = await Credentials(hub.store, holder).values(1, None, {f"c{n}" for n in range(count)})
    return found == {name: f"token-{n}" for n in range(count) for name in (f"c{n}", f"c{n}.token")}


async def test_each_organization_has_keys_of_its_own(hub: Hub) -> None:
    other = await hub.store.write(configuration.put_organization, "other", {})
    one, two = place(1), place(other)
    sealed, number = await hub.vault.seal(one, b"geheim")
    await hub.vault.seal(two, b"geheim")
    assert number == 1
    assert [key.number for key in await hub.vault.list(Scope(1))] == [1]
    assert await hub.vault.open(one, sealed) == b"geheim"
    with pytest.raises(StoreError, match="changed or moved"):
        await hub.vault.open(dataclasses.replace(one, organization=other), sealed)


async def test_data_keys_are_stored_wrapped_alone(hub: Hub) -> None:
    await hub.vault.seal(place(), b"x")
    stored = (await hub.store.read(vault.keys))[0]
    opened = hub.vault._opened[1, 1]
    assert isinstance(opened, DataKey)
    assert opened.secret not in stored.wrapped.wrapped
    assert (stored.wrapped.provider, stored.wrapped.wrapped_by) == ("file", "1")


async def test_many_at_once_make_one_key(hub: Hub) -> None:
    places = [place() for _ in range(20)]
    sealed = await asyncio.gather(*(hub.vault.seal(one, b"x") for one in places))
    assert {number for _, number in sealed} == {1}
    for one, (text, _) in zip(places, sealed, strict=True):
        assert await hub.vault.open(one, text) == b"x"


async def test_another_process_uses_the_same_key(hub: Hub) -> None:
    both = Vault(hub.store, environment(hub)), Vault(hub.store, environment(hub))
    where = [place(), place()]
    sealed = await asyncio.gather(*(one.seal(at, b"x") for one, at in zip(both, where, strict=True)))
    assert {number for _, number in sealed} == {1}
    assert len(await hub.store.read(vault.keys)) == 1


async def test_a_key_is_replaced_before_its_nonces_run_out(hub: Hub) -> None:
    small = Vault(hub.store, hub.vault._providers, limit=1_000)
    seals = [(at := place(), *await small.seal(at, b"x")) for _ in range(1_100)]
    assert {number for _, _, number in seals} == {1, 2}
    for at, sealed, _ in (seals[0], seals[-1]):
        assert await small.open(at, sealed) == b"x"
    assert [job.kind for job in await hub.store.read(jobs.open_ones)].count("reencrypt") == 1


@pytest.mark.ledger_part("S0-33", "data keys are wrapped anew under another key or provider at once")
async def test_rewrapping_moves_to_another_provider_and_back(hub: Hub) -> None:
    await plant(hub, 2)
    moved = Vault(hub.store, environment(hub))
    assert await moved.rewrap(act("key.rewrap")) == 1
    (key,) = await moved.list(Scope(1))
    assert (key.provider, key.wrapped_by, key.sealed) == ("environment", "A", 2)
    assert await readable(hub, moved, 2)
    without = Vault(hub.store, providers(KeyChoice(), hub.keyring, hub.settings.data / "hub.key"))
    with pytest.raises(ConfigError, match="the key provider 'environment', which is not set up here"):
        await without.check()
    both = environment(hub)
    both.current = both.every["file"]
    back = Vault(hub.store, both)
    assert await back.rewrap(act("key.rewrap")) == 1
    await without.check()
    assert await readable(hub, without, 2)


async def test_a_new_master_key_wraps_and_the_hub_starts_with_it(hub: Hub) -> None:
    await plant(hub, 1)
    assert await hub.vault.rewrap(act("key.rewrap"), renew=True) == 1
    assert (await hub.vault.list(Scope(1)))[0].wrapped_by == "2"
    await hub.close()
    await hub.open()
    assert hub.keyring.current == 2
    assert await readable(hub, hub.vault, 1)


async def test_a_hub_without_the_key_does_not_start(hub: Hub) -> None:
    await plant(hub, 1)
    await Vault(hub.store, environment(hub)).rewrap(act("key.rewrap"))
    await hub.close()
    try:
        with pytest.raises(ConfigError, match="wrapped by the key provider 'environment', which is not set up here"):
            await hub.open()
        hub.settings = dataclasses.replace(hub.settings, keys=KeyChoice("environment", {"HILUM_KEY_B": KEY}))
        with pytest.raises(ConfigError, match="under the key 'A' of the key provider 'environment', which is not here"):
            await hub.open()
    finally:
        hub.settings = dataclasses.replace(hub.settings, keys=KeyChoice("environment", {"HILUM_KEY_A": KEY}))
        await hub.open()
    assert await readable(hub, hub.vault, 1)


@pytest.mark.ledger_part("S0-33", "a backup carries the keys: what it holds opens on another machine")
async def test_a_backup_opens_on_a_fresh_folder(tmp_path: Path) -> None:
    """The data keys are rows; the master that wraps them lies in hub.key, which the archive holds as well."""
    first = Hub(Settings(data=tmp_path / "first", http=None))
    await first.open()
    await first.store.write(configuration.put_organization, "demo", {})
    await plant(first, 3)
    await first.vault.rotate(act("key.rotate"))
    await first.vault.rewrap(act("key.rewrap"), renew=True)
    await backup.create(first.store, tmp_path / "hub.age")
    recovery = first.recovery_key
    await first.close()
    assert recovery is not None
    assert b"token-1" not in (tmp_path / "hub.age").read_bytes()
    await backup.restore(tmp_path / "hub.age", recovery, tmp_path / "second", verify=True)
    second = Hub(Settings(data=tmp_path / "second", http=None))
    await second.open()
    try:
        assert await readable(second, second.vault, 3)
    finally:
        await second.close()


async def test_what_is_done_to_keys_is_in_the_audit_trail(hub: Hub) -> None:
    await hub.vault.seal(place(), b"x")
    await hub.vault.rotate(act("key.rotate"))
    await hub.vault.rewrap(act("key.rewrap"))

    found = await hub.store.read(audit.newest, 1, audit.EventFilter(action="key"))
    assert [(one.document["action"], one.document["actor"]["kind"]) for one in found] == [
        ("key.rewrap", "local"),
        ("key.rotate", "local"),
        ("key.rotate", "system"),
    ]
    assert found[1].document["before"] == {"number": 1, "provider": "file", "wrapped_by": "1"}
