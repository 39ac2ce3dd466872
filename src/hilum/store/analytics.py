"""Counts executions: the one place that every surface has its numbers from (C-33). Times are microseconds.

The indexes of `execution` answer all of it but the texts of errors.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import uuid
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from hilum.model.access import Scope
from hilum.model.execution import FAILURES, ExecutionState
from hilum.security.seal import Sealer
from hilum.store import executions
from hilum.store.schema import endpoint, integration
from hilum.store.schema_activity import execution

BOUNDS = (100_000, 500_000, 1_000_000, 5_000_000)
"""Between the buckets of the distribution; each belongs to the one above it (S3-72)."""

_DONE = (ExecutionState.COMPLETED, *sorted(FAILURES))
_S = execution.c


@dataclasses.dataclass(frozen=True, slots=True)
class Over:
    """Which executions are counted: of an integration (its number) or of all within, from `since` to before `until`.

    Those of tests never together with the others: `synthetic` says which of the two.
    """

    scope: Scope
    since: int
    until: int
    integration: int | None = None
    synthetic: bool = False


@dataclasses.dataclass(slots=True)
class Count:
    """How many ended so, and how long they took; those that were called off or still run count apart."""

    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    executing: int = 0
    timed: int = 0  # those with a duration
    duration: int = 0  # all of theirs
    buckets: list[int] = dataclasses.field(default_factory=lambda: [0] * (len(BOUNDS) + 1))

    @property
    def total(self) -> int:
        return self.completed + self.failed

    def add(self, other: Count) -> None:
        for name in ("completed", "failed", "cancelled", "executing", "timed", "duration"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.buckets = [one + more for one, more in zip(self.buckets, other.buckets, strict=True)]


@dataclasses.dataclass(frozen=True, slots=True)
class Extreme:
    """The fastest or the slowest one."""

    uuid: uuid.UUID
    started_at: int
    duration: int


@dataclasses.dataclass(frozen=True, slots=True)
class Failure:
    """One that failed, and why."""

    uuid: uuid.UUID
    endpoint: UUID
    started_at: int
    fault: str | None
    status_code: int | None
    error: str


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """Failures of one kind at one endpoint."""

    endpoint: UUID
    fault: str | None
    status_code: int | None
    count: int
    last_at: int


@dataclasses.dataclass(frozen=True, slots=True)
class Standing:
    """How many integrations of a type stand so. Archived ones are not counted."""

    lifecycle: str
    health: str
    type: str
    count: int


def counts(connection: sa.Connection, over: Over) -> dict[int, Count]:
    """By endpoint (its number)."""
    found: dict[int, Count] = {}
    for row in connection.execute(counting(over)):
        timed = row.status in _DONE
        one = Count(
            timed=row.timed if timed else 0, duration=int(row.duration or 0) if timed else 0,
            buckets=[int(row[4 + at] or 0) if timed else 0 for at in range(len(BOUNDS) + 1)],
        )  # fmt: skip
        name = "failed" if row.status in FAILURES else row.status
        setattr(one, name, row.many)
        found.setdefault(row.endpoint, Count()).add(one)
    return found


def counting(over: Over) -> sa.Select[Any]:
    """The query behind `counts`."""
    edges = (0, *BOUNDS, None)
    buckets = [
        sa.func.sum(sa.case((_between(low, high), 1), else_=0)).label(f"bucket{at}")
        for at, (low, high) in enumerate(itertools.pairwise(edges))
    ]
    columns = (
        _S.endpoint, _S.status, sa.func.count().label("many"), sa.func.count(_S.duration).label("timed"), *buckets,
        sa.func.sum(_S.duration).label("duration"),
    )  # fmt: skip
    return sa.select(*columns).where(*_over(over)).group_by(_S.endpoint, _S.status)


def percentiles(connection: sa.Connection, over: Over, ratios: Sequence[float], timed: int) -> dict[float, int]:
    """The durations below which (nearest rank) such a part of those lies that took `timed` altogether."""
    if not timed:
        return {}
    ranks = {ratio: max(math.ceil(ratio * timed), 1) for ratio in ratios}
    place = sa.func.row_number().over(order_by=_S.duration).label("place")
    ordered = sa.select(_S.duration, place).where(*_over(over), *_timed()).subquery()
    query = sa.select(ordered.c.place, ordered.c.duration).where(ordered.c.place.in_(set(ranks.values())))
    found = {row.place: row.duration for row in connection.execute(query)}
    return {ratio: found[rank] for ratio, rank in ranks.items() if rank in found}


def each_percentile(
    connection: sa.Connection, over: Over, ratios: Sequence[float], timed: Mapping[int, int]
) -> dict[int, dict[float, int]]:
    """`percentiles` of every endpoint; `timed`: how many have a duration, by endpoint (its number)."""
    ranks = {
        one: {ratio: max(math.ceil(ratio * many), 1) for ratio in ratios} for one, many in timed.items() if many
    }  # fmt: skip
    if not ranks:
        return {}
    place = sa.func.row_number().over(partition_by=_S.endpoint, order_by=_S.duration).label("place")
    ordered = sa.select(_S.endpoint, _S.duration, place).where(*_over(over), *_timed()).subquery()
    wanted = {rank for each in ranks.values() for rank in each.values()}
    query = sa.select(ordered).where(ordered.c.place.in_(wanted))
    found = {(row.endpoint, row.place): row.duration for row in connection.execute(query)}
    return {
        one: {ratio: found[one, rank] for ratio, rank in each.items() if (one, rank) in found}
        for one, each in ranks.items()
    }


def over_time(connection: sa.Connection, over: Over, size: int) -> list[tuple[str, int, int]]:
    """Status, when the hour or day (its `size`) began, and how many."""
    began = (_S.started_at - _S.started_at % size).label("began")
    query = sa.select(_S.status, began, sa.func.count()).where(*_over(over)).group_by(_S.status, sa.text("began"))
    return [(status, began, many) for status, began, many in connection.execute(query)]


def faults(connection: sa.Connection, over: Over) -> list[tuple[int, str | None, int]]:
    """Endpoint (its number), class of the failure, and how many; the most frequent first."""
    many = sa.func.count().label("many")
    query = sa.select(_S.endpoint, _S.fault, many).where(*_over(over), _S.status.in_(FAILURES))
    query = query.group_by(_S.endpoint, _S.fault).order_by(many.desc(), _S.endpoint, _S.fault)
    return [(one, fault, count) for one, fault, count in connection.execute(query)]


def extremes(connection: sa.Connection, over: Over) -> tuple[Extreme, Extreme] | None:
    """The fastest and the slowest; None: there is none with a duration. Of several the first."""
    found = []
    for order in (_S.duration.asc(), _S.duration.desc()):
        query = sa.select(_S.id).where(*_over(over), *_timed()).order_by(order, _S.started_at).limit(1)
        row = connection.execute(
            sa.select(_S.uuid, _S.started_at, _S.duration).where(_S.id == query.scalar_subquery())
        ).first()
        if row is None:
            return None
        found.append(Extreme(row.uuid, row.started_at, row.duration))
    return found[0], found[1]


def failures(connection: sa.Connection, sealer: Sealer, over: Over, limit: int) -> list[Failure]:
    """The newest."""
    columns: tuple[Any, ...] = (_S.uuid, endpoint.c.uuid.label("endpoint"), _S.started_at, _S.fault, _S.status_code)
    query = sa.select(*columns, _S.told)
    query = query.join(endpoint, endpoint.c.id == _S.endpoint).where(*_over(over), _S.status.in_(FAILURES))
    return [
        Failure(row.uuid, row.endpoint, row.started_at, row.fault, row.status_code, _error(sealer, row))
        for row in connection.execute(query.order_by(_S.started_at.desc(), _S.id.desc()).limit(limit))
    ]


def groups(connection: sa.Connection, over: Over, limit: int) -> list[Group]:
    """The most frequent kinds of failures."""
    count = sa.func.count().label("many")
    kind = (endpoint.c.uuid.label("endpoint"), _S.fault, _S.status_code)
    query = sa.select(*kind, count, sa.func.max(_S.started_at).label("last_at"))
    query = query.join(endpoint, endpoint.c.id == _S.endpoint).where(*_over(over), _S.status.in_(FAILURES))
    rows = connection.execute(query.group_by(*kind).order_by(count.desc(), sa.desc("last_at")).limit(limit))
    return [Group(row.endpoint, row.fault, row.status_code, row.many, row.last_at) for row in rows]


def standing(connection: sa.Connection, scope: Scope) -> list[Standing]:
    """Integrations by lifecycle, health and type."""
    kind = integration.c.document["type"].as_string().label("type")
    where = [integration.c.organization == scope.organization, integration.c.archived_at.is_(None)]
    if scope.studies is not None:
        where.append(integration.c.study.in_(scope.studies))
    columns = (integration.c.lifecycle, integration.c.health, kind)
    query = sa.select(*columns, sa.func.count().label("many")).where(*where).group_by(*columns)
    return [Standing(row.lifecycle, row.health, row.type or "OTHER", row.many) for row in connection.execute(query)]


def _over(over: Over) -> list[sa.ColumnElement[bool]]:
    where = [_S.started_at >= over.since, _S.started_at < over.until, _S.synthetic == int(over.synthetic)]
    if over.integration is not None:
        return [_S.integration == over.integration, *where]
    where.insert(0, _S.organization == over.scope.organization)
    if over.scope.studies is not None:
        mine = sa.select(integration.c.id).where(
            integration.c.organization == over.scope.organization, integration.c.study.in_(over.scope.studies)
        )
        where.append(_S.integration.in_(mine))
    return where


def _timed() -> tuple[sa.ColumnElement[bool], ...]:
    return _S.status.in_(_DONE), _S.duration.is_not(None)


def _between(low: int | None, high: int | None) -> sa.ColumnElement[bool]:
    """With the lower bound, without the upper."""
    return sa.and_(_S.duration >= (low or 0), *(() if high is None else (_S.duration < high,)))


def _error(sealer: Sealer, row: Any) -> str:
    if row.told is None:
        return ""
    told = json.loads(sealer.open(bytes(row.told), executions.place(row.uuid, "told")))
    return str(told.get("error") or "")
