"""Bodies go after their time; rows, and what still waits, stay."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hilum import clock
from hilum.jobs import Context, retention
from hilum.model.delivery import Pending
from hilum.model.message import Disposition, NewMessage
from hilum.store import Store, configuration, messages
from hilum.store.jobs import Job

pytestmark = pytest.mark.anyio
DAY = 86_400_000_000


async def stored(store: Store, owner: int, days: int, routes: str = "", *, waits: bool = False) -> int:
    made = [Pending(2, 1, 0, 0, 5, 0, b"body")] if waits else []
    kind = Disposition.DELIVERING if waits else Disposition.FILTERED
    received = clock.micros() - days * DAY
    new = NewMessage(owner, 1, received, kind, "AA", "", "", b"body", b"", routes=routes, deliveries=made)
    return (await store.append(new)).id


async def test_old_bodies_go_and_waiting_ones_stay(context: Context, store: Store, job: Callable[..., Job]) -> None:
    owner = await store.write(configuration.put_organization, "demo", {"retention": {"bodies": 10}})
    old, waiting, young = (
        await stored(store, owner, 11),
        await stored(store, owner, 11, waits=True),
        await stored(store, owner, 9),
    )
    assert await retention.run(context, job("retention")) == {"bodies": {"demo": 1}}
    assert set(await store.read(messages.bodies, store.sealer, [old, waiting, young])) == {waiting, young}
    assert len(await store.read(messages.by_ids, [old, waiting, young])) == 3


async def test_a_route_keeps_its_own_time(context: Context, store: Store, job: Callable[..., Job]) -> None:
    owner = await store.write(configuration.put_organization, "demo", {"retention": {"bodies": 10}})
    for name, days in (("short", 1), ("long", 100)):
        document = {"route": {"name": name, "from": "a/in", "retention": {"bodies": days}}}
        await store.write(configuration.put_route, owner, name, document, "file")
    versions = {one.name: str(one.id) for one in (await store.read(configuration.read, "demo"))[0].routes.values()}
    short, long = versions["short"], versions["long"]
    ids = {
        "short": await stored(store, owner, 5, short),
        "long": await stored(store, owner, 50, long),
        "both": await stored(store, owner, 50, f"{short} {long}"),
        "none": await stored(store, owner, 5),
    }
    await retention.run(context, job("retention"))
    left = await store.read(messages.bodies, store.sealer, list(ids.values()))
    assert {name for name, one in ids.items() if one in left} == {"long", "both", "none"}
