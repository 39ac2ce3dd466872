"""Messages: list, search, show, bodies, steps.

That a message came and which way it took is one thing, what is in it another: the body, what partners answered about
it, notes and attributes may name a patient, and need the permission messages:payload.
"""

from __future__ import annotations

import datetime
import uuid
from typing import Annotated, Literal

from fastapi import Query, Response

from hilum.api.items import Items
from hilum.api.services import Used
from hilum.api.surface import Acting, Surface, allow
from hilum.services import messages
from hilum.services.messages import Detail, DispositionName, FoundPage, Page, RouteTrace, StateName

router = Surface("/messages")
BYTES = "application/octet-stream"
PAYLOAD = "messages:payload"
Size = Annotated[int, Query(ge=1, le=100, description="Messages on a page.")]
Include = Annotated[Literal["body"] | None, Query(description="body: with what is in it; needs messages:payload.")]
Before = Annotated[uuid.UUID | None, Query(description="`next` of the page before.")]


@router.get("")
@allow("messages:read", audits="message.list", fails=(404,))
async def list_messages(
    services: Used,
    act: Acting,
    endpoint: Annotated[str | None, Query(description="integration/endpoint that received it.")] = None,
    disposition: DispositionName | None = None,
    state: Annotated[StateName | None, Query(description="Where it stands; failed: a delivery of it failed.")] = None,
    type: Annotated[str | None, Query(description="MSH-9, whole or its first part: ADT or ADT^A01.")] = None,
    since: datetime.datetime | None = None,
    until: datetime.datetime | None = None,
    synthetic: Annotated[bool | None, Query(description="true: those of tests (MSH-11 T or D) alone.")] = None,
    before: Before = None,
    size: Size = 20,
) -> Page:
    """Messages, newest first. A time without offset is UTC."""
    query = messages.Query(endpoint, disposition, state, type, since, until, synthetic=synthetic)
    return await services.messages.page(act, query, before=before, limit=size)


@router.get("/search")
@allow(PAYLOAD, audits="message.search")
async def search_messages(
    services: Used,
    act: Acting,
    key: Annotated[str, Query(min_length=1, description="patient, control, or a key that the endpoint configures.")],
    value: Annotated[str, Query(min_length=1, description="Exactly as it stands in the message.")],
    include: Annotated[Literal["body"] | None, Query(description="body: with the bodies as text.")] = None,
    before: Before = None,
    size: Size = 20,
) -> FoundPage:
    """Messages that hold a value under a search key, newest first."""
    return await services.messages.search(act, key, value, before=before, limit=size, bodies=include == "body")


@router.get("/{identifier}")
@allow("messages:read", audits="message.show")
async def show_message(services: Used, act: Acting, identifier: uuid.UUID, include: Include = None) -> Detail:
    """A message, its deliveries and their failed attempts; with its body as text where that is asked for."""
    return await services.messages.show(act, identifier, payload=include == "body")


@router.get("/{identifier}/body", response_class=Response, responses={200: {"content": {BYTES: {}}}})
@allow(PAYLOAD, audits="message.body", fails=(409,))
async def message_body(services: Used, act: Acting, identifier: uuid.UUID) -> Response:
    """The bytes exactly as they came."""
    return Response(await services.messages.body(act, identifier), media_type=BYTES)


@router.get(
    "/{identifier}/deliveries/{number}/body", response_class=Response, responses={200: {"content": {BYTES: {}}}}
)
@allow(PAYLOAD, audits="message.sent-body", fails=(409,))
async def delivery_body(services: Used, act: Acting, identifier: uuid.UUID, number: int) -> Response:
    """The bytes exactly as they were, or will be, sent."""
    return Response(await services.messages.sent(act, identifier, number), media_type=BYTES)


@router.get("/{identifier}/steps")
@allow(PAYLOAD, audits="message.steps", fails=(409,))
async def message_steps(services: Used, act: Acting, identifier: uuid.UUID) -> Items[RouteTrace]:
    """What every step of the routes that it took makes of it."""
    return Items(items=await services.messages.steps(act, identifier))
