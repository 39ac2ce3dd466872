"""Credentials: secrets go in, are resolved for whoever may use them, and are in nothing that comes out."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import uuid
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from hilum import telemetry
from hilum.app import Hub
from hilum.errors import ConfigError, Conflict, NotFound, Refused, Stale
from hilum.model.access import Principal, PrincipalKind, Scope
from hilum.model.audit import Act
from hilum.services.credentials import Credentials, CredentialView
from hilum.store import audit, configuration, credentials, outbox, studies
from hilum.store.schema_people import credential

pytestmark = pytest.mark.anyio
SOMEBODY = Principal(PrincipalKind.USER, "ada", "Ada", 1)
CANARY = "kanarienvogel-4711-gelb-und-laut"


HOME = Scope(1)


def act(action: str = "credential.create", scope: Scope = HOME) -> Act:
    return Act(dataclasses.replace(SOMEBODY, organization=scope.organization), scope, action)


@pytest.fixture
def desk(hub: Hub) -> Credentials:
    return Credentials(hub.store, hub.vault)


async def add(desk: Credentials, name: str = "lab", **values: Any) -> CredentialView:
    wanted = {"kind": "basic", "fields": {"username": "hub"}, "secrets": {"password": CANARY}, **values}
    scope = wanted.pop("scope", Scope(1))
    return await desk.create(act(scope=scope), name=name, **wanted)


async def study(hub: Hub, name: str) -> int:
    number: int = await hub.store.write(studies.ensure, 1, name)
    return number


def shown(*found: Any) -> str:
    return json.dumps([dataclasses.asdict(one) for one in found], default=str)


async def traces(hub: Hub) -> str:
    """All audit events and outbox notes."""
    events = await hub.store.read(audit.newest, 1, audit.EventFilter(), limit=1_000)
    return repr(events) + repr(await hub.store.read(outbox.after, 0))


@pytest.mark.ledger_part("S2-35", "write-only: set, last4, updated_at, updated_by, version")
async def test_a_secret_is_never_shown(hub: Hub, desk: Credentials) -> None:
    key = "live_" + CANARY
    made = await add(desk, kind="api_key", fields={}, secrets={"key": key})
    assert made.fields == {"header": "X-API-Key"}
    about = made.secrets["key"]
    assert (about.set, about.last4, about.updated_by, about.version) == (True, key[-4:], "Ada", 1)
    listed, total = await desk.list(Scope(1), 0, 10)
    assert total == 1
    assert listed == [await desk.show(Scope(1), uuid.UUID(made.id))] == [await desk.named(Scope(1), "lab")]
    everything = shown(made, *listed) + await traces(hub)
    assert key not in everything
    assert CANARY not in everything
    assert telemetry.mask(f"oops {key}") == "oops ***"
    other = await add(desk, "site")
    assert other.secrets["password"].last4 == "", "a person's password is not hinted at"


async def test_what_is_left_out_stays_and_null_clears(desk: Credentials) -> None:
    made = await add(
        desk, kind="ssh_key", fields={"username": "u"}, secrets={"private_key": locked(b"p" * 8), "passphrase": "p" * 8}
    )
    one = uuid.UUID(made.id)
    changed = await desk.change(act("credential.change"), one, 1, fields={"username": "v"}, rotate_every=90)
    assert (changed.version, changed.fields["username"], changed.rotate_every) == (2, "v", 90)
    assert set(changed.secrets) == {"private_key", "passphrase"}
    with pytest.raises(ConfigError, match="needs its passphrase"):
        await desk.change(act("credential.change"), one, 2, secrets={"passphrase": None})
    key = locked(None)
    await desk.change(act("credential.change"), one, 2, secrets={"private_key": key, "passphrase": None})
    cleared = await desk.change(act("credential.change"), one, 3, secrets={"passphrase": None})
    assert set(cleared.secrets) == {"private_key"}
    values = await desk.values(1, None, {"lab"})
    assert values == {"lab": key, "lab.private_key": key, "lab.username": "v", "lab.public_key": ""}


def locked(passphrase: bytes | None) -> str:
    """A private key in PEM."""
    how = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    made = ed25519.Ed25519PrivateKey.generate()
    return made.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how).decode()


async def test_somebody_else_was_faster(desk: Credentials) -> None:
    made = await add(desk)
    one = uuid.UUID(made.id)
    await desk.change(act("credential.change"), one, 1, rotate_every=3)
    for late in (
        desk.change(act("credential.change"), one, 1, secrets={"password": "another one"}),
        desk.rotate(act("credential.rotate"), one, 1, {"password": "another one"}),
        desk.remove(act("credential.remove"), one, 1),
    ):
        with pytest.raises(Stale):
            await late
    assert (await desk.values(1, None, {"lab"}))["lab"] == CANARY


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"fields": {}}, "fields.username"),
        ({"fields": {"username": "a", "password": "b"}}, "fields.password"),
        ({"secrets": {"key": "abc"}}, "secrets.key: basic has password"),
        ({"kind": "oauth2", "fields": {"token_url": "x", "client_id": "y"}, "secrets": {}}, "fields.token_url"),
        (
            {"kind": "oauth2", "fields": {"token_url": "https://a:b@x/", "client_id": "y"}, "secrets": {}},
            "must hold no credentials",
        ),
        ({"kind": "generic", "fields": {"n": 1}, "secrets": {}}, r"fields\.n: must be text"),
        ({"secrets": {"password": "x" * 70_000}}, "more than 65536 bytes"),
    ],
)
async def test_what_a_kind_does_not_have_is_refused(desk: Credentials, values: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        await add(desk, **values)


async def test_a_generic_one_holds_anything(desk: Credentials) -> None:
    await add(desk, kind="generic", fields={"site": "A"}, secrets={"pin": "123456", "puk": "654321"})
    values = await desk.values(1, None, {"lab"})
    assert values == {"lab.site": "A", "lab.pin": "123456", "lab.puk": "654321"}, "and no main one: there are two"


async def test_names_are_unique(desk: Credentials) -> None:
    await add(desk)
    with pytest.raises(Conflict, match="there is a credential or certificate lab already"):
        await add(desk)


async def test_two_at_once_make_one(desk: Credentials) -> None:
    done = await asyncio.gather(add(desk), add(desk), return_exceptions=True)
    assert sorted(type(one).__name__ for one in done) == ["Conflict", "CredentialView"]


async def test_rotation_needs_something_new(desk: Credentials) -> None:
    made = await add(desk)
    one = uuid.UUID(made.id)
    with pytest.raises(ConfigError, match=r"secrets\.password: is as it was"):
        await desk.rotate(act("credential.rotate"), one, 1, {"password": CANARY})
    with pytest.raises(ConfigError, match="needs a new secret"):
        await desk.rotate(act("credential.rotate"), one, 1, {"password": None})
    rotated = await desk.rotate(act("credential.rotate"), one, 1, {"password": "the new password"})
    assert rotated.secrets["password"].version == 2
    assert rotated.rotated_at > made.rotated_at
    assert (await desk.values(1, None, {"lab"}))["lab"] == "the new password"


REFERRING = {
    "name": "lab",
    "endpoints": [{"name": "out", "url": "https://x/${secret:lab.username}", "headers": {"X-Key": "a ${secret:lab}"}}],
}  # fmt: skip


@pytest.mark.ledger_part("S0-10", "usage list per credential")
async def test_usage_is_listed_and_forbids_removal(hub: Hub, desk: Credentials) -> None:
    made = await add(desk)
    one = uuid.UUID(made.id)
    assert (await desk.usage(Scope(1), one)).items == []
    await hub.store.write(configuration.put_integration, 1, "lab", REFERRING, "api")
    used = await desk.usage(Scope(1), one)
    assert [(use.integration, use.where, use.field) for use in used.items] == [
        ("lab", "endpoints[0].url", "username"),
        ("lab", "endpoints[0].headers.X-Key", ""),
    ]
    with pytest.raises(Conflict, match="lab is in use by lab: change what refers to it first"):
        await desk.remove(act("credential.remove"), one, 1)
    await hub.store.write(configuration.remove_integration, 1, "lab")
    await desk.remove(act("credential.remove"), one, 1)
    with pytest.raises(NotFound):
        await desk.show(Scope(1), one)
    assert await desk.values(1, None, {"lab"}) == {}
    row = await hub.store.read(lambda connection: connection.execute(credential.select()).one())
    assert row.sealed == b"", "it is gone for good"
    assert await add(desk)


async def test_another_organizations_is_not_there(hub: Hub, desk: Credentials) -> None:
    made = await add(desk)
    other = await hub.store.write(configuration.put_organization, "other", {})
    assert await desk.list(Scope(other), 0, 10) == ([], 0)
    for work in (
        desk.show(Scope(other), uuid.UUID(made.id)),
        desk.usage(Scope(other), uuid.UUID(made.id)),
        desk.change(act("credential.change", Scope(other)), uuid.UUID(made.id), 1, rotate_every=1),
        desk.remove(act("credential.remove", Scope(other)), uuid.UUID(made.id), 1),
    ):
        with pytest.raises(NotFound):
            await work
    assert await desk.values(other, None, {"lab"}) == {}
    assert await add(desk, scope=Scope(other)), "names are each organization's own"


async def test_a_study_keeps_its_credentials_to_itself(hub: Hub, desk: Credentials) -> None:
    one, two = await study(hub, "one"), await study(hub, "two")
    mine = Scope(1, frozenset({one}))
    with pytest.raises(Refused, match="name one as `study`"):
        await add(desk, scope=mine)
    with pytest.raises(NotFound, match="there is no study two"):
        await add(desk, scope=mine, study="two")
    made = await add(desk, scope=mine, study="one")
    assert made.study == "one"
    await add(desk, "whole")
    await add(desk, "second", study="two")
    assert [found.name for found in (await desk.list(mine, 0, 10))[0]] == ["lab"]
    assert [found.name for found in (await desk.list(Scope(1), 0, 10))[0]] == ["lab", "second", "whole"]
    names = {"lab", "second", "whole"}
    assert {name for name in await desk.values(1, one, names) if "." not in name} == {"lab", "whole"}
    assert {name for name in await desk.values(1, two, names) if "." not in name} == {"second", "whole"}
    assert {name for name in await desk.values(1, None, names) if "." not in name} == names


async def test_use_is_written_down(desk: Credentials) -> None:
    made = await add(desk)
    assert made.used_at is None
    await desk.values(1, None, {"lab"})
    found = await desk.show(Scope(1), uuid.UUID(made.id))
    assert found.used_at is not None
    assert found.unused_for == 0
    assert found.version == made.version, "that is no change of it"


@pytest.mark.ledger_part("S2-64", "no row shows a secret")
async def test_what_changed_is_told_without_what_it_is(hub: Hub, desk: Credentials) -> None:
    made = await add(desk)
    await desk.change(act("credential.change"), uuid.UUID(made.id), 1, secrets={"password": f"{CANARY}-2"})
    event = (await hub.store.read(audit.newest, 1, audit.EventFilter(action="credential.change")))[0].document
    assert event["before"]["secrets"] == {"password": {"set": True, "version": 1, "value": "***"}}
    assert event["after"]["secrets"] == {"password": {"set": True, "version": 2, "value": "***"}}
    assert CANARY not in await traces(hub)
    rows = await hub.store.read(lambda connection: connection.execute(credential.select()).all())
    assert CANARY not in repr(rows)
    stored = await hub.store.read(credentials.find, Scope(1), uuid.UUID(made.id))
    assert "sealed" not in repr(stored)
