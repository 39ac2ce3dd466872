"""Sends messages again: each replay is a new message that points to its original and takes today's routes."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import uuid
from collections.abc import Sequence

from hilum import clock, telemetry
from hilum.errors import FormatError
from hilum.intake.identity import Identity, search_key
from hilum.intake.routing import Verdict
from hilum.model.access import Scope
from hilum.model.audit import Act
from hilum.model.message import Disposition, Message, NewMessage
from hilum.services.messages import Messages, Query, narrow
from hilum.services.names import Names
from hilum.services.routes import Routes, Start
from hilum.store import Connection, Store, Within, keys, messages

MOST = 10_000  # messages of one request
_SHOWN = 100  # ids in its answer
_CHUNK = 100  # messages that are routed and stored together
log = telemetry.logger("services")


@dataclasses.dataclass(frozen=True, slots=True)
class Replayed:
    """`ids` are the first new messages; `purged` had no body left; `more` matched than one request may send."""

    replayed: int
    ids: list[str]
    purged: int
    more: bool


class Replays:
    def __init__(self, store: Store, names: Names, routes: Routes, stored: Messages) -> None:
        self._store = store
        self._names = names
        self._routes = routes
        self._messages = stored

    async def one(self, act: Act, identifier: uuid.UUID, reason: str, body: bytes | None = None) -> str:
        """Send a message again, or `body` in its place. Returns the new one's UUID.

        Raises NotFound, Conflict where retention removed the body, FormatError where an edited one can't be read.
        """
        scope, act.reason = act.scope, reason or act.reason
        original, kept = await self._messages.whole(scope, identifier, purged=body)
        start = await self._routes.of_endpoint(scope.organization, original.endpoint)
        if body is not None:
            start.identify(body)  # an edited message that nobody could read is refused, not stored
        new = await asyncio.to_thread(_again, original, kept if body is None else body, start, reason)
        act.details["edited"] = body is not None
        await self._store.replay(act, f"message/{original.uuid}", [new])
        log.info("replayed", message=new.uuid, origin=original.uuid, edited=body is not None, actor=act.principal.id)
        return new.uuid

    async def many(self, act: Act, query: Query, reason: str, limit: int = MOST) -> Replayed:
        """Send all that `query` names again, oldest first, so that their order is kept. Raises NotFound.

        Each hundred goes with an audit event of its own: what was sent before a failure stays known.
        """
        scope, act.reason = act.scope, reason or act.reason
        ids = await self._matching(scope, query, limit + 1)
        wanted, more = ids[:limit], len(ids) > limit
        starts: dict[int, Start] = {}
        made: list[str] = []
        purged = 0
        for place in range(0, len(wanted), _CHUNK):
            originals = await self._within(scope).load(
                _whole, self._store, scope.organization, wanted[place : place + _CHUNK]
            )
            for number in {one.endpoint for one in originals} - starts.keys():
                starts[number] = await self._routes.of_endpoint(scope.organization, number)
            kept = [one for one in originals if one.body is not None]
            purged += len(originals) - len(kept)
            stored = await asyncio.to_thread(_all_again, kept, starts, reason)
            if stored:
                await self._store.replay(act, "message", stored)
            made += [one.uuid for one in stored]
        log.info("replayed", messages=len(made), purged=purged, reason=reason, actor=act.principal.id)
        return Replayed(len(made), made[:_SHOWN], purged, more)

    def _within(self, scope: Scope) -> Within:
        return self._store.within(scope.organization)

    async def _matching(self, scope: Scope, query: Query, limit: int) -> list[int]:
        where = await narrow(self._names, scope, query)
        if query.key is None:
            return await self._within(scope).read(messages.matching, scope.organization, where, limit)
        hashed = search_key(self._store.hash, scope.organization, query.key, query.value or "")
        found = (await keys.every(self._store.keys, hashed))[::-1]
        chosen: list[int] = []
        for place in range(0, len(found), MOST):  # a statement takes only so many ids
            within = dataclasses.replace(where, ids=found[place : place + MOST])
            chosen += await self._within(scope).read(messages.matching, scope.organization, within, limit - len(chosen))
            if len(chosen) >= limit:
                break
        return chosen


def _all_again(originals: Sequence[Message], starts: dict[int, Start], reason: str) -> list[NewMessage]:
    return [_again(one, one.body or b"", starts[one.endpoint], reason) for one in originals]


def _again(original: Message, body: bytes, start: Start, reason: str) -> NewMessage:
    """The new message. No acknowledgement: nobody sent it."""
    try:
        identity = start.identify(body)
        verdict = start.routing(body, original.attributes)
    except FormatError as error:
        identity = Identity(original.type, original.control_id, (), synthetic=original.synthetic)
        verdict = Verdict(Disposition.ERROR, note=f"unreadable: {error}")
    return NewMessage(
        organization=original.organization,
        endpoint=original.endpoint,
        received_at=clock.micros(),
        disposition=verdict.disposition,
        ack="",
        type=identity.type,
        control_id=identity.control_id,
        body=body,
        body_hash=hashlib.sha256(body).digest(),
        routes=start.routing.versions,
        note="; ".join(part for part in (reason, verdict.note) if part),
        attributes=original.attributes,
        origin=original.id,
        keys=identity.keys,
        deliveries=verdict.deliveries,
        synthetic=identity.synthetic,
    )


def _whole(connection: Connection, store: Store, organization: int, ids: Sequence[int]) -> list[Message]:
    rows = [row for row in messages.by_ids(connection, ids) if row.organization == organization]
    kept = messages.bodies(connection, store.sealer, [row.id for row in rows])
    return [messages.view(row, store.sealer, kept.get(row.id)) for row in reversed(rows)]
