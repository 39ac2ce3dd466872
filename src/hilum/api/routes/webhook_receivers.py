"""Webhook receivers: the URL of an integration that others post to, and how they sign (C-40)."""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Literal, Self

from fastapi import Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, model_validator

from hilum import telemetry
from hilum.api import limits
from hilum.api.paging import Page, Paging
from hilum.api.preconditions import IfMatch, etag
from hilum.api.services import Used
from hilum.api.surface import Acting, Surface, allow, open_to_all
from hilum.errors import NotFound
from hilum.model.audit import Outcome
from hilum.model.webhook import EventId, SubscriptionState
from hilum.security.webhooks import TOLERANCE, Forged
from hilum.services.webhook_receivers import HmacOptions, IssuedReceiver, ReceiverView, SchemeName, Taken

router = Surface("/webhooks")
LARGEST = 5 << 20  # bytes of a webhook
Header = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$")]
Path = Annotated[str, StringConstraints(pattern=r"^[^.\s\x00-\x1f]{1,60}(\.[^.\s\x00-\x1f]{1,60}){0,9}$")]
Secret = Annotated[SecretStr, Field(min_length=8, max_length=512)]
Tolerance = Annotated[int, Field(ge=30, le=86_400)]
_BODY = {"application/json": {"schema": {}, "example": {"id": "evt_1", "type": "payment.paid"}}}


class Hmac(BaseModel):
    """An HMAC of the body in a header, or of `seconds.body` where another header has the seconds."""

    model_config = ConfigDict(extra="forbid")

    header: Header = Field(..., examples=["X-Signature"], description="Where the signature is.")
    algorithm: Literal["sha256", "sha512"] = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    prefix: str = Field("", max_length=40, pattern=r"^[\x20-\x7e]*$", description="Before it, such as `sha256=`.")
    timestamp_header: Header | None = Field(None, description="Where the seconds since 1970 are.")

    def options(self) -> HmacOptions:
        return HmacOptions(**self.model_dump())


class EventPlace(BaseModel):
    """Where a webhook says which event it is. Neither: where the scheme has it."""

    model_config = ConfigDict(extra="forbid")

    header: Header | None = Field(None, description="In this header.")
    path: Path | None = Field(None, description="In the JSON body, such as `data.id`.")

    @model_validator(mode="after")
    def _is_one_place(self) -> Self:
        if self.header and self.path:
            raise ValueError("name a header or a path, not both")
        return self

    def place(self) -> EventId:
        return EventId(self.header, self.path)


class NewReceiver(BaseModel):
    model_config = ConfigDict(extra="forbid")

    integration: uuid.UUID = Field(..., description="It needs an inbound endpoint `webhook://receiver`.")
    scheme: SchemeName = Field("standard", description="How the sender signs.")
    hmac: Hmac | None = Field(None, description="Of the scheme `hmac` alone.")
    event_id: EventPlace = EventPlace()
    tolerance: Tolerance = Field(TOLERANCE, description="Seconds that a webhook may be old.")
    secret: Secret | None = Field(None, description="The sender's; none: the hub makes one and shows it once.")


class ReceiverPatch(BaseModel):
    """What is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    hmac: Hmac | None = None
    event_id: EventPlace | None = None
    tolerance: Tolerance | None = None
    state: SubscriptionState | None = Field(None, description="A disabled one is not there for senders.")


class ReceiverRotation(BaseModel):
    model_config = ConfigDict(extra="forbid")

    secret: Secret | None = Field(None, description="The sender's new one; none: the hub makes one.")


@router.get("/receivers")
@allow("webhooks:read", audits="webhook-receiver.list")
async def list_webhook_receivers(
    services: Used,
    act: Acting,
    paging: Paging,
    integration: Annotated[uuid.UUID | None, Query(description="Of this integration.")] = None,
) -> Page[ReceiverView]:
    """The oldest first. Never a secret."""
    items, total = await services.webhook_receivers.list(act.scope, integration, paging.offset, paging.limit)
    return Page[ReceiverView].of(items, total, paging)


@router.post("/receivers", status_code=201)
@allow("webhooks:write", audits="webhook-receiver.create", fails=(404, 409))
async def create_webhook_receiver(
    services: Used, act: Acting, response: Response, wanted: NewReceiver
) -> IssuedReceiver:  # fmt: skip
    """An integration has one. A secret that the hub made is shown this once."""
    made = await services.webhook_receivers.create(
        act, wanted.integration, wanted.scheme, hmac=None if wanted.hmac is None else wanted.hmac.options(),
        event_id=wanted.event_id.place(), tolerance=wanted.tolerance, secret=_plain(wanted.secret),
    )  # fmt: skip
    response.headers["location"] = f"/api/v1/webhooks/receivers/{made.receiver.id}"
    etag(response, made.receiver.version)
    return made


@router.get("/receivers/{receiver_id}")
@allow("webhooks:read", audits="webhook-receiver.read")
async def read_webhook_receiver(
    services: Used, act: Acting, response: Response, receiver_id: uuid.UUID
) -> ReceiverView:  # fmt: skip
    """A receiver and its URL. Never a secret."""
    act.entity = f"webhook-receiver/{receiver_id}"
    found = await services.webhook_receivers.show(act.scope, receiver_id)
    etag(response, found.version)
    return found


@router.patch("/receivers/{receiver_id}")
@allow("webhooks:write", audits="webhook-receiver.change")
async def change_webhook_receiver(
    services: Used, act: Acting, response: Response, receiver_id: uuid.UUID, version: IfMatch, wanted: ReceiverPatch
) -> ReceiverView:
    """How its sender signs, or whether it takes anything. Its URL stays."""
    act.entity = f"webhook-receiver/{receiver_id}"
    values: dict[str, Any] = {}
    if wanted.hmac is not None:
        values["hmac"] = wanted.hmac.options()
    if wanted.event_id is not None:
        values["event_id"] = wanted.event_id.place()
    values |= wanted.model_dump(include={"tolerance", "state"}, exclude_none=True)
    changed = await services.webhook_receivers.change(act, receiver_id, version, values)
    etag(response, changed.version)
    return changed


@router.delete("/receivers/{receiver_id}", status_code=204)
@allow("webhooks:write", audits="webhook-receiver.remove")
async def remove_webhook_receiver(services: Used, act: Acting, receiver_id: uuid.UUID, version: IfMatch) -> None:
    """Its URL leads nowhere from now on, and its secrets are gone for good."""
    act.entity = f"webhook-receiver/{receiver_id}"
    await services.webhook_receivers.remove(act, receiver_id, version)


@router.post("/receivers/{receiver_id}/rotate")
@allow("webhooks:write", audits="webhook-receiver.rotate")
async def rotate_webhook_receiver(
    services: Used, act: Acting, response: Response, receiver_id: uuid.UUID, version: IfMatch, wanted: ReceiverRotation
) -> IssuedReceiver:
    """Another secret; webhooks that are signed with the old one are taken for another 24 hours."""
    act.entity = f"webhook-receiver/{receiver_id}"
    made = await services.webhook_receivers.rotate(act, receiver_id, version, _plain(wanted.secret))
    etag(response, made.receiver.version)
    return made


@router.post("/in/{receiver_id}", openapi_extra={"requestBody": {"required": True, "content": _BODY}})
@open_to_all(body=LARGEST, fails=(401, 404, 413, 429))
async def receive_webhook(services: Used, act: Acting, request: Request, receiver_id: uuid.UUID) -> Taken:
    """What others post, whatever its content type. Answered once it is stored; a repeat is answered and not kept."""
    limits.check_receiver(request, act.source, str(receiver_id))
    act.action = "webhook-receiver.receive"
    headers = dict(request.headers.items())
    try:
        return await services.webhook_receivers.receive(act, receiver_id, headers, await request.body())
    except Forged as error:
        limits.check_source(request, act.source)
        await services.record(act, outcome=Outcome.DENIED, code="INT003", error=telemetry.mask(str(error)))
        raise
    except NotFound:
        limits.check_source(request, act.source)
        raise


def _plain(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
