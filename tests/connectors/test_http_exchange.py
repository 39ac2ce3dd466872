"""One request and its answer, over real sockets: what is sent, who it says that we are, what comes back."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import trustme
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey

from hilum import telemetry
from hilum.connectors import file, http, mllp
from hilum.model.configuration import Integration
from hilum.outbound.dialer import Dialer
from hilum.sdk.authentication import problems
from hilum.sdk.config import read
from hilum.sdk.contracts import Call, Exchange, Outbound, Reply
from hilum.sdk.faults import Failed, Fault
from hilum.sdk.http import Answer, Request
from hilum.sdk.outcome import Delivered, Transient
from hilum.sdk.testing import RefusingDialer

pytestmark = pytest.mark.anyio
SECRET = "canary-0123456789-0123456789-0123"
Open = Callable[..., Exchange[Any]]


@pytest.fixture
async def exchange(dialer: Dialer) -> AsyncIterator[Open]:
    """Makes an Exchange of a configuration."""
    made: list[Exchange[Any]] = []

    def make(url: str, **values: Any) -> Exchange[Any]:
        made.append(http.Exchange(read(http.Config, {"url": url, "timeout": 5_000, **values}, ""), dialer))
        return made[-1]

    yield make
    for one in made:
        await one.close()


async def once(web: Any, exchange: Open, call: Call | None = None, **values: Any) -> tuple[Request, Reply]:
    """One call: what the partner got of it, and what came back."""
    reply = await exchange(f"{web.url}/v1/x", **values).exchange(call or Call(b'{"a": 1}'))
    return web.requests[-1], reply


# What is sent


@pytest.mark.ledger_part("S3-29", "every method, in any case")
@pytest.mark.parametrize("method", ["GET", "post", "Put", "PATCH", "delete"])
async def test_every_method(web: Any, exchange: Open, method: str) -> None:
    request, reply = await once(web, exchange, method=method)
    assert (request.method, request.body) == (method.upper(), b'{"a": 1}')
    assert (reply.status, reply.reason, reply.body, reply.truncated) == (200, "OK", b'{"ok": true}', False)


@pytest.mark.ledger_part("S3-43", "JSON by default, only where unset, none without a body and for GET")
@pytest.mark.parametrize(
    ("values", "body", "content_type", "accept"),
    [
        ({}, b"{}", "application/json", "application/json"),
        ({}, b"", None, "application/json"),
        ({"method": "GET"}, b"{}", None, "application/json"),
        ({"method": "DELETE"}, b"", None, "application/json"),
        ({"format": "hl7v2"}, b"MSH|", "application/hl7-v2", "*/*"),
        ({"format": "bytes"}, b"x", "application/octet-stream", "*/*"),
        ({"content_type": "application/fhir+json"}, b"{}", "application/fhir+json", "application/fhir+json"),
        ({"content_type": "text/csv"}, b"a", "text/csv", "application/json"),
        ({"content_type": "text/csv", "headers": {"Content-Type": "x/y"}}, b"a", "x/y", "application/json"),
        ({"headers": {"content-type": "text/xml", "accept": "text/plain"}}, b"<a/>", "text/xml", "text/plain"),
    ],
)
async def test_what_nobody_set_is_json(
    web: Any, exchange: Open, values: dict[str, Any], body: bytes, content_type: str | None, accept: str
) -> None:
    request, _ = await once(web, exchange, Call(body), **values)
    assert (request.headers.get("content-type"), request.headers["accept"]) == (content_type, accept)


@pytest.mark.ledger("S3-43")
@pytest.mark.parametrize(
    ("protocol", "values", "content_type", "accept"),
    [
        ("rest_api", {}, "application/json", "application/json"),
        ("fhir_api", {}, "application/fhir+json", "application/fhir+json"),
        ("fhir_api", {"headers": {"Accept": "application/json"}}, "application/fhir+json", "application/json"),
        ("fhir_api", {"headers": {"Content-Type": "text/xml"}}, "text/xml", "application/fhir+json"),
        ("fhir_api", {"content_type": "application/xml"}, "application/xml", "application/json"),
        ("rest_api", {"headers": {"Content-Type": "a/b", "Accept": "c/d"}}, "a/b", "c/d"),
    ],
)
async def test_what_an_integration_s_endpoints_say_by_default(
    web: Any, exchange: Open, protocol: str, values: dict[str, Any], content_type: str, accept: str
) -> None:
    """FHIR has a type of its own; what carries no body says nothing of one; files and MLLP have no headers."""
    for method, body, sent in (("POST", b"{}", content_type), ("GET", b"{}", None), ("POST", b"", None)):
        end = {"name": "out", "direction": "outbound", "url": f"{web.url}/v1/x", "method": method, **values}
        one = Integration.model_validate({"name": "lab", "protocol": protocol, "endpoints": [end]})
        request, _ = await once(web, exchange, Call(body), **one.endpoints[0].options)
        own = values.get("headers", {}).get("Content-Type")
        assert (request.headers.get("content-type"), request.headers["accept"]) == (own or sent, accept)
    for other in (mllp.Config, file.Config):
        assert "headers" not in other.model_fields


async def test_headers_and_parameters_of_a_call_add_to_the_endpoints(web: Any, exchange: Open) -> None:
    call = Call(b"", {"X-Trace": "t-1", "Accept": "text/csv"}, {"id": "a/b", "q": "x y"}, idempotency_key="k-1")
    values = {"headers": {"X-Tenant": "5"}, "parameters": {"query": {"limit": 2}}, "method": "PUT"}
    await exchange(f"{web.url}/p/{{id}}", **values).exchange(call)
    (request,) = web.requests
    assert request.target == "/p/a%2Fb?limit=2&q=x%20y"
    assert [request.headers[name] for name in ("x-trace", "accept", "x-tenant", "idempotency-key")] == [
        "t-1", "text/csv", "5", "k-1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (Call(b"", {"x-tenant": "6"}), "x-tenant is set by the endpoint"),
        (Call(b"", {"Host": "canary"}), "Host is set by the hub"),
        (Call(b"", {"X": "canary\r\nY: 1"}), "no header"),
        (Call(b"", idempotency_key="canary\r\n"), "no header's value"),
        (Call(b"", parameters={"id": "1", "limit": "9"}), "limit is set by the endpoint"),
        (Call(b"", parameters={"id": "../.."}), "id can be no part of a path"),
        (Call(b""), "id is missing"),
    ],
)
async def test_what_does_not_fit_is_not_sent(web: Any, exchange: Open, call: Call, reason: str) -> None:
    values = {"headers": {"X-Tenant": "5"}, "parameters": {"query": {"limit": 2}}}
    if not call.parameters and reason != "id is missing":
        call = Call(call.body, call.headers, {"id": "1"}, idempotency_key=call.idempotency_key)
    with pytest.raises(Failed, match=reason) as caught:
        await exchange(f"{web.url}/p/{{id}}", **values).exchange(call)
    assert (caught.value.fault, caught.value.sent) == (Fault.CONFIGURATION, False)
    assert "canary" not in str(caught.value)
    assert not web.requests


@pytest.mark.ledger_part("S2-38", "a delivery's id is its Idempotency-Key; a call is made once, with its caller's")
async def test_only_a_delivery_brings_an_idempotency_key_of_its_own(web: Any, dialer: Dialer, exchange: Open) -> None:
    web.answer = lambda _: Answer(503)
    request, _ = await once(web, exchange)
    assert "idempotency-key" not in request.headers
    assert len(web.requests) == 1, "whoever asked decides whether to ask again"
    destination = http.Destination(read(http.Config, {"url": web.url, "method": "PATCH"}, ""), dialer)
    assert await destination.send(Outbound("0192-id", b"x")) == Transient("503", answered=True)
    await destination.close()
    assert (web.methods[-1], web.requests[-1].headers["idempotency-key"]) == ("PATCH", "0192-id")


# Who we are


@pytest.mark.ledger("S3-34")
@pytest.mark.ledger_part("S2-26", "an API key in a header, in the query and in a cookie")
@pytest.mark.parametrize("location", ["header", "query", "cookie"])
async def test_an_api_key(
    web: Any, exchange: Open, location: str, served_log: Callable[[], str]
) -> None:  # fmt: skip
    names = {"header_name": "X-Lab-Key", "query_param": "lab key"}
    key = {"type": "api_key", "key": "canary-key-1", "location": location, **names}
    assert problems({"type": "api_key", "location": location})[0] == ["API key is required"]
    assert [text for text in problems(key)[1] if "query" in text] == problems(key)[1]
    assert len(problems(key)[1]) == (location == "query")
    request, _ = await once(web, exchange, authentication=key, parameters={"query": {"a": "1"}})
    shown = {
        "header": request.headers.get("x-lab-key"),
        "query": request.target.partition("?a=1&lab%20key=")[2],
        "cookie": request.headers.get("cookie", "").removeprefix("X-Lab-Key="),
    }
    assert shown == {name: "canary-key-1" if name == location else other for name, other in shown.items()}
    assert [name for name, value in shown.items() if value] == [location]
    telemetry.logger("test").info("called", url=f"{web.url}{request.target}", cookie=request.headers.get("cookie"))
    assert "called" in served_log()
    assert "canary" not in served_log()


@pytest.mark.ledger_part("S2-28", "user name and password, both sent")
@pytest.mark.ledger_part("S2-29", "a static bearer token")
@pytest.mark.parametrize(
    ("authentication", "shown"),
    [
        (
            {"type": "basic", "username": "ada", "password": "canary:p"},
            f"Basic {base64.b64encode(b'ada:canary:p').decode()}",
        ),
        ({"type": "bearer", "token": "canary-token"}, "Bearer canary-token"),
        ({"type": "none"}, None),
    ],
)
async def test_basic_bearer_and_none(
    web: Any, exchange: Open, authentication: dict[str, Any], shown: str | None
) -> None:
    request, _ = await once(web, exchange, authentication=authentication)
    assert request.headers.get("authorization") == shown


@pytest.mark.ledger_part("S3-35", "a server that checks our tokens takes them, each once")
@pytest.mark.parametrize("algorithm", ["HS256", "ES256"])
async def test_a_server_that_checks_our_tokens(web: Any, exchange: Open, algorithm: str) -> None:
    private = ECKey.generate_key("P-256")
    key: Any = OctKey.import_key(SECRET) if algorithm == "HS256" else ECKey.import_key(private.as_dict(private=False))
    seen: set[str] = set()

    def checked(request: Request) -> Answer:
        token = jwt.decode(request.headers["authorization"].removeprefix("Bearer "), key, algorithms=[algorithm])
        wanted = jwt.JWTClaimsRegistry(
            iss={"essential": True, "value": "hub"}, aud={"essential": True, "value": "lab"}, exp={"essential": True},
            iat={"essential": True}, jti={"essential": True},
        )  # fmt: skip
        wanted.validate(token.claims)
        fresh = token.claims["jti"] not in seen
        seen.add(token.claims["jti"])
        return Answer(200 if fresh else 401)

    web.answer = checked
    held = {"secret": SECRET} if algorithm == "HS256" else {"private_key": private.as_pem(private=True).decode()}
    ours = {"type": "jwt", "algorithm": algorithm, "issuer": "hub", "audience": "lab", "expiresIn": "5m", **held}
    asking = exchange(web.url, authentication=ours)
    for _ in range(3):
        assert (await asking.exchange(Call(b""))).status == 200
    assert len(seen) == 3


@pytest.mark.ledger_part("S3-37", "the handshake, with a CA bundle of the authentication's own or the endpoint's")
@pytest.mark.parametrize("trusted", ["authentication", "tls"])
async def test_a_server_that_wants_our_certificate(
    open_web: Any, exchange: Open, authority: trustme.CA, listening: ssl.SSLContext, ca: str, trusted: str
) -> None:
    listening.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(listening)
    web = await open_web(listening, "localhost")

    def shown(by: trustme.CA) -> dict[str, Any]:
        leaf = by.issue_cert("hub@hospital.example")
        chain, key = leaf.cert_chain_pems[0].bytes().decode(), leaf.private_key_pem.bytes().decode()
        ours = {"type": "certificate", "certificate": chain, "key": key}
        return {"authentication": {**ours, "ca": ca}} if trusted == "authentication" else {
            "authentication": ours, "tls": {"ca": ca}
        }  # fmt: skip

    _, reply = await once(web, exchange, **shown(authority))
    assert reply.status == 200
    for values in (shown(trustme.CA()), {"tls": {"ca": ca}}):
        with pytest.raises(Failed):
            await once(web, exchange, **values)
    assert len(web.requests) == 1


@pytest.mark.ledger_part("S3-31", "credentials that cannot work are said, nothing is sent, no secret is quoted")
@pytest.mark.parametrize(
    "authentication",
    [
        {"type": "jwt", "secret": "canary"},
        {"type": "certificate", "certificate": "canary", "key": "canary"},
        {"type": "api_key", "key": "canary\r\nX: 1"},
    ],
)
async def test_credentials_that_cannot_work(
    open_web: Any, dialer: Dialer, exchange: Open, listening: ssl.SSLContext, authentication: dict[str, Any]
) -> None:
    web = await open_web(listening, "localhost")
    with pytest.raises(Failed) as caught:
        await once(web, exchange, authentication=authentication)
    config = read(http.Config, {"url": web.url, "authentication": authentication}, "")
    outcome = await http.Destination(config, dialer).send(Outbound("1", b"x"))
    assert isinstance(outcome, Transient)
    assert not outcome.answered
    result = await http.Probe(config, dialer).probe()
    assert (caught.value.fault, result.fault, result.reachable) == (Fault.CONFIGURATION, Fault.CONFIGURATION, False)
    assert "canary" not in f"{caught.value}{outcome}{result}"
    assert not web.requests


# What comes back


async def test_whatever_the_partner_answers_is_a_reply(web: Any, exchange: Open) -> None:
    for status, reason in ((201, "Created"), (302, "Found"), (404, "Not Found"), (500, "Internal Server Error")):
        web.answer = lambda _, status=status: Answer(status, b"said", "text/plain", {"location": "http://127.0.0.1:1/"})
        _, reply = await once(web, exchange)
        assert (reply.status, reply.reason, reply.body) == (status, reason, b"said")
        assert reply.headers["content-type"] == "text/plain"
    assert len(web.requests) == 4, "no redirect is followed"


async def test_an_answers_secrets_are_left_out(web: Any, exchange: Open) -> None:
    said = {"set-cookie": "canary=1", "authorization": "canary", "x-api-key": "canary", "x-auth-token": "canary",
            "etag": '"1"', "www-authenticate": "Bearer"}  # fmt: skip
    web.answer = lambda _: Answer(200, b"", headers=said)
    asking = exchange(web.url)
    for _ in range(2):
        reply = await asking.exchange(Call(b""))
    assert "canary" not in str(reply.headers)
    assert reply.headers["etag"] == '"1"'
    assert "cookie" not in web.requests[1].headers


async def test_a_large_answer_is_cut(web: Any, exchange: Open) -> None:
    web.answer = lambda _: Answer(200, b"x" * (http.LARGEST + 1))
    _, reply = await once(web, exchange)
    assert (len(reply.body), reply.truncated) == (http.LARGEST, True)


@pytest.mark.ledger_part("S2-41", "dns, connect, tls, first byte and total, in milliseconds")
async def test_where_the_time_went(
    open_web: Any, exchange: Open, listening: ssl.SSLContext, ca: str
) -> None:  # fmt: skip
    web = await open_web(listening, "localhost")

    async def slow(_: Request) -> Answer:
        await asyncio.sleep(0.2)  # what the first byte has to wait for
        return Answer(200)

    web.take = slow
    asking = exchange(web.url, tls={"ca": ca})
    first = (await asking.exchange(Call(b"x"))).timings
    parts = [first.dns, first.connect, first.tls, first.first_byte]
    assert all(part is not None and part >= 0 for part in parts)
    assert first.first_byte is not None
    assert first.first_byte >= 190
    assert sum(part for part in parts if part is not None) <= first.total
    again = (await asking.exchange(Call(b"x"))).timings
    assert (again.dns, again.connect, again.tls) == (None, None, None), "the connection was kept"
    assert again.first_byte is not None
    assert again.first_byte >= 190


@pytest.mark.ledger_part("S2-113", "connections are kept, and belong to one endpoint")
async def test_connections_are_kept_and_nobody_elses(web: Any, exchange: Open) -> None:
    one, other = exchange(web.url), exchange(web.url)
    kept = [(await each.exchange(Call(b""))).timings.connect is None for each in (one, one, other, other)]
    assert kept == [False, True, False, True]


@pytest.mark.ledger_part("S2-37", "milliseconds for the whole; the call's own go first")
async def test_a_call_has_its_own_time_limit(web: Any, exchange: Open) -> None:
    async def never(_: Request) -> Answer:
        await asyncio.sleep(2)  # longer than the caller waits
        return Answer(200)

    web.take = never
    with pytest.raises(Failed, match="no answer in time") as caught:
        await exchange(web.url).exchange(Call(b"x", timeout=200))
    assert (caught.value.fault, caught.value.sent) == (Fault.TIMEOUT, True)
    assert 190 <= caught.value.timings.total < 2_000


async def test_a_policy_that_forbids_everything() -> None:
    asking = http.Exchange(read(http.Config, {"url": "http://127.0.0.1:1/"}, ""), RefusingDialer())
    with pytest.raises(Failed) as caught:
        await asking.exchange(Call(b"x"))
    assert (caught.value.fault, caught.value.sent) == (Fault.BLOCKED_BY_POLICY, False)
    await asking.close()


# Deliveries


async def test_a_delivery_is_signed_too(web: Any, dialer: Dialer) -> None:
    values = {"url": f"{web.url}/in", "authentication": {"type": "bearer", "token": "canary-token"}, "method": "PUT"}
    destination = http.Destination(read(http.Config, values, ""), dialer)
    assert isinstance(await destination.send(Outbound("1", b"MSH|")), Delivered)
    await destination.close()
    (request,) = web.requests
    assert (request.method, request.headers["authorization"]) == ("PUT", "Bearer canary-token")
    assert request.headers["content-type"] == "application/hl7-v2"


async def test_json_deliveries_say_so(web: Any, dialer: Dialer) -> None:
    destination = http.Destination(read(http.Config, {"url": web.url, "format": "json"}, ""), dialer)
    assert isinstance(await destination.send(Outbound("1", json.dumps({"a": 1}).encode())), Delivered)
    await destination.close()
    assert web.requests[0].headers["content-type"] == web.requests[0].headers["accept"] == "application/json"
