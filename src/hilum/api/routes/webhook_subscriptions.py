"""Webhook subscriptions: who is told of what, what became of it, and sending it once more (Standard Webhooks 1.0)."""

from __future__ import annotations

import datetime
import uuid
from typing import Annotated

from fastapi import Query, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from hilum.api.paging import Page, Paging
from hilum.api.preconditions import IfMatch, etag
from hilum.api.services import Used
from hilum.api.surface import Acting, Surface, allow
from hilum.api.texts import Name, Prose
from hilum.model.webhook import DeliveryState
from hilum.services.webhook_subscriptions import (
    DeliveryDetail,
    DeliveryView,
    IssuedSubscription,
    Range,
    SchemeName,
    SubscriptionView,
)

router = Surface("/webhooks/subscriptions")
Address = Annotated[str, StringConstraints(min_length=8, max_length=2_000, pattern=r"^https?://[\x21-\x7e]+$")]
Pattern = Annotated[str, StringConstraints(pattern=r"^(\*|[a-z][a-z-]{0,40}\.(\*|[a-z_][a-z_-]{0,40}))$")]
Events = Annotated[list[Pattern], Field(min_length=1, max_length=50, examples=[["integration.*"]])]
_URL = ["https://hooks.example.org/hilum"]


class NewSubscription(BaseModel):
    model_config = ConfigDict(extra="forbid")

    url: Address = Field(..., examples=_URL, description="Where webhooks are posted; https in production.")
    events: Events = Field(..., description="`*`, all of a noun as `integration.*`, or one as `integration.create`.")
    description: Prose = Field("", description="What it is for.")
    scheme: SchemeName = Field("v1", description="v1: HMAC with a shared secret; v1a: Ed25519, verified in public.")
    study: Name | None = Field(None, description="Only what belongs to this study is told; none: all.")


class SubscriptionPatch(BaseModel):
    """What is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    url: Address | None = Field(None, examples=_URL)
    events: Events | None = None
    description: Prose | None = None


class ReplayRange(BaseModel):
    """Times are the events'. Without any: all that failed."""

    model_config = ConfigDict(extra="forbid")

    since: AwareDatetime | None = Field(None, description="From then on.")
    until: AwareDatetime | None = Field(None, description="Before then.")
    state: DeliveryState | None = Field(DeliveryState.FAILED, description="In this state; null: in any.")


class Replayed(BaseModel):
    """How many are tried again."""

    deliveries: int


@router.get("")
@allow("webhooks:read", audits="webhook-subscription.list")
async def list_webhook_subscriptions(services: Used, act: Acting, paging: Paging) -> Page[SubscriptionView]:
    """The oldest first. Never a secret."""
    items, total = await services.webhook_subscriptions.list(act.scope, paging.offset, paging.limit)
    return Page[SubscriptionView].of(items, total, paging)


@router.post("", status_code=201)
@allow("webhooks:write", audits="webhook-subscription.create", fails=(404,))
async def create_webhook_subscription(
    services: Used, act: Acting, response: Response, wanted: NewSubscription
) -> IssuedSubscription:
    """The secret is shown this once. It is told what happens from now on."""
    made = await services.webhook_subscriptions.create(
        act, wanted.url, wanted.events, description=wanted.description, scheme=wanted.scheme, study=wanted.study
    )
    response.headers["location"] = f"/api/v1/webhooks/subscriptions/{made.subscription.id}"
    etag(response, made.subscription.version)
    return made


@router.get("/{subscription_id}")
@allow("webhooks:read", audits="webhook-subscription.read")
async def read_webhook_subscription(
    services: Used, act: Acting, response: Response, subscription_id: uuid.UUID
) -> SubscriptionView:
    """A subscription, and since when it fails, if it does. Never a secret."""
    act.entity = f"webhook-subscription/{subscription_id}"
    found = await services.webhook_subscriptions.show(act.scope, subscription_id)
    etag(response, found.version)
    return found


@router.patch("/{subscription_id}")
@allow("webhooks:write", audits="webhook-subscription.change")
async def change_webhook_subscription(
    services: Used, act: Acting, response: Response, subscription_id: uuid.UUID, version: IfMatch,
    wanted: SubscriptionPatch,
) -> SubscriptionView:  # fmt: skip
    """Change where it goes or what it is told."""
    act.entity = f"webhook-subscription/{subscription_id}"
    values = wanted.model_dump(exclude_none=True)
    changed = await services.webhook_subscriptions.change(act, subscription_id, version, values)
    etag(response, changed.version)
    return changed


@router.delete("/{subscription_id}", status_code=204)
@allow("webhooks:write", audits="webhook-subscription.remove")
async def remove_webhook_subscription(
    services: Used, act: Acting, subscription_id: uuid.UUID, version: IfMatch
) -> None:  # fmt: skip
    """It is told nothing more, and its secrets are gone for good."""
    act.entity = f"webhook-subscription/{subscription_id}"
    await services.webhook_subscriptions.remove(act, subscription_id, version)


@router.post("/{subscription_id}/rotate")
@allow("webhooks:write", audits="webhook-subscription.rotate")
async def rotate_webhook_subscription(
    services: Used, act: Acting, response: Response, subscription_id: uuid.UUID, version: IfMatch
) -> IssuedSubscription:
    """A new secret, shown this once; webhooks are signed with the old one as well for 24 hours."""
    act.entity = f"webhook-subscription/{subscription_id}"
    made = await services.webhook_subscriptions.rotate(act, subscription_id, version)
    etag(response, made.subscription.version)
    return made


@router.post("/{subscription_id}/enable")
@allow("webhooks:write", audits="webhook-subscription.enable")
async def enable_webhook_subscription(
    services: Used, act: Acting, response: Response, subscription_id: uuid.UUID, version: IfMatch
) -> SubscriptionView:
    """What waited is tried at once; what happened while it was disabled was not queued."""
    act.entity = f"webhook-subscription/{subscription_id}"
    changed = await services.webhook_subscriptions.enable(act, subscription_id, version)
    etag(response, changed.version)
    return changed


@router.post("/{subscription_id}/disable")
@allow("webhooks:write", audits="webhook-subscription.disable")
async def disable_webhook_subscription(
    services: Used, act: Acting, response: Response, subscription_id: uuid.UUID, version: IfMatch
) -> SubscriptionView:
    """Nothing is queued or sent until it is enabled again; what waits rests."""
    act.entity = f"webhook-subscription/{subscription_id}"
    changed = await services.webhook_subscriptions.disable(act, subscription_id, version)
    etag(response, changed.version)
    return changed


@router.post("/{subscription_id}/test", status_code=202)
@allow("webhooks:write", audits="webhook-subscription.test")
async def try_webhook_subscription(
    services: Used, act: Acting, response: Response, subscription_id: uuid.UUID
) -> DeliveryView:  # fmt: skip
    """Send an event of type `webhook.test`. 409 where it is disabled."""
    act.entity = f"webhook-subscription/{subscription_id}"
    made = await services.webhook_subscriptions.test(act, subscription_id)
    response.headers["location"] = f"/api/v1/webhooks/subscriptions/{subscription_id}/deliveries/{made.id}"
    return made


@router.get("/{subscription_id}/deliveries")
@allow("webhooks:read", audits="webhook-subscription.look")
async def list_webhook_deliveries(
    services: Used,
    act: Acting,
    paging: Paging,
    subscription_id: uuid.UUID,
    state: Annotated[DeliveryState | None, Query(description="In this state.")] = None,
    since: Annotated[datetime.datetime | None, Query(description="Events from then on, RFC 3339.")] = None,
    until: Annotated[datetime.datetime | None, Query(description="Events before then, RFC 3339.")] = None,
) -> Page[DeliveryView]:
    """The log of what was sent, the newest first; it goes back 90 days."""
    act.entity = f"webhook-subscription/{subscription_id}"
    wanted = Range(state, _aware(since), _aware(until))
    items, total = await services.webhook_subscriptions.deliveries(
        act.scope, subscription_id, wanted, paging.offset, paging.limit
    )
    return Page[DeliveryView].of(items, total, paging)


@router.get("/{subscription_id}/deliveries/{delivery_id}")
@allow("webhooks:read", audits="webhook-subscription.look")
async def read_webhook_delivery(
    services: Used, act: Acting, subscription_id: uuid.UUID, delivery_id: uuid.UUID
) -> DeliveryDetail:
    """A delivery, each try of it and what the receiver said, and the body."""
    act.entity = f"webhook-subscription/{subscription_id}"
    return await services.webhook_subscriptions.delivery(act.scope, subscription_id, delivery_id)


@router.post("/{subscription_id}/deliveries/{delivery_id}/replay", status_code=202)
@allow("webhooks:write", audits="webhook-subscription.replay")
async def replay_webhook_delivery(
    services: Used, act: Acting, response: Response, subscription_id: uuid.UUID, delivery_id: uuid.UUID
) -> Replayed:
    """Send it once more, under the id that it has. 409 where the subscription is disabled."""
    act.entity = f"webhook-subscription/{subscription_id}"
    count = await services.webhook_subscriptions.replay(act, subscription_id, Range(), delivery_id)
    response.headers["location"] = f"/api/v1/webhooks/subscriptions/{subscription_id}/deliveries/{delivery_id}"
    return Replayed(deliveries=count)


@router.post("/{subscription_id}/replay", status_code=202)
@allow("webhooks:write", audits="webhook-subscription.replay")
async def replay_webhook_deliveries(
    services: Used, act: Acting, response: Response, subscription_id: uuid.UUID, wanted: ReplayRange
) -> Replayed:
    """Send a range once more, each under the id that it has. 409 where the subscription is disabled."""
    act.entity = f"webhook-subscription/{subscription_id}"
    chosen = Range(wanted.state, wanted.since, wanted.until)
    count = await services.webhook_subscriptions.replay(act, subscription_id, chosen)
    response.headers["location"] = f"/api/v1/webhooks/subscriptions/{subscription_id}/deliveries"
    return Replayed(deliveries=count)


def _aware(moment: datetime.datetime | None) -> datetime.datetime | None:
    """One without an offset is in UTC."""
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
