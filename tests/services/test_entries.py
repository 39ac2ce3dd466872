"""References to the vault in a configuration: what is known is checked, what may come later is no mistake."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from hilum.app import Hub
from hilum.errors import ConfigError, StoreError
from hilum.model import document
from hilum.model.access import HUB, Scope
from hilum.model.audit import Act
from hilum.services.configuration import Configurations
from hilum.store import studies

pytestmark = pytest.mark.anyio
CONFIG = """
version: 1
organization: demo
integrations:
  - name: lab
    protocol: rest_api
    {study}
    endpoints: [{{name: out, direction: outbound, url: "https://lab.example/", headers: {{X-Key: "{key}"}}}}]
"""


def wanted(key: str, study: str = "") -> Any:
    return document.load(CONFIG.format(key=key, study=f"study: {study}" if study else ""), "hub.yaml")


async def add(hub: Hub, name: str, study: str | None = None) -> None:
    act = Act(dataclasses.replace(HUB, organization=1), Scope(1), "credential.create")
    values: dict[str, Any] = {"kind": "bearer", "fields": {}, "secrets": {"token": "token-of-the-lab"}}
    await hub.entries.credentials.create(act, name=name, study=study, **values)


async def problems(hub: Hub, key: str, study: str = "", **options: Any) -> str:
    compiled, _ = await hub.configurations.plan(wanted(key, study), None, **options)
    return "; ".join(compiled.problems)


async def test_an_entry_may_come_later_but_its_fields_are_checked(hub: Hub) -> None:
    assert await problems(hub, "${secret:lab}") == ""
    await add(hub, "lab")
    for good in ("${secret:lab}", "Bearer ${secret:lab.token}"):
        assert await problems(hub, good) == ""
    assert "lab has no tokem; there are: token" in await problems(hub, "${secret:lab.tokem}")


async def test_a_secret_that_is_no_header_is_found_before_it_is_used(hub: Hub) -> None:
    act = Act(dataclasses.replace(HUB, organization=1), Scope(1), "credential.create")
    values: dict[str, Any] = {"kind": "generic", "fields": {}, "secrets": {"token": "two\nlines-of-a-token"}}
    await hub.entries.credentials.create(act, name="lab", **values)
    found = await problems(hub, "${secret:lab}")
    assert "no header" in found
    assert "lines-of-a-token" not in found


async def test_a_study_has_what_is_its_own_and_the_organizations(hub: Hub) -> None:
    for name in ("one", "two"):
        await hub.store.write(studies.ensure, 1, name)
    await add(hub, "own", "one")
    await add(hub, "others", "two")
    vault = hub.entries
    assert set(await vault.values(1, (await hub.store.read(studies.numbers, 1))["one"], {"own", "others"})) == {
        "own",
        "own.token",
    }
    assert await problems(hub, "${secret:own.no}", "one") != ""
    assert await problems(hub, "${secret:others.no}", "one") == "", "nothing is told of what it may not use"


@pytest.mark.ledger_part("S2-65", "an API-made configuration may name the vault alone")
async def test_what_the_api_manages_reads_nothing_of_the_machine(hub: Hub) -> None:
    assert "not allowed here" in await problems(hub, "${env:HOME}", managed_by="api")
    assert "not allowed here" in await problems(hub, "${file:/etc/hostname}", managed_by="api")
    assert await problems(hub, "${secret:lab}", managed_by="api") == ""


async def test_a_vault_that_does_not_open_stops_no_configuration(hub: Hub) -> None:
    class Closed:
        async def values(self, *_: Any) -> dict[str, str]:
            raise StoreError("KMS does not answer (ConnectError)")

    closed = Configurations(hub.store, hub.registry, {}, Closed())  # type: ignore[arg-type]  # all that is asked of it
    compiled, _ = await closed.plan(wanted("${secret:lab}"), None)
    assert compiled.problems == ()


async def test_a_reference_that_is_none_is_still_a_mistake(hub: Hub) -> None:
    assert "a reference is" in await problems(hub, "${secret:}")
    with pytest.raises(ConfigError):
        await hub.configurations.apply(
            Act(HUB, Scope(1), "configuration.apply"), wanted("${secret:}"), None
        )  # fmt: skip
