"""API keys as machines show them: told from wrong ones, narrowed, revoked everywhere, never written down."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hilum import clock
from hilum.app import Hub
from hilum.errors import ConfigError, Refused, Unauthenticated
from hilum.model.access import Binding, Principal, PrincipalKind, Role, Scope, permit
from hilum.model.audit import Act
from hilum.security.api_keys import PATTERN, ApiKey, Pepper, make, parse
from hilum.services.api_keys import ApiKeys, IssuedApiKey
from hilum.store import studies
from hilum.store.schema_people import api_key

pytestmark = pytest.mark.anyio
Acts = Callable[..., Act]
ADMIN = Principal(PrincipalKind.USER, "ann", "Ann", 1, (Binding(Role.TENANT_ADMIN), Binding(Role.AUDITOR)))


@pytest.fixture
def keys(hub: Hub) -> ApiKeys:
    return hub.services().api_keys


def doing(principal: Principal, action: str = "api-key.create") -> Act:
    return Act(principal, Scope(principal.organization), action)


async def made(keys: ApiKeys, act: Act, name: str = "feed", **values: Any) -> IssuedApiKey:
    usual = {
        "role": Role.SERVICE, "study": None, "scopes": ["messages:read"], "allow": [], "expires_at": None
    }  # fmt: skip
    return await keys.create(act, name, **(usual | values))


async def changed(hub: Hub, **values: Any) -> None:
    """Change the only key's row behind everybody's back."""
    await hub.store.write(lambda connection: connection.execute(api_key.update().values(values)))


async def row(hub: Hub) -> Any:
    return await hub.store.read(lambda connection: connection.execute(sa.select(api_key)).one())


async def noted(hub: Hub) -> None:
    """Wait until it is written when the only key was used."""
    async with asyncio.timeout(20):
        used = (await row(hub)).used_at
        while used is None:
            await asyncio.sleep(0.02)
            used = (await row(hub)).used_at


def files(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]


@pytest.mark.ledger_part("S0-31", "a key is a principal narrowed to its scopes, in its study")
async def test_a_key_may_what_its_scopes_say(hub: Hub, keys: ApiKeys, act: Acts) -> None:
    study = await hub.store.write(studies.ensure, 1, "trial")
    done = await made(keys, act(), scopes=["messages:read"], study="trial")
    who = await keys.principal(done.key, "192.0.2.7")
    assert (who.kind, who.id, who.name, who.organization) == (
        PrincipalKind.API_KEY, str(done.api_key.id), "feed", 1
    )  # fmt: skip
    assert permit(who, "messages:read") == Scope(1, frozenset({study}))
    with pytest.raises(Refused, match="needs the scope messages:payload"):
        permit(who, "messages:payload")
    whole = await made(keys, act(), "another", scopes=["messages:payload", "lanes:read"])
    assert permit(await keys.principal(whole.key, ""), "messages:payload") == Scope(1)


@pytest.mark.ledger_part("S0-31", "wrong, mistyped, expired, revoked or from elsewhere: refused, all alike")
async def test_what_does_not_hold_is_refused_all_alike(hub: Hub, keys: ApiKeys, act: Acts) -> None:
    done = await made(keys, act(), allow=["10.1.0.0/16", "2001:db8::/32"])
    shown = make()
    told = set()

    async def refused(text: str, source: str = "10.1.2.3") -> None:
        with pytest.raises(Unauthenticated) as error:
            await keys.principal(text, source)
        told.add((str(error.value), error.value.expired))

    for source in ("10.1.255.255", "2001:db8::1", "::ffff:10.1.0.1"):
        assert (await keys.principal(done.key, source)).name == "feed"
    for text in ("", "hilum_live_", done.key[:-1], done.key.swapcase(), shown.text, "é" * 100):
        await refused(text)
    for source in ("10.2.0.1", "2001:db9::1", "", "local:root"):
        await refused(done.key, source)
    await changed(hub, digest=Pepper(hub.keyring).digest(shown))  # the visible part is right, the secret is not
    keys.forget(f"api-key/{done.api_key.id}")
    await refused(done.key)
    await changed(hub, digest=b"")
    keys.forget(f"api-key/{done.api_key.id}")
    await refused(done.key)
    assert told == {("this API key does not hold", False)}


async def test_a_key_holds_until_it_expires(hub: Hub, keys: ApiKeys, act: Acts) -> None:
    soon = clock.now() + datetime.timedelta(seconds=3)
    done = await made(keys, act(), expires_at=soon)
    assert (await keys.principal(done.key, "")).name == "feed"

    async def ends() -> None:
        while True:
            await keys.principal(done.key, "")
            await asyncio.sleep(0.02)

    with pytest.raises(Unauthenticated):
        await asyncio.wait_for(ends(), 20)
    assert clock.now() >= soon, "that it is remembered lengthens nothing"


@pytest.mark.ledger_part("S0-31", "a revoked key holds nowhere within 5 s")
async def test_a_revoked_key_holds_nowhere(hub: Hub, keys: ApiKeys, act: Acts) -> None:
    elsewhere = ApiKeys(hub.store, Pepper(hub.keyring))  # another process that has just seen it
    done = await made(keys, act())
    for each in (keys, elsewhere):
        await each.principal(done.key, "")
    await keys.revoke(act(1, "api-key.revoke"), done.api_key.id)
    with pytest.raises(Unauthenticated):
        await keys.principal(done.key, "")

    async def ends() -> None:
        while True:
            await elsewhere.principal(done.key, "")
            await asyncio.sleep(0.02)

    with pytest.raises(Unauthenticated):
        await asyncio.wait_for(ends(), 5)


@pytest.mark.ledger_part("S0-31", "rotated with an overlap in which both hold")
async def test_both_keys_hold_until_the_overlap_ends(hub: Hub, keys: ApiKeys, act: Acts) -> None:
    old = await made(keys, act(), scopes=["lanes:read"], allow=["10.0.0.0/8"])
    fresh = await keys.rotate(act(1, "api-key.rotate"), old.api_key.id, overlap=60)
    assert fresh.key != old.key
    for one in (old, fresh):
        who = await keys.principal(one.key, "10.9.9.9")
        assert (who.name, who.scopes) == ("feed", frozenset({"lanes:read"}))
    await keys.revoke(act(1, "api-key.revoke"), old.api_key.id)
    last = await keys.rotate(act(1, "api-key.rotate"), fresh.api_key.id, overlap=0)
    with pytest.raises(Unauthenticated):
        await keys.principal(fresh.key, "10.9.9.9")
    assert (await keys.principal(last.key, "10.9.9.9")).name == "feed"


@pytest.mark.ledger_part("S0-31", "when it was used last, to the minute, written once a minute at most")
async def test_when_it_was_used_is_coarse(hub: Hub, keys: ApiKeys, act: Acts) -> None:
    done = await made(keys, act())
    before = clock.micros() // 60_000_000
    await keys.principal(done.key, "")
    await noted(hub)
    await changed(hub, used_at=None)
    await keys.principal(done.key, "")
    await hub.store.write(lambda connection: None)  # whatever was queued before is written
    used = (await row(hub)).used_at
    if clock.micros() // 60_000_000 == before:
        assert used is None, "not twice in a minute"
    else:
        assert used in (None, clock.micros() // 60_000_000 * 60_000_000)
    await ApiKeys(hub.store, Pepper(hub.keyring)).principal(done.key, "")
    await noted(hub)
    assert str((await keys.show(Scope(1), done.api_key.id)).used_at).endswith(":00.000000Z")


@pytest.mark.ledger_part("S0-31", "scopes within what the role allows and what the creator may")
async def test_nobody_hands_out_what_he_may_not(hub: Hub, keys: ApiKeys) -> None:
    for scopes, role, study, error, why in (
        (["messages:payload"], Role.SERVICE, None, Refused, "messages:payload"),
        (["metrics:read"], Role.SERVICE, None, ConfigError, "the role service has no metrics:read"),
        (["metrics:read"], Role.PLATFORM_OPERATOR, None, Refused, "platform operator"),
        (["users:write"], Role.SERVICE, None, ConfigError, "the role service has no users:write"),
        (["users:read"], Role.AUDITOR, "trial", ConfigError, "no users:read in a study"),
        (["nothing:read"], Role.SERVICE, None, ConfigError, "there is no permission nothing:read"),
        (["organizations:create"], Role.PLATFORM_OPERATOR, None, Refused, "platform operator"),
        (["messages:read"], Role.SERVICE, "nothing", ConfigError, "there is no study nothing"),
    ):
        with pytest.raises(error, match=why):
            await made(keys, doing(ADMIN), scopes=scopes, role=role, study=study)
    done = await made(keys, doing(ADMIN), scopes=["audit:export", "audit:read", "audit:read"], role=Role.AUDITOR)
    assert done.api_key.scopes == ["audit:export", "audit:read"]


async def test_a_rotated_key_gives_its_maker_nothing_new(hub: Hub, keys: ApiKeys, act: Acts) -> None:
    """Whoever rotates a key holds it afterwards."""
    done = await made(keys, act(), scopes=["messages:payload"])
    with pytest.raises(Refused, match="messages:payload"):
        await keys.rotate(doing(ADMIN, "api-key.rotate"), done.api_key.id)
    assert (await keys.principal(done.key, "")).name == "feed"


async def test_a_key_makes_no_administrators_key(hub: Hub, keys: ApiKeys, act: Acts) -> None:
    scopes = ["api-keys:write", "users:write", "users:read"]
    strong = await made(keys, act(), role=Role.TENANT_ADMIN, scopes=scopes)
    machine = await keys.principal(strong.key, "")
    with pytest.raises(Refused, match="only a person"):
        await made(keys, doing(machine), "second", role=Role.TENANT_ADMIN, scopes=["users:read"])
    with pytest.raises(Refused, match="needs the scope messages:read"):
        await made(keys, doing(machine), "second")
    with pytest.raises(Refused, match="only a person"):
        await keys.rotate(doing(machine, "api-key.rotate"), strong.api_key.id)


async def test_bounds_of_time_and_addresses(hub: Hub, keys: ApiKeys, act: Acts) -> None:
    now = clock.now()
    for days in (-1, 0, 367):
        with pytest.raises(ConfigError, match="expires_at: must be within the next 366 days"):
            await made(keys, act(), expires_at=now + datetime.timedelta(days=days))
    await made(keys, act(), "year", expires_at=now + datetime.timedelta(days=366))
    done = await made(keys, act(), "usual")
    ends = datetime.datetime.fromisoformat(done.api_key.expires_at)
    assert abs(ends - now - datetime.timedelta(days=90)) < datetime.timedelta(minutes=1)
    for block in ("10.0.0.1/8", "10.0.0.0/33", "nowhere", "::1/129"):
        with pytest.raises(ConfigError, match="is no CIDR block"):
            await made(keys, act(), "blocks", allow=[block])
    single = await made(keys, act(), "blocks", allow=["10.0.0.1", "10.0.0.1/32", "::1"])
    assert single.api_key.allow == ["10.0.0.1/32", "::1/128"]


@pytest.mark.ledger_part("S2-64", "no API key in the files of the data folder")
async def test_no_key_is_written_down(hub: Hub, keys: ApiKeys, act: Acts) -> None:
    done = await made(keys, act())
    fresh = await keys.rotate(act(1, "api-key.rotate"), done.api_key.id)
    await keys.principal(fresh.key, "")
    secrets = [one.key[len("hilum_live_") + 9 :].encode() for one in (done, fresh)]
    await hub.store.write(lambda connection: None)
    found = files(hub.settings.data)
    assert found
    assert not any(secret in content for secret in secrets for content in found)
    dump = await hub.store.read(
        lambda connection: [
            str(tuple(one))
            for table in ("api_key", "audit_event", "outbox", "principal_index")
            for one in connection.exec_driver_sql(f"SELECT * FROM {table}")
        ]
    )
    assert any("feed" in line for line in dump)
    assert not any(secret.decode() in line for secret in secrets for line in dump)


@pytest.mark.ledger("S0-31")
async def test_all_that_a_key_is(hub: Hub, keys: ApiKeys, act: Acts) -> None:
    """From its making to its end; what goes wrong on the way is in the tests above."""
    elsewhere = ApiKeys(hub.store, Pepper(hub.keyring))  # another process of the hub
    done = await made(keys, act(), scopes=["lanes:read"], allow=["10.0.0.0/8"])
    shown, secret = done.api_key, done.key.rpartition("_")[2]
    assert PATTERN.fullmatch(done.key)
    assert parse(done.key[:-1] + ("0" if done.key[-1] != "0" else "1")) is None, "its checksum"
    stored = await row(hub)
    assert bytes(stored.digest) == Pepper(hub.keyring).digest(ApiKey(stored.key_id, done.key))
    assert secret not in str(stored)
    listed, _ = await keys.list(Scope(1), None, None, 0, 10)
    assert listed == [await keys.show(Scope(1), shown.id)]
    assert secret not in str(listed), "shown once"
    who = await elsewhere.principal(done.key, "10.0.0.1")
    assert permit(who, "lanes:read") == Scope(1)
    with pytest.raises(Refused):
        permit(who, "messages:read")
    with pytest.raises(Unauthenticated):
        await keys.principal(done.key, "192.0.2.1")
    await noted(hub)
    assert str((await keys.show(Scope(1), shown.id)).used_at).endswith(":00.000000Z")
    fresh = await keys.rotate(act(1, "api-key.rotate"), shown.id, overlap=60)
    for one in (done, fresh):
        assert (await keys.principal(one.key, "10.0.0.1")).name == "feed"
    await keys.revoke(act(1, "api-key.revoke"), fresh.api_key.id)
    await gone(keys, done, fresh)
    await elsewhere.principal(done.key, "10.0.0.1")
    await keys.revoke(act(1, "api-key.revoke"), shown.id)
    await gone(elsewhere, None, done)
    brief = await made(keys, act(), expires_at=clock.now() + datetime.timedelta(seconds=1))
    await keys.principal(brief.key, "10.0.0.1")
    await gone(keys, None, brief)


async def gone(keys: ApiKeys, holding: IssuedApiKey | None, ended: IssuedApiKey) -> None:
    """That a key ends within 5 s, and the other one does not."""

    async def ends() -> None:
        while True:
            await keys.principal(ended.key, "10.0.0.1")
            await asyncio.sleep(0.02)

    with pytest.raises(Unauthenticated):
        await asyncio.wait_for(ends(), 5)
    if holding is not None:
        assert (await keys.principal(holding.key, "10.0.0.1")).name == "feed"
