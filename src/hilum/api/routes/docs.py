"""The API's description, for people and for programs: only where the operator switched it on (`serve --docs`)."""

from __future__ import annotations

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from hilum.api.page import POLICY, page
from hilum.api.surface import Surface, open_to_all
from hilum.errors import NotFound

router = Surface(tag="docs")


def _check(request: Request) -> None:
    if not request.app.state.docs:
        raise NotFound("Not Found")


@router.get("/openapi.json", include_in_schema=False)
@open_to_all()
async def openapi_document(request: Request) -> Response:
    """OpenAPI 3.1."""
    _check(request)
    return JSONResponse(request.app.openapi(), headers={"cache-control": "no-cache"})


@router.get("/docs", include_in_schema=False, response_class=HTMLResponse)
@open_to_all()
async def docs_page(request: Request) -> Response:
    """The same as a page."""
    _check(request)
    return HTMLResponse(
        page(request.app.openapi()), headers={"content-security-policy": POLICY, "cache-control": "no-cache"}
    )
