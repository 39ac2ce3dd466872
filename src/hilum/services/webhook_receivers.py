"""Webhook receivers: what others post is verified, known if it comes again, stored before it is answered."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol

from hilum import clock, telemetry
from hilum.errors import ConfigError, NotFound, StoreError
from hilum.model.access import Scope
from hilum.model.audit import Act
from hilum.model.webhook import OVERLAP, EventId, SubscriptionState
from hilum.sdk.contracts import Receipt
from hilum.security import webhooks
from hilum.security.envelope import Place
from hilum.security.webhooks import Proof, Scheme
from hilum.services.vault import Vault
from hilum.store import Store, integrations, webhook_receivers
from hilum.store.webhook_receivers import TABLE, Receiver

PATH = "/api/v1/webhooks/in"
SchemeName = Literal["standard", "stripe", "github", "hmac"]
_SIGNS: dict[str, Callable[[], Scheme]] = {
    "standard": webhooks.Standard, "stripe": webhooks.Stripe, "github": webhooks.GitHub,
}  # fmt: skip
_EVENT_IDS = {"stripe": EventId(path="id"), "github": EventId(header="x-github-delivery")}
_TOLD = {"content-type": "content_type", "x-github-event": "event", "user-agent": "user_agent"}


class Listening(Protocol):
    """A running source of the webhook connector."""

    async def take(self, body: bytes, attributes: Mapping[str, str], known: Sequence[str]) -> Receipt:
        """Returns once it is on disk, at once for a repeat. Raises StoreError."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class HmacOptions:
    """How the generic scheme signs: an HMAC in `header` after `prefix`, over `seconds.body` where a header has them."""

    header: str
    algorithm: Literal["sha256", "sha512"] = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    prefix: str = ""
    timestamp_header: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class ReceiverView:
    """`url` is what senders post to. `previous_until`: until then the secret before holds as well."""

    id: uuid.UUID
    integration: uuid.UUID
    url: str
    scheme: SchemeName
    hmac: HmacOptions | None
    event_id: EventId
    tolerance: int
    state: SubscriptionState
    previous_until: datetime | None
    version: int
    created_at: datetime
    created_by: str


@dataclasses.dataclass(frozen=True, slots=True)
class IssuedReceiver:
    """`secret` is shown this once, and only where the hub made it."""

    receiver: ReceiverView
    secret: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class Taken:
    """What a sender is answered. `id` is the message's; null where it was received before."""

    id: str | None
    duplicate: bool


class WebhookReceivers:
    """The use cases."""

    def __init__(
        self, store: Store, vault: Vault, listening: Callable[[int, str], Listening | None], base: str = ""
    ) -> None:
        """`listening` finds the running source of an organization's integration; `base`: where others reach the hub."""
        self._store = store
        self._vault = vault
        self._listening = listening
        self._base = base.rstrip("/")

    async def list(
        self, scope: Scope, integration: uuid.UUID | None, offset: int, limit: int
    ) -> tuple[list[ReceiverView], int]:
        """Those within, and how many there are."""
        own = self._store.within(scope.organization)
        found, total = await own.read(webhook_receivers.listed, scope, integration, offset, limit)
        return [self._view(one) for one in found], total

    async def show(self, scope: Scope, identifier: uuid.UUID) -> ReceiverView:
        """Raises NotFound."""
        return self._view(await self._find(scope, identifier))

    async def create(
        self, act: Act, integration: uuid.UUID, scheme: SchemeName, *, hmac: HmacOptions | None, event_id: EventId,
        tolerance: int, secret: str | None,
    ) -> IssuedReceiver:  # fmt: skip
        """`secret` None: the hub makes one. Raises NotFound (the integration), Conflict, ConfigError."""
        own = self._store.within(act.organization)
        found = await own.read(integrations.find, act.scope, integration)
        if not any(one.direction == "inbound" and one.scheme == "webhook" for one in found.model.endpoints):
            raise ConfigError("the integration needs an inbound endpoint webhook://receiver", where="integration")
        options = _options(scheme, hmac)
        key = secret or webhooks.new_secret()
        _signs(scheme, options).check(key)
        identifier = uuid.uuid4()
        values = {
            "integration": found.id, "scheme": scheme, "options": options, "event_id": dataclasses.asdict(event_id),
            "tolerance": tolerance, "created_by": act.principal.name or act.principal.id, "previous_until": None,
            **await self._sealed(Place(act.organization, TABLE, identifier), [key]),
        }  # fmt: skip
        made = await own.change(act, webhook_receivers.create, self._store.hash, act.scope, identifier, values)
        return IssuedReceiver(self._view(made), None if secret else key)

    async def change(self, act: Act, identifier: uuid.UUID, version: int, values: dict[str, Any]) -> ReceiverView:
        """`values`: hmac, event_id, tolerance, state. Raises NotFound, Stale, ConfigError."""
        found = await self._find(act.scope, identifier)
        columns = dict(values)
        if "hmac" in columns:
            columns["options"] = _options(found.scheme, columns.pop("hmac"))
        if "event_id" in columns:
            columns["event_id"] = dataclasses.asdict(columns["event_id"])
        return await self._changed(act, identifier, version, columns)

    async def rotate(self, act: Act, identifier: uuid.UUID, version: int, secret: str | None) -> IssuedReceiver:
        """Another secret; the one before holds for another day. Raises NotFound, Stale, ConfigError."""
        found = await self._find(act.scope, identifier)
        key = secret or webhooks.new_secret()
        _signs(found.scheme, found.options).check(key)
        before: list[str] = json.loads(await self._vault.open(found.place, found.sealed))
        values = await self._sealed(found.place, [key, before[0]])
        values["previous_until"] = clock.micros() + OVERLAP
        return IssuedReceiver(await self._changed(act, identifier, version, values), None if secret else key)

    async def remove(self, act: Act, identifier: uuid.UUID, version: int) -> None:
        """Its URL leads nowhere from now on. Raises NotFound, Stale."""
        await self._store.within(act.organization).change(
            act, webhook_receivers.remove, act.scope, identifier, version
        )  # fmt: skip

    async def receive(
        self, act: Act, identifier: uuid.UUID, headers: Mapping[str, str], body: bytes
    ) -> Taken:  # fmt: skip
        """What somebody posted, header names in lower case. Returns once it is on disk.

        Raises NotFound, Forged (a signature that is not sound, or old), StoreError where it cannot be taken now.
        """
        found = await self._known(identifier)
        act.scope, act.entity = Scope(found.organization), webhook_receivers.entity(found)
        scheme = _signs(found.scheme, found.options)
        now = clock.micros() / 1_000_000
        proof = webhooks.verify(scheme, await self._keys(found), headers, body, now, found.tolerance)
        source = self._listening(found.organization, found.integration_name)
        if source is None:
            raise StoreError("the integration takes nothing right now")
        attributes, known = _identified(found, proof, headers, body, now)
        attributes |= {name: headers[one][:200] for one, name in _TOLD.items() if one in headers}
        receipt = await source.take(body, {"peer": act.source, **attributes}, known)
        return Taken(None if receipt.duplicate else receipt.uuid, receipt.duplicate)

    async def _known(self, identifier: uuid.UUID) -> Receiver:
        """Whoever's it is: the path alone says it. Raises NotFound."""
        for organization in await self._store.read_small(webhook_receivers.owner, self._store.hash, identifier):
            try:
                found = await self._find(Scope(organization), identifier)
            except NotFound:
                continue  # a hash has 64 bits
            if found.state is SubscriptionState.ACTIVE:
                return found
        raise NotFound(f"there is no webhook receiver {identifier}")

    async def _keys(self, found: Receiver) -> Sequence[str]:
        keys: list[str] = json.loads(await self._vault.open(found.place, found.sealed))
        for key in keys:
            telemetry.secrets.add(key)
        return keys if (found.previous_until or 0) > clock.micros() else keys[:1]

    async def _find(self, scope: Scope, identifier: uuid.UUID) -> Receiver:
        return await self._store.within(scope.organization).read(webhook_receivers.find, scope, identifier)

    async def _changed(self, act: Act, identifier: uuid.UUID, version: int, values: dict[str, Any]) -> ReceiverView:
        own = self._store.within(act.organization)
        return self._view(await own.change(act, webhook_receivers.change, act.scope, identifier, version, values))

    async def _sealed(self, place: Place, keys: Sequence[str]) -> dict[str, Any]:
        """The columns that keys go into, the current one first."""
        for key in keys:
            telemetry.secrets.add(key)
        sealed, number = await self._vault.seal(place, json.dumps(keys).encode())
        return {"sealed": sealed, "key": number}

    def _view(self, one: Receiver) -> ReceiverView:
        previous = one.previous_until if (one.previous_until or 0) > clock.micros() else None
        named: SchemeName = one.scheme  # type: ignore[assignment]  # the column has no other
        return ReceiverView(
            one.uuid, one.integration_uuid, f"{self._base}{PATH}/{one.uuid}", named,
            HmacOptions(**one.options) if one.options else None, _event_id(one), one.tolerance, one.state,
            None if previous is None else clock.from_micros(previous), one.version,
            clock.from_micros(one.created_at), one.created_by,
        )  # fmt: skip


def _options(scheme: str, hmac: HmacOptions | None) -> dict[str, Any]:
    if (scheme == "hmac") != (hmac is not None):
        raise ConfigError("belongs to the scheme hmac, which needs it", where="hmac")
    return {} if hmac is None else dataclasses.asdict(hmac)


def _signs(scheme: str, options: Mapping[str, Any]) -> Scheme:
    return webhooks.Hmac(**options) if scheme == "hmac" else _SIGNS[scheme]()


def _event_id(one: Receiver) -> EventId:
    """As it was set, or as the scheme has it."""
    return one.event_id if one.event_id != EventId() else _EVENT_IDS.get(one.scheme, EventId())


def _identified(
    one: Receiver, proof: Proof, headers: Mapping[str, str], body: bytes, now: float
) -> tuple[dict[str, str], tuple[str, ...]]:  # fmt: skip
    """What the message is known by, and what a repeat of it would have been known by.

    An id that the signature does not cover can be made up by whoever caught the request: then what was signed counts
    as well, for as long as the tolerance is, so that two honest events may look the same at other times.
    """
    attributes: dict[str, str] = {}
    where, known = _event_id(one), list[str]()
    told = proof.id or (headers.get(where.header.lower()) if where.header else _at(body, where.path))
    if told:
        attributes |= {"event_id": told[:200], "identity": f"event|{told[:200]}"}
        known.append(attributes["identity"])
    if proof.id is None and (told is None or where.path is None):
        digest, period = hashlib.sha256(proof.signed).hexdigest(), int(now) // one.tolerance
        attributes["digest"] = f"signed|{digest}|{period}"
        known += [attributes["digest"], f"signed|{digest}|{period - 1}"]
    return attributes, tuple(known)


def _at(body: bytes, path: str | None) -> str | None:
    """The text or number at a path such as data.id; None where there is none."""
    if not path:
        return None
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) and value != "" else None
