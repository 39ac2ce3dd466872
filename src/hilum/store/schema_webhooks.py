"""The tables of webhooks: who is told of what, each event's way to them, and what receives others' webhooks."""

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
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from hilum.store.schema import Id, metadata, own

webhook_subscription = Table(
    "webhook_subscription",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uuid", Uuid, nullable=False, unique=True),
    Column("organization", Id, ForeignKey("organization.id"), nullable=False),
    Column("study", Id),  # not None: only what belongs to that study is told
    Column("url", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("events", JSON, nullable=False),  # patterns, such as integration.*
    Column("scheme", Text, nullable=False),  # v1 (HMAC) or v1a (Ed25519) of Standard Webhooks
    Column("public", JSON, nullable=False),  # v1a: the public keys, the current one first
    Column("state", Text, nullable=False),  # active, disabled
    Column("reason", Text, nullable=False),  # why it is disabled
    Column("sealed", LargeBinary),  # the secrets, the current one first; None: it was removed
    Column("key", Integer),  # the number of the data key that sealed them
    Column("previous_until", BigInteger),  # when the second secret ends
    Column("since", BigInteger, nullable=False),  # what happened before is not queued: when it became active
    Column("failing_since", BigInteger),  # since when nothing but failures; None: the last try went well
    Column("version", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("archived_at", BigInteger),
    UniqueConstraint("organization", "id", name="webhook_subscription_own"),
    own("study"),
)

webhook_delivery = Table(
    "webhook_delivery",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uuid", Uuid, nullable=False, unique=True),  # its webhook-id, the same on every try
    Column("organization", Id, ForeignKey("organization.id"), nullable=False),
    Column("subscription", Id, nullable=False),
    Column("event", BigInteger),  # the outbox row; None: a test
    Column("type", Text, nullable=False),
    Column("stamp", BigInteger, nullable=False),  # when it happened
    Column("state", Text, nullable=False),  # waiting, delivered, failed
    Column("attempts", Integer, nullable=False),
    Column("earlier", Integer, nullable=False),  # attempts before it was replayed: the schedule begins anew there
    Column("next_at", BigInteger, nullable=False),
    Column("status", Integer),  # HTTP's, of the last try
    Column("sealed", LargeBinary, nullable=False),  # the body as it is signed and sent
    Column("ended_at", BigInteger),
    UniqueConstraint("subscription", "event", name="webhook_delivery_event"),
    UniqueConstraint("organization", "id", name="webhook_delivery_own"),
    ForeignKeyConstraint(
        ["organization", "subscription"], ["webhook_subscription.organization", "webhook_subscription.id"]
    ),
    Index("webhook_delivery_due", "next_at", sqlite_where=text("state = 'waiting'"),
          postgresql_where=text("state = 'waiting'")),
    Index("webhook_delivery_subscription", "subscription", "id"),
)  # fmt: skip

webhook_attempt = Table(
    "webhook_attempt",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization", Id, ForeignKey("organization.id"), nullable=False),
    Column("delivery", Id, nullable=False, index=True),
    Column("number", Integer, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("duration", BigInteger, nullable=False),  # microseconds
    Column("status", Integer),  # None: there was no answer
    Column("detail", LargeBinary, nullable=False),  # sealed: the receiver's words
    ForeignKeyConstraint(["organization", "delivery"], ["webhook_delivery.organization", "webhook_delivery.id"]),
)

webhook_receiver = Table(
    "webhook_receiver",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uuid", Uuid, nullable=False, unique=True),  # 122 random bits: the part of its URL that nobody guesses
    Column("organization", Id, ForeignKey("organization.id"), nullable=False),
    Column("integration", Id, nullable=False),
    Column("scheme", Text, nullable=False),  # standard, stripe, github, hmac
    Column("options", JSON, nullable=False),  # of hmac: header, algorithm, encoding, prefix, timestamp_header
    Column("event_id", JSON, nullable=False),  # {header: …} or {path: …}; neither: the scheme's own
    Column("tolerance", Integer, nullable=False),  # seconds
    Column("state", Text, nullable=False),  # active, disabled
    Column("sealed", LargeBinary),
    Column("key", Integer),
    Column("previous_until", BigInteger),
    Column("version", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("archived_at", BigInteger),
    Index("webhook_receiver_integration", "integration", unique=True, sqlite_where=text("archived_at IS NULL"),
          postgresql_where=text("archived_at IS NULL")),
    own("integration"),
)  # fmt: skip
