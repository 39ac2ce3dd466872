"""A line and a figure for every request, by route; nothing of what was asked for."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

import httpx
import pytest
import structlog

from hilum import telemetry
from hilum.api import Edge
from hilum.app import Hub

pytestmark = pytest.mark.anyio
Serving = Callable[..., httpx.AsyncClient]
IDENTIFIER = "019a0000-0000-7000-8000-000000004711"


async def test_a_line_says_which_route_and_how_long(
    serving: Serving, stopped: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "access")
    async with serving(edge=Edge(logged=True)) as client:
        response = await client.get(f"/studies/{IDENTIFIER}?name=secret")
        await client.get("/secret/nothing")
        await client.head("/studies")
    formatter = telemetry.Lines(processor=structlog.processors.JSONRenderer())
    lines = [json.loads(formatter.format(one)) for one in caplog.records if one.name == "access"]
    assert [(one["method"], one["route"], one["status"]) for one in lines] == [
        ("GET", "/api/v1/studies/{study_id}", 404), ("GET", "", 404), ("HEAD", "/api/v1/studies", 200),
    ]  # fmt: skip
    assert lines[0]["request_id"] == response.headers["x-request-id"]
    assert lines[0]["ms"] >= 0
    assert "secret" not in str(lines)
    assert "4711" not in str(lines)
    text = (await stopped.services().metrics.text()).decode()
    assert 'hilum_http_request_seconds_count{method="GET",route="/api/v1/studies/{study_id}",status="404"} 1.0' in text
    assert 'hilum_http_request_seconds_count{method="",route="",status="404"} 1.0' in text
    assert "secret" not in text


async def test_the_local_socket_is_quiet(serving: Serving, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "access")
    async with serving(local=True, edge=Edge(logged=True)) as client:
        assert (await client.get("/studies")).status_code == 200
    assert [one for one in caplog.records if one.name == "access"] == []
