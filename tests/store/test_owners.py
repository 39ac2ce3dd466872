"""Who somebody is now by the id that a row keeps: with the rights that stand, or refused with the reason."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from hilum import clock
from hilum.errors import Refused
from hilum.model.access import Binding, Principal, PrincipalKind, Role
from hilum.model.audit import Act
from hilum.store import Store, api_keys, configuration, owners, studies, users
from hilum.store.api_keys import ApiKeyRow
from hilum.store.schema import organization
from hilum.store.schema_people import api_key, user
from hilum.store.users import Grant, Might, User

pytestmark = pytest.mark.anyio
Acts = Callable[..., Act]
ALL = Might(operate=True, administer=True)
_numbers = itertools.count()


async def home(store: Store, name: str = "one") -> int:
    return await store.write(configuration.put_organization, name, {})


async def person(store: Store, act: Acts, owner: int, *grants: Grant) -> User:
    """One who has set a password."""
    address = f"ann{next(_numbers)}@example.org"
    made, _ = await store.within(owner).change(
        act(owner), users.invite, store.hash, owner, address, "Ann", grants, ALL, 60
    )  # fmt: skip
    values = user.update().where(user.c.id == made.id).values(state="active", password="$argon2id$…")
    await store.write(lambda connection: connection.execute(values))
    return await store.read(users.find, owner, made.uuid)


async def key(store: Store, act: Acts, owner: int, **values: Any) -> ApiKeyRow:
    number = next(_numbers)
    usual = {
        "id": f"{number:08}", "digest": b"digest %d" % number, "name": f"feed-{number}", "role": Role.SERVICE,
        "study": None, "scopes": ("exports:create",), "allow": (), "expires_at": clock.micros() + 10**12,
        "created_by": "local:test",
    }  # fmt: skip
    wanted = api_keys.Wanted(**(usual | values))
    found: ApiKeyRow = await store.within(owner).change(act(owner), api_keys.create, store.hash, owner, wanted)
    return found


async def of(store: Store, owner: int, identifier: object) -> Principal:
    return await store.within(owner).read(owners.of, owner, str(identifier))


async def changed(store: Store, act: Acts, owner: int, one: User, **values: Any) -> None:
    await store.within(owner).change(act(owner), users.change, owner, one.uuid, one.version, ALL, **values)


async def test_a_user_has_the_roles_of_now(store: Store, act: Acts) -> None:
    owner = await home(store)
    study = await store.write(studies.ensure, owner, "alpha")
    one = await person(store, act, owner, Grant(Role.OPERATOR), Grant(Role.VIEWER, "alpha"))
    found = await of(store, owner, one.uuid)
    assert found == Principal(
        PrincipalKind.USER, str(one.uuid), "Ann", owner, (Binding(Role.OPERATOR), Binding(Role.VIEWER, study)),
        number=one.id,
    )  # fmt: skip
    grants = [Grant(Role.VIEWER)]
    await store.within(owner).change(act(owner), users.set_roles, owner, one.uuid, one.version, grants, ALL)
    assert (await of(store, owner, one.uuid)).bindings == (Binding(Role.VIEWER),)
    strict = organization.update().where(organization.c.id == owner).values(settings={"strict": True})
    await store.write(lambda connection: connection.execute(strict))
    assert (await of(store, owner, one.uuid)).strict


async def test_who_is_disabled_or_gone_may_no_more(store: Store, act: Acts) -> None:
    owner = await home(store)
    await person(store, act, owner, Grant(Role.TENANT_ADMIN))
    one = await person(store, act, owner, Grant(Role.OPERATOR))
    await changed(store, act, owner, one, state="disabled")
    with pytest.raises(Refused, match="the user Ann is disabled"):
        await of(store, owner, one.uuid)
    await store.within(owner).change(act(owner), users.remove, owner, one.uuid, ALL)
    with pytest.raises(Refused, match="the user Ann is removed"):
        await of(store, owner, one.uuid)


async def test_a_key_has_its_scopes_while_it_holds(store: Store, act: Acts) -> None:
    owner = await home(store)
    study = await store.write(studies.ensure, owner, "alpha")
    one = await key(store, act, owner, study="alpha")
    found = await of(store, owner, one.uuid)
    assert found == Principal(
        PrincipalKind.API_KEY, str(one.uuid), one.name, owner, (Binding(Role.SERVICE, study),),
        frozenset({"exports:create"}), number=one.id,
    )  # fmt: skip
    over = api_key.update().where(api_key.c.id == one.id).values(expires_at=clock.micros() - 1)
    await store.write(lambda connection: connection.execute(over))
    with pytest.raises(Refused, match="is expired"):
        await of(store, owner, one.uuid)
    other = await key(store, act, owner)
    await store.within(owner).change(act(owner), api_keys.revoke, owner, other.uuid)
    with pytest.raises(Refused, match="is revoked"):
        await of(store, owner, other.uuid)


async def test_somebody_at_the_machine(store: Store) -> None:
    owner = await home(store)
    found = await of(store, owner, "local:ann")
    assert found == Principal(PrincipalKind.LOCAL, "local:ann", "local:ann", owner)


async def test_nobody(store: Store, act: Acts) -> None:
    one, two = await home(store), await home(store, "two")
    theirs = await person(store, act, two, Grant(Role.OPERATOR))
    for identifier in (uuid.uuid4(), theirs.uuid, "hub", ""):
        with pytest.raises(Refused, match="nobody here is"):
            await of(store, one, identifier)
