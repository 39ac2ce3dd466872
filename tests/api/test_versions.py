"""Whatever can be changed has a version, and of those who change it at once one does."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
import trustme
from fastapi.routing import iter_route_contexts

from hilum.api import create_app
from hilum.api.preconditions import conditional
from hilum.api.surface import Guarded
from hilum.app import Hub
from hilum.model.access import SYSTEM
from hilum.model.audit import Act

pytestmark = pytest.mark.anyio
VERBS = {"PATCH", "PUT"}


@dataclasses.dataclass(frozen=True, slots=True)
class Mutable:
    """Something that can be changed: how it is made, and how it is changed."""

    path: str
    made: dict[str, Any]
    method: str
    change: Callable[[int], dict[str, Any]]
    below: str = ""


def chain(name: str) -> dict[str, Any]:
    """A certificate of somebody's, in PEM."""
    return {"chain": trustme.CA().issue_cert(name).cert_chain_pems[0].bytes().decode()}


THINGS = {
    "study": Mutable("/studies", {"name": "trial"}, "PATCH", lambda n: {"title": f"T{n}"}),
    "user": Mutable("/users", {"email": "zoe@demo.example", "name": "Zoë"}, "PATCH", lambda n: {"name": f"Zoë {n}"}),
    "user's roles": Mutable(
        "/users", {"email": "ada@demo.example", "name": "Ada"}, "PUT", lambda _: {"roles": [{"role": "viewer"}]},
        "/roles",
    ),
    "credential": Mutable(
        "/credentials", {"name": "lab", "kind": "bearer", "secrets": {"token": "v3rsi0ns-0f-a-t0ken"}}, "PATCH",
        lambda n: {"secrets": {"token": f"{n:020}"}},
    ),
    "certificate": Mutable(
        "/certificates", {"name": "lab-tls", **chain("lab.example")}, "PUT", lambda n: chain(f"lab{n}.example")
    ),
    "vendor": Mutable("/vendors", {"name": "Lab"}, "PUT", lambda n: {"name": "Lab", "owner": f"O{n}"}),
}  # fmt: skip
ELSEWHERE = ("/integration", "/integrations", "/routes", "/mappings", "/webhooks", "/retention", "/exports")
"""Nouns whose own tests show 412 and 428: making one takes more than a line."""


def changing(hub: Hub) -> Iterator[tuple[str, Guarded]]:
    """Every route that changes a thing in part or as a whole."""

    for one in iter_route_contexts(create_app(hub.services(), local=True).routes):
        if isinstance(one.original_route, Guarded):
            yield from ((f"{verb} {one.path_format}", one.original_route) for verb in (one.methods or set()) & VERBS)


@pytest.fixture
async def client(
    stopped: Hub, serving: Callable[..., httpx.AsyncClient], act: Callable[..., Act]
) -> AsyncIterator[httpx.AsyncClient]:
    """An administrator's; the organization is number 1."""
    await stopped.services().organizations.create(act(SYSTEM), "demo", "", "ann@demo.example", "Ann")
    async with serving() as client:
        client.headers["x-reason"] = "a test"
        yield client


def version_of(answer: Any) -> Any:
    """Of the thing itself, where an answer has something beside it."""
    return next(one["version"] for one in (answer, *answer.values()) if isinstance(one, dict) and "version" in one)


@pytest.mark.ledger("S0-64")
async def test_of_a_hundred_changes_of_one_version_one_wins_wherever_there_are_versions(
    stopped: Hub, client: httpx.AsyncClient
) -> None:
    routes = dict(changing(stopped))
    without = [
        name for name, route in routes.items()
        if not declares(route.dependant) and "/integration/configs" not in name  # document 002 knows no If-Match
    ]  # fmt: skip
    assert without == [], "a change says which version it is based on"
    [home] = (await client.get("/organizations")).json()["items"]
    covered = {await contested(client, "PATCH", f"/organizations/{home['id']}", "", lambda n: {"title": f"T{n}"})}
    for thing in THINGS.values():
        made = await client.post(thing.path, json=thing.made)
        assert (made.status_code, made.headers.get("etag")) == (201, '"v1"'), made.text
        path = made.headers["location"].removeprefix("/api/v1")
        covered.add(await contested(client, thing.method, path, thing.below, thing.change))
    left = {shape(name) for name in routes} - covered
    assert not [name for name in left if f"/{name.split()[1].removeprefix('/api').split('/')[1]}" not in ELSEWHERE], (
        left
    )


async def contested(
    client: httpx.AsyncClient, method: str, path: str, below: str, change: Callable[[int], dict[str, Any]]
) -> str:
    """Let a hundred change it at once, and look at who did; the route that they took."""
    before = await client.get(path)
    version, tag = version_of(before.json()), before.headers["etag"]
    assert (isinstance(version, int), tag) == (True, f'"v{version}"')
    bodies = [change(n) for n in range(100)]
    assert (await client.request(method, path + below, json=bodies[0])).status_code == 428
    answers = await asyncio.gather(
        *(client.request(method, path + below, json=body, headers={"if-match": tag}) for body in bodies)
    )
    assert sorted(one.status_code for one in answers) == [200] + [412] * 99, {one.text for one in answers}
    [winner] = [one for one in answers if one.status_code == 200]
    after = await client.get(path)
    assert after.json() == winner.json()
    assert after.headers["etag"] == winner.headers["etag"] == f'"v{version + 1}"'
    return shape(f"{method} {path.rpartition('/')[0]}/{{}}{below}")


def shape(name: str) -> str:
    """A route's name, whatever its parameter is called."""
    head, _, tail = name.partition("{")
    return f"{head.replace('/api/v1', '')}{{}}{tail.partition('}')[2]}"


def declares(dependant: Any) -> bool:
    return any(one.call is conditional or declares(one) for one in dependant.dependencies)
