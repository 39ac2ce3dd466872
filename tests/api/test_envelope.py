"""Whatever goes wrong, the body is the one of document 000: for every status, on the wire, against its JSON Schema."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import httpx
import jsonschema_rs
import pytest
from fastapi import Response
from pydantic import BaseModel

from hilum import errors
from hilum.api import Edge, create_app
from hilum.api.edge import Rate
from hilum.api.preconditions import IfMatch
from hilum.api.surface import Surface, allow
from hilum.app import Hub

pytestmark = pytest.mark.anyio
Serving = Callable[..., httpx.AsyncClient]
ERRORS: dict[str, Exception] = {
    "missing": errors.NotFound("x"), "refused": errors.Refused("x"), "conflict": errors.Conflict("x"),
    "unsigned": errors.SignatureNeeded("integration.activate", "integration/1", ("approval",)),
    "store": errors.StoreError("x"), "broken": RuntimeError("patient 4711"),
    "partner": errors.PartnerFailed("x"), "slow": errors.PartnerSlow("x"),
}  # fmt: skip


class Body(BaseModel):
    text: str


def things(noun: str = "things") -> Surface:
    """Routes that end in every kind of error."""
    router = Surface(f"/{noun}")

    @router.post("")
    @allow("users:write", audits="thing.create")
    async def create_thing(body: Body) -> str:
        return body.text

    @router.patch("/{name}")
    @allow("users:write", audits="thing.change")
    async def change_thing(name: str, version: IfMatch) -> None:
        if version == 1:
            raise errors.Stale("it moved on")
        raise ERRORS[name]

    @router.get("/bytes", response_class=Response, responses={200: {"content": {"text/csv": {}}}})
    @allow("users:read", audits="thing.read")
    async def read_thing() -> Response:
        return Response("")

    return router


@pytest.fixture
def schemas(stopped: Hub) -> Any:
    """The document's own schemas of errors."""
    return create_app(stopped.services(), local=False).openapi()["components"]["schemas"]


V2 = {"if-match": '"v2"'}
CASES = [
    ("POST", "/things", {"json": {}}, 400, 2),
    ("POST", "/things", {"content": b"{", "headers": {"content-type": "application/json"}}, 400, 2),
    ("POST", "/things", {"json": {"text": "x"}, "headers": {"authorization": ""}}, 401, 3),
    ("POST", "/things", {"json": {"text": "x"}, "headers": {"authorization": "Bearer viewer"}}, 403, 3),
    ("PATCH", "/things/refused", {"headers": V2}, 403, 3),
    ("PATCH", "/things/unsigned", {"headers": V2}, 403, 11),
    ("PATCH", "/things/missing", {"headers": V2}, 404, 1),
    ("GET", "/no/such/route", {}, 404, 1),
    ("DELETE", "/things", {}, 405, 2),
    ("GET", "/things/bytes", {"headers": {"accept": "image/png"}}, 406, 2),
    ("PATCH", "/things/conflict", {"headers": V2}, 409, 4),
    ("PATCH", "/things/missing", {"headers": {"if-match": '"v1"'}}, 412, 4),
    ("POST", "/things", {"json": {"text": "x" * 2_000}}, 413, 7),
    ("GET", "/things/bytes?q=" + "x" * 9_000, {}, 414, 2),
    ("POST", "/things", {"content": b"x", "headers": {"content-type": "text/plain"}}, 415, 2),
    ("PATCH", "/things/missing", {}, 428, 8),
    ("GET", "/things/bytes", {"headers": {"x-long": "x" * 40_000}}, 431, 2),
    ("PATCH", "/things/broken", {"headers": V2}, 500, 5),
    ("PATCH", "/things/partner", {"headers": V2}, 502, 9),
    ("PATCH", "/things/store", {"headers": V2}, 503, 5),
    ("PATCH", "/things/slow", {"headers": V2}, 504, 9),
]


@pytest.mark.ledger("S0-41")
@pytest.mark.parametrize(("method", "path", "options", "status", "number"), CASES)
async def test_every_error_is_in_the_envelope(
    serving: Serving, schemas: Any, method: str, path: str, options: Any, status: int, number: int
) -> None:
    async with serving(things(), edge=Edge(body=1_000)) as client:
        response = await client.request(method, path, **options)
        assert response.status_code == status
        jsonschema_rs.validate({"components": {"schemas": schemas}, **schemas["ErrorEnvelope"]}, response.json())
        error = response.json()["error"]
        assert error["code"] == f"INT{number:03d}"
        assert error["request_id"] == response.headers["x-request-id"]
        assert datetime.datetime.fromisoformat(error["timestamp"]).utcoffset() == datetime.timedelta(0)
        assert error["timestamp"].endswith("Z")
        assert "4711" not in response.text
        if number == 11:
            assert error["details"]["signature_required"]["meanings"] == ["approval"]
        if status != 406:
            headers = {**options.get("headers", {}), "accept": "application/problem+json"}
            problem = await client.request(method, path, **{**options, "headers": headers})
            assert problem.headers["content-type"] == "application/problem+json"
            jsonschema_rs.validate({"components": {"schemas": schemas}, **schemas["Problem"]}, problem.json())
            assert (problem.json()["code"], problem.json()["status"]) == (error["code"], status)


@pytest.mark.ledger("S0-48")
@pytest.mark.parametrize(("noun", "prefix"), [("things", "INT"), ("exports", "EXP")])
async def test_what_the_documents_do_not_foresee_has_codes_of_its_own(
    serving: Serving, schemas: Any, noun: str, prefix: str
) -> None:
    """Appended to the five of document 000, on the surface of integrations and on that of exports."""
    flood = Edge(body=1_000, known=Rate("default", 9, 3_600))
    keyed, same = {"idempotency-key": "k1"}, {"text": "x"}
    async with serving(things(noun), edge=flood) as client:
        found = [
            await client.request(method, path, **options)
            for method, path, options in (
                ("POST", f"/{noun}", {"json": same, "headers": keyed}),
                ("POST", f"/{noun}", {"json": {"text": "x" * 2_000}}),
                ("PATCH", f"/{noun}/missing", {}),
                ("PATCH", f"/{noun}/partner", {"headers": V2}),
                ("PATCH", f"/{noun}/slow", {"headers": V2}),
                ("POST", f"/{noun}", {"json": {"text": "other"}, "headers": keyed}),
                ("PATCH", f"/{noun}/unsigned", {"headers": V2}),
                ("PATCH", f"/{noun}/missing", {"headers": V2}),  # the first five mean what they meant
                ("PATCH", f"/{noun}/conflict", {"headers": V2}),
                ("PATCH", f"/{noun}/conflict", {"headers": V2}),
            )
        ]
    assert [one.status_code for one in found] == [200, 413, 428, 502, 504, 422, 403, 404, 409, 429]
    for one in found[1:]:
        jsonschema_rs.validate({"components": {"schemas": schemas}, **schemas["ErrorEnvelope"]}, one.json())
    codes = [one.json()["error"]["code"] for one in found[1:]]
    assert codes == [f"{prefix}{number:03d}" for number in (7, 8, 9, 9, 10, 11, 1, 4, 6)]


async def test_so_are_floods(serving: Serving, schemas: Any) -> None:
    async with serving(things(), edge=Edge(known=Rate("default", 1, 3_600))) as client:
        await client.get("/things/bytes")
        flood = await client.get("/things/bytes")
    assert (flood.status_code, flood.json()["error"]["code"]) == (429, "INT006")
    jsonschema_rs.validate({"components": {"schemas": schemas}, **schemas["ErrorEnvelope"]}, flood.json())
    assert int(flood.headers["retry-after"]) > 0


async def test_so_is_a_key_that_was_used_for_something_else(serving: Serving, schemas: Any) -> None:
    router = Surface("/things")

    @router.post("")
    @allow("users:write", audits="thing.create")
    async def create_thing(body: Body) -> str:
        return body.text

    async with serving(router) as client:
        for text, status in (("a", 200), ("b", 422)):
            response = await client.post("/things", json={"text": text}, headers={"idempotency-key": "k1"})
            assert response.status_code == status
    assert response.json()["error"]["code"] == "INT010"
    jsonschema_rs.validate({"components": {"schemas": schemas}, **schemas["ErrorEnvelope"]}, response.json())
