"""The audit trail: who did what, the proof that it stood so, all of it to take along."""

from __future__ import annotations

import asyncio
import datetime
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any, Literal

from fastapi import Path, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from hilum import clock
from hilum.api.items import Items
from hilum.api.services import Used
from hilum.api.surface import Acting, Surface, allow
from hilum.formats.fhir import audit_event
from hilum.services.audit import Detail, Key, Page, micros
from hilum.store.audit import EventFilter

router = Surface("/audit")
FHIR = "application/fhir+json"
ZIP = "application/zip"
_BUNDLE = {"resourceType": "Bundle", "type": "searchset", "timestamp": "2026-01-21T10:00:00.000Z", "entry": []}
Word = Annotated[str | None, Query(min_length=1, max_length=200)]
Moment = Annotated[datetime.datetime | None, Query(description="A time without offset is UTC.")]
Size = Annotated[int, Query(ge=1, le=100, description="Events on a page.")]


@router.get("", response_model=Page, responses={200: {"content": {FHIR: {"example": _BUNDLE}}}})
@allow("audit:read", audits="audit.list")
async def list_events(
    request: Request,
    services: Used,
    act: Acting,
    action: Annotated[str | None, Query(max_length=100, description="Such as user.create, or its noun.")] = None,
    actor: Annotated[str | None, Query(max_length=200, description="Who: the id of a user or key.")] = None,
    entity: Annotated[str | None, Query(max_length=200, description="Of what: message/019a… is its own trail.")] = None,
    outcome: Literal["success", "denied", "failure"] | None = None,
    since: Moment = None,
    until: Moment = None,
    before: Annotated[int | None, Query(ge=1, le=(1 << 62), description="`next` of the page before.")] = None,
    size: Size = 20,
    format: Annotated[Literal["fhir"] | None, Query(description="fhir: a Bundle of AuditEvent (R4).")] = None,
) -> Any:
    """Events, newest first. Those of the last second have no place in the chain yet."""
    stamps = [None if one is None else micros(one) for one in (since, until)]
    where = EventFilter(action, actor, entity, outcome, *stamps)
    found = await services.audit.page(act.scope, where, before=before, limit=size)
    if format != "fhir" and FHIR not in request.headers.get("accept", ""):
        return found
    base = str(request.url.replace(query="")).rstrip("/")
    moment = clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
    bundle = audit_event.bundle([one.event for one in found.items], base, moment, _links(request, found))
    return JSONResponse(bundle, media_type=FHIR)


@router.get("/export", response_class=Response, responses={200: {"content": {ZIP: {}}}})
@allow("audit:export", audits="audit.export", fails=(409,))
async def export_events(services: Used, act: Acting, since: Moment = None) -> StreamingResponse:
    """All of it in a zip, for `hilum audit verify`; `since`: from the checkpoint of that moment on."""
    if since is not None:
        act.details["since"] = since.isoformat()
    pieces = services.audit.export(act.scope, since)
    first = await asyncio.to_thread(next, pieces, b"")  # what is wrong shows before the answer begins
    name = f"hilum-audit-{clock.now():%Y%m%dT%H%M%SZ}.zip"
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(_stream(first, pieces), media_type=ZIP, headers=headers)


@router.get("/checkpoints")
@allow("audit:read", audits="audit.checkpoints")
async def list_checkpoints(
    services: Used,
    act: Acting,
    after: Annotated[int, Query(ge=0, le=(1 << 62), description="The last number of the page before.")] = 0,
    size: Annotated[int, Query(ge=1, le=100, description="Checkpoints on a page.")] = 20,
) -> Items[dict[str, Any]]:
    """Signed checkpoints, the oldest first: copies, for the originals lie outside the database."""
    return Items(items=await services.audit.checkpoints(act.scope, after=after, limit=size))


@router.get("/key")
@allow("audit:read", audits="audit.key")
async def show_key(services: Used) -> Key:
    """The public key that checkpoints are signed with."""
    return services.audit.key()


@router.get("/{identifier}")
@allow("audit:read", audits="audit.show")
async def show_event(
    services: Used, act: Acting, identifier: Annotated[uuid.UUID, Path(description="The event's id.")]
) -> Detail:
    """One event, and the path from its hash to what a checkpoint was signed over."""
    act.entity = f"audit/{identifier}"
    return await services.audit.show(act.scope, identifier)


def _links(request: Request, found: Page) -> dict[str, str]:
    links = {"self": str(request.url)}
    if found.next is not None:
        links["next"] = str(request.url.include_query_params(before=found.next))
    return links


async def _stream(first: bytes, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    piece: bytes | None = first
    while piece is not None:
        if piece:
            yield piece
        piece = await asyncio.to_thread(next, pieces, None)
