"""Webhook subscriptions: who is told of what. A secret is shown when it is made, and never again."""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal
from urllib.parse import urlsplit

from hilum import clock, telemetry
from hilum.errors import ConfigError, Conflict
from hilum.model.access import Scope
from hilum.model.audit import Act
from hilum.model.identifier import new
from hilum.model.webhook import OVERLAP, DeliveryState, SubscriptionState, check_events
from hilum.security import webhooks
from hilum.security.envelope import Place
from hilum.services.credentials import study_of
from hilum.services.vault import Vault
from hilum.store import Store, configuration, studies, webhook_deliveries, webhook_subscriptions
from hilum.store.webhook_deliveries import Attempt, Delivery
from hilum.store.webhook_subscriptions import TABLE, Subscription

SchemeName = Literal["v1", "v1a"]
_LOOPBACK = ("127.", "localhost", "[::1]")


@dataclasses.dataclass(frozen=True, slots=True)
class SubscriptionView:
    """`public_keys`: of v1a, the current one first. `previous_until`: until then the secret before holds as well."""

    id: uuid.UUID
    url: str
    description: str
    events: list[str]
    study: str | None
    scheme: SchemeName
    public_keys: list[str]
    state: SubscriptionState
    reason: str
    failing_since: datetime | None
    previous_until: datetime | None
    version: int
    created_at: datetime
    created_by: str


@dataclasses.dataclass(frozen=True, slots=True)
class IssuedSubscription:
    """`secret` is shown this once; of v1a there is none to show: others verify with the public key."""

    subscription: SubscriptionView
    secret: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class DeliveryView:
    """An event's way to one subscription. `id` is its webhook-id; `next_at` is null once it ended."""

    id: uuid.UUID
    type: str
    happened_at: datetime
    state: DeliveryState
    attempts: int
    status: int | None
    next_at: datetime | None
    ended_at: datetime | None


@dataclasses.dataclass(frozen=True, slots=True)
class AttemptView:
    """A try; `duration` in milliseconds, `status` null where there was no answer, `detail` what came instead."""

    number: int
    started_at: datetime
    duration: float
    status: int | None
    detail: str


@dataclasses.dataclass(frozen=True, slots=True)
class DeliveryDetail:
    """A delivery with its tries, and its body as it is sent."""

    delivery: DeliveryView
    attempts: list[AttemptView]
    payload: dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Range:
    """Which deliveries; None: whichever. Times are the events'."""

    state: DeliveryState | None = None
    since: datetime | None = None
    until: datetime | None = None

    def stamps(self) -> tuple[DeliveryState | None, int | None, int | None]:
        return self.state, _micros(self.since), _micros(self.until)


class WebhookSubscriptions:
    """The use cases."""

    def __init__(self, store: Store, vault: Vault) -> None:
        self._store = store
        self._vault = vault

    async def list(self, scope: Scope, offset: int, limit: int) -> tuple[list[SubscriptionView], int]:
        """Those within, and how many there are."""
        own = self._store.within(scope.organization)
        found, total = await own.read(webhook_subscriptions.listed, scope, offset, limit)
        names = await own.read(studies.names, scope.organization)
        return [_view(one, names) for one in found], total

    async def show(self, scope: Scope, identifier: uuid.UUID) -> SubscriptionView:
        """Raises NotFound."""
        return await self._shown(await self._find(scope, identifier))

    async def create(
        self, act: Act, url: str, events: Sequence[str], *, description: str, scheme: SchemeName, study: str | None
    ) -> IssuedSubscription:
        """Raises ConfigError (a field), NotFound and Refused (the study)."""
        check_events(events)
        await self._check_url(act.organization, url)
        number = await study_of(self._store, act.scope, study)
        identifier = new(clock.micros())
        key = webhooks.new_secret() if scheme == "v1" else webhooks.new_private()
        values = {
            "url": url, "events": list(events), "description": description, "scheme": scheme, "study": number,
            "created_by": act.principal.name or act.principal.id, "previous_until": None,
            **await self._sealed(Place(act.organization, TABLE, identifier), scheme, [key]),
        }  # fmt: skip
        own = self._store.within(act.organization)
        made = await own.change(act, webhook_subscriptions.create, act.scope, identifier, values)
        return IssuedSubscription(await self._shown(made), key if scheme == "v1" else None)

    async def change(self, act: Act, identifier: uuid.UUID, version: int, values: dict[str, Any]) -> SubscriptionView:
        """`values`: url, events, description. Raises NotFound, Stale, ConfigError."""
        await self._find(act.scope, identifier)
        if "events" in values:
            check_events(values["events"])
        if "url" in values:
            await self._check_url(act.organization, values["url"])
        return await self._changed(act, identifier, version, values)

    async def enable(self, act: Act, identifier: uuid.UUID, version: int) -> SubscriptionView:
        """What waited is tried now; what happened meanwhile was not queued. Raises NotFound, Stale."""
        found = await self._find(act.scope, identifier)
        values = {"state": SubscriptionState.ACTIVE, "reason": "", "failing_since": None, "since": clock.micros()}
        shown = await self._changed(act, identifier, version, values)
        await self._store.within(act.organization).write(webhook_deliveries.hurry, found.id)
        self._store.signal("webhook")
        return shown

    async def disable(self, act: Act, identifier: uuid.UUID, version: int) -> SubscriptionView:
        """Nothing is queued or sent. Raises NotFound, Stale."""
        reason = act.reason or "disabled by a person"
        return await self._changed(
            act, identifier, version, {"state": SubscriptionState.DISABLED, "reason": reason}
        )  # fmt: skip

    async def rotate(self, act: Act, identifier: uuid.UUID, version: int) -> IssuedSubscription:
        """A new secret; webhooks are signed with both for a day. Raises NotFound, Stale."""
        found = await self._find(act.scope, identifier)
        scheme: SchemeName = "v1" if found.scheme == "v1" else "v1a"
        key = webhooks.new_secret() if scheme == "v1" else webhooks.new_private()
        before: list[str] = json.loads(await self._vault.open(found.place, found.sealed))
        values = await self._sealed(found.place, scheme, [key, before[0]])
        values["previous_until"] = clock.micros() + OVERLAP
        shown = await self._changed(act, identifier, version, values)
        return IssuedSubscription(shown, key if scheme == "v1" else None)

    async def remove(self, act: Act, identifier: uuid.UUID, version: int) -> None:
        """Its secrets are gone for good. Raises NotFound, Stale."""
        await self._store.within(act.organization).change(
            act, webhook_subscriptions.remove, act.scope, identifier, version
        )  # fmt: skip

    async def test(self, act: Act, identifier: uuid.UUID) -> DeliveryView:
        """Queue an event that means nothing. Raises NotFound, Conflict where it is disabled."""
        found = await self._find(act.scope, identifier)
        if found.state is not SubscriptionState.ACTIVE:
            raise Conflict("the subscription is disabled: enable it first")
        own = self._store.within(act.organization)
        made: Delivery = await own.change(act, webhook_deliveries.test, self._store.sealer, found)
        self._store.signal("webhook")
        return _delivery(made)

    async def deliveries(
        self, scope: Scope, identifier: uuid.UUID, wanted: Range, offset: int, limit: int
    ) -> tuple[Sequence[DeliveryView], int]:
        """The newest first, and how many there are. Raises NotFound."""
        found = await self._find(scope, identifier)
        own = self._store.within(scope.organization)
        several, total = await own.read(webhook_deliveries.listed, found.id, *wanted.stamps(), offset, limit)
        return [_delivery(one) for one in several], total

    async def delivery(self, scope: Scope, identifier: uuid.UUID, delivery: uuid.UUID) -> DeliveryDetail:
        """Raises NotFound."""
        found = await self._find(scope, identifier)
        one, tries = await self._store.within(scope.organization).read(webhook_deliveries.find, found.id, delivery)
        open = self._store.sealer.open
        attempts = [_attempt(each, open(each.detail, one.place).decode()) for each in tries]
        return DeliveryDetail(_delivery(one), attempts, json.loads(open(one.sealed, one.place)))

    async def replay(self, act: Act, identifier: uuid.UUID, wanted: Range, delivery: uuid.UUID | None = None) -> int:
        """Try one (`delivery`) or all of a range again, with the ids that they have; how many.

        Raises NotFound, Conflict where the subscription is disabled.
        """
        found = await self._find(act.scope, identifier)
        own = self._store.within(act.organization)
        if delivery is not None:
            await own.read(webhook_deliveries.find, found.id, delivery)
        if found.state is not SubscriptionState.ACTIVE:
            raise Conflict("the subscription is disabled: enable it first")
        count: int = await own.change(act, webhook_deliveries.replay, found, *wanted.stamps(), delivery)
        self._store.signal("webhook")
        return count

    async def _find(self, scope: Scope, identifier: uuid.UUID) -> Subscription:
        return await self._store.within(scope.organization).read(webhook_subscriptions.find, scope, identifier)

    async def _changed(self, act: Act, identifier: uuid.UUID, version: int, values: dict[str, Any]) -> SubscriptionView:
        own = self._store.within(act.organization)
        changed = await own.change(act, webhook_subscriptions.change, act.scope, identifier, version, values)
        return await self._shown(changed)

    async def _shown(self, one: Subscription) -> SubscriptionView:
        return _view(one, await self._store.within(one.organization).read(studies.names, one.organization))

    async def _sealed(self, place: Place, scheme: SchemeName, keys: Sequence[str]) -> dict[str, Any]:
        """The columns that keys go into, the current one first."""
        for key in keys:
            telemetry.secrets.add(key)
        sealed, number = await self._vault.seal(place, json.dumps(keys).encode())
        public = [] if scheme == "v1" else [webhooks.public_of(key) for key in keys]
        return {"sealed": sealed, "key": number, "public": public}

    async def _check_url(self, organization: int, url: str) -> None:
        """Raises ConfigError."""
        try:
            parts = urlsplit(url)
            sound = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.fragment
            _ = parts.port  # raises ValueError beyond 65535
        except ValueError:
            sound = False
        if not sound or not url.isascii() or any(one.isspace() or ord(one) < 33 for one in url):
            raise ConfigError("must be written https://host/path", where="url")
        if parts.username is not None or parts.password is not None:
            raise ConfigError("must hold no credentials: webhooks are signed", where="url")
        if parts.scheme == "http" and not parts.netloc.startswith(_LOOPBACK):
            home = await self._store.within(organization).read(configuration.of, organization)
            if home.document.get("environment", "development") == "production":
                raise ConfigError("must be https in production", where="url")


def _view(one: Subscription, names: dict[int, str]) -> SubscriptionView:
    previous = one.previous_until if (one.previous_until or 0) > clock.micros() else None
    return SubscriptionView(
        one.uuid, one.url, one.description, one.events, names.get(one.study) if one.study is not None else None,
        "v1" if one.scheme == "v1" else "v1a", one.public if previous else one.public[:1], one.state, one.reason,
        _moment(one.failing_since), _moment(previous), one.version, clock.from_micros(one.created_at), one.created_by,
    )  # fmt: skip


def _delivery(one: Delivery) -> DeliveryView:
    waiting = one.state is DeliveryState.WAITING
    return DeliveryView(
        one.uuid, one.type, clock.from_micros(one.stamp), one.state, one.attempts, one.status,
        clock.from_micros(one.next_at) if waiting else None, _moment(one.ended_at),
    )  # fmt: skip


def _attempt(one: Attempt, detail: str) -> AttemptView:
    return AttemptView(one.number, clock.from_micros(one.started_at), one.duration / 1000, one.status, detail)


def _moment(stamp: int | None) -> datetime | None:
    return None if stamp is None else clock.from_micros(stamp)


def _micros(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1_000_000)
