"""Idempotency-Key: the same request twice does one thing and is answered the same."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from fastapi import Response
from pydantic import BaseModel

from hilum import clock
from hilum.api.surface import Acting, Surface, allow
from hilum.app import Hub
from hilum.errors import Conflict, StoreError
from hilum.store import audit
from hilum.store.audit import EventFilter
from hilum.store.schema_evidence import idempotency

pytestmark = pytest.mark.anyio
Serving = Callable[..., httpx.AsyncClient]
SECRET = "hk_a_secret_that_is_shown_once"


class Body(BaseModel):
    name: str


class Things:
    """Counts what was made; waits or fails as it is told to."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.error: Exception | None = None
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.begun = asyncio.Event()
        self.router = Surface("/things")

        @self.router.post("", status_code=201)
        @allow("users:write", audits="thing.create")
        async def create_thing(act: Acting, response: Response, body: Body) -> dict[str, Any]:
            self.begun.set()
            await self.go_on.wait()
            if self.error:
                raise self.error
            self.made.append(body.name)
            act.entity = f"thing/{len(self.made)}"
            response.headers["location"] = f"/api/v1/things/{len(self.made)}"
            return {"name": body.name, "number": len(self.made), "secret": SECRET}

        @self.router.post("/{number}/poke")
        @allow("users:read", audits="thing.poke", key_needed=True)
        async def poke(number: int) -> dict[str, int]:
            self.made.append(f"poke {number}")
            return {"pokes": len(self.made)}

        @self.router.get("")
        @allow("users:read", audits="thing.list")
        async def list_things() -> dict[str, int]:
            return {"made": len(self.made)}


@pytest.fixture
def things(anyio_backend: object) -> Things:
    return Things()


def key(value: str = '"k-1"', **more: str) -> dict[str, str]:
    return {"idempotency-key": value, **more}


async def test_a_repetition_gets_the_first_answer(serving: Serving, things: Things, stopped: Hub) -> None:
    async with serving(things.router) as client:
        first = await client.post("/things", json={"name": "a"}, headers=key())
        again = await client.post("/things", json={"name": "a"}, headers=key())
        bare = await client.post("/things", json={"name": "a"}, headers=key("k-1"))
        assert [one.status_code for one in (first, again, bare)] == [201] * 3
        assert first.content == again.content == bare.content
        assert again.headers["location"] == "/api/v1/things/1"
        assert again.headers["idempotency-replayed"] == "true"
        assert "idempotency-replayed" not in first.headers
        assert again.headers["x-request-id"] != first.headers["x-request-id"]
        assert things.made == ["a"]
        other = await client.post("/things", json={"name": "a"}, headers=key('"k-2"'))
        assert other.json()["number"] == 2
    found = await stopped.store.read(audit.newest, 1, EventFilter(action="thing"), limit=10)
    told = [(one.document["entity"], one.document.get("details")) for one in reversed(found)]
    assert told == [
        ("thing/1", None),
        ("thing/1", {"replayed": True}),
        ("thing/1", {"replayed": True}),
        ("thing/2", None),
    ]


async def test_another_payload_is_misuse(serving: Serving, things: Things) -> None:
    async with serving(things.router) as client:
        await client.post("/things", json={"name": "a"}, headers=key())
        for path, body in (("/things", {"name": "b"}), ("/things?organization=x", {"name": "a"})):
            response = await client.post(path, json=body, headers=key())
            assert (response.status_code, response.json()["error"]["code"]) == (422, "INT010")
        await client.post("/things/1/poke", headers=key())
        assert (await client.post("/things/2/poke", headers=key())).status_code == 422
    assert things.made == ["a", "poke 1"]


async def test_keys_belong_to_whoever_used_them(serving: Serving, things: Things) -> None:
    async with serving(things.router) as client:
        for who in ("tenant_admin.ann", "tenant_admin.bob"):
            response = await client.post("/things", json={"name": who}, headers=key(authorization=f"Bearer {who}"))
            assert (response.status_code, response.json()["name"]) == (201, who)
        denied = await client.post("/things", json={"name": "x"}, headers=key(authorization="Bearer viewer.ann"))
        assert denied.status_code == 403


async def test_where_a_key_is_needed_there_is_nothing_without_one(serving: Serving, things: Things) -> None:
    async with serving(things.router) as client:
        response = await client.post("/things/1/poke")
        assert (response.status_code, response.json()["error"]["field"]) == (400, "Idempotency-Key")
        for wrong in ("", '""', '"a', 'a"b', '"a\\b"', "x" * 201, "a b"):
            response = await client.post("/things/1/poke", headers=key(wrong))
            assert (response.status_code, response.json()["error"]["code"]) == (400, "INT002"), wrong
        assert (await client.get("/things", headers=key())).json() == {"made": 0}


async def test_while_the_first_one_runs_the_second_waits_for_nobody(serving: Serving, things: Things) -> None:
    things.go_on.clear()
    async with serving(things.router) as client:
        first = asyncio.create_task(client.post("/things", json={"name": "a"}, headers=key()))
        await asyncio.wait_for(things.begun.wait(), 20)
        running = await client.post("/things", json={"name": "a"}, headers=key())
        assert (running.status_code, running.json()["error"]["code"]) == (409, "INT004")
        things.go_on.set()
        assert (await first).status_code == 201
        assert (await client.post("/things", json={"name": "a"}, headers=key())).json() == (await first).json()
    assert things.made == ["a"]


@pytest.mark.parametrize("error", [StoreError("full"), RuntimeError("broken"), Conflict("not now")])
async def test_what_failed_gives_its_key_back(serving: Serving, things: Things, error: Exception) -> None:
    async with serving(things.router) as client:
        things.error = error
        failed = await client.post("/things", json={"name": "a"}, headers=key())
        assert failed.status_code in (500, 503, 409)
        assert (await client.post("/things", json={"heading": "a"}, headers=key())).status_code == 400
        things.error = None
        response = await client.post("/things", json={"name": "a"}, headers=key())
        assert (response.status_code, response.headers.get("idempotency-replayed")) == (201, None)


async def test_what_a_dead_hub_left_is_taken_over_after_a_minute(
    serving: Serving, things: Things, stopped: Hub
) -> None:
    async with serving(things.router) as client:
        await client.post("/things", json={"name": "a"}, headers=key())
        await leave(stopped, clock.micros() - 50_000_000)
        assert (await client.post("/things", json={"name": "a"}, headers=key())).status_code == 409
        await leave(stopped, clock.micros() - 70_000_000)
        assert (await client.post("/things", json={"name": "a"}, headers=key())).status_code == 201
    assert things.made == ["a", "a"]


async def leave(hub: Hub, began: int) -> None:
    """As if the hub had died before the answer was kept."""
    await hub.store.write(
        lambda connection: connection.execute(sa.update(idempotency).values(status=None, sealed=None, created_at=began))
    )


async def test_answers_are_sealed(serving: Serving, things: Things, stopped: Hub) -> None:
    async with serving(things.router) as client:
        assert SECRET in (await client.post("/things", json={"name": "a"}, headers=key())).text
        (row,) = await stopped.store.read(lambda connection: connection.execute(sa.select(idempotency)).all())
        assert SECRET.encode() not in row.sealed
        sent = b"\0".join((b"POST", b"/api/v1/things", b"", b'{"name":"a"}'))
        assert row.fingerprint != hashlib.sha256(sent).digest(), "a password in it could be guessed"
        assert (row.organization, row.status) == (1, 201)
        await stopped.store.write(
            lambda connection: connection.execute(sa.update(idempotency).values(sealed=row.sealed[:-1] + b"\0"))
        )
        response = await client.post("/things", json={"name": "a"}, headers=key())
        assert (response.status_code, response.json()["error"]["code"]) == (503, "INT005")
