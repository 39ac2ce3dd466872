"""Replays: messages go again, as new ones that point to their originals."""

from __future__ import annotations

import base64
import datetime
import uuid
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from hilum.api.errors import Invalid
from hilum.api.services import Actor, Organization, Used
from hilum.errors import FormatError
from hilum.services.messages import DispositionName, Query, StateName
from hilum.services.replays import MOST, Replayed

router = APIRouter(prefix="/messages", tags=["messages"])
Reason = Annotated[str, Field(max_length=500, description="Why; it becomes the new message's note.")]


def _unpacked(value: Any) -> Any:
    """Strict: characters outside the alphabet are a mistake, not to be left out."""
    return base64.b64decode(value, validate=True) if isinstance(value, str) else value


class Replay(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: Reason = ""
    body: Annotated[bytes | None, BeforeValidator(_unpacked)] = Field(
        None, description="An edited body to send in its place, in base64."
    )


class ReplayMany(BaseModel):
    """Which messages: as in the list, or by search key."""

    model_config = ConfigDict(extra="forbid")

    endpoint: str | None = None
    disposition: DispositionName | None = None
    state: StateName | None = None
    type: str | None = None
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None
    key: str | None = None
    value: str | None = None
    reason: Reason = ""
    limit: int = Field(MOST, ge=1, le=MOST)


class Made(BaseModel):
    id: uuid.UUID


@router.post("/replay")
async def replay_messages(services: Used, organization: Organization, actor: Actor, wanted: ReplayMany) -> Replayed:
    """Send all messages that the filter names again, oldest first."""
    narrowed = wanted.model_dump(exclude={"reason", "limit"})
    if not any(narrowed.values()):
        raise Invalid("name at least one filter: everything is too much to send again", field="endpoint")
    if (wanted.key is None) != (wanted.value is None):
        raise Invalid("key and value belong together", field="value" if wanted.value is None else "key")
    return await services.replays.many(organization, Query(**narrowed), wanted.reason, wanted.limit, actor=actor)


@router.post("/{identifier}/replay", status_code=201)
async def replay_message(
    services: Used, organization: Organization, actor: Actor, identifier: uuid.UUID, wanted: Replay
) -> Made:
    """Send a message again along today's routes, edited if `body` is given; that needs a reason."""
    if wanted.body is not None and not wanted.reason.strip():
        raise Invalid("an edited message needs a reason", field="reason")
    try:
        made = await services.replays.one(organization, identifier, wanted.reason, wanted.body, actor=actor)
    except FormatError as error:
        raise Invalid(f"the edited message cannot be read: {error}", field="body") from None
    return Made(id=uuid.UUID(made))
