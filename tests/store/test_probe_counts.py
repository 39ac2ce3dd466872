"""What checks and tests found, by endpoint and day, on both databases, by the index on their time."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from hilum.model.retention import DAY
from hilum.store import Store, configuration, probe_counts, schema
from hilum.store.probe_counts import Found, Turn, counting
from hilum.store.schema_activity import probe_result

pytestmark = pytest.mark.anyio
START = 20_000 * DAY


@pytest.fixture
async def ends(store: Store) -> tuple[int, int]:
    """Two endpoints with results: (day, success, duration, kind) each."""
    rows = {
        "a": [(0, 1, 10, "check"), (0, 1, 30, "test"), (1, 0, None, "check"), (1, 0, 20, "check"), (2, 1, 40, "test")],
        "b": [(0, 0, None, "check"), (0, 0, 5, "initialize"), (9, 1, 7, "check")],
    }
    document = {"name": "lab", "protocol": "rest_api", "type": "API", "endpoints": []}

    def write(connection: sa.Connection) -> tuple[int, int]:
        owner = configuration.put_organization(connection, "demo", {})
        configuration.put_integration(connection, owner, "lab", document, "file")
        integration = connection.execute(sa.select(schema.integration.c.id)).scalar_one()
        numbers = []
        for name, several in rows.items():
            end = {"name": name, "direction": "outbound", "url": "https://x"}
            numbers.append(configuration.put_endpoint(connection, owner, f"lab/{name}", "outbound", end))
            for at, (day, success, duration, kind) in enumerate(several):
                connection.execute(probe_result.insert().values(
                    organization=owner, integration=integration, endpoint=numbers[-1], stamp=START + day * DAY + at,
                    kind=kind, success=success, duration=duration, told=b"",
                ))  # fmt: skip
        return numbers[0], numbers[1]

    return await store.write(write)


async def test_days_turns_and_times(store: Store, ends: tuple[int, int]) -> None:
    first, second = ends
    time = (1, START, START + 9 * DAY)
    found = await store.read(probe_counts.days, *time)
    assert sorted(found) == [
        Found(first, START, True, 2, 2), Found(first, START + DAY, False, 2, 1),
        Found(first, START + 2 * DAY, True, 1, 1), Found(second, START, False, 1, 0),
    ]  # fmt: skip
    assert await store.read(probe_counts.turns, *time) == [
        Turn(first, START, True), Turn(first, START + DAY + 2, False), Turn(first, START + 2 * DAY + 4, True),
        Turn(second, START, False),
    ]  # fmt: skip
    assert await store.read(probe_counts.percentile, *time, 0.95, {first: 4, second: 0}) == {first: 40}
    assert await store.read(probe_counts.percentile, *time, 0.5, {first: 4}) == {first: 20}
    assert await store.read(probe_counts.percentile, *time, 0.5, {}) == {}
    assert await store.read(probe_counts.days, 2, START, START + 9 * DAY) == []


async def test_the_index_leads_to_them(sqlite_store: Store) -> None:
    def plan(connection: sa.Connection) -> list[str]:
        query = counting(1, 5, 9).compile(connection, compile_kwargs={"literal_binds": True})
        return [row.detail for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}").all()]

    first = (await sqlite_store.read(plan))[0]
    assert first.startswith("SEARCH probe_result USING INDEX probe_result_organization"), first
    assert "stamp>?" in first
