"""What can be set of an integration, on document 002's surface and ours: headers, time-outs, retries, URLs."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import httpx
import pytest

from hilum.sdk.headers import OURS
from hilum.sdk.testing.web import Said

pytestmark = pytest.mark.anyio
Sign = Callable[..., Awaitable[httpx.AsyncClient]]


def draft(url: str, **changes: Any) -> dict[str, Any]:
    """`changes` in capitals are the endpoint's."""
    own = {key.lower(): value for key, value in changes.items() if key.isupper()}
    rest = {key: value for key, value in changes.items() if not key.isupper()}
    endpoint = {"name": "orders", "url": url, "method": "GET", **own}
    return {"name": "Lab", "type": "API", "environment": "development", "endpoints": [endpoint], **rest}


def failed(response: httpx.Response, status: int, code: str, message: str = "") -> dict[str, Any]:
    error: dict[str, Any] = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code), response.text
    assert message in error["message"], error
    return error


@pytest.fixture
async def http(signed_in: Sign) -> httpx.AsyncClient:
    return await signed_in("integration_specialist")


async def created(http: httpx.AsyncClient, wanted: dict[str, Any], **query: Any) -> dict[str, Any]:
    response = await http.post("/integrations", json=wanted, params=query)
    assert response.status_code == 201, response.text
    found: dict[str, Any] = response.json()
    return found


async def refused(http: httpx.AsyncClient, wanted: dict[str, Any], message: str) -> None:
    """Neither stored nor found valid, in the same words."""
    error = failed(await http.post("/integrations", json=wanted), 400, "INT002", message)
    checked = (await http.post("/integrations/validate", json=wanted)).json()
    assert (checked["valid"], checked["errors"]) == (False, error["details"]["errors"])


async def config(http: httpx.AsyncClient, **wanted: Any) -> httpx.Response:
    """Made on document 002's surface, and not tested."""
    url = f"{str(http.base_url).replace('/api/v1', '')}integration/configs"
    return await http.post(url, json={"name": "Two", "type": "API", "status": "INACTIVE", **wanted})


async def execute(http: httpx.AsyncClient, one: dict[str, Any], status: int = 200, **asked: Any) -> dict[str, Any]:
    response = await http.post(f"/integrations/{one['id']}/endpoints/{one['endpoints'][0]['id']}/execute", json=asked)
    assert response.status_code == status, response.text
    if status != 200:
        asked = response.json()["error"]["details"]
        response = await http.get(f"/executions/{asked['execution']}")
    found: dict[str, Any] = response.json()
    return found


@pytest.mark.ledger("S2-36")
async def test_headers_are_few_sound_and_keep_their_secrets(running: Any, http: httpx.AsyncClient, web: Any) -> None:
    url = web.url("/orders")
    fifty = {f"X-N{number}": "1" for number in range(50)}
    await created(http, draft(url, name="Fifty", headers=fifty), initialize="false")
    await refused(http, draft(url, headers={**fifty, "X-More": "1"}), "at most 50")
    await refused(http, draft(url, headers=fifty, HEADERS={"X-More": "1"}), "at most 50")
    assert {
        "host",
        "content-length",
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    } < OURS
    for name in sorted(OURS):
        await refused(http, draft(url, headers={name.title(): "1"}), "is set by the hub")
        await refused(http, draft(url, HEADERS={name.upper(): "1"}), "is set by the hub")
    for name, value in (("X-A", "kanari\r\nX-B: 1"), ("X-A", "kanari\n"), ("X-A\r\nX-B", "kanari"), ("X A", "kanari")):
        response = await http.post("/integrations", json=draft(url, headers={name: value}))
        assert "kanari" not in failed(response, 400, "INT002", "no header")["message"]
    assert (await config(http, endpoint=url, headers={"Host": "elsewhere"})).status_code == 400

    await http.post(
        "/credentials", json={"name": "site", "kind": "bearer", "secrets": {"token": "kanari-in-the-vault"}}
    )
    secret = {"Authorization": "Basic kanari-0001", "Cookie": "sid=kanari-0002", "X-Api-Key": "kanari-0003"}
    own = {"X-Auth-Token": "kanari-0004", "client-secret": "kanari-0005"}
    named = {"X-Site": "${secret:site.token}", "X-Key-Of-Site": "${secret:site.token}", "X-Plain": "north"}
    made = await created(http, draft(url, headers={**secret, **named}, HEADERS=own))
    assert made["status"] == "active", made["last_error"]
    found = (await http.get(f"/integrations/{made['id']}")).json()
    hidden = dict.fromkeys((*secret, "X-Key-Of-Site"), "********")
    assert found["headers"] == {**hidden, "X-Site": "${secret:site.token}", "X-Plain": "north"}
    assert found["endpoints"][0]["headers"] == dict.fromkeys(own, "********")
    await execute(http, made)
    sent = {name.lower(): value for name, value in {**secret, **own}.items()}
    sent |= dict.fromkeys(("x-site", "x-key-of-site"), "kanari-in-the-vault") | {"x-plain": "north"}
    assert {name: web.heard[-1].headers[name] for name in sent} == sent
    for path in ("", "/initializations", "/logs", "/history", "/executions"):
        assert "kanari" not in (await http.get(f"/integrations/{made['id']}{path}")).text
    assert b"kanari" not in b"".join(one.read_bytes() for one in running.hub.settings.data.glob("hub.db*"))
    lacking = draft(url, name="Lacking", headers={"X-Site": "${secret:nobody.token}"})
    assert "nobody" in (await created(http, lacking))["last_error"]


@contextlib.asynccontextmanager
async def never_done(said: bytes) -> AsyncIterator[int]:
    """A partner that says this, and then a byte now and then, for ever. With nothing to say it is silent. Its port."""

    talks: set[asyncio.Task[None]] = set()

    async def talk(writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(said)
            while True:
                await asyncio.sleep(0.02)
                writer.write(said and b"x")
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(lambda _, writer: talks.add(asyncio.create_task(talk(writer))), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for one in talks:
            one.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


@contextlib.contextmanager
def never_there() -> Iterator[int]:
    """A port that is listened at by somebody whose queue is full: whoever connects waits. The port."""
    with contextlib.ExitStack() as open_ones:
        listening = open_ones.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            knocking = open_ones.enter_context(socket.socket())
            knocking.setblocking(False)
            knocking.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


@pytest.mark.ledger("S2-37")
async def test_a_time_out_is_of_the_whole_request_and_counts_as_a_failure(http: httpx.AsyncClient, web: Any) -> None:
    url, later = web.url("/orders"), {"initialize": "false"}
    for number, (changes, works) in enumerate((
        ({}, 30_000), ({"timeout": 4_000}, 4_000), ({"timeout": 4_000, "TIMEOUT": 100}, 100),
        ({"TIMEOUT": 300_000}, 300_000),
    )):  # fmt: skip
        made = await created(http, draft(url, name=f"Time {number}", **changes), **later)
        assert made["endpoints"][0]["timeout"] == works
    for wrong in (99, 300_001, 0, -1, "500", 500.5, True, [500]):
        for changes in ({"timeout": wrong}, {"TIMEOUT": wrong}):
            await refused(http, draft(url, **changes), "timeout")
        assert (await config(http, endpoint=url, timeout=wrong)).status_code == 400
    assert (await config(http, endpoint=url)).json()["data"]["timeout"] == 30_000

    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n"
    with never_there() as full:
        async with never_done(b"") as silent, never_done(answer) as dripping:
            for number, (slow, why) in enumerate((
                (f"http://127.0.0.1:{full}/", "no connection in time"),
                (f"http://127.0.0.1:{silent}/", "no answer in time"),
                (f"http://127.0.0.1:{dripping}/", "no answer in time"),  # one that does not end
            )):  # fmt: skip
                one = await created(http, draft(slow, name=f"Slow {number}", timeout=300, retries=0), **later)
                on = {"if-match": f'"v{one["version"]}"'}
                assert (await http.post(f"/integrations/{one['id']}/activate", headers=on)).status_code == 200
                ended = await execute(http, one, 504)
                assert (ended["status"], ended["errorClass"], ended["error"]) == ("timeout", "timeout", why)
                metrics = (await http.get(f"/integrations/{one['id']}/analytics")).json()["metrics"]
                assert (metrics["totalRequests"], metrics["failedRequests"], metrics["errorRate"]) == (1, 1, 100)
    stats = (await http.get("/integrations/stats")).json()["last_24h"]
    assert (stats["requests"], stats["failed"]) == (3, 3)


@pytest.mark.ledger("S2-38")
async def test_retries_are_0_to_10_and_of_what_may_be_repeated(http: httpx.AsyncClient, web: Any) -> None:
    """What is tried again and what is not: tests/jobs/test_execute.py has the whole table."""
    url = web.url("/orders")
    none = await created(http, draft(url, name="None", retries=0))
    assert (none["retries"], none["endpoints"][0]["retries"]) == (0, 0)
    own = await created(http, draft(url, name="Own", retries=10, RETRIES=1))
    assert own["endpoints"][0]["retries"] == 1
    usual = await created(http, draft(url, name="Usual"))
    assert usual["endpoints"][0]["retries"] == 3
    post = await created(http, draft(url, name="Post", METHOD="POST"))
    for wrong in (-1, 11, "3", 2.5, True):
        for changes in ({"retries": wrong}, {"RETRIES": wrong}):
            await refused(http, draft(url, **changes), "retries must be")
        assert (await config(http, endpoint=url, retryAttempts=wrong)).status_code == 400
    for retries in (0, 10):
        made = await config(http, name=f"Two {retries}", endpoint=url, retryAttempts=retries)
        assert made.json()["data"]["retryAttempts"] == retries
    assert (await config(http, endpoint=url)).json()["data"]["retryAttempts"] == 3

    async def tries(one: dict[str, Any], status: int, **asked: Any) -> int:
        web.heard.clear()
        web.react = lambda _: Said(status, b"", {"Retry-After": "0"})
        found = await execute(http, one, 502, **asked)
        assert len(found["attempts"]) == len(web.heard)
        return len(web.heard)

    for status in (408, 425, 429, 500, 503):
        assert [await tries(one, status) for one in (none, own, usual, post)] == [1, 2, 4, 1], status
    assert await tries(post, 503, idempotency_key="order-4711") == 4
    assert web.heard[-1].headers["idempotency-key"] == "order-4711"
    for status in (400, 401, 403, 404, 409, 422):
        assert await tries(usual, status) == 1, status


@pytest.mark.ledger("S2-70")
async def test_what_is_required_on_both_surfaces(http: httpx.AsyncClient, web: Any) -> None:
    """Its name and type always, an address unless it is sent to, and what an authentication needs."""
    url = web.url("/orders")
    whole = draft(url)
    for field in ("name", "type", "endpoints"):
        for given in ({key: value for key, value in whole.items() if key != field}, {**whole, field: None}):
            await refused(http, given, f"Required field '{field}' is missing")
    await refused(http, {**whole, "name": " "}, "Required field 'name' is missing")
    await refused(http, {**whole, "endpoints": []}, "Required field 'endpoints' is missing")
    await refused(http, draft(""), "Endpoint URL is required")
    for field in ("name", "type"):
        refusal = failed(await config(http, endpoint=url, **{field: None}), 400, "INT002")
        assert (refusal["field"] or "").strip("/") == field
    types = ("HL7", "FHIR", "PAYMENT_GATEWAY", "LAB_SYSTEM", "IMAGING_SYSTEM", "PHARMACY_SYSTEM", "EHR_SYSTEM",
             "INSURANCE", "API")  # fmt: skip
    for kind in types:
        await refused(http, {"name": "x", "type": kind}, "Required field 'endpoints' is missing")
        failed(await config(http, type=kind), 400, "INT002", "Required field 'endpoints' is missing")
    assert (await config(http, name="Hook", type="WEBHOOK")).status_code == 201
    assert (await created(http, {"name": "Hook of ours", "type": "WEBHOOK"}))["endpoints"][0]["direction"] == "inbound"
    listener = {"name": "in", "direction": "inbound", "url": "mllp://127.0.0.1:1"}
    await created(http, {**whole, "name": "Listener", "type": "HL7", "endpoints": [listener]}, initialize="false")

    basic = "Basic authentication username and password are required"
    for kind, fields, message in (
        ("API_KEY", {}, "API key is required"), ("TOKEN", {}, "Bearer token is required"),
        ("BASIC_AUTH", {"username": "u"}, basic), ("BASIC_AUTH", {"password": "p"}, basic),
        ("OAUTH", {"apiKey": "us", "apiSecret": "s"}, "OAuth2 token URL is required"),
        ("OAUTH", {"config": {"tokenUrl": "https://id.example/t"}}, "OAuth2 client credentials are required"),
        ("JWT", {"apiKey": "us"}, "JWT secret is required"),
        ("CERTIFICATE", {}, "Client certificate and private key are required"),
    ):  # fmt: skip
        failed(await config(http, endpoint=url, authType=kind, **fields), 400, "INT002", message)
    for authentication, message in (
        ({"type": "api_key"}, "API key is required"), ({"type": "bearer"}, "Bearer token is required"),
        ({"type": "basic", "username": "u"}, basic), ({"type": "oauth2"}, "OAuth2 token URL is required"),
        ({"type": "jwt"}, "JWT secret is required"),
        ({"type": "certificate"}, "Client certificate and private key are required"),
    ):  # fmt: skip
        await refused(http, {**whole, "authentication": authentication}, message)
    assert (await config(http, name="Open", endpoint=url, authType="NONE")).status_code == 201


@pytest.mark.ledger("S2-71")
async def test_a_url_is_read_before_it_is_stored_and_leads_nowhere_inside(http: httpx.AsyncClient, web: Any) -> None:
    """All schemes of all protocols: tests/services/test_validation.py; all addresses: tests/security/test_egress.py."""
    for protocol, url in (
        ("rest_api", "mllp://lab.example:2575"), ("fhir_api", "file:///in"), ("file_transfer", "https://lab.example"),
        ("database", "https://lab.example"), ("websocket", "https://lab.example"),
    ):  # fmt: skip
        scheme = url.partition(":")[0]
        await refused(http, draft(url, protocol=protocol), f"{scheme} is not how {protocol} is spoken")
    for scheme in ("gopher", "javascript", "data", "jar"):
        await refused(http, draft(f"{scheme}://lab.example/"), f"no connector speaks '{scheme}'")
    await refused(http, draft("https://0177.0.0.1/"), "Invalid IPv4 address")
    await refused(http, draft("https://１０.１.２.３/"), "Invalid IDNA hostname")
    for url in ("lab.example", "https://", "https://a b.example", "https://a.example:99999", "//x"):
        await refused(http, draft(url), "Invalid URL format")
        failed(await config(http, endpoint=url), 400, "INT002", "Invalid URL format")
    for userinfo in ("hub:kanari@", "kanari@", ":kanari@"):
        wanted = draft(f"https://{userinfo}lab.example/")
        await refused(http, wanted, "the URL must hold no credentials")
        assert "kanari" not in (await http.post("/integrations", json=wanted)).text
    start, later = "https://lab.example/", {"initialize": "false"}
    longest = await created(http, draft(start.ljust(2_048, "x"), name="Long"), **later)
    assert len(longest["endpoints"][0]["url"]) == 2_048
    await refused(http, draft(start.ljust(2_049, "x")), "more than 2048 characters")
    assert (await created(http, draft("https://bücher.example/", name="IDNA"), **later))["status"] == "initializing"

    inside = ("10.1.2.3", "192.168.0.1", "169.254.169.254", "[fd00::1]", "[::ffff:10.1.2.3]", "100.64.0.1",
              "2130706433", "0x7f.1", "metadata.google.internal")  # fmt: skip
    for number, host in enumerate(inside):
        made = await created(http, draft(f"https://{host}/", name=f"Inside {number}"))
        (tried,) = (await http.get(f"/integrations/{made['id']}/initializations")).json()["items"]
        assert (made["status"], tried["success"]) == ("error", False), host
        tested = tried["connectivity"]["endpoints"][0] if tried["connectivity"] else None
        assert tested is None or tested["errorClass"] == "blocked_by_policy", (host, tested)
    web.react = lambda _: Said(302, b"", {"Location": "http://169.254.169.254/latest/"})
    one = await created(http, draft(web.url("/orders"), name="Redirects"))
    assert (await execute(http, one))["statusCode"] == 302, "and is not followed"
