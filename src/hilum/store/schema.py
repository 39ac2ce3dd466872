"""The tables. Integer keys inside, UUIDs outside; hot tables have no index but their key.

`message`, `body` and `delivery` are written in the order of their ids only. A message knows the range of its
deliveries, a UUID contains its message's id, and rare states have partial indexes: so nothing else is needed.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

metadata = MetaData()
Id = BigInteger().with_variant(Integer, "sqlite")  # SQLite's rowid alias must be spelt INTEGER

setting = Table("setting", metadata, Column("name", Text, primary_key=True), Column("value", Text, nullable=False))

organization = Table(
    "organization",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("document", JSON, nullable=False),  # environment and retention, as the file gave them
)

integration = Table(
    "integration",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uuid", Uuid, nullable=False, unique=True),
    Column("organization", Id, ForeignKey("organization.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("document", JSON, nullable=False),
    Column("managed_by", Text, nullable=False),  # file or api
    UniqueConstraint("organization", "name"),
)

endpoint = Table(
    "endpoint",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uuid", Uuid, nullable=False, unique=True),
    Column("organization", Id, ForeignKey("organization.id"), nullable=False),
    Column("reference", Text, nullable=False),  # integration/endpoint
    Column("direction", Text, nullable=False),
    Column("document", JSON, nullable=False),  # as it was configured last: a removed one still drains by it
    Column("removed_at", BigInteger),  # the row stays, since messages point to it
    Column("draining", Integer, nullable=False),  # 1: removed, but what waits for it is still delivered
    UniqueConstraint("organization", "reference"),
)

route_version = Table(
    "route_version",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization", Id, ForeignKey("organization.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("managed_by", Text, nullable=False),
    Column("document", JSON, nullable=False),  # the route, what it needs of its endpoints, tables and scripts
    Column("created_at", BigInteger, nullable=False),
    Column("current", Integer, nullable=False),  # 1: new messages take this version
    UniqueConstraint("organization", "name", "number"),
)

message = Table(
    "message",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("uuid", LargeBinary, nullable=False),
    Column("organization", Id, nullable=False),
    Column("endpoint", Id, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("disposition", SmallInteger, nullable=False),
    Column("ack", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("control_id", Text, nullable=False),
    Column("body_hash", LargeBinary, nullable=False),
    Column("origin", Id),
    Column("first_delivery", Id),
    Column("deliveries", Integer, nullable=False),
    Column("routes", Text, nullable=False),  # ids of the route versions that it took, with spaces between
    Column("note", LargeBinary),  # sealed: note and attributes may name a patient
    Index("message_attention", "disposition", "id", sqlite_where=text("disposition IN (0, 4, 5)"),
          postgresql_where=text("disposition IN (0, 4, 5)")),
)  # fmt: skip

body = Table(
    "body",
    metadata,
    Column("message", Id, primary_key=True, autoincrement=False),
    Column("sealed", LargeBinary, nullable=False),
)

delivery = Table(
    "delivery",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("message", Id, nullable=False),
    Column("organization", Id, nullable=False),
    Column("destination", Id, nullable=False),
    Column("route", Id, nullable=False),
    Column("ordinal", Integer, nullable=False),  # which output of that route
    Column("shard", SmallInteger, nullable=False),
    Column("position", BigInteger, nullable=False),  # gapless within the shard, in commit order
    Column("lane", BigInteger, nullable=False),
    Column(
        "digest", BigInteger, nullable=False
    ),  # of the body that was made, so that a remade one is known to be equal
    Column("sealed", LargeBinary),  # only where the route cannot make it again
    Column("state", SmallInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("done_at", BigInteger),
    Column("detail", Text, nullable=False),
    Index("delivery_attention", "state", "id", sqlite_where=text("state > 1"), postgresql_where=text("state > 1")),
)

attempt = Table(
    "attempt",
    metadata,
    Column("id", Id, primary_key=True),
    Column("delivery", Id, nullable=False, index=True),
    Column("number", Integer, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("duration", BigInteger, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("detail", LargeBinary, nullable=False),  # sealed: a partner's answer may name a patient
)

parked = Table(
    "parked",
    metadata,
    Column("destination", Id, primary_key=True, autoincrement=False),
    Column("lane", BigInteger, primary_key=True, autoincrement=False),
    Column("delivery", Id, primary_key=True, autoincrement=False),
)

shard = Table(
    "shard",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, nullable=False),  # raised by each new owner
    Column("tail", BigInteger, nullable=False),  # the last position given out; on SQLite as of delivery `through`
    Column("through", Id, nullable=False),
)

progress = Table(
    "progress",
    metadata,
    Column("destination", Id, primary_key=True, autoincrement=False),
    Column("watermark", Id, nullable=False),  # every delivery up to here is final or parked
    Column("delivered", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
)

tally = Table(  # messages received; complete up to message `setting.tally_through`, the rest is counted at start
    "tally",
    metadata,
    Column("endpoint", Id, primary_key=True, autoincrement=False),
    Column("disposition", SmallInteger, primary_key=True, autoincrement=False),
    Column("count", BigInteger, nullable=False),
)

search_key = Table(  # PostgreSQL only; SQLite keeps its keys in a file of their own (keys.py)
    "search_key",
    MetaData(),
    Column("hash", BigInteger, primary_key=True, autoincrement=False),
    Column("message", Id, primary_key=True, autoincrement=False),
)

job = Table(
    "job",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uuid", Uuid, nullable=False, unique=True),
    Column("organization", Id),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),  # waiting, running, done, failed
    Column("arguments", JSON, nullable=False),
    Column("result", JSON),
    Column("actor", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("finished_at", BigInteger),
    Index("job_open", "id", sqlite_where=text("state IN ('waiting', 'running')"),
          postgresql_where=text("state IN ('waiting', 'running')")),
)  # fmt: skip
