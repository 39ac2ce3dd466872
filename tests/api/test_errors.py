"""Every error in the envelope of document 000, with its request id."""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from hilum import errors, telemetry
from hilum.api import create_app
from hilum.api.errors import GENERIC, KINDS
from hilum.app import Hub

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client(stopped: Hub) -> AsyncIterator[httpx.AsyncClient]:
    async with made(stopped) as client:
        yield client


def made(hub: Hub, **replaced: Any) -> httpx.AsyncClient:
    services = dataclasses.replace(hub.services(), **replaced)
    transport = httpx.ASGITransport(create_app(services, local=True))
    return httpx.AsyncClient(transport=transport, base_url="http://hub/api/v1")


class Broken:
    """A service that fails as it is told to."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def all(self, organization: int) -> list[object]:
        raise self._error


def envelope(response: httpx.Response, code: str) -> Any:
    """The error, after its shape was checked."""
    (error,) = response.json().values()
    assert set(error) == {"code", "message", "field", "details", "timestamp", "request_id"}
    assert error["code"] == code
    assert error["message"]
    assert isinstance(error["details"], dict)
    assert error["timestamp"].endswith("Z")
    assert datetime.datetime.fromisoformat(error["timestamp"]).tzinfo is not None
    assert error["request_id"] == response.headers["x-request-id"]
    return error


@pytest.mark.ledger_part("S0-41", "404, 405, 400 and 500 in the envelope; problem+json by Accept")
async def test_framework_errors_come_in_the_envelope(client: httpx.AsyncClient) -> None:
    response = await client.get("/nothing")
    assert response.status_code == 404
    assert envelope(response, "INT001")["field"] is None
    response = await client.delete("/messages")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    envelope(response, "INT002")
    response = await client.post("/configuration/check", content=b"{", headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert envelope(response, "INT002")["field"] == "body"


@pytest.mark.ledger_part("S0-44", "400 with the first error's field and all errors in details")
async def test_a_validation_error_names_every_field_and_repeats_no_value(client: httpx.AsyncClient) -> None:
    response = await client.get("/messages", params={"size": "secret", "state": "secret"})
    assert response.status_code == 400
    error = envelope(response, "INT002")
    assert error["field"] == error["details"]["errors"][0]["field"]
    assert {one["field"] for one in error["details"]["errors"]} == {"size", "state"}
    assert "secret" not in response.text
    response = await client.post("/configuration/check", json={"documents": [{"name": "a"}]})
    assert envelope(response, "INT002")["field"] == "documents[0].text"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.NotFound("x"), 404, "INT001"),
        (errors.ConfigError("x", where="routes[0]"), 400, "INT002"),
        (errors.ExpressionError("x"), 400, "INT002"),
        (errors.FormatError("x"), 400, "INT002"),
        (errors.Refused("x"), 403, "INT003"),
        (errors.Conflict("x"), 409, "INT004"),
        (errors.StoreError("x"), 503, "INT005"),
        (errors.StoreFull("x"), 503, "INT005"),
        (errors.HilumError("x"), 500, "INT005"),
    ],
)
async def test_our_own_errors_are_mapped(stopped: Hub, error: errors.HilumError, status: int, code: str) -> None:
    async with made(stopped, lanes=Broken(error)) as client:
        response = await client.get("/lanes")
    assert response.status_code == status
    found = envelope(response, code)
    assert found["message"] == str(error)
    assert found["field"] == (getattr(error, "where", "") or None)


def test_every_error_of_ours_has_a_kind() -> None:
    def below(kind: type[errors.HilumError]) -> set[type[errors.HilumError]]:
        return {kind}.union(*map(below, kind.__subclasses__()))

    assert all(set(one.__mro__) & KINDS.keys() for one in below(errors.HilumError))
    assert KINDS[errors.StoreError].status == 503


@pytest.mark.ledger_part("S0-47", "500 with a generic message; the log has the rest under the request id")
async def test_what_nobody_foresaw_stays_in_the_log(stopped: Hub, served_log: Callable[[], str]) -> None:
    async with made(stopped, lanes=Broken(RuntimeError("patient 4711"))) as client:
        response = await client.get("/lanes")
    assert response.status_code == 500
    error = envelope(response, "INT005")
    assert "4711" not in response.text
    logged = served_log()
    assert error["request_id"] in logged
    assert "RuntimeError" in logged


INSIDE = "UPDATE credential SET sealed = ? (no such table) in /var/lib/hilum/hub.db; Bearer kanarienvogel-4711"


@pytest.mark.ledger("S2-76")
@pytest.mark.parametrize("accept", ["application/json", "application/problem+json"])
async def test_who_calls_is_told_what_they_did_wrong_and_nothing_of_the_inside(
    serving: Callable[..., httpx.AsyncClient], served_log: Callable[[], str], accept: str
) -> None:
    """All over TCP. A client's error says why, in whole; a fault of ours is in the log under its request's id."""
    headers = {"accept": accept}
    for kind in (errors.NotFound, errors.Refused, errors.Conflict, errors.FormatError, errors.Stale):
        why = "Integration not found: 01981c9e-5f6a-7b3c-8d4e-2f1a0b9c8d7e"
        async with serving(lanes=Broken(kind(why))) as client:
            response = await client.get("/lanes", headers=headers)
        assert response.status_code < 500
        assert why in response.text
    ours = [sa.exc.OperationalError(INSIDE, {"sealed": INSIDE}, Exception(INSIDE)), OSError(13, "denied", INSIDE)]
    for error in (*ours, errors.StoreError(INSIDE), errors.HilumError(INSIDE), RuntimeError(INSIDE), KeyError(INSIDE)):
        async with serving(lanes=Broken(error)) as client:
            response = await client.get("/lanes", headers=headers)
        assert response.status_code in (500, 503)
        assert GENERIC in response.text
        for word in ("UPDATE", "credential", "/var", "hub.db", "kanarienvogel", type(error).__name__, "Traceback"):
            assert word not in response.text, (error, word)
        assert response.headers["x-request-id"] in served_log()
    telemetry.secrets.add("kanarienvogel-4711")
    try:
        async with serving(lanes=Broken(errors.Conflict("it is kanarienvogel-4711"))) as client:
            assert "it is ***" in (await client.get("/lanes", headers=headers)).text
    finally:
        telemetry.secrets.remove("kanarienvogel-4711")
    async with serving() as client:
        for path, query, told in (
            ("/messages", {"size": "0 UNION SELECT 1", "state": "'"}, ("size", "state")),
            ("/integrations", {"sort": "name; DROP TABLE integration"}, ("sort",)),
            ("/integrations/..%2f..%2fetc%2fpasswd", {}, ()), ("/integrations/'%20OR%201=1", {}, ("integration_id",)),
            ("/executions", {"from": "' OR 1=1 --"}, ("from",)),
        ):  # fmt: skip
            response = await client.get(path, params=query, headers=headers)
            assert response.status_code in (400, 404)
            body = response.json().get("error", response.json())
            assert {one["field"] for one in body["details"].get("errors", [])} == set(told)
            assert not any(word in response.text for word in ("SELECT", "DROP", "sqlite", "passwd", "OR 1=1", "/src/"))


async def test_a_problem_document_where_it_is_asked_for(client: httpx.AsyncClient) -> None:
    response = await client.get("/nothing", headers={"Accept": "application/problem+json"})
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert (problem["status"], problem["code"], problem["type"]) == (404, "INT001", "urn:hilum:error:INT001")
    assert problem["request_id"] == response.headers["x-request-id"]
    assert problem["title"]
    assert problem["detail"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("trace-17_a", True),
        ("x" * 64, True),
        ("", False),
        ("trace17", False),
        ("two words", False),
        ("x" * 65, False),
        ("trace-17.a", False),
        ("ääääääää", False),
    ],
)
async def test_a_client_may_name_its_request(client: httpx.AsyncClient, given: str, kept: bool) -> None:
    response = await client.get("/lanes", headers=[(b"X-Request-ID", given.encode())])
    assert response.status_code == 200
    assert (response.headers["x-request-id"] == given) is kept
    if not kept:
        assert re.fullmatch(r"req_[0-9A-HJKMNP-TV-Z]{26}", response.headers["x-request-id"])
