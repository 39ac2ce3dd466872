"""Events: what changes, as it happens, over one long answer (Server-Sent Events) or a WebSocket, or a page at a time.

A client that lost the line sends the last id that it saw in `Last-Event-ID`, as browsers do by themselves, or `after`,
and misses nothing that is younger than 90 days. Each way tells the same events with the same ids.
"""

from __future__ import annotations

import json
import math
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Literal

from fastapi import Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field, StringConstraints

from hilum import clock
from hilum.api import callers
from hilum.api.services import Used
from hilum.api.sockets import LOOK, Said, Talk
from hilum.api.surface import Acting, Surface, allow
from hilum.errors import Refused, Unauthenticated
from hilum.services.events import Event

router = Surface("/events")
STREAM = "text/event-stream"
_LARGEST = 2**63 - 1
Type = Annotated[str, StringConstraints(pattern=r"^[a-z-]{1,60}\.([a-z_-]{1,60}|\*)$")]
Types = Annotated[
    list[Type], Query(max_length=20, description="Of these types alone, such as study.create or study.*.")
]


class EventPage(BaseModel):
    """`next`: hand it in as `after` to go on; the same one again where nothing came."""

    items: list[Event]
    next: int = Field(..., ge=0)


class Subscribe(Said):
    """What a WebSocket is to tell from now on: events of these types (none: all) after that one (null: new ones)."""

    type: Literal["subscribe"] = "subscribe"
    after: Annotated[int, Field(ge=0, le=_LARGEST, strict=True)] | None = None
    types: list[Type] = Field([], max_length=20)


@router.get("")
@allow("events:read", audits="event.list")
async def poll_events(
    services: Used,
    act: Acting,
    type: Types = [],  # noqa: B006 - nobody changes it
    after: Annotated[int, Query(ge=0, le=_LARGEST, description="Those that came after this one.")] = 0,
    size: Annotated[int, Query(ge=1, le=100)] = 20,
) -> EventPage:
    """The oldest first. For programs that ask from time to time."""
    found = await services.events.after(act.organization, after, type, size)
    return EventPage(items=found, next=found[-1].id if found else after)


@router.get("/stream", response_class=Response, responses={200: {"content": {STREAM: {}}}})
@allow("events:read", audits="event.stream")
async def stream_events(
    request: Request,
    services: Used,
    act: Acting,
    type: Types = [],  # noqa: B006 - nobody changes it
    accept: Annotated[str, Header(include_in_schema=False)] = "",
    wait: Annotated[
        int | None, Query(ge=0, le=3_600, examples=[0], description="Seconds until the answer ends; then come again.")
    ] = None,
    last_event_id: Annotated[
        int | None, Header(ge=0, le=_LARGEST, description="The last one seen; none: from now on.")
    ] = None,
) -> Response:
    """Each as it happens: `id`, `event` (its type) and `data` (JSON). By default for five minutes where
    `text/event-stream` is accepted by name, as browsers do; otherwise what is there, and the answer ends.

    The same over a WebSocket: `/api/v1/events/socket`, with `after` and `type`; each event is a text, the same `data`.
    """
    if wait is None:
        wait = 300 if STREAM in accept else 0
    organization, last = act.organization, last_event_id
    if last is None:
        last = await services.events.newest(organization)

    async def told() -> AsyncIterator[str]:
        yield ": hilum\n\n"  # the head leaves at once
        looked = clock.monotonic()
        async for one in services.events.stream(organization, last, type, wait):
            if clock.monotonic() - looked > LOOK:
                looked = clock.monotonic()
                try:
                    await callers.still(request, act)
                except (Refused, Unauthenticated):  # coming again is told why
                    return
            if one is None:
                yield ": nothing new\n\n"
                continue
            yield f"id: {one.id}\nevent: {one.type}\ndata: {_data(one)}\n\n"

    return StreamingResponse(
        told(), media_type=STREAM, headers={"cache-control": "no-store", "x-accel-buffering": "no"}
    )


@router.get("/socket", response_class=Response, include_in_schema=False)
@allow("events:read", audits="event.stream", socket=True)
async def socket_of_events(
    request: Request,
    services: Used,
    act: Acting,
    type: Types = [],  # noqa: B006 - nobody changes it
    after: Annotated[int | None, Query(ge=0, le=_LARGEST)] = None,
    last_event_id: Annotated[int | None, Header(ge=0, le=_LARGEST)] = None,
) -> Response:
    """The same over a WebSocket (docs/how-to/follow-events.md)."""

    async def told(wanted: Subscribe) -> AsyncGenerator[str, None]:
        last = wanted.after
        if last is None:
            last = await services.events.newest(act.organization)
        yield json.dumps({"type": "subscribed", "after": last, "types": wanted.types})
        async with aclosing(services.events.stream(act.organization, last, wanted.types, math.inf)) as found:
            async for one in found:
                if one is not None:
                    yield _data(one)

    return Talk(request, act, Subscribe(after=last_event_id if after is None else after, types=type), told)


def _data(one: Event) -> str:
    return json.dumps({"id": one.id, "type": one.type, "entity": one.entity, "time": one.time})
