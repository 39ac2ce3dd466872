"""The API's description: where it is switched on, and harmless there."""

from __future__ import annotations

import re
from collections.abc import Callable

import httpx
import pytest

from hilum.api import Edge
from hilum.api.page import page

pytestmark = pytest.mark.anyio
Serving = Callable[..., httpx.AsyncClient]


async def test_it_is_there_where_it_is_switched_on(serving: Serving) -> None:
    async with serving() as client:
        for path in ("/openapi.json", "/docs"):
            assert (await client.get(path)).status_code == 404
    async with serving(edge=Edge(docs=True)) as client:
        client.headers.pop("authorization")
        document = await client.get("/openapi.json")
        assert document.json()["openapi"] == "3.1.0"
        assert (
            await client.get("/openapi.json", headers={"if-none-match": document.headers["etag"]})
        ).status_code == 304
        shown = await client.get("/docs")
        assert "/api/v1/studies/{study_id}" in shown.text
        assert "script" not in shown.headers["content-security-policy"]
        assert "unsafe" not in shown.headers["content-security-policy"]
        assert "<script" not in shown.text
        assert not re.search(
            r"(?i)<(link|img|iframe|base|meta http)|src=|@import|url[(]", shown.text
        )  # nothing from elsewhere


def test_whatever_stands_in_the_document_is_escaped() -> None:
    evil = "<script>alert(1)</script>"
    operation = {
        "operationId": evil, "summary": evil, "description": evil, "tags": [evil], "x-permission": evil,
        "parameters": [{"name": evil, "in": "query", "description": evil}],
        "requestBody": {"content": {evil: {"example": {evil: evil}}}},
        "responses": {evil: {"description": evil, "content": {"application/json": {"example": evil}}}},
    }  # fmt: skip
    made = {"info": {"title": evil, "version": "1", "description": evil}, "paths": {evil: {"get": operation}}}
    assert "<script" not in page({**made, "components": {"schemas": {}}})
