"""Counts audit events of a time, by the index on an organization's times. Times are microseconds."""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa

from hilum.store.schema_evidence import audit_event


class Span(NamedTuple):
    """`many` events; their ids are between `first` and `last`, both 0 where there is none."""

    many: int
    first: int
    last: int


def span(
    connection: sa.Connection, organization: int, since: int, until: int, actions: tuple[str, ...] = ()
) -> Span:  # fmt: skip
    """`actions`: of these alone."""
    where = [
        audit_event.c.organization == organization, audit_event.c.stamp >= since, audit_event.c.stamp < until
    ]  # fmt: skip
    if actions:
        where.append(audit_event.c.action.in_(actions))
    columns = (sa.func.count(), sa.func.min(audit_event.c.id), sa.func.max(audit_event.c.id))
    many, first, last = connection.execute(sa.select(*columns).where(*where)).one()
    return Span(many, first or 0, last or 0)
