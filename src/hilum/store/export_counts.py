"""Counts exports of a time, and finds those that went somewhere by themselves. Times are microseconds."""

from __future__ import annotations

from typing import Any, NamedTuple

import sqlalchemy as sa

from hilum.model.retention import DAY
from hilum.store.exports import Export
from hilum.store.schema_datasets import export


class Counted(NamedTuple):
    """`many` exports that were asked for on a day. `size`, `rows` and `downloads` are of all of them."""

    day: int  # when it began
    kind: str
    format: str
    status: str
    many: int
    size: int
    rows: int
    downloads: int


def counted(
    connection: sa.Connection, organization: int, studies: frozenset[int] | None, since: int, until: int
) -> list[Counted]:  # fmt: skip
    """Those that `exports.listed` has, without parts of others."""
    day = (export.c.created_at - export.c.created_at % DAY).label("day")
    format = export.c.definition["format"].as_string().label("format")
    columns = (
        day, export.c.kind, format, export.c.status, sa.func.count(), _sum(export.c.size), _sum(export.c.done),
        _sum(export.c.downloads),
    )  # fmt: skip
    where = [
        export.c.organization == organization, export.c.parent.is_(None), export.c.created_at >= since,
        export.c.created_at < until,
    ]  # fmt: skip
    if studies is not None:
        where.append(export.c.study.in_(studies))
    grouped = (sa.text("day"), export.c.kind, sa.text("format"), export.c.status)
    return [
        Counted(*row[:5], *map(int, row[5:]))
        for row in connection.execute(sa.select(*columns).where(*where).group_by(*grouped))
    ]


def placed(connection: sa.Connection, organization: int, since: int, until: int) -> list[Export]:
    """Those that a destination may have taken in that time (`facts` say when), the oldest first."""
    where = (
        export.c.organization == organization, export.c.created_at < until, export.c.ended_at >= since,
        export.c.facts["placed"].as_string().is_not(None),
    )  # fmt: skip
    query = sa.select(export).where(*where).order_by(export.c.id)
    return [Export(**row._mapping) for row in connection.execute(query)]


def _sum(column: sa.Column[Any]) -> sa.Function[Any]:
    return sa.func.coalesce(sa.func.sum(column), 0)
