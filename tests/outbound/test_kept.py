"""Tokens outlive the process, sealed, each organization's apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from hilum.errors import StoreError
from hilum.outbound.kept import Kept
from hilum.security.keyring import Keyring
from hilum.store import Store, organizations

pytestmark = pytest.mark.anyio


async def test_a_token_outlives_the_process(tmp_path: Path, url: str | None) -> None:
    keys, _ = Keyring.create(tmp_path / "hub.key")
    store = await Store(tmp_path, keys, url).open(lambda message: ())
    for name in ("north", "south"):
        await store.write(organizations.create, name, "")
    kept = Kept(store)
    assert await kept.read("north", "k") is None
    await kept.write("north", "k", "canary-one")
    await kept.write("north", "k", "canary-two")
    async with kept.alone("north", "k"):
        assert await kept.read("north", "k") == "canary-two"
    assert await kept.read("south", "k") is None
    with pytest.raises(StoreError, match="west"):
        await kept.read("west", "k")
    await store.close()
    if url is None:
        assert not any(b"canary" in one.read_bytes() for one in sorted(tmp_path.iterdir()) if one.is_file())  # noqa: ASYNC240 - a test may wait for its disk
    again = await Store(tmp_path, keys, url).open(lambda message: ())
    assert await Kept(again).read("north", "k") == "canary-two"
    await again.close()
