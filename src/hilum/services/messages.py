"""Messages as people see them: list, search by key, show, what each step made of one, what was sent.

Everything is narrowed to a scope, an organization or some of its studies; another's message is not there.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from hilum import clock
from hilum.errors import ConfigError, Conflict, NotFound
from hilum.formats.hl7v2.readable import readable
from hilum.intake.identity import search_key
from hilum.intake.routing import remake
from hilum.model.access import Scope, may, permit
from hilum.model.audit import Act
from hilum.model.delivery import Attempt, Delivery, DeliveryState
from hilum.model.identifier import identify, row_of, text_of
from hilum.model.message import Disposition, Message
from hilum.pipeline import Trace
from hilum.services.names import Names
from hilum.services.routes import Routes
from hilum.store import Connection, Store, Within, archives, deliveries, messages
from hilum.store.messages import Filter

DispositionName = Literal["received", "delivering", "filtered", "unrouted", "error", "review"]
StateName = Literal[
    "pending", "delivered", "failed", "skipped", "discarded", "received", "filtered", "unrouted", "error", "review"
]
_DEEP = 10_000  # hits that are looked through for those that somebody may see
PAYLOAD = "messages:payload"
_DISPOSITIONS = {one: one.name.lower() for one in Disposition}
_NONE: Counter[DeliveryState] = Counter()
stamp = clock.iso
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
    synthetic: bool | None = None


@dataclasses.dataclass(slots=True)  # not frozen: that takes five times as long to make, and a page has many
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
    synthetic: bool  # it says itself that it is a test's, not a patient's (MSH-11 is T or D)


def _fields(one: Summary) -> dict[str, Any]:
    return {name: getattr(one, name) for name in Summary.__slots__}


@dataclasses.dataclass(slots=True)
class Found(Summary):
    """A message that was searched for; `body` as text where it was asked for."""

    body: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class Page:
    """Newest first; `next` goes into `before` for the page after this one.

    A request looks through so many messages and no more: where few are like that, a page with `next` may hold fewer
    than it could, or none.
    """

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


@dataclasses.dataclass(slots=True)
class Detail(Summary):
    """All about one message. `body_base64` is there where the text does not say every byte."""

    attributes: dict[str, str]
    routes: list[str]
    size: int | None  # bytes; None: retention removed the body
    archive: str | None  # that has the body, whether or not it was put back for a while
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

    messages: Sequence[Any]  # rows
    states: Mapping[int, Counter[DeliveryState]]
    origins: Mapping[int, str]
    bodies: Mapping[int, bytes]
    rest: int | None = None  # below which id to look on


@dataclasses.dataclass(frozen=True, slots=True)
class Visible:
    """Whose messages, and (not None) of which endpoints alone."""

    organization: int
    endpoints: frozenset[int] | None


class Messages:
    def __init__(self, store: Store, names: Names, routes: Routes) -> None:
        self._store = store
        self._names = names
        self._routes = routes

    async def page(self, act: Act, query: Query, *, before: uuid.UUID | None = None, limit: int = 20) -> Page:
        """The newest messages that `query` names, below `before`. Raises NotFound for an unknown endpoint."""
        scope, payload = act.scope, may(act.principal, PAYLOAD)
        where = await narrow(self._names, scope, query)
        above = None if before is None else row_of(before)
        rows = await self._within(scope).read(_page, self._store, scope.organization, where, above, limit + 1)
        items = await self._summaries(rows, payload)
        more = str(identify(rows.rest, 0)) if rows.rest is not None else None
        return Page(items[:limit], items[limit - 1].id if len(items) > limit else more)

    async def search(
        self, act: Act, key: str, value: str, *, before: uuid.UUID | None = None, limit: int = 20,
        bodies: bool = False,
    ) -> FoundPage:  # fmt: skip
        """The newest messages in which the search key `key` has this value: patient, control, or a configured one."""
        scope, hashed = act.scope, search_key(self._store.hash, act.organization, key, value)
        act.details |= {"key": key, "value_hash": f"{hashed & 0xFFFF_FFFF_FFFF_FFFF:016x}"}  # never the value itself
        above = None if before is None else row_of(before)
        visible = await self._names.visible(scope)
        ids = await self._store.keys.find(hashed, before=above, limit=limit + 1 if visible is None else _DEEP)
        where = Filter(ids=ids, endpoints=visible)
        rows = await self._within(scope).load(_page, self._store, scope.organization, where, None, limit + 1, bodies)
        texts = [readable(rows.bodies[one.id])[0] if one.id in rows.bodies else None for one in rows.messages]
        summaries = await self._summaries(rows, payload=True)
        items = [Found(**_fields(one), body=text) for one, text in zip(summaries, texts, strict=True)]
        return FoundPage(items[:limit], items[limit - 1].id if len(items) > limit else None)

    async def show(self, act: Act, identifier: uuid.UUID, *, payload: bool = False) -> Detail:
        """Raises NotFound, and Refused where the payload is asked for by somebody who may not see it."""
        scope = reveal(act) if payload else act.scope
        act.entity = f"message/{identifier}"
        visible = await self._visible(scope)
        rows, archive, made, tried = await self._within(scope).load(_detail, self._store, visible, identifier)
        message = messages.view(rows.messages[0], self._store.sealer, rows.bodies.get(rows.messages[0].id))
        (summary,) = await self._summaries(rows, payload)
        routes = await self._names.routes((*message.routes, *(one.route for one in made)))
        references = await self._names.endpoints(one.destination for one in made)
        text, encoded = readable(message.body) if payload and message.body is not None else (None, None)
        return Detail(
            **_fields(summary),
            attributes=message.attributes if payload else {},
            routes=[routes.get(one, str(one)) for one in message.routes],
            size=None if message.body is None else len(message.body),
            archive=archive,
            body=text,
            body_base64=encoded,
            deliveries=[
                _way(number, one, references, routes, tried.get(one.id, []), payload)
                for number, one in enumerate(made, 1)
            ],
        )

    async def body(self, act: Act, identifier: uuid.UUID) -> bytes:
        """The bytes as they came. Raises NotFound, Conflict where retention removed them."""
        return (await self.whole(self._shown(act, identifier), identifier))[1]

    async def sent(self, act: Act, identifier: uuid.UUID, number: int) -> bytes:
        """The bytes of delivery `number` (from 1). Raises NotFound, Conflict, StoreError where they can't be made."""
        scope = self._shown(act, identifier)
        message, body = await self.whole(scope, identifier, purged=b"")
        if message.first_delivery is None or not 1 <= number <= message.deliveries:
            raise NotFound(f"message {identifier} has no delivery {number}")
        one = message.first_delivery + number - 1
        kept, queued = await self._within(scope).load(_queued, self._store, one)
        if kept is not None:
            return kept
        if message.body is None or queued is None:
            raise Conflict(await self._purged(message))
        try:
            pipeline = await self._routes.pipeline(queued.route)
        except ConfigError as error:
            raise Conflict(f"its route version can no longer be run: {error}") from None
        return await asyncio.to_thread(remake, pipeline, body, message.attributes, queued)

    async def steps(self, act: Act, identifier: uuid.UUID) -> list[RouteTrace]:
        """What each step of the routes that it took makes of it. Raises NotFound, Conflict."""
        message, body = await self.whole(self._shown(act, identifier), identifier)
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

    async def whole(self, scope: Scope, identifier: uuid.UUID, *, purged: bytes | None = None) -> tuple[Message, bytes]:
        """A message and its body, or `purged` where retention removed that. Raises NotFound, Conflict."""
        message = await self._within(scope).load(_whole, self._store, await self._visible(scope), identifier)
        body = purged if message.body is None else message.body
        if body is None:
            raise Conflict(await self._purged(message))
        return message, body

    async def _purged(self, message: Message) -> str:
        """Where a body went."""
        within = self._store.within(message.organization)
        archive = (await within.read(archives.of, message.organization, [message.id])).get(message.id)
        return PURGED if archive is None else f"its body is in archive {archive}: restore that to read it"

    def _shown(self, act: Act, identifier: uuid.UUID) -> Scope:
        act.entity = f"message/{identifier}"
        return act.scope

    def _within(self, scope: Scope) -> Within:
        return self._store.within(scope.organization)

    async def _visible(self, scope: Scope) -> Visible:
        return Visible(scope.organization, await self._names.visible(scope))

    async def _summaries(self, rows: _Rows, payload: bool) -> list[Summary]:
        references = await self._names.endpoints({one.endpoint for one in rows.messages})
        return [
            Summary(
                text_of(one.uuid),
                stamp(one.received_at),
                references.get(one.endpoint) or str(one.endpoint),
                one.type,
                one.control_id,
                _DISPOSITIONS[one.disposition],
                state_of(one.disposition, rows.states.get(one.id, _NONE)),
                one.ack,
                None if one.origin is None else rows.origins.get(one.origin),
                messages.noted(one, self._store.sealer)[0] if payload else "",
                bool(one.synthetic),
            )
            for one in rows.messages
        ]


def reveal(act: Act) -> Scope:
    """The rows whose payload is shown to somebody; the audit event says that it was. Raises Refused."""
    act.details["payload"] = True
    return permit(act.principal, PAYLOAD)


async def narrow(names: Names, scope: Scope, query: Query) -> Filter:
    """The store's filter for what a query names besides its key. Raises NotFound."""
    disposition = query.disposition
    state: Any = query.state
    if state is not None and state.upper() in Disposition.__members__:
        disposition, state = disposition or state, None
    return Filter(
        endpoint=None if query.endpoint is None else await names.endpoint(scope, query.endpoint),
        endpoints=await names.visible(scope),
        disposition=None if disposition is None else Disposition[disposition.upper()],
        type=query.type,
        since=None if query.since is None else micros(query.since),
        until=None if query.until is None else micros(query.until),
        state=state,
        synthetic=query.synthetic,
    )


def micros(moment: datetime.datetime) -> int:
    """A time as microseconds; one without an offset is UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
    return (aware - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)) // datetime.timedelta(microseconds=1)


def state_of(disposition: Disposition, states: Counter[DeliveryState]) -> str:
    """Where a message stands: failed as soon as one delivery did, delivered once all are."""
    if disposition != Disposition.DELIVERING:
        return _DISPOSITIONS[disposition]
    if states[DeliveryState.DEAD] or states[DeliveryState.EXPIRED]:
        return "failed"
    for state in (DeliveryState.PENDING, DeliveryState.SKIPPED, DeliveryState.DISCARDED):
        if states[state]:
            return state.name.lower()
    return "delivered"


def _way(
    number: int, one: Delivery, references: Mapping[int, str], routes: Mapping[int, str], tried: Sequence[Attempt],
    payload: bool,
) -> Way:  # fmt: skip
    return Way(
        number=number,
        id=one.id,
        destination=references.get(one.destination, str(one.destination)),
        route=routes.get(one.route, str(one.route)),
        state=one.state.name.lower(),
        attempts=one.attempts or max((attempt.number for attempt in tried), default=0),
        lane=lane_name(one.lane),
        done_at=None if one.done_at is None else stamp(one.done_at),
        detail=one.detail if payload else "",
        tries=[
            Try(
                attempt.number,
                stamp(attempt.started_at),
                attempt.duration / 1000,
                attempt.outcome,
                attempt.detail if payload else "",
            )
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
    rows, rest = messages.page(connection, organization, where, before=before, limit=limit)
    kept = messages.bodies(connection, store.sealer, [row.id for row in rows]) if bodies else {}
    return dataclasses.replace(_rows(connection, store, rows, kept), rest=rest)


def _rows(connection: Connection, store: Store, rows: Sequence[Any], kept: Mapping[int, bytes]) -> _Rows:
    origins = {row.origin for row in rows if row.origin is not None}
    return _Rows(
        rows,
        deliveries.counts(connection, rows),
        messages.uuids(connection, sorted(origins)) if origins else {},
        kept,
    )


def _whole(connection: Connection, store: Store, visible: Visible, identifier: uuid.UUID) -> Message:
    row = _row(connection, visible, identifier)
    return messages.view(row, store.sealer, messages.bodies(connection, store.sealer, [row.id]).get(row.id))


def _detail(
    connection: Connection, store: Store, visible: Visible, identifier: uuid.UUID
) -> tuple[_Rows, str | None, list[Delivery], dict[int, list[Attempt]]]:
    row = _row(connection, visible, identifier)
    rows = _rows(connection, store, [row], messages.bodies(connection, store.sealer, [row.id]))
    archive = archives.of(connection, visible.organization, [row.id]).get(row.id)
    made = deliveries.of_message(connection, row.first_delivery, row.deliveries)
    tried: dict[int, list[Attempt]] = {}
    for one in deliveries.attempts(connection, store.sealer, [one.id for one in made]):
        tried.setdefault(one.delivery, []).append(one)
    return rows, None if archive is None else str(archive), made, tried


def _row(connection: Connection, visible: Visible, identifier: uuid.UUID) -> Any:
    row = messages.find(connection, visible.organization, identifier)
    if row is None or (visible.endpoints is not None and row.endpoint not in visible.endpoints):
        raise NotFound(f"there is no message {identifier}")
    return row


def _queued(connection: Connection, store: Store, one: int) -> tuple[bytes | None, Any]:
    return deliveries.kept_body(connection, store.sealer, one), deliveries.queued(connection, one)
