"""What went over the wire, as it is told of what failed: whole, and without a secret."""

from __future__ import annotations

from typing import Any

import pytest

from hilum.connectors import http
from hilum.outbound.dialer import Dialer
from hilum.sdk.config import read
from hilum.sdk.contracts import Call, Reply
from hilum.sdk.faults import Failed, Fault
from hilum.sdk.http import Answer

pytestmark = pytest.mark.anyio
SIGNED = {
    "authentication": {"type": "basic", "username": "eva", "password": "correct horse"},
    "headers": {"X-Api-Key": "sesame-key", "X-Tenant": "5"},
}


async def asked(url: str, dialer: Dialer, call: Call, **values: Any) -> Reply:
    asking = http.Exchange(read(http.Config, {"url": url, "timeout": 3_000, "method": "POST", **values}, ""), dialer)
    try:
        return await asking.exchange(call)
    finally:
        await asking.close()


@pytest.mark.ledger_part("S2-44", "request and answer as they went over the wire, credentials that came on the way too")
async def test_a_refused_request_is_told(web: Any, dialer: Dialer) -> None:
    said = {"set-cookie": "sid=canary", "x-reason": "no room"}
    web.answer = lambda _: Answer(422, b'{"why": "no room"}', headers=said)
    call = Call(b"{}", {"X-Order": "7"}, {"a": "1", "token": "t0k3n"})
    found = (await asked(f"{web.url}/v1", dialer, call, **SIGNED)).trace
    assert found is not None
    assert (found.method, found.url) == ("POST", f"{web.url}/v1?a=1&token=***")
    assert {name: found.headers[name] for name in ("x-order", "x-tenant", "content-type", "host")} == {
        "x-order": "7", "x-tenant": "5", "content-type": "application/json", "host": web.url.partition("://")[2],
    }  # fmt: skip
    assert (found.headers["authorization"], found.headers["x-api-key"]) == ("***", "***")
    assert web.requests[0].headers["authorization"].startswith("Basic ")
    assert (found.status, found.answer) == (422, '{"why": "no room"}')
    assert (found.answered["x-reason"], found.answered["set-cookie"]) == ("no room", "***")
    assert not [one for one in ("canary", "t0k3n", "sesame", "horse") if one in str(found)]


async def test_what_went_well_is_not_told(web: Any, dialer: Dialer) -> None:
    web.answer = lambda _: Answer(200, b"{}")
    assert (await asked(web.url, dialer, Call(b"{}"))).trace is None


async def test_nobody_answered(dialer: Dialer) -> None:
    with pytest.raises(Failed) as failed:
        await asked("http://127.0.0.1:1/v1", dialer, Call(b"{}"), **SIGNED)
    found = failed.value.trace
    assert found is not None
    assert failed.value.fault is Fault.BLOCKED_BY_POLICY
    assert (found.url, found.status, found.answer, found.answered) == ("http://127.0.0.1:1/v1", None, "", {})
    assert (found.headers["x-tenant"], found.headers["x-api-key"]) == ("5", "***")
    assert "sesame" not in str(found)


@pytest.mark.ledger_part("S3-51", "the endpoint says the largest answer that is kept")
async def test_an_endpoint_says_how_large_an_answer_may_be(web: Any, dialer: Dialer) -> None:
    web.answer = lambda _: Answer(200, b"long " * 400)
    reply = await asked(web.url, dialer, Call(b"{}"), max_answer=2_000)
    assert (reply.truncated, reply.trace) == (False, None)
    reply = await asked(web.url, dialer, Call(b"{}"), max_answer=1_999)
    assert (reply.truncated, reply.body) == (True, (b"long " * 400)[:1_999])
    assert reply.trace is not None
    assert reply.trace.answer == ("long " * 205)[:1_024]


@pytest.mark.ledger_part("S2-44", "a test's request and answer")
async def test_a_probe_tells_what_it_asked(web: Any, dialer: Dialer) -> None:
    web.answer = lambda _: Answer(503, b"down")
    config = read(http.Config, {"url": f"{web.url}/x", "probe": {"method": "get"}, **SIGNED}, "")
    result = await http.Probe(config, dialer).probe()
    assert result.trace is not None
    assert (result.trace.method, result.trace.url, result.trace.status) == ("GET", f"{web.url}/x", 503)
    assert (result.trace.headers["authorization"], result.trace.answer) == ("***", "down")
