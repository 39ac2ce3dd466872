"""Asking whether a partner works: by what changes nothing there, whatever the endpoint's own method is."""

from __future__ import annotations

from typing import Any

import pytest

from hilum.connectors import http
from hilum.outbound.dialer import Dialer
from hilum.sdk.config import read
from hilum.sdk.contracts import ProbeResult
from hilum.sdk.faults import ADVICE, Fault
from hilum.sdk.http import Answer

pytestmark = pytest.mark.anyio


async def probed(web: Any, dialer: Dialer, path: str = "/v1/x", **values: Any) -> ProbeResult:
    config = read(http.Config, {"url": f"{web.url}{path}", "timeout": 3_000, **values}, "")
    return await http.Probe(config, dialer).probe()


@pytest.mark.ledger_part("S3-47", "HEAD, GET or OPTIONS, never the endpoint's own unsafe method")
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("status", [200, 401, 404, 405, 500, 501])
async def test_a_probe_never_sends_an_unsafe_method(web: Any, dialer: Dialer, method: str, status: int) -> None:
    web.answer = lambda _: Answer(status)
    result = await probed(web, dialer, method=method, headers={"X-Tenant": "5"})
    assert result.reachable is (status == 200)
    assert web.methods == (["HEAD", "GET", "OPTIONS"] if status in (405, 501) else ["HEAD"])
    assert all(request.headers["x-tenant"] == "5" and not request.body for request in web.requests)
    assert not any("idempotency-key" in request.headers for request in web.requests)


@pytest.mark.parametrize(
    ("answers", "asked", "reachable"),
    [
        ({"HEAD": 405, "GET": 200}, ["HEAD", "GET"], True),
        ({"HEAD": 501, "GET": 405, "OPTIONS": 204}, ["HEAD", "GET", "OPTIONS"], True),
        ({"HEAD": 405, "GET": 404}, ["HEAD", "GET"], False),
        ({"HEAD": 403, "GET": 200}, ["HEAD"], False),
    ],
)
async def test_another_method_is_tried_where_one_is_not_known(
    web: Any, dialer: Dialer, answers: dict[str, int], asked: list[str], reachable: bool
) -> None:
    web.answers = {method: Answer(status) for method, status in answers.items()}
    result = await probed(web, dialer)
    assert (web.methods, result.reachable) == (asked, reachable)
    assert result.status == answers[asked[-1]]


async def test_a_partner_that_takes_our_method_alone_works(web: Any, dialer: Dialer) -> None:
    """RFC 9110, 15.5.6: 405 names what is allowed."""
    web.answer = lambda _: Answer(405, headers={"allow": "post, PUT"})
    result = await probed(web, dialer)
    assert (result.reachable, result.fault, result.detail) == (
        True,
        None,
        "HTTP 405: Method Not Allowed; it takes POST",
    )
    result = await probed(web, dialer, method="DELETE")
    assert (result.reachable, result.fault, result.detail) == (False, Fault.PROTOCOL, "HTTP 405: Method Not Allowed")


@pytest.mark.ledger_part("S3-47", "the own method only where `allow_unsafe` says so; a configured method and path")
async def test_what_is_configured_is_asked(web: Any, dialer: Dialer) -> None:
    await probed(web, dialer, method="DELETE", probe={"allow_unsafe": True})
    await probed(web, dialer, method="DELETE", probe={"method": "options", "path": "/health?deep=1"})
    await probed(web, dialer, "/v1/{id}", probe={"path": "/health"})
    await probed(web, dialer, "/v1/{id}", parameters={"path": {"id": "me"}, "query": {"a": "1"}})
    assert [(request.method, request.target) for request in web.requests] == [
        ("DELETE", "/v1/x"), ("OPTIONS", "/health?deep=1"), ("HEAD", "/health"), ("HEAD", "/v1/me?a=1"),
    ]  # fmt: skip
    result = await probed(web, dialer, "/v1/{id}")
    assert (result.fault, len(web.requests)) == (Fault.CONFIGURATION, 4)
    assert "name a path to probe" in result.detail


@pytest.mark.ledger("S3-48")
async def test_what_is_success(web: Any, dialer: Dialer) -> None:
    for status in (200, 204, 301, 304):
        web.answer = lambda _, status=status: Answer(status, headers={"location": f"{web.url}/elsewhere"})
        result = await probed(web, dialer)
        assert (result.reachable, result.status, result.advice) == (True, status, "")
    for status, reason in (
        (400, "Bad Request"),
        (404, "Not Found"),
        (418, "I'm a Teapot"),
        (503, "Service Unavailable"),
    ):
        web.answer = lambda _, status=status: Answer(status)
        result = await probed(web, dialer)
        assert (result.reachable, result.detail) == (False, f"HTTP {status}: {reason}")
    assert len(web.requests) == 8, "no redirect was followed"
    web.answer = lambda _: Answer(302, headers={"location": "https://id.example/login?state=canary"})
    result = await probed(web, dialer)
    assert (result.reachable, result.detail) == (True, "HTTP 302: Found; it leads to a sign-in page")
    assert result.advice == ADVICE[Fault.AUTH]
    web.answer = lambda _: Answer(404, b'{"status": "up"}')
    probe: dict[str, Any] = {"method": "GET", "expect_status": [404, 410], "expect_text": '"up"'}
    assert (await probed(web, dialer, probe=probe)).reachable
    result = await probed(web, dialer, probe={**probe, "expect_text": '"down"'})
    assert (result.reachable, result.fault) == (False, Fault.PROTOCOL)
    assert "does not contain" in result.detail
    web.answer = lambda _: Answer(200)
    result = await probed(web, dialer, probe={"expect_status": 204})
    assert (result.reachable, result.detail, result.fault) == (False, "HTTP 200: OK", Fault.PROTOCOL)


@pytest.mark.parametrize("location", ["/lessons/1", "/v2/x", "https://blog.example/catalogin"])
async def test_a_redirect_to_anywhere_else_is_none_to_a_sign_in(web: Any, dialer: Dialer, location: str) -> None:
    web.answer = lambda _: Answer(302, headers={"location": location})
    assert (await probed(web, dialer)).detail == "HTTP 302: Found"


async def test_a_probe_shows_who_we_are(web: Any, dialer: Dialer) -> None:
    result = await probed(web, dialer, authentication={"type": "bearer", "token": "canary-token"})
    assert result.reachable
    assert web.requests[0].headers["authorization"] == "Bearer canary-token"


async def test_a_probe_is_measured(web: Any, dialer: Dialer) -> None:
    result = await probed(web, dialer)
    assert result.timings is not None
    assert result.milliseconds == result.timings.total > 0
    assert None not in (result.timings.dns, result.timings.connect, result.timings.first_byte)
    assert result.timings.tls is None
