"""Events of one entity are found among many, on both databases; on SQLite by their own index."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from hilum.model.access import HUB, Scope
from hilum.model.audit import Act
from hilum.store import Store, audit
from hilum.store.audit import EventFilter

pytestmark = pytest.mark.anyio


async def record(store: Store, entity: str) -> None:
    await store.journal.record(audit.event(Act(HUB, Scope(1), "study.read", entity=entity)))


async def test_the_events_of_an_entity_are_found(store: Store) -> None:
    for entity in ("study/a", "", "study/b", "study/a", ""):
        await record(store, entity)
    for entity, count in (("study/a", 2), ("study/b", 1), ("study/c", 0), ("", 2), (None, 5)):
        found = await store.read(audit.newest, 1, EventFilter(entity=entity))
        assert len(found) == count
        assert entity is None or {one.document["entity"] for one in found} <= {entity}
    assert await store.read(audit.newest, 2, EventFilter(entity="study/a")) == []


async def test_the_index_of_entities_is_used(sqlite_store: Store) -> None:
    def plan(connection: sa.Connection) -> str:
        asked: list[tuple[str, Any]] = []
        sa.event.listen(connection, "before_cursor_execute", lambda *given: asked.append((given[2], given[3])))
        audit.newest(connection, 1, EventFilter(entity="study/a"))
        statement, parameters = asked[-1]
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        return " ".join(row.detail for row in rows)

    assert "audit_event_entity" in await sqlite_store.read(plan)
