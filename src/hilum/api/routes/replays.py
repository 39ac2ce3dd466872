"""Replays: messages go again, as new ones that point to their originals."""

from __future__ import annotations

import datetime
import hashlib
import uuid
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from hilum.api.errors import Invalid
from hilum.api.services import Used
from hilum.api.surface import Acting, Surface, allow
from hilum.api.texts import Base64, Reason
from hilum.errors import FormatError
from hilum.model.configuration import UNSEEN, Reference
from hilum.services.messages import DispositionName, Query, StateName
from hilum.services.policy import Intent
from hilum.services.replays import MOST, Replayed

router = Surface("/messages")
Why = Annotated[
    Reason, Field(description="Why; it becomes the new message's note.", examples=["the laboratory lost it"])
]
Word = Annotated[str, Field(max_length=1_000, pattern=rf"^[^{UNSEEN}]*$")]


class Replay(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: Why = ""
    body: Base64 | None = Field(None, description="An edited body to send in its place, in base64.")


class ReplayMany(BaseModel):
    """Which messages: as in the list, or by search key."""

    model_config = ConfigDict(extra="forbid")

    endpoint: Reference | None = Field(None, description="integration/endpoint.", examples=["adt/in"])
    disposition: DispositionName | None = None
    state: StateName | None = None
    type: Word | None = None
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None
    key: Word | None = None
    value: Word | None = None
    synthetic: bool | None = Field(None, description="true: those of tests alone; false: none of them.")
    reason: Why = ""
    limit: int = Field(MOST, ge=1, le=MOST)


class Made(BaseModel):
    id: uuid.UUID


@router.post("/replay")
@allow("messages:replay", audits="message.replay")
async def replay_messages(services: Used, act: Acting, wanted: ReplayMany) -> Replayed:
    """Send all messages that the filter names again, oldest first."""
    narrowed = wanted.model_dump(exclude={"reason", "limit"})
    if not any(narrowed.values()):
        raise Invalid("name at least one filter: everything is too much to send again", field="endpoint")
    if (wanted.key is None) != (wanted.value is None):
        raise Invalid("key and value belong together", field="value" if wanted.value is None else "key")
    return await services.replays.many(act, Query(**narrowed), wanted.reason, wanted.limit)


@router.post("/{identifier}/replay", status_code=201)
@allow("messages:replay", audits="message.replay", body=14_000_000)
async def replay_message(services: Used, act: Acting, identifier: uuid.UUID, wanted: Replay) -> Made:
    """Send a message again along today's routes, edited if `body` is given; that needs a reason."""
    if wanted.body is not None and not wanted.reason.strip():
        raise Invalid("an edited message needs a reason", field="reason")
    if wanted.body is not None:
        act.reason = wanted.reason
        told = {"body_sha256": hashlib.sha256(wanted.body).hexdigest(), "bytes": len(wanted.body)}
        await services.policy.check(act, Intent("message.edit", f"message/{identifier}", told))
    try:
        made = await services.replays.one(act, identifier, wanted.reason, wanted.body)
    except FormatError as error:
        raise Invalid(f"the edited message cannot be read: {error}", field="body") from None
    return Made(id=uuid.UUID(made))
