"""Events over a WebSocket, with a client that others wrote: who may listen, for how long, from where, how much."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import types
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect, unix_connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from hilum import clock
from hilum.api import Edge, Server, create_app
from hilum.api.sockets import LOOK
from hilum.app import SOCKET, Hub
from hilum.model.access import SYSTEM
from hilum.security.egress import LOOPBACK
from hilum.security.passwords import Cost, Passwords
from hilum.services.identity import REMEMBERED
from hilum.settings import Settings
from hilum.store import audit
from hilum.store.audit import EventFilter
from hilum.store.schema_people import session

pytestmark = pytest.mark.anyio
Sign = Callable[..., Awaitable[httpx.AsyncClient]]
CHEAP = Cost(time=1, memory=8, lanes=1)
PATH = "/api/v1/events/socket"


class Running(types.SimpleNamespace):
    """A hub that serves on TCP and on its socket, without partners."""

    hub: Hub
    local: httpx.AsyncClient
    stopped: bool

    async def stop(self) -> None:
        """Once."""
        if not self.stopped:
            self.stopped = True
            await self.hub.close()

    def socket(self, query: str = "", *, token: str = "", port: int = 0, **options: Any) -> connect:
        """Connect; the token goes into the header."""
        assert self.hub.http is not None
        if token:
            options["additional_headers"] = {"authorization": f"Bearer {token}", **options.pop("headers", {})}
        address = f"ws://127.0.0.1:{port or self.hub.http.port}{PATH}{query}"
        return connect(address, proxy=None, open_timeout=30, **options)

    async def trail(self, outcome: str, organization: int = 1) -> list[dict[str, Any]]:
        found = await self.hub.store.read(audit.newest, organization, EventFilter(action="event.stream"), limit=100)
        return [one.document for one in found if one.document["outcome"] == outcome]


@pytest.fixture
async def running(tmp_path: Path, url: str | None) -> AsyncIterator[Running]:
    config = tmp_path / "hub.yaml"
    config.write_text("version: 1\norganization: demo\n", encoding="utf-8")
    made = Settings(data=tmp_path / "data", database=url, http="127.0.0.1:0", config=config, egress=LOOPBACK)
    hub = Hub(made, Passwords(CHEAP))
    await hub.open()
    transport = httpx.AsyncHTTPTransport(uds=str(made.data / SOCKET))
    async with httpx.AsyncClient(transport=transport, base_url="http://hub", timeout=30) as local:
        running = Running(hub=hub, local=local, stopped=False)
        try:
            await hub.run()
            yield running
        finally:
            await running.stop()


@contextlib.asynccontextmanager
async def served(hub: Hub, *, edge: Edge | None = None, **options: Any) -> AsyncIterator[int]:
    """The same hub with another edge; its port."""
    server = Server(create_app(hub.services(), local=False, edge=edge), "127.0.0.1:0", **options)
    await server.start()
    try:
        yield server.port
    finally:
        await server.stop()


def token_of(client: httpx.AsyncClient) -> str:
    return str(client.headers["authorization"]).removeprefix("Bearer ")


async def key(admin: httpx.AsyncClient, **values: Any) -> Any:
    wanted = {"name": "listener", "role": "service", "scopes": ["events:read"], **values}
    response = await admin.post("/api-keys", json=wanted)
    assert response.status_code == 201, response.text
    return response.json()


async def study(client: httpx.AsyncClient, name: str) -> str:
    response = await client.post("/studies", json={"name": name})
    assert response.status_code == 201, response.text
    return f"study/{response.json()['id']}"


async def heard(socket: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(20):
        found: dict[str, Any] = json.loads(await socket.recv())
    return found


async def closed(socket: ClientConnection) -> int | None:
    """The code that the other end closes with; what it says before is left out."""
    async with asyncio.timeout(20):
        try:
            while True:
                await socket.recv()
        except ConnectionClosed as error:
            return None if error.rcvd is None else error.rcvd.code


async def opened(opening: Callable[[], connect]) -> bool:
    """Whether it can be opened once the hub has noticed that another one is closed."""
    async with asyncio.timeout(20):
        while True:
            try:
                async with opening() as socket:
                    return (await heard(socket))["type"] == "subscribed"
            except InvalidStatus:
                await asyncio.sleep(0.5)  # there is room when an earlier one has ended


async def refused(opening: connect) -> tuple[int, dict[str, Any]]:
    """The status of a handshake that fails, and its envelope's error."""
    with pytest.raises(InvalidStatus) as error:
        await opening
    response = error.value.response
    assert response.headers["x-request-id"]
    assert response.headers["content-type"] == "application/json"
    found: dict[str, Any] = json.loads(response.body or b"")["error"]
    return response.status_code, found


@pytest.mark.ledger_part("S2-130", "the same events with the same ids as the stream and the pages, while they happen")
async def test_the_socket_the_stream_and_the_pages_tell_the_same(running: Running, signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin")
    start = (await admin.get("/events", params={"size": 100})).json()["next"]
    async with running.socket(f"?type=study.*&after={start}", token=token_of(admin)) as socket:
        assert await heard(socket) == {"type": "subscribed", "after": start, "types": ["study.*"]}
        assert socket.response is not None
        assert socket.response.headers["x-request-id"].startswith("req_")
        made = [await study(admin, f"trial-{number}") for number in range(3)]
        texts = [await asyncio.wait_for(socket.recv(), 20) for _ in range(3)]
    told = [json.loads(one) for one in texts]
    assert [one["entity"] for one in told] == made
    pages = (await admin.get("/events", params={"type": "study.*", "after": start})).json()["items"]
    assert told == pages
    stream = await admin.get("/events/stream", params={"type": "study.*"}, headers={"last-event-id": str(start)})
    assert [f"data: {one}" for one in texts] == [one for one in stream.text.splitlines() if one.startswith("data: ")]
    assert [one["actor"]["name"] for one in await running.trail("success")] == ["user0"] * 2, "socket and stream"


@pytest.mark.ledger_part("S0-70", "a WebSocket that breaks is resumed without a gap or a repetition")
async def test_who_lost_the_line_goes_on_from_there(running: Running, signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin")
    token, made, ids = token_of(admin), [], []
    async with running.socket("?type=study.create", token=token) as socket:
        await heard(socket)
        made.append(await study(admin, "first"))
        ids.append((await heard(socket))["id"])
        socket.transport.abort()
    made += [await study(admin, name) for name in ("second", "third")]
    headers = {"last-event-id": str(ids[0])}
    async with running.socket("?type=study.create", token=token, headers=headers) as socket:
        assert (await heard(socket))["after"] == ids[0]
        found = [await heard(socket) for _ in range(2)]
        assert [one["entity"] for one in found] == made[1:]
        await socket.send(json.dumps({"type": "subscribe", "after": ids[0], "types": ["study.*"]}))
        assert await heard(socket) == {"type": "subscribed", "after": ids[0], "types": ["study.*"]}
        assert [await heard(socket) for _ in range(2)] == found, "the first message may say it as well"
        await socket.send(json.dumps({"type": "subscribe", "after": found[-1]["id"], "types": []}))
        assert await heard(socket) == {"type": "subscribed", "after": found[-1]["id"], "types": []}


async def test_another_organization_hears_nothing(running: Running, signed_in: Sign) -> None:
    body = {"name": "clinic", "administrator": {"email": "c@clinic.example", "name": "C"}}
    assert (await running.local.post("/api/v1/organizations", json=body)).status_code == 201
    cleo, admin = await signed_in("tenant_admin", organization="clinic"), await signed_in("tenant_admin")
    async with running.socket("?after=0&type=study.*", token=token_of(cleo)) as socket:
        await heard(socket)
        await study(admin, "ours")
        theirs = await study(cleo, "theirs")
        assert (await heard(socket))["entity"] == theirs
    operator = await signed_in({"role": "operator", "study": "ours"})
    status, error = await refused(running.socket(token=token_of(operator)))
    assert (status, error["code"]) == (403, "INT003")
    platform = await signed_in("platform_operator")
    elsewhere = {"x-organization": "clinic"}
    status, error = await refused(running.socket(token=token_of(platform), headers=elsewhere))
    assert (status, error["field"]) == (400, "x-reason")
    elsewhere["x-reason"] = "they asked us to look"
    async with running.socket("?after=0&type=study.*", token=token_of(platform), headers=elsewhere) as socket:
        await heard(socket)
        assert (await heard(socket))["entity"] == theirs
    assert [one["actor"]["name"] for one in await running.trail("denied")] == ["user2"]


async def test_the_token_comes_in_a_subprotocol_or_in_the_first_message(running: Running, signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin")
    token = token_of(admin)
    offered: list[Any] = ["hilum.v1", f"bearer.{token}"]
    async with running.socket(subprotocols=offered) as socket:
        assert socket.subprotocol == "hilum.v1"
        assert (await heard(socket))["type"] == "subscribed"
    only: list[Any] = ["hilum.v1"]
    async with running.socket("?after=0&type=study.*", subprotocols=only) as socket:
        await socket.send(json.dumps({"type": "authenticate", "token": token}))
        assert await heard(socket) == {"type": "subscribed", "after": 0, "types": ["study.*"]}
    async with running.socket(subprotocols=only) as socket:
        await socket.send(json.dumps({"type": "authenticate", "token": f"{token}x"}))
        assert (await heard(socket))["error"]["code"] == "INT003"
        assert await closed(socket) == 4401
    async with running.socket("?type=nonsense", subprotocols=only) as socket:
        await socket.send(json.dumps({"type": "authenticate", "token": token}))
        assert (await heard(socket))["error"]["field"] == "type[0]"
        assert await closed(socket) == 4400
    wrong: list[Any] = ["hilum.v1", "bearer.nonsense"]
    assert (await refused(running.socket(subprotocols=wrong)))[0] == 401
    other: list[Any] = ["graphql-ws"]
    assert (await refused(running.socket(subprotocols=other)))[0] == 401
    assert len(await running.trail("denied", SYSTEM)) == 3, "whose they are is not known"
    assert len(await running.trail("failure")) == 1


async def test_what_is_wrong_before_the_upgrade_has_the_envelope(running: Running, signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin")
    token = token_of(admin)
    status, error = await refused(running.socket())
    assert (status, error["code"]) == (401, "INT003")
    assert (await refused(running.socket(f"?token={token}")))[0] == 401, "never in the URL"
    for query, field in (("?type=a", "type[0]"), ("?after=-1", "after"), ("?after=x", "after")):
        status, error = await refused(running.socket(query, token=token))
        assert (status, error["field"]) == (400, field)
    plain = await admin.get("/events/socket")
    assert (plain.status_code, plain.headers["upgrade"]) == (426, "websocket")
    assert plain.json()["error"]["code"] == "INT002"
    assert (await admin.post("/events/socket")).status_code == 405
    old = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "12", "sec-websocket-key": "x"}
    for method, expected in (("GET", 426), ("POST", 405)):
        odd = await admin.request(method, "/events/socket", headers=old)
        assert (odd.status_code, odd.json()["error"]["code"]) == (expected, "INT002")
    assert running.hub.http is not None
    for path, expected in (("/api/v1/events/stream", 400), ("/api/v1/studies", 400), ("/api/v1/nothing", 404)):
        headers = {"authorization": f"Bearer {token}"}
        elsewhere = f"ws://127.0.0.1:{running.hub.http.port}{path}"
        assert (await refused(connect(elsewhere, proxy=None, additional_headers=headers)))[0] == expected, path


async def test_with_the_cookie_only_allowed_pages_may_listen(running: Running, signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin", email="ada@demo.example")
    credentials = {"email": "ada@demo.example", "password": "correct horse battery staple", "organization": "demo"}
    opened = await admin.post("/auth/session", json=credentials)
    assert opened.status_code == 200, opened.text
    cookie = {"cookie": f"hilum_session={opened.cookies['hilum_session']}"}
    async with served(running.hub, edge=Edge.read(origins=["https://console.example.org"], logged=False)) as port:
        for origin in (f"http://127.0.0.1:{port}", "https://console.example.org"):
            only: list[Any] = ["hilum.v1"]
            async with running.socket(port=port, origin=origin, additional_headers=cookie, subprotocols=only) as socket:
                assert (await heard(socket))["type"] == "subscribed"
        for wrong in ("https://evil.example", "null", f"https://127.0.0.1:{port}", None):
            status, error = await refused(running.socket(port=port, origin=wrong, additional_headers=cookie))
            assert (status, error["code"]) == (403, "INT003"), wrong
    async with running.socket(origin="https://evil.example", token=token_of(admin)) as socket:
        assert (await heard(socket))["type"] == "subscribed"
    assert running.hub.http is not None
    async with running.socket(
        origin=f"http://127.0.0.1:{running.hub.http.port}", additional_headers=cookie
    ) as socket:  # fmt: skip
        await heard(socket)
        assert (await admin.delete("/auth/sessions")).status_code == 204
        assert await closed(socket) == 4401


async def test_at_the_hubs_own_machine_one_is_known(running: Running) -> None:
    address = str(running.hub.settings.data / SOCKET)
    async with unix_connect(address, f"ws://hub{PATH}?after=0&organization=demo") as socket:
        assert (await heard(socket))["type"] == "subscribed"
    (event,) = await running.trail("success")
    assert event["actor"]["name"].startswith("local:")


@pytest.mark.ledger_part("S2-130", "a revoked key, an ended session, a lost role closes the socket within seconds")
async def test_who_may_no_more_is_closed(running: Running, signed_in: Sign) -> None:
    admin, viewer = await signed_in("tenant_admin"), await signed_in("viewer")
    made = await key(admin)
    query = "?type=study.*"
    async with (
        running.socket(query, token=made["key"]) as machine,
        running.socket(query, token=token_of(viewer)) as person,
    ):
        await heard(machine)
        await heard(person)
        assert (await admin.delete(f"/api-keys/{made['api_key']['id']}")).status_code == 204
        assert LOOK + REMEMBERED < 5, "also where another process revoked it"
        assert (await heard(machine))["error"]["code"] == "INT003"
        assert await closed(machine) == 4401
        me = (await admin.get("/users", params={"size": 100})).json()["items"]
        (user,) = [one for one in me if one["email"].startswith("user1@")]
        put = await running.local.put(
            f"/api/v1/users/{user['id']}/roles?organization=demo", json={"roles": []},
            headers={"if-match": f'"v{user["version"]}"', "x-reason": "leaves the team"},
        )  # fmt: skip
        assert put.status_code == 200, put.text
        assert await closed(person) == 4401, "whose roles are taken away is signed out"
    assert len(await running.trail("denied")) == 2


async def test_a_session_that_nears_its_end_says_so_and_can_be_renewed(running: Running, signed_in: Sign) -> None:
    admin, eve = await signed_in("tenant_admin", email="a@demo.example"), await signed_in("tenant_admin")
    credentials = {"email": "a@demo.example", "password": "correct horse battery staple", "organization": "demo"}

    async def ends(seconds: float) -> None:
        soon = clock.micros() + round(seconds * 1_000_000)
        change = session.update().values(expires_at=soon)
        await running.hub.store.within(1).write(lambda connection: connection.execute(change))

    await ends(30)
    async with (
        running.socket("?type=study.*", token=token_of(admin)) as socket,
        running.socket(token=token_of(admin)) as other,
    ):
        assert (await heard(socket))["type"] == "subscribed"
        assert (await heard(socket))["type"] == "expires"
        fresh = (await admin.post("/auth/token", json=credentials)).json()["access_token"]
        await socket.send(json.dumps({"type": "authenticate", "token": fresh}))
        renewed = await heard(socket)
        assert renewed["type"] == "authenticated"
        assert renewed["until"].endswith("Z")
        await other.send(json.dumps({"type": "authenticate", "token": token_of(eve)}))
        assert await closed(other) == 4403, "somebody else's"
        change = session.update().where(session.c.expires_at < clock.micros() + 60_000_000).values(expires_at=1)
        await running.hub.store.within(1).write(lambda connection: connection.execute(change))
        old = {"type": "authenticate", "token": token_of(admin)}
        async with running.socket(token=fresh) as third:
            await heard(third)
            await third.send(json.dumps(old))
            assert await closed(third) == 4401, "an expired one"
        headers = {"authorization": f"Bearer {fresh}"}
        made = await admin.post("/studies", json={"name": "after"}, headers=headers)
        assert (await heard(socket))["entity"] == f"study/{made.json()['id']}"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("not json", 4400), ("[]", 4400), ('{"type": "nothing"}', 4400), ('{"type": "subscribe", "after": "1"}', 4400),
        ('{"type": "subscribe", "types": ["nonsense"]}', 4400), ('{"type": "subscribe", "more": 1}', 4400),
        ('{"type": "authenticate"}', 4400), ('{"type": "subscribe", "type": "subscribe"}', 4400),
        ('{"type": "authenticate", "token": "x"}', 4401), (b"\x00\x01", 1003), ("x" * 20_000, 1009),
        (["x" * 10_000, "x" * 10_000], 1009),
    ],
    ids=range(12),
)  # fmt: skip
async def test_what_makes_no_sense_closes(running: Running, signed_in: Sign, sent: Any, code: int) -> None:
    admin = await signed_in("tenant_admin")
    async with running.socket(token=token_of(admin)) as socket:
        await heard(socket)
        with contextlib.suppress(ConnectionClosed):
            await socket.send(sent)
        assert await closed(socket) == code
    assert (await admin.get("/events")).status_code == 200


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x82\0\0\0\0\xff\xfe", 1007), (b"\x81\x02{}", 1002), (b"\xc1\x82\0\0\0\0{}", 1002),
        (b"\x83\x80\0\0\0\0", 1002),
    ],
    ids=["utf-8", "unmasked", "reserved bit", "opcode"],
)  # fmt: skip
async def test_a_frame_that_is_none_closes(running: Running, signed_in: Sign, data: bytes, code: int) -> None:
    admin = await signed_in("tenant_admin")
    async with running.socket(token=token_of(admin)) as socket:
        await heard(socket)
        socket.transport.write(data)
        assert await closed(socket) == code
    assert (await admin.get("/events")).status_code == 200


@pytest.mark.parametrize("url", [None], ids=["sqlite"])
async def test_whatever_comes_first_is_answered_or_closed(running: Running, signed_in: Sign, url: None) -> None:
    token = token_of(await signed_in("tenant_admin"))
    values = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5)
    named = st.dictionaries(st.sampled_from(["type", "token", "after", "types", "x"]), values | st.sampled_from(
        ["authenticate", "subscribe", token]))  # fmt: skip
    texts = st.one_of(st.text(), st.binary(), named.map(json.dumps), values.map(json.dumps))
    found: list[Any] = []

    @settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(texts)
    def collect(text: Any) -> None:
        found.append(text)

    collect()
    async with served(running.hub, edge=Edge.read(unknown=1_000_000, logged=False)) as port:
        for text in found:
            for options in ({"token": token}, {"subprotocols": ["hilum.v1"]}):
                async with running.socket(port=port, **options) as socket:
                    with contextlib.suppress(ConnectionClosed):
                        async with asyncio.timeout(20):
                            if "token" in options:
                                assert (await heard(socket))["type"] == "subscribed"
                            await socket.send(text)
                            ends = {"subscribed", "authenticated"} if "token" in options else {"subscribed"}
                            while json.loads(await socket.recv()).get("type") not in ends:
                                pass  # what was taken is answered so, all else closes
                    assert socket.close_code in (None, 1003, 4400, 4401, 1000), text
    denied = await running.trail("failure")
    assert token not in json.dumps(denied)


async def test_a_principal_has_so_many_and_asks_so_often(running: Running, signed_in: Sign) -> None:
    admin, other = await signed_in("tenant_admin"), await signed_in("viewer")
    edge = dataclasses.replace(Edge.read(known=50, logged=False), sockets=2)
    async with served(running.hub, edge=edge) as port:
        token = token_of(admin)
        async with running.socket(port=port, token=token) as first:
            async with running.socket(port=port, token=token):
                status, error = await refused(running.socket(port=port, token=token))
                assert (status, error["code"]) == (429, "INT006")
                async with running.socket(port=port, token=token_of(other)) as theirs:
                    await heard(theirs)
            await heard(first)
            assert await opened(lambda: running.socket(port=port, token=token)), "who closed one may open another"
            for _ in range(100):
                with contextlib.suppress(ConnectionClosed):
                    await first.send('{"type": "subscribe"}')
            assert await closed(first) == 4429


async def test_who_is_dead_or_reads_nothing_is_let_go(running: Running, signed_in: Sign) -> None:
    """One peer answers no ping, one has its hands full; neither keeps anything of the hub's."""
    admin = await signed_in("tenant_admin")
    async with served(running.hub, beat=0.3) as port, running.socket(port=port, token=token_of(admin)) as lively:
        await heard(lively)
        head = (
            f"GET {PATH}?after=0 HTTP/1.1\r\nhost: hub\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
            f"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            f"authorization: Bearer {token_of(admin)}\r\n\r\n"
        )
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head.encode())
        async with asyncio.timeout(30):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
            rest = await reader.read()
        writer.close()
        assert b"\x03\xf3" in rest, "1011"
        await study(admin, "meanwhile")
        assert (await heard(lively))["type"] == "study.create", "who answers pings stays"


@pytest.mark.ledger_part("S0-55", "WebSockets are closed with 1012 when the hub ends")
async def test_a_hub_that_ends_says_so(running: Running, signed_in: Sign) -> None:
    admin = await signed_in("tenant_admin")
    async with running.socket(token=token_of(admin)) as socket:
        await heard(socket)
        async with asyncio.timeout(20):
            await running.stop()
            assert await closed(socket) == 1012
