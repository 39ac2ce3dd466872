"""A million messages, deliveries and audit events: no list reads one of their tables as a whole."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import sqlalchemy as sa

from hilum.api import Edge, create_app
from hilum.app import Hub
from hilum.errors import Unauthenticated
from hilum.model import document
from hilum.model.access import Binding, Principal, PrincipalKind, Role
from hilum.model.audit import Act
from hilum.model.identifier import identify
from hilum.settings import Settings
from hilum.store import Connection, configuration
from hilum.store.hot import driver
from hilum.store.looking_back import MOST

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(600)]
MANY = 1_000_000
EDGE = Edge.read(known=1_000_000, together=1_000_000, unknown=1_000_000, logged=False)
BIG = ("message", "delivery", "audit_event")
STAMP = 1_770_000_000_000_000  # one a millisecond from here on
CONFIG = """
version: 1
organization: {name}
integrations:
  - name: {name}-lab
    protocol: hl7_v2
    endpoints:
      - {{name: in, direction: inbound, url: "mllp://127.0.0.1:{port}"}}
      - {{name: out, direction: outbound, url: "mllp://127.0.0.1:2576"}}
"""
NUMBERS = {  # rows from 1 on, however the database spells it
    "sqlite": f"(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {MANY}) SELECT i FROM n)",
    "postgresql": f"generate_series(1, {MANY}) AS n(i)",
}
BYTES = {"sqlite": "randomblob(16)", "postgresql": "decode(md5(i::text), 'hex')"}
FILL = (
    """INSERT INTO progress (destination, watermark, delivered, failed)
       SELECT i, {many}, 0, 0 FROM {numbers} WHERE i < 20""",
    """INSERT INTO message (id, uuid, organization, endpoint, received_at, disposition, ack, type, control_id,
       body_hash, origin, first_delivery, deliveries, routes, note)
       SELECT i, {bytes}, CASE WHEN i % 1000 = 0 THEN 2 ELSE 1 END,
       CASE WHEN i % 1000 = 0 THEN {theirs} ELSE {ours} END, {stamp} + i * 1000,
       CASE WHEN i % 1000 = 7 THEN 2 WHEN i % 100000 = 9 THEN 4 ELSE 1 END, 'AA',
       CASE WHEN i < 9 THEN 'SIU^S12' WHEN i % 1000 = 1 THEN 'ORU^R01' ELSE 'ADT^A01' END, 'C', {bytes}, NULL, i, 1,
       '1', NULL FROM {numbers}""",
    """INSERT INTO delivery (id, message, organization, destination, route, ordinal, shard, position, lane, digest,
       sealed, state, attempts, done_at, detail)
       SELECT i, i, 1, 1, 1, 0, 0, i, 0, 7, NULL,
       CASE WHEN i % 50000 = 3 THEN 2 WHEN i % 50000 = 4 THEN 4 WHEN i % 50000 = 5 THEN 5 ELSE 1 END, 1, 1, 'AA'
       FROM {numbers}""",
    """INSERT INTO audit_event (id, organization, stamp, action, actor, entity, outcome, document)
       SELECT i + 1000, CASE WHEN i % 1000 = 0 THEN 2 ELSE 1 END, {stamp} + i * 1000,
       CASE WHEN i % 1000 = 1 THEN 'user.create' ELSE 'message.list' END, CASE WHEN i < 9 THEN 'rare' ELSE 'ann' END,
       CASE WHEN i % 1000 = 1 THEN 'user/1' ELSE '' END, CASE WHEN i % 1000 = 2 THEN 'denied' ELSE 'success' END,
       '{event}' FROM {numbers}""",
)
EVENT = json.dumps({"id": "019a3b4c-5d6e-7f80-9a1b-2c3d4e5f6071", "time": "2026-01-21T10:00:00Z", "organization": 1,
                    "actor": {"kind": "user", "id": "ann", "name": "Ann"}, "action": "message.list", "entity": "",
                    "outcome": "success", "request_id": "", "source": ""})  # fmt: skip


class Cast:
    """`Bearer <organization>` or `<organization>@<study>`: somebody with every role there."""

    async def bearer(self, text: str, source: str) -> Principal:
        organization, _, study = text.partition("@")
        if not organization.isdecimal():
            raise Unauthenticated
        roles = tuple(Binding(role, int(study) if study else None) for role in Role if role != "platform_operator")
        return Principal(PrincipalKind.USER, "ann", "Ann", int(organization), roles)

    async def cookie(self, text: str) -> tuple[Principal, str]:
        raise Unauthenticated


class Heard:
    """What a database was asked while `on`: statements with their parameters, also those past SQLAlchemy."""

    def __init__(self, database: Any) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.on = False
        heard, embedded = self, database.embedded

        class Recorded(psycopg.Cursor[Any]):
            def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
                heard.hear(str(query), params)
                return super().execute(query, params, **options)

        def connected(connection: Any, _: object) -> None:
            if embedded:
                connection.set_trace_callback(lambda text: heard.hear(text, ()))  # with its values in it
            else:
                connection.cursor_factory = Recorded

        for engine in {database.reader, database.own, database.writer}:
            sa.event.listen(engine, "connect", connected)

    def hear(self, text: str, parameters: Any) -> None:
        if self.on and re.match(r"\s*(SELECT|WITH)\b", text):
            self.asked.append((text, parameters))

    def plans(self, connection: Connection) -> Iterator[tuple[str, str]]:
        """Each statement, and how the database goes about it."""
        word = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
        for text, parameters in {text: (text, parameters) for text, parameters in self.asked}.values():
            rows = driver(connection).execute(f"{word} {text}", parameters).fetchall()
            yield text, "\n".join(str(row[-1]) for row in rows)


@dataclasses.dataclass
class Full:
    """A hub with a million of everything; `asked` what its API asked the database."""

    hub: Hub
    heard: Heard
    http: httpx.AsyncClient
    numbers: dict[str, int]  # of endpoints


def fill(connection: Connection, values: dict[str, Any]) -> None:
    for statement in FILL:
        driver(connection).execute(statement.format(**values))


def fill_as_owner(url: str, values: dict[str, Any]) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT set_config('hilum.organization', '*', false)")
        for statement in FILL:
            connection.execute(statement.format(**values).encode())
        connection.execute(f"SELECT setval(pg_get_serial_sequence('audit_event', 'id'), {2 * MANY})")
        connection.execute("VACUUM ANALYZE")


@pytest.fixture
async def full(
    request: pytest.FixtureRequest, url: str | None, tmp_path: Path, act: Callable[..., Act]
) -> AsyncIterator[Full]:
    """Organization 1 has nearly all of it, 2 a thousandth, 3 nothing."""
    hub = Hub(Settings(data=tmp_path / "data", database=url, http=None))
    await hub.open()
    heard = Heard(hub.store.database)
    hub.store.database.reader.dispose()
    try:
        for number, name in enumerate(("north", "south", "west"), 1):
            wanted = document.load(CONFIG.format(name=name, port=20_000 + number), f"{name}.yaml")
            await hub.configurations.apply(act(number), wanted, tmp_path)
        stored = await hub.store.read(configuration.read)
        numbers = {reference: number for one in stored for reference, number in one.endpoints.items()}
        kind = "postgresql" if url else "sqlite"
        values = {"bytes": BYTES[kind], "numbers": NUMBERS[kind], "stamp": STAMP, "event": EVENT, "many": MANY}
        values |= {"ours": numbers["north-lab/in"], "theirs": numbers["south-lab/in"]}

        if url is None:
            await hub.store.write(fill, values)
        else:
            await asyncio.to_thread(fill_as_owner, request.getfixturevalue("owner_url"), values)
        app = create_app(dataclasses.replace(hub.services(), identity=Cast()), local=False, edge=EDGE)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://hub/api/v1", timeout=60) as http:
            yield Full(hub, heard, http, numbers)
    finally:
        await hub.close()


def times(full: Full) -> dict[str, list[dict[str, str]]]:
    """Every list, with every filter that it has: some match much, some little, some nothing."""
    old, new = "2026-02-02T00:00:00Z", "2026-02-02T03:00:00Z"  # the fill begins between them
    states = ("pending", "delivered", "failed", "skipped", "discarded", "received", "filtered", "unrouted", "error",
              "review")  # fmt: skip
    dispositions = ("received", "delivering", "filtered", "unrouted", "error", "review")
    cursor = str(identify(MANY // 2, 0))
    messages: list[dict[str, str]] = [
        {}, {"size": "100"}, {"before": cursor}, {"endpoint": "{name}-lab/in"},
        {"endpoint": "{name}-lab/in", "type": "SIU"},
        *({"type": one} for one in ("ADT", "ADT^A01", "ORU", "SIU^S12", "nothing")),
        *({"disposition": one} for one in dispositions), *({"state": one} for one in states),
        {"since": old}, {"until": old}, {"since": old, "until": new}, {"since": "2027-01-01T00:00:00Z"},
        {"state": "failed", "before": cursor}, {"disposition": "filtered", "type": "ORU", "before": cursor},
    ]  # fmt: skip
    events: list[dict[str, str]] = [
        {}, {"size": "100"}, {"before": str(MANY // 2)}, {"action": "user"}, {"action": "user.create"},
        {"action": "none"},
        {"actor": "ann"}, {"actor": "rare"}, {"actor": "nobody"}, {"entity": "user/1"}, {"entity": "user/none"},
        *({"outcome": one} for one in ("success", "denied", "failure")),
        {"since": old}, {"until": old}, {"since": old, "until": new}, {"actor": "rare", "outcome": "failure"},
    ]  # fmt: skip
    people: list[dict[str, str]] = [{}, {"state": "active"}, {"role": "viewer"}, {"q": "a"}, {"page": "2"}]
    keys: list[dict[str, str]] = [{}, {"name": "feed"}, {"state": "active"}]
    others = ("/lanes", "/sources", "/studies", "/credentials", "/signatures", "/approvals")
    own = {"/messages": messages, "/audit": events, "/users": people, "/api-keys": keys}
    return own | {path: [{}] for path in others}


WHOLE = re.compile(rf"(?im)(^SCAN (?:main\.)?|Seq Scan on )({'|'.join(BIG)})\b")
"""How SQLite and PostgreSQL say that they read a whole table."""


@pytest.mark.ledger("S0-51")
async def test_no_list_reads_a_big_table_as_a_whole(full: Full) -> None:
    """And 95 of 100 answers are there within 200 ms, whatever is asked for."""
    took, found = list[float](), dict[tuple[int, str, str], int]()
    full.heard.on = True
    for path, queries in times(full).items():
        for number, name in enumerate(("north", "south", "west"), 1):
            for query in queries:
                params = {key: value.replace("{name}", name) for key, value in query.items()}
                began = time.monotonic()
                response = await full.http.get(path, params=params, headers={"authorization": f"Bearer {number}"})
                took.append(time.monotonic() - began)
                assert response.status_code == 200, f"{path} {params}: {response.text}"
                found[number, path, " ".join(params)] = len(response.json()["items"])
    full.heard.on = False
    assert found[1, "/messages", ""] == found[2, "/messages", ""] == found[1, "/audit", ""] == 20
    plans = await full.hub.store.within(1).load(lambda connection: list(full.heard.plans(connection)))
    asked = " ".join(text for text, _ in plans)
    assert len(plans) > 60
    assert all(re.search(rf"\bFROM {one}\b", asked) for one in BIG)
    whole = [f"{text}\n{plan}" for text, plan in plans if WHOLE.search(plan)]
    assert not whole, "\n\n".join(whole)
    assert sorted(took)[len(took) * 95 // 100] < 0.2


async def test_what_is_rare_is_found_page_by_page(full: Full) -> None:
    """A page that holds less than it could says where to go on, until all of it was looked through."""
    for path, query, count in (
        ("/messages", {"type": "SIU"}, 8),
        ("/messages", {"endpoint": "north-lab/in", "type": "SIU^S12"}, 8),
        ("/audit", {"actor": "rare"}, 8),
    ):
        found, cursor, pages = list[str](), "", 0
        while cursor is not None:
            more = {**query, "before": cursor} if cursor else query
            page = (await full.http.get(path, params=more, headers={"authorization": "Bearer 1"})).json()
            found += [one.get("event", one)["id"] for one in page["items"]]
            cursor, pages = page["next"], pages + 1
        assert len(found) == count, path
        assert 1 < pages <= 2 * MANY // MOST + 2  # new events have ids beyond what was filled in


def test_the_pattern_knows_a_whole_table() -> None:
    for plan in (
        "SCAN message",
        "x\nSCAN delivery",
        "SCAN main.message",
        "->  Parallel Seq Scan on message  (cost=0.00",
    ):
        assert WHOLE.search(plan), plan
    for plan in (
        "SEARCH message USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
        "Index Scan Backward using message_pkey on message",
        "Seq Scan on parked",
        "SCAN progress",
    ):
        assert not WHOLE.search(plan), plan
