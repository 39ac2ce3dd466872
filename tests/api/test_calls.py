"""What is served past FastAPI is served as FastAPI does: the same values, errors, headers and statuses."""

from __future__ import annotations

import datetime
import enum
import uuid
from collections.abc import Callable
from typing import Annotated, Any, Literal

import httpx
import pytest
from fastapi import Cookie, Depends, FastAPI, Header, Query, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel

from hilum.api import errors
from hilum.api.calls import Quick
from hilum.api.surface import Acting, Guarded, Surface, allow

pytestmark = pytest.mark.anyio


class Colour(enum.StrEnum):
    RED = "red"


class Echo(BaseModel):
    said: dict[str, str]


async def page(response: Response, number: Annotated[int, Query(ge=1, alias="page")] = 1) -> int:
    response.headers["link"] = f"<{number}>"
    return number


async def plain(
    request: Request,
    response: Response,
    thing: uuid.UUID,
    needed: Annotated[str, Query(min_length=2)],
    number: Annotated[int, Depends(page)],
    size: Annotated[int, Query(ge=1, le=9)] = 5,
    since: datetime.datetime | None = None,
    colour: Colour | None = None,
    kind: Literal["a", "b"] | None = None,
    deep: bool = False,
    x_tag: Annotated[str | None, Header()] = None,
    crumb: Annotated[str | None, Cookie()] = None,
) -> Echo:
    response.status_code = 202 if deep else 200
    given = (thing, needed, number, size, since, colour, kind, deep, x_tag, crumb, request.url.path)
    return Echo(said={str(place): repr(one) for place, one in enumerate(given)})


def asked(quick: bool) -> FastAPI:
    """The same route, served by a plan or by FastAPI."""
    app = FastAPI()
    errors.install(app)
    route = APIRoute("/things/{thing}", plain, methods=["GET"])
    plan = Quick.of(route)
    assert plan is not None
    if quick:

        async def serve(request: Request) -> Response:
            return await plan.answer(request)

        app.add_route("/things/{thing}", serve)
    else:
        app.router.routes.append(route)
    return app


THING = "/things/019a0000-0000-7000-8000-000000000001"


@pytest.mark.parametrize(
    "path",
    [
        f"{THING}?needed=yes",
        f"{THING}?needed=yes&size=9&since=2026-01-02T03:04:05Z&colour=red&kind=b&deep=1&page=3",
        f"{THING}?needed=first&needed=second&size=",
        f"{THING}?needed=%C3%A4%20b&unknown=1",
        f"{THING}",
        f"{THING}?needed=n&size=10&since=never&colour=blue&kind=c&deep=maybe&page=0",
        "/things/nothing?needed=yes",
    ],
)
async def test_the_same_as_fastapi(path: str) -> None:
    answers = []
    for quick in (True, False):
        transport = httpx.ASGITransport(asked(quick))
        headers = {"x-tag": "t", "x-request-id": "a-request-id", "cookie": "crumb=c"}
        async with httpx.AsyncClient(transport=transport, base_url="http://hub") as client:
            answer = await client.get(path, headers=headers)
        body = answer.json()
        if "error" in body:
            body["error"] |= {"timestamp": "", "request_id": ""}
        answers.append((answer.status_code, sorted(answer.headers.items()), body))
    (status, headers_, body), other = answers
    assert (status, body) == (other[0], other[2])
    if status < 300:
        assert headers_ == other[1]


async def test_what_it_does_not_understand_is_left_to_fastapi() -> None:
    class Model(BaseModel):
        text: str

    echo = Echo(said={})

    async def body(model: Model) -> Echo:
        return echo

    async def several(names: Annotated[list[str], Query()]) -> Echo:
        return echo

    async def model(model: Annotated[Model, Query()]) -> Echo:
        return echo

    async def nothing() -> None:
        """Its answer has no body."""

    async def raw() -> Response:
        return Response()

    async def generated(number: Annotated[int, Depends(lambda: 1)]) -> Echo:
        return echo

    def on_a_thread() -> Echo:
        return echo

    for function in (body, several, model, nothing, raw, generated, on_a_thread):
        assert Quick.of(APIRoute("/x", function, methods=["POST"])) is None, function.__name__
    assert Quick.of(APIRoute("/x", plain, response_class=JSONResponse)) is None


async def test_a_route_that_is_served_so_is_guarded_all_the_same(serving: Callable[..., httpx.AsyncClient]) -> None:
    router = Surface("/things")

    @router.get("/{thing}")
    @allow("users:read", audits="thing.show")
    async def show_thing(act: Acting, thing: int) -> dict[str, Any]:
        return {"thing": thing, "who": act.principal.name}

    (route,) = router.routes
    assert isinstance(route, Guarded)
    assert route.quick is not None
    async with serving(router) as client:
        assert (await client.get("/things/3")).json() == {"thing": 3, "who": "tenant_admin"}
        assert (await client.get("/things/x")).status_code == 400
        assert (await client.get("/things/3", headers={"authorization": "Bearer viewer"})).status_code == 403
        assert (await client.get("/things/3", headers={"authorization": ""})).status_code == 401
        assert (await client.post("/things/3")).status_code == 405
        assert (await client.get("/things")).status_code == 404
