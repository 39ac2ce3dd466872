"""Messages: list, search, show, bodies, steps."""

from __future__ import annotations

import datetime
import uuid
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

from hilum.api.items import Items
from hilum.api.services import Organization, Used
from hilum.services import messages
from hilum.services.messages import Detail, DispositionName, FoundPage, Page, RouteTrace, StateName

router = APIRouter(prefix="/messages", tags=["messages"])
BYTES = "application/octet-stream"
Limit = Annotated[int, Query(ge=1, le=100, description="Messages on a page.")]
Before = Annotated[uuid.UUID | None, Query(description="`next` of the page before.")]


@router.get("")
async def list_messages(
    services: Used,
    organization: Organization,
    endpoint: Annotated[str | None, Query(description="integration/endpoint that received it.")] = None,
    disposition: DispositionName | None = None,
    state: Annotated[StateName | None, Query(description="Where it stands; failed: a delivery of it failed.")] = None,
    type: Annotated[str | None, Query(description="MSH-9, whole or its first part: ADT or ADT^A01.")] = None,
    since: datetime.datetime | None = None,
    until: datetime.datetime | None = None,
    before: Before = None,
    limit: Limit = 20,
) -> Page:
    """Messages, newest first. A time without offset is UTC."""
    query = messages.Query(endpoint, disposition, state, type, since, until)
    return await services.messages.page(organization, query, before=before, limit=limit)


@router.get("/search")
async def search_messages(
    services: Used,
    organization: Organization,
    key: Annotated[str, Query(min_length=1, description="patient, control, or a key that the endpoint configures.")],
    value: Annotated[str, Query(min_length=1, description="Exactly as it stands in the message.")],
    include: Annotated[Literal["body"] | None, Query(description="body: with the bodies as text.")] = None,
    before: Before = None,
    limit: Limit = 20,
) -> FoundPage:
    """Messages that hold a value under a search key, newest first."""
    return await services.messages.search(
        organization, key, value, before=before, limit=limit, bodies=include == "body"
    )


@router.get("/{identifier}")
async def show_message(services: Used, organization: Organization, identifier: uuid.UUID) -> Detail:
    """A message with its body as text, its deliveries and their failed attempts."""
    return await services.messages.show(organization, identifier)


@router.get("/{identifier}/body", response_class=Response, responses={200: {"content": {BYTES: {}}}})
async def message_body(services: Used, organization: Organization, identifier: uuid.UUID) -> Response:
    """The bytes exactly as they came."""
    return Response(await services.messages.body(organization, identifier), media_type=BYTES)


@router.get(
    "/{identifier}/deliveries/{number}/body", response_class=Response, responses={200: {"content": {BYTES: {}}}}
)
async def delivery_body(services: Used, organization: Organization, identifier: uuid.UUID, number: int) -> Response:
    """The bytes exactly as they were, or will be, sent."""
    return Response(await services.messages.sent(organization, identifier, number), media_type=BYTES)


@router.get("/{identifier}/steps")
async def message_steps(services: Used, organization: Organization, identifier: uuid.UUID) -> Items[RouteTrace]:
    """What every step of the routes that it took makes of it."""
    return Items(items=await services.messages.steps(organization, identifier))
