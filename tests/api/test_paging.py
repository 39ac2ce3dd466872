"""Lists by page: sizes, bounds, neighbours."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from hilum.api import errors
from hilum.api.paging import Page, Paging

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """A list of 45 numbers."""
    app = FastAPI()
    errors.install(app)

    @app.get("/numbers")
    async def numbers(paging: Paging) -> Page[int]:
        return Page[int].of(range(45)[paging.offset : paging.offset + paging.limit], 45, paging)

    @app.get("/nothing")
    async def nothing(paging: Paging) -> Page[int]:
        return Page[int].of([], 0, paging)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub") as client:
        yield client


@pytest.mark.ledger_part("S0-49", "size omitted: 20; 101 and page 0: 400 INT002")
async def test_a_page_has_twenty_unless_told_otherwise(client: httpx.AsyncClient) -> None:
    page = (await client.get("/numbers")).json()
    assert page == {"items": list(range(20)), "total": 45, "page": 1, "size": 20, "pages": 3}
    page = (await client.get("/numbers", params={"page": 3})).json()
    assert page["items"] == list(range(40, 45))
    page = (await client.get("/numbers", params={"page": 2, "size": 30})).json()
    assert (page["items"], page["pages"]) == (list(range(30, 45)), 2)
    assert (await client.get("/numbers", params={"page": 9})).json()["items"] == []
    assert (await client.get("/nothing")).json()["pages"] == 0


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("size=101", "size"), ("size=0", "size"), ("limit=101", "limit"), ("page=0", "page"), ("page=-1", "page"),
        ("page=x", "page"), ("page=1000000001", "page"), ("size=20&limit=30", "limit"),
    ],
)  # fmt: skip
async def test_what_is_out_of_bounds_is_an_error(client: httpx.AsyncClient, query: str, field: str) -> None:
    response = await client.get(f"/numbers?{query}")
    assert response.status_code == 400
    assert (response.json()["error"]["code"], response.json()["error"]["field"]) == ("INT002", field)


async def test_limit_is_another_name_of_size(client: httpx.AsyncClient) -> None:
    assert (await client.get("/numbers?limit=30")).json()["size"] == 30
    assert (await client.get("/numbers?limit=30&size=30")).json()["size"] == 30


async def test_the_neighbours_are_linked_with_the_rest_of_the_query(client: httpx.AsyncClient) -> None:
    response = await client.get("/numbers?page=2&size=10&name=a%20b")
    links = {name: link["url"] for name, link in response.links.items()}
    assert links == {
        "first": "/numbers?page=1&size=10&name=a%20b",
        "prev": "/numbers?page=1&size=10&name=a%20b",
        "next": "/numbers?page=3&size=10&name=a%20b",
        "last": "/numbers?page=5&size=10&name=a%20b",
    }
    assert (await client.get(links["last"])).json()["items"] == list(range(40, 45))
    assert set((await client.get("/numbers")).links) == {"first", "next", "last"}
    assert set((await client.get("/numbers?page=3")).links) == {"first", "prev", "last"}
    assert (await client.get("/numbers?page=7")).links["prev"]["url"] == "/numbers?page=3"
    assert (await client.get("/nothing")).links == {}
    odd = await client.get("/numbers?name=>,<&pages=7")
    assert odd.links["next"]["url"] == "/numbers?page=2&name=%3E,%3C&pages=7"
