"""Reads waiting deliveries from the store into memory, parks stuck lanes, makes bodies again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hilum.engine.line import Lane, Line
from hilum.errors import HilumError, StoreError
from hilum.intake.routing import remake
from hilum.model.delivery import Pending
from hilum.model.message import Message
from hilum.pipeline import Pipeline
from hilum.store import Connection, Store, deliveries, messages

_PAGE = 500
_LOW = 8  # deliveries below which a lane is given more of those that it has parked
_BYTES = 16 << 20  # bodies made again in one go


class Feed:
    """`pipeline` gives the compiled route version of a number, compiling it at first use."""

    def __init__(self, store: Store, pipeline: Callable[[int], Pipeline]) -> None:
        self._store = store
        self._pipeline = pipeline

    async def open(self, line: Line, destination: int) -> None:
        """Learn what waits: how many since the cursor, and how many each parked lane has."""
        waiting, parked, newest = await self._store.read(_waiting, destination, line.cursor)
        line.backlog = waiting + sum(parked.values())
        line.newest = max(line.newest, newest)
        line.behind = waiting > 0
        for key, count in parked.items():
            line.lanes[key] = Lane(key, parked=count)

    @staticmethod
    def hungry(line: Line) -> list[Lane]:
        """Lanes that need more of what they have parked; one that fails needs its head alone."""
        low = _LOW if line.has_room else 1
        parked = [one for one in line.lanes.values() if one.parked]
        return [one for one in parked if len(one.queue) < (1 if one in line.failing else low)]

    async def top_up(self, line: Line, destination: int, park: bool) -> list[Lane]:
        """Park stuck lanes if others could move, then fill memory. Returns the lanes that became ready."""
        ready: list[Lane] = []
        if park:
            for lane in line.stuck():
                if await self._park(line, lane):
                    ready.append(lane)
        for lane in self.hungry(line):
            count = min(_PAGE, max(line.window // 2 - line.held, 1))
            page = await self._store.read(deliveries.unparked, destination, lane.key, lane.read, count)
            lane.parked = lane.parked if page else 0
            for one in page:
                if (found := line.take_back(lane, one)) is not None:
                    ready.append(found)
        while line.behind and line.has_room:
            newest = line.newest
            page = await self._store.read(deliveries.pending, destination, line.cursor, _PAGE)
            ready += await self._take(line, page)
            if len(page) < _PAGE:
                line.cursor = max(line.cursor, newest)
                line.behind = line.newest > newest
        return ready

    async def _take(self, line: Line, page: Sequence[Pending]) -> list[Lane]:
        """A page into memory; what comes behind parked deliveries of its lane is parked first."""
        aside = [one for one in page if one.lane in line.lanes and line.lanes[one.lane].parked]
        if aside:
            await self._store.write(deliveries.park, aside)
        parked = {one.id for one in aside}
        found = [line.read(one, aside=one.id in parked) for one in page]
        return [lane for lane in found if lane is not None]

    async def bodies(self, wanted: Sequence[Pending]) -> dict[int, str]:
        """Fill in missing bodies, as far as memory allows. Returns what cannot be made, with the reason."""
        problems: dict[int, str] = {}
        missing = [one for one in wanted if one.body is None]
        found = await self._store.read(_originals, self._store, missing)
        size = 0
        for one in missing:
            message, kept = found.get(one.id, (None, None))
            try:
                if isinstance(kept, str):
                    problems[one.id] = kept
                elif kept is not None:
                    one.body = kept
                elif message is not None and message.body is not None:
                    one.body = remake(self._pipeline(one.route), message.body, message.attributes, one)
            except HilumError as error:
                problems[one.id] = str(error)
            size += len(one.body or b"")
            if size > _BYTES:
                break
        return problems

    async def _park(self, line: Line, lane: Lane) -> bool:
        """Put a stuck lane aside; it stands still meanwhile. True: it became ready."""
        lane.frozen = True
        try:
            await self._store.write(deliveries.park, [one for one in lane.queue if not one.parked])
            line.park(lane)
        finally:
            lane.frozen = False
            ready = not lane.busy and line.release(lane)  # its time may have come meanwhile
        return ready


def _waiting(connection: Connection, destination: int, after: int) -> tuple[int, dict[int, int], int]:
    parked = deliveries.parked_lanes(connection, destination)
    count, newest = deliveries.waiting(connection, destination, after)
    return count, parked, newest


def _originals(
    connection: Connection, store: Store, wanted: Sequence[Pending]
) -> dict[int, tuple[Message | None, bytes | str | None]]:
    """For each delivery its message with the body, or the body that is kept with it, or why neither opens."""
    try:
        ids = sorted({one.message for one in wanted if not one.keep})
        kept = messages.bodies(connection, store.sealer, ids)
        rows = {row.id: messages.view(row, store.sealer, kept.get(row.id)) for row in messages.by_ids(connection, ids)}
        return {
            one.id: (None, deliveries.kept_body(connection, store.sealer, one.id))
            if one.keep
            else (rows.get(one.message), None)
            for one in wanted
        }
    except StoreError as error:  # one of them was changed on the disk: it must not stop the others
        if len(wanted) == 1:
            return {wanted[0].id: (None, str(error))}
        return {key: one for each in wanted for key, one in _originals(connection, store, [each]).items()}
