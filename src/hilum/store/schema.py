"""The tables. Integer keys inside, UUIDs outside; hot tables have hardly an index but their key.

`message`, `body` and `delivery` are written in the order of their ids only. A message knows the range of its
deliveries, a UUID contains its message's id, and rare states have partial indexes: so nothing else is needed.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
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


def own(table: str) -> ForeignKeyConstraint:
    """Column `table` names a row of that table, and one of the same organization: another's cannot be referred to."""
    return ForeignKeyConstraint(["organization", table], [f"{table}.organization", f"{table}.id"])


setting = Table("setting", metadata, Column("name", Text, primary_key=True), Column("value", Text, nullable=False))

organization = Table(
    "organization",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("document", JSON, nullable=False),  # environment and retention, as the file gave them
    Column("uuid", Uuid),
    Column("title", Text, nullable=False, server_default=""),
    Column("settings", JSON, nullable=False, server_default="{}"),  # what people set: policies, never a file
    Column("version", Integer, nullable=False, server_default="1"),
    Column("archived_at", BigInteger),
    Index("organization_uuid", "uuid", unique=True),
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
    Column("study", Id),  # None: of no study, so that only organization-wide roles see it
    Column("version", Integer, nullable=False, server_default="1"),
    Column("title", Text),  # folded, and unique within its environment; None: nobody gave it one
    Column("environment", Text),  # None: the organization's
    Column("lifecycle", Text, nullable=False, server_default="active"),
    Column("health", Text, nullable=False, server_default="unknown"),
    Column("health_at", BigInteger),
    Column("failures", Integer, nullable=False, server_default="0"),  # checks in a row that found it unhealthy
    Column("last_error", LargeBinary),  # sealed: a partner's words
    Column("created_at", BigInteger),
    Column("created_by", Text),
    Column("updated_at", BigInteger),
    Column("archived_at", BigInteger),
    UniqueConstraint("organization", "name"),
    UniqueConstraint("organization", "environment", "title", name="integration_title"),
    UniqueConstraint("organization", "id", name="integration_own"),
    own("study"),
)

integration_history = Table(  # every move of a lifecycle, for good
    "integration_history",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization", Id, ForeignKey("organization.id"), nullable=False),
    Column("integration", Id, nullable=False),
    Column("stamp", BigInteger, nullable=False),
    Column("before", Text),  # None: it was made
    Column("after", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Index("integration_history_integration", "integration", "id"),
    own("integration"),
)

vendor = Table(  # who makes or runs the systems at the other end
    "vendor",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uuid", Uuid, nullable=False, unique=True),
    Column("organization", Id, ForeignKey("organization.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("folded", Text),  # the name in lower case; None: archived, so that it is free again
    Column("document", JSON, nullable=False),  # contacts, owner, agreements, evidence
    Column("warned", JSON, nullable=False, server_default="{}"),  # agreement to the days before its end last told of
    Column("version", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("archived_at", BigInteger),
    UniqueConstraint("organization", "folded"),
)

partner_token = Table(  # what an authorization server gave in exchange for what it takes once
    "partner_token",
    metadata,
    Column("organization", Id, ForeignKey("organization.id"), primary_key=True),
    Column("key", Text, primary_key=True),  # a digest of the grant's configuration
    Column("sealed", LargeBinary, nullable=False),
    Column("stamp", BigInteger, nullable=False),
)

initialization = Table(  # every try to make an integration work, also of what was never stored
    "initialization",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uuid", Uuid, nullable=False, unique=True),
    Column("organization", Id, ForeignKey("organization.id"), nullable=False),
    Column("integration", Id),  # None: its configuration was not valid, so there is none
    Column("stamp", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("succeeded", Integer, nullable=False),
    Column("sealed", LargeBinary, nullable=False),  # the steps with their times: a partner's words are in there
    Index("initialization_integration", "integration", "id"),
    own("integration"),
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
    Index("endpoint_own", "organization", "id", unique=True),  # what others refer to
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
    Column("created_by", Text),  # what people read; None: before it was kept
    Column("reason", Text),
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
    Column("synthetic", SmallInteger, nullable=False, server_default="0"),  # 1: a test's, not a patient's (MSH-11)
    Index("message_attention", "disposition", "id", sqlite_where=text("disposition IN (0, 4, 5)"),
          postgresql_where=text("disposition IN (0, 4, 5)")),
    # where many organizations share a hub, each finds its own newest; on SQLite it would be a page for each commit
    Index("message_organization", "organization", "id").ddl_if(dialect="postgresql"),
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
