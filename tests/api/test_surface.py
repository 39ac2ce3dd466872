"""What every route has without asking for it: its caller is known and allowed, and one event tells of it."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from fastapi import Response
from pydantic import BaseModel

from hilum.api import Edge
from hilum.api.edge import Rate
from hilum.api.surface import Acting, Surface, allow, open_to_all
from hilum.app import Hub
from hilum.errors import Conflict, StoreError
from hilum.model.audit import Change
from hilum.store import Connection, audit
from hilum.store.audit import EventFilter

pytestmark = pytest.mark.anyio
Serving = Callable[..., httpx.AsyncClient]


class Body(BaseModel):
    text: str = ""


@pytest.fixture
def things(stopped: Hub) -> Surface:
    """Routes that end in every way that there is."""
    router = Surface("/things")

    @router.get("")
    @allow("users:read", audits="thing.list")
    async def list_things(act: Acting) -> dict[str, str]:
        act.entity = "thing/1"
        return {"who": act.principal.name, "why": act.reason}

    @router.post("")
    @allow("users:write", audits="thing.create")
    async def create_thing(act: Acting, body: Body) -> dict[str, str]:
        within = stopped.store.within(act.organization)
        await within.change(act, lambda _: Change(None, "thing/2", None, {"text": "new"}))
        return {}

    @router.post("/{thing}/break")
    @allow("users:write", audits="thing.break")
    async def break_thing(thing: int) -> None:
        if thing:
            raise Conflict("it stands")
        raise RuntimeError("patient 4711")

    @router.get("/bytes", response_class=Response, responses={200: {"content": {"application/octet-stream": {}}}})
    @allow("users:read", audits="thing.bytes")
    async def thing_bytes() -> Response:
        return Response(b"\0\1", media_type="application/octet-stream")

    @router.get("/tools")
    @allow("hub:write", audits="thing.tools", local=True)
    async def tools() -> dict[str, str]:
        return {}

    @router.get("/open")
    @open_to_all()
    async def open_thing() -> dict[str, str]:
        return {}

    @router.post("/knock")
    @open_to_all(audits="thing.knock")
    async def knock() -> dict[str, str]:
        return {}

    return router


@pytest.fixture
def events(stopped: Hub) -> Callable[..., Awaitable[list[Any]]]:
    """The documents of an organization's events of things, the oldest first."""

    async def found(organization: int = 1) -> list[Any]:
        seen = await stopped.store.read(audit.newest, organization, EventFilter(action="thing"), limit=100)
        return [one.document for one in reversed(seen)]

    return found


def test_a_route_that_declares_nothing_cannot_be_defined() -> None:
    router = Surface("/things")

    async def undeclared() -> None: ...

    with pytest.raises(TypeError, match=r"undeclared must say @allow"):
        router.get("")(undeclared)
    with pytest.raises(KeyError):
        allow("things:see", audits="thing.list")


async def test_one_event_for_whatever_becomes_of_a_request(serving: Serving, things: Surface, events: Any) -> None:
    async with serving(things) as client:
        assert (await client.get("/things", headers={"x-reason": "Prüfung".encode()})).json() == {
            "who": "tenant_admin", "why": "Prüfung",
        }  # fmt: skip
        assert (await client.post("/things", json={})).status_code == 200
        assert (await client.post("/things/1/break")).status_code == 409
        assert (await client.post("/things/0/break")).status_code == 500
        assert (await client.post("/things/x/break")).status_code == 400
        assert (await client.get("/things", headers={"authorization": "Bearer viewer"})).status_code == 403
        request_id = (await client.get("/things")).headers["x-request-id"]
    found = await events()
    assert [(one["action"], one["outcome"], one.get("code"), one["entity"]) for one in found] == [
        ("thing.list", "success", None, "thing/1"),
        ("thing.create", "success", None, "thing/2"),
        ("thing.break", "failure", "INT004", ""),
        ("thing.break", "failure", "INT005", ""),
        ("thing.break", "failure", "INT002", ""),
        ("thing.list", "denied", "INT003", ""),
        ("thing.list", "success", None, "thing/1"),
    ]
    assert found[0]["reason"] == "Prüfung"
    assert found[0]["source"] == "192.0.2.7"
    assert found[1]["after"] == {"text": "new"}
    assert "4711" not in str(found)
    assert found[5]["actor"]["name"] == "viewer"
    assert found[-1]["request_id"] == request_id


async def test_whoever_is_not_known_leaves_an_event_of_the_hub(serving: Serving, things: Surface, events: Any) -> None:
    async with serving(things) as client:
        for credentials in ("", "Basic YTpi", "Bearer", "Bearer nobody"):
            response = await client.get("/things", headers={"authorization": credentials})
            assert response.status_code == 401
            assert response.headers["www-authenticate"].startswith("Bearer ")
            assert response.json()["error"]["code"] == "INT003"
    assert await events() == []
    assert [one["outcome"] for one in await events(0)] == ["denied"] * 4


async def test_a_cookie_changes_nothing_without_its_token(serving: Serving, things: Surface) -> None:
    async with serving(things) as client:
        del client.headers["authorization"]
        client.cookies.set("hilum_session", "tenant_admin")
        assert (await client.get("/things")).status_code == 200
        assert (await client.post("/things", json={})).status_code == 403
        wrong = await client.post("/things", json={}, headers={"x-csrf-token": "guessed"})
        assert (wrong.status_code, wrong.json()["error"]["code"]) == (403, "INT003")
        right = await client.post("/things", json={}, headers={"x-csrf-token": "the session's token"})
        assert right.status_code == 200


async def test_what_is_open_asks_nobody(serving: Serving, things: Surface, events: Any) -> None:
    async with serving(things) as client:
        del client.headers["authorization"]
        assert (await client.get("/things/open")).status_code == 200
        assert (await client.post("/things/knock")).status_code == 200
    assert [one["action"] for one in await events(0)] == ["thing.knock"]


async def test_a_flood_is_turned_away_and_leaves_no_event(serving: Serving, things: Surface, events: Any) -> None:
    edge = Edge(known=Rate("default", 2, 60), unknown=Rate("address", 1, 60))
    async with serving(things, edge=edge) as client:
        answers = [await client.get("/things") for _ in range(4)]
        assert [one.status_code for one in answers] == [200, 200, 429, 429]
        assert answers[0].headers["ratelimit-policy"] == '"default";q=2;w=60'
        assert answers[0].headers["ratelimit"] == '"default";r=1;t=30'
        assert answers[2].json()["error"]["code"] == "INT006"
        assert 1 <= int(answers[2].headers["retry-after"]) <= 30
        assert answers[2].headers["ratelimit"].startswith('"default";r=0')
        nobody = [await client.get("/things", headers={"authorization": ""}) for _ in range(3)]
        assert [one.status_code for one in nobody] == [401, 429, 429]
        assert nobody[0].headers["ratelimit-policy"] == '"address";q=1;w=60'
    assert len(await events()) == 2
    assert len(await events(0)) == 1


async def test_who_has_the_data_folder_is_everybody_and_not_limited(serving: Serving, things: Surface) -> None:
    edge = Edge(known=Rate("default", 1, 60), unknown=Rate("address", 1, 60))
    async with serving(things, local=True, edge=edge, client="local:ann") as client:
        answers = [await client.get("/things") for _ in range(3)]
        assert [one.json()["who"] for one in answers] == ["local:ann"] * 3
        assert "ratelimit" not in answers[0].headers
        assert (await client.get("/things/tools")).status_code == 200
        missing = await client.get("/things", params={"organization": "nowhere"})
        assert missing.status_code == 404
    async with serving(things) as client:
        assert (await client.get("/things/tools")).status_code == 404
        assert (await client.options("/things/tools")).status_code == 404


@pytest.mark.ledger_part("S0-40", "405 with Allow, 406, 415, HEAD and OPTIONS")
async def test_methods_and_media_types(serving: Serving, things: Surface, events: Any) -> None:
    async with serving(things) as client:
        head = await client.head("/things")
        assert (head.status_code, head.content) == (200, b"")
        assert int(head.headers["content-length"]) == len((await client.get("/things")).content)
        options = await client.options("/things")
        assert (options.status_code, options.headers["allow"]) == (204, "GET, HEAD, POST, OPTIONS")
        assert (await client.options("/nothing")).status_code == 404
        wrong = await client.delete("/things")
        assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, HEAD, POST, OPTIONS")
        for accept, status in (
            ("text/html", 406), ("application/json;q=0", 406), ("application/*", 200), ("*/*;q=0.1", 200),
            ("text/html, application/json;q=0.5", 200), ("application/problem+json", 200),
        ):  # fmt: skip
            assert (await client.get("/things", headers={"accept": accept})).status_code == status, accept
        assert (await client.get("/things/bytes", headers={"accept": "application/json"})).status_code == 406
        for kind, status in (
            ("application/json", 200), ("application/json; charset=utf-8", 200), ("application/x+json", 200),
            ("text/plain", 415), ("application/x-www-form-urlencoded", 415), ("", 415),
        ):  # fmt: skip
            response = await client.post("/things", content=b"{}", headers={"content-type": kind})
            assert response.status_code == status, kind
    assert (await events())[0]["action"] == "thing.list"


async def test_downloads_are_no_pages(serving: Serving, things: Surface) -> None:
    async with serving(things) as client:
        response = await client.get("/things/bytes")
    assert response.headers["content-disposition"] == "attachment"
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_nul_characters_are_refused_before_a_database_sees_them(serving: Serving, things: Surface) -> None:
    async with serving(things) as client:
        for path in ("/things?q=%00", "/things/%00/break"):
            response = await client.request("POST" if "break" in path else "GET", path)
            assert (response.status_code, response.json()["error"]["code"]) == (400, "INT002")


@pytest.mark.ledger_part("S0-43", "404 in the envelope, also for what is of another organization")
async def test_what_is_not_there_is_a_404_of_its_surface(serving: Serving) -> None:
    async with serving() as client:
        here = await client.get(f"/studies/{uuid.uuid4()}")
        assert (here.status_code, here.json()["error"]["code"]) == (404, "INT001")
        exports = await client.get("/exports/nothing")
        assert (exports.status_code, exports.json()["error"]["code"]) == (404, "EXP001")


async def test_what_cannot_be_recorded_is_not_shown(stopped: Hub, serving: Serving, things: Surface) -> None:
    """The disk is full: a read then fails as well, because its event has no room."""

    def limit(connection: Connection, pages: int) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    async with serving(things) as client:
        await stopped.store.write(limit, 1)  # SQLite takes the present size instead
        for _ in range(500):  # the last page has room for some
            response = await client.get("/things")
            if response.status_code != 200:
                break
        assert (response.status_code, response.json()["error"]["code"]) == (503, "INT005")
        assert "tenant_admin" not in response.text
        with contextlib.suppress(StoreError):
            await stopped.store.write(limit, 1 << 30)
        assert (await client.get("/things")).status_code == 200
