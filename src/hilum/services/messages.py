"""Messages as people see them: list, search by key, show, what each step made of one, what was sent.

Everything is narrowed to one organization; another's message is not there.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import datetime
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from hilum import clock
from hilum.errors import ConfigError, Conflict, FormatError, NotFound
from hilum.formats import hl7v2
from hilum.intake.identity import search_key
from hilum.intake.routing import remake
from hilum.model.delivery import Attempt, Delivery, DeliveryState
from hilum.model.identifier import row_of
from hilum.model.message import Disposition, Message
from hilum.pipeline import Trace
from hilum.services.names import Names
from hilum.services.routes import Routes
from hilum.store import Connection, Store, deliveries, messages
from hilum.store.messages import Filter

DispositionName = Literal["received", "delivering", "filtered", "unrouted", "error", "review"]
StateName = Literal[
    "pending", "delivered", "failed", "skipped", "discarded", "received", "filtered", "unrouted", "error", "review"
]
PURGED = "its body was removed by retention"


@dataclasses.dataclass(frozen=True, slots=True)
class Query:
    """What a list is narrowed to; None narrows nothing. `key` and `value` find by a search key, such as patient."""

    endpoint: str | None = None
    disposition: DispositionName | None = None
    state: StateName | None = None
    type: str | None = None
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None
    key: str | None = None
    value: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Summary:
    """A message in a list. `state` tells where its deliveries stand, or its disposition where it has none."""

    id: str
    received_at: str
    endpoint: str
    type: str
    control_id: str
    disposition: str
    state: str
    ack: str
    origin: str | None  # the message that this one replays
    note: str


@dataclasses.dataclass(frozen=True, slots=True)
class Found(Summary):
    """A message that was searched for; `body` as text where it was asked for."""

    body: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class Page:
    """Newest first; `next` goes into `before` for the page after this one."""

    items: list[Summary]
    next: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class FoundPage:
    """What a search found, newest first."""

    items: list[Found]
    next: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class Try:
    """An attempt that did not succeed."""

    number: int
    started_at: str
    milliseconds: float
    outcome: str
    detail: str


@dataclasses.dataclass(frozen=True, slots=True)
class Way:
    """A delivery; `number` counts from 1 within the message, `id` is what skipping it asks for."""

    number: int
    id: int
    destination: str
    route: str
    state: str
    attempts: int
    lane: str | None  # None: the destination's only lane
    done_at: str | None
    detail: str
    tries: list[Try]


@dataclasses.dataclass(frozen=True, slots=True)
class Detail(Summary):
    """All about one message. `body_base64` is there where the text does not say every byte."""

    attributes: dict[str, str]
    routes: list[str]
    size: int | None  # bytes; None: retention removed the body
    body: str | None
    body_base64: str | None
    deliveries: list[Way]


@dataclasses.dataclass(frozen=True, slots=True)
class StepTrace:
    """One step's work: the messages that it was given and those it made."""

    place: str
    given: list[str]
    made: list[str]
    microseconds: int
    result: str


@dataclasses.dataclass(frozen=True, slots=True)
class RouteTrace:
    """A pinned route version, run again. What is not `repeatable` (a script) may have done otherwise then."""

    route: str
    repeatable: bool
    problem: str | None  # why it can no longer be run
    steps: list[StepTrace]


@dataclasses.dataclass(frozen=True, slots=True)
class _Rows:
    """What one snapshot of the store says about a page of messages."""

    messages: list[Message]
    states: Mapping[int, Counter[DeliveryState]]
    origins: Mapping[int, str]


class Messages:
    def __init__(self, store: Store, names: Names, routes: Routes) -> None:
        self._store = store
        self._names = names
        self._routes = routes

    async def page(self, organization: int, query: Query, *, before: uuid.UUID | None = None, limit: int = 20) -> Page:
        """The newest messages that `query` names, below `before`. Raises NotFound for an unknown endpoint."""
        where = await narrow(self._names, organization, query)
        above = None if before is None else row_of(before)
        rows = await self._store.read(_page, self._store, organization, where, above, limit + 1)
        items = [Summary(**one) for one in await self._summaries(rows)]
        return Page(items[:limit], items[limit - 1].id if len(items) > limit else None)

    async def search(
        self, organization: int, key: str, value: str, *, before: uuid.UUID | None = None, limit: int = 20,
        bodies: bool = False,
    ) -> FoundPage:  # fmt: skip
        """The newest messages in which the search key `key` has this value: patient, control, or a configured one."""
        hashed = search_key(self._store.hash, organization, key, value)
        above = None if before is None else row_of(before)
        ids = await self._store.keys.find(hashed, before=above, limit=limit + 1)
        rows = await self._store.read(_page, self._store, organization, Filter(ids=ids), None, limit + 1, bodies)
        texts = [None if one.body is None else readable(one.body)[0] for one in rows.messages]
        summaries = await self._summaries(rows)
        items = [Found(**one, body=text) for one, text in zip(summaries, texts, strict=True)]
        return FoundPage(items[:limit], items[limit - 1].id if len(items) > limit else None)

    async def show(self, organization: int, identifier: uuid.UUID) -> Detail:
        """Raises NotFound."""
        rows, made, tried = await self._store.read(_detail, self._store, organization, identifier)
        message = rows.messages[0]
        (summary,) = await self._summaries(rows)
        routes = await self._names.routes((*message.routes, *(one.route for one in made)))
        references = await self._names.endpoints(one.destination for one in made)
        text, encoded = (None, None) if message.body is None else readable(message.body)
        return Detail(
            **summary,
            attributes=message.attributes,
            routes=[routes.get(one, str(one)) for one in message.routes],
            size=None if message.body is None else len(message.body),
            body=text,
            body_base64=encoded,
            deliveries=[
                _way(number, one, references, routes, tried.get(one.id, [])) for number, one in enumerate(made, 1)
            ],
        )

    async def body(self, organization: int, identifier: uuid.UUID) -> bytes:
        """The bytes as they came. Raises NotFound, Conflict where retention removed them."""
        return (await self.whole(organization, identifier))[1]

    async def sent(self, organization: int, identifier: uuid.UUID, number: int) -> bytes:
        """The bytes of delivery `number` (from 1). Raises NotFound, Conflict, StoreError where they can't be made."""
        message, body = await self.whole(organization, identifier, purged=b"")
        if message.first_delivery is None or not 1 <= number <= message.deliveries:
            raise NotFound(f"message {identifier} has no delivery {number}")
        one = message.first_delivery + number - 1
        kept, queued = await self._store.read(_queued, self._store, one)
        if kept is not None:
            return kept
        if message.body is None or queued is None:
            raise Conflict(PURGED)
        try:
            pipeline = await self._routes.pipeline(queued.route)
        except ConfigError as error:
            raise Conflict(f"its route version can no longer be run: {error}") from None
        return await asyncio.to_thread(remake, pipeline, body, message.attributes, queued)

    async def steps(self, organization: int, identifier: uuid.UUID) -> list[RouteTrace]:
        """What each step of the routes that it took makes of it. Raises NotFound, Conflict."""
        message, body = await self.whole(organization, identifier)
        names = await self._names.routes(message.routes)
        found = []
        for version in message.routes:
            name = names.get(version, str(version))
            try:
                pipeline = await self._routes.pipeline(version)
            except ConfigError as error:
                found.append(RouteTrace(name, repeatable=False, problem=str(error), steps=[]))
                continue
            traces = await asyncio.to_thread(pipeline.trace, body, message.attributes)
            found.append(RouteTrace(name, pipeline.deterministic, None, [_step(one) for one in traces]))
        return found

    async def whole(
        self, organization: int, identifier: uuid.UUID, *, purged: bytes | None = None
    ) -> tuple[Message, bytes]:
        """A message and its body, or `purged` where retention removed that. Raises NotFound, Conflict."""
        message = await self._store.read(_whole, self._store, organization, identifier)
        body = purged if message.body is None else message.body
        if body is None:
            raise Conflict(PURGED)
        return message, body

    async def _summaries(self, rows: _Rows) -> list[dict[str, Any]]:
        references = await self._names.endpoints(one.endpoint for one in rows.messages)
        return [
            {
                "id": one.uuid,
                "received_at": stamp(one.received_at),
                "endpoint": references.get(one.endpoint, str(one.endpoint)),
                "type": one.type,
                "control_id": one.control_id,
                "disposition": one.disposition.name.lower(),
                "state": state_of(one.disposition, rows.states.get(one.id, Counter())),
                "ack": one.ack,
                "origin": None if one.origin is None else rows.origins.get(one.origin),
                "note": one.note,
            }
            for one in rows.messages
        ]


async def narrow(names: Names, organization: int, query: Query) -> Filter:
    """The store's filter for what a query names besides its key. Raises NotFound."""
    disposition = query.disposition
    state: Any = query.state
    if state is not None and state.upper() in Disposition.__members__:
        disposition, state = disposition or state, None
    return Filter(
        endpoint=None if query.endpoint is None else await names.endpoint(organization, query.endpoint),
        disposition=None if disposition is None else Disposition[disposition.upper()],
        type=query.type,
        since=None if query.since is None else micros(query.since),
        until=None if query.until is None else micros(query.until),
        state=state,
    )


def stamp(moment: int) -> str:
    """Microseconds as ISO 8601 in UTC, always with six decimals: text that sorts as time does."""
    return clock.from_micros(moment).isoformat(timespec="microseconds").replace("+00:00", "Z")


def micros(moment: datetime.datetime) -> int:
    """A time as microseconds; one without an offset is UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
    return (aware - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)) // datetime.timedelta(microseconds=1)


def state_of(disposition: Disposition, states: Counter[DeliveryState]) -> str:
    """Where a message stands: failed as soon as one delivery did, delivered once all are."""
    if disposition is not Disposition.DELIVERING:
        return disposition.name.lower()
    if states[DeliveryState.DEAD] or states[DeliveryState.EXPIRED]:
        return "failed"
    for state in (DeliveryState.PENDING, DeliveryState.SKIPPED, DeliveryState.DISCARDED):
        if states[state]:
            return state.name.lower()
    return "delivered"


def readable(body: bytes) -> tuple[str | None, str | None]:
    """A body as text, decoded by MSH-18 where it has one, and in base64 where text does not say every byte."""
    try:
        codec = hl7v2.Message.parse(body).charset
    except FormatError:
        codec = "utf-8"
    text = None if b"\0" in body else body.decode(codec, "replace")
    exact = text is not None and text.encode(codec, "replace") == body
    return text, None if exact else base64.b64encode(body).decode()


def _way(
    number: int, one: Delivery, references: Mapping[int, str], routes: Mapping[int, str], tried: Sequence[Attempt]
) -> Way:
    return Way(
        number=number,
        id=one.id,
        destination=references.get(one.destination, str(one.destination)),
        route=routes.get(one.route, str(one.route)),
        state=one.state.name.lower(),
        attempts=one.attempts or max((attempt.number for attempt in tried), default=0),
        lane=lane_name(one.lane),
        done_at=None if one.done_at is None else stamp(one.done_at),
        detail=one.detail,
        tries=[
            Try(attempt.number, stamp(attempt.started_at), attempt.duration / 1000, attempt.outcome, attempt.detail)
            for attempt in tried
        ],
    )


def lane_name(lane: int) -> str | None:
    """A keyed lane as 16 hexadecimal digits: as a number it would lose its last ones in a browser."""
    return f"{lane & 0xFFFF_FFFF_FFFF_FFFF:016x}" if lane else None


def _step(trace: Trace) -> StepTrace:
    def texts(bodies: Sequence[bytes]) -> list[str]:
        return [text if (text := readable(body)[0]) is not None else f"{len(body)} bytes" for body in bodies]

    return StepTrace(trace.step, texts(trace.input), texts(trace.output), trace.microseconds, trace.result)


def _page(
    connection: Connection, store: Store, organization: int, where: Filter, before: int | None, limit: int,
    bodies: bool = False,
) -> _Rows:  # fmt: skip
    rows = messages.newest(connection, organization, where, before=before, limit=limit)
    kept = messages.bodies(connection, store.sealer, [row.id for row in rows]) if bodies else {}
    return _rows(connection, store, rows, kept)


def _rows(connection: Connection, store: Store, rows: Sequence[Any], kept: Mapping[int, bytes]) -> _Rows:
    origins = {row.origin for row in rows if row.origin is not None}
    return _Rows(
        [messages.view(row, store.sealer, kept.get(row.id)) for row in rows],
        deliveries.counts(connection, rows),
        messages.uuids(connection, sorted(origins)) if origins else {},
    )


def _whole(connection: Connection, store: Store, organization: int, identifier: uuid.UUID) -> Message:
    row = _row(connection, organization, identifier)
    return messages.view(row, store.sealer, messages.bodies(connection, store.sealer, [row.id]).get(row.id))


def _detail(
    connection: Connection, store: Store, organization: int, identifier: uuid.UUID
) -> tuple[_Rows, list[Delivery], dict[int, list[Attempt]]]:
    row = _row(connection, organization, identifier)
    rows = _rows(connection, store, [row], messages.bodies(connection, store.sealer, [row.id]))
    made = deliveries.of_message(connection, row.first_delivery, row.deliveries)
    tried: dict[int, list[Attempt]] = {}
    for one in deliveries.attempts(connection, store.sealer, [one.id for one in made]):
        tried.setdefault(one.delivery, []).append(one)
    return rows, made, tried


def _row(connection: Connection, organization: int, identifier: uuid.UUID) -> Any:
    row = messages.find(connection, organization, identifier)
    if row is None:
        raise NotFound(f"there is no message {identifier}")
    return row


def _queued(connection: Connection, store: Store, one: int) -> tuple[bytes | None, Any]:
    return deliveries.kept_body(connection, store.sealer, one), deliveries.queued(connection, one)
