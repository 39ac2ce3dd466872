"""Counts what health checks and connectivity tests found in a time, by endpoint. Times are microseconds.

The index on an organization's results by kind and time leads to them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa

from hilum.model.retention import DAY
from hilum.store.schema_activity import probe_result

KINDS = ("check", "test")
_P = probe_result.c


class Found(NamedTuple):
    """`many` results of an endpoint on a day; `timed`: those that know how long it took."""

    endpoint: int
    day: int  # when it began
    success: bool
    many: int
    timed: int


class Turn(NamedTuple):
    """The first result of an endpoint, or one that was not as the one before."""

    endpoint: int
    stamp: int
    success: bool


def days(connection: sa.Connection, organization: int, since: int, until: int) -> list[Found]:
    rows = connection.execute(counting(organization, since, until))
    return [Found(row.endpoint, row.day, bool(row.success), row.many, row.timed) for row in rows]


def counting(organization: int, since: int, until: int) -> sa.Select[Any]:
    """The query behind `days`."""
    day = (_P.stamp - _P.stamp % DAY).label("day")
    columns = (_P.endpoint, day, _P.success, sa.func.count().label("many"), sa.func.count(_P.duration).label("timed"))
    where = _of(organization, since, until)
    return sa.select(*columns).where(*where).group_by(_P.endpoint, sa.text("day"), _P.success)


def turns(connection: sa.Connection, organization: int, since: int, until: int) -> list[Turn]:
    """By endpoint, and in order."""
    before = sa.func.lag(_P.success).over(partition_by=_P.endpoint, order_by=(_P.stamp, _P.id)).label("before")
    each = sa.select(_P.endpoint, _P.stamp, _P.id, _P.success, before).where(*_of(organization, since, until))
    found = each.subquery()
    turned = sa.or_(found.c.before.is_(None), found.c.before != found.c.success)
    query = sa.select(found.c.endpoint, found.c.stamp, found.c.success).where(turned)
    rows = connection.execute(query.order_by(found.c.endpoint, found.c.stamp, found.c.id))
    return [Turn(row.endpoint, row.stamp, bool(row.success)) for row in rows]


def percentile(
    connection: sa.Connection, organization: int, since: int, until: int, ratio: float, timed: Mapping[int, int]
) -> dict[int, int]:  # fmt: skip
    """By endpoint the duration below which (nearest rank) such a part of its `timed` results lies."""
    ranks = {one: max(math.ceil(ratio * many), 1) for one, many in timed.items() if many}
    if not ranks:
        return {}
    place = sa.func.row_number().over(partition_by=_P.endpoint, order_by=_P.duration).label("place")
    where = (*_of(organization, since, until), _P.duration.is_not(None))
    ordered = sa.select(_P.endpoint, _P.duration, place).where(*where).subquery()
    query = sa.select(ordered).where(ordered.c.place.in_(set(ranks.values())))
    return {row.endpoint: row.duration for row in connection.execute(query) if ranks.get(row.endpoint) == row.place}


def _of(organization: int, since: int, until: int) -> tuple[sa.ColumnElement[bool], ...]:
    return _P.organization == organization, _P.kind.in_(KINDS), _P.stamp >= since, _P.stamp < until
