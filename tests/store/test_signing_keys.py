"""Signing keys: sealed, replaced by one process at a time, forgotten when nothing of theirs holds any more."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from hilum import clock
from hilum.errors import Conflict
from hilum.model.access import SYSTEM
from hilum.model.audit import Act
from hilum.security.tokens import SigningKey
from hilum.store import Store, signing_keys
from hilum.store.schema_people import signing_key

pytestmark = pytest.mark.anyio
Acts = Callable[..., Act]


async def put(store: Store, act: Acts, made: SigningKey, before: str | None) -> None:
    await store.within(SYSTEM).change(act(SYSTEM), signing_keys.replace, store.sealer, made, before)


async def test_a_key_is_stored_sealed_and_read_again(store: Store, act: Acts) -> None:
    made = SigningKey.make(clock.micros())
    await put(store, act, made, None)
    assert await store.read(signing_keys.read, store.sealer) == [made]
    row = (await store.read(lambda connection: connection.execute(sa.select(signing_key)).all()))[0]
    assert made.private not in bytes(row.sealed)
    assert "d" not in row.public
    assert row.public["kid"] == made.kid


async def test_the_one_that_is_replaced_retires(store: Store, act: Acts) -> None:
    first, second, third = (SigningKey.make(clock.micros()) for _ in range(3))
    await put(store, act, first, None)
    await put(store, act, second, first.kid)
    with pytest.raises(Conflict):  # another process was faster
        await put(store, act, third, first.kid)
    found = await store.read(signing_keys.read, store.sealer)
    assert [(one.kid, one.retired_at is None) for one in found] == [(first.kid, False), (second.kid, True)]
    assert await store.write(signing_keys.forget, clock.micros() + 1) == 1
    assert [one.kid for one in await store.read(signing_keys.read, store.sealer)] == [second.kid]


async def test_the_issuer_is_this_life_of_the_store(store: Store) -> None:
    issuer = await store.read(signing_keys.issuer)
    assert issuer.startswith("urn:uuid:")
    assert issuer == await store.read(signing_keys.issuer)
