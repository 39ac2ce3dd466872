"""The tables of what was done: audit events and their chain, signatures, approvals, the outbox.

Events and seals are only ever inserted. A purge after their time leaves a signed start in `checkpoint`.
"""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, Table, Text, Uuid, text

from hilum.store.schema import Id, metadata, own

audit_event = Table(
    "audit_event",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization", Id, nullable=False),  # 0: the hub's own
    Column("stamp", BigInteger, nullable=False),
    Column("action", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("entity", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("document", Text, nullable=False),  # canonical JSON (RFC 8785): what the chain is made of
    Column("witness", LargeBinary),  # keyed hash of the document: without it nothing is sealed
    Index("audit_event_organization", "organization", "id"),
    Index("audit_event_stamp", "organization", "stamp"),  # an event's UUID says its millisecond
    Index(  # most events are of lists, which are about no entity: those are not in it
        "audit_event_entity",
        "organization",
        "entity",
        "id",
        sqlite_where=text("entity <> ''"),
        postgresql_where=text("entity <> ''"),
    ),
)

audit_seal = Table(
    "audit_seal",
    metadata,
    Column("organization", Id, primary_key=True, autoincrement=False),
    Column("position", BigInteger, primary_key=True, autoincrement=False),  # gapless from 1
    Column("event", Id, nullable=False, unique=True),
    Column("hash", LargeBinary, nullable=False),
    sqlite_with_rowid=False,  # one tree less for every event
)

checkpoint = Table(  # a copy of what stands in the checkpoint file
    "checkpoint",
    metadata,
    Column("organization", Id, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("position", BigInteger, nullable=False),  # the last one that it covers
    Column("message", BigInteger, nullable=False),  # the last message's row that it covers
    Column("stamp", BigInteger, nullable=False),
    Column("document", Text, nullable=False),
)

signature = Table(
    "signature",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uuid", Uuid, nullable=False, unique=True),
    Column("organization", Id, ForeignKey("organization.id"), nullable=False),
    Column("study", Id),
    Column("user", Id, nullable=False),
    Column("operation", Text, nullable=False),
    Column("entity", Text, nullable=False),
    Column("entity_version", Integer, nullable=False),
    Column("stamp", BigInteger, nullable=False),
    Column("document", Text, nullable=False),  # canonical JSON: name, time, meaning, the record's hash
    Column("seal", LargeBinary, nullable=False),  # Ed25519 over it
    Column("used_at", BigInteger),  # when the operation that it is for was done
    Index("signature_entity", "organization", "entity"),
    own("user"),
    own("study"),
)

approval = Table(  # four eyes: asked for by one, decided by another
    "approval",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uuid", Uuid, nullable=False, unique=True),
    Column("organization", Id, ForeignKey("organization.id"), nullable=False),
    Column("study", Id),
    Column("operation", Text, nullable=False),
    Column("entity", Text, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),  # of the request that was asked for
    Column("document", Text, nullable=False),  # what it asks for, without secrets: canonical JSON
    Column("state", Text, nullable=False),  # waiting, approved, denied, used
    Column("reason", Text, nullable=False),
    Column("asked_by", Text, nullable=False),
    Column("asked_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("decided_by", Text),
    Column("decided_at", BigInteger),
    Column("decision", Text, nullable=False),  # the decider's reason
    Column("version", Integer, nullable=False),
    own("study"),
)

outbox = Table(  # what others may want to know, written with the change itself
    "outbox",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization", Id, nullable=False),
    Column("topic", Text, nullable=False),
    Column("entity", Text, nullable=False),
    Column("stamp", BigInteger, nullable=False),
    Column("document", JSON, nullable=False),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("digest", LargeBinary, primary_key=True),  # of organization, principal, route and key
    Column("organization", Id, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),  # of method, path and body
    Column("created_at", BigInteger, nullable=False, index=True),
    Column("status", Integer),  # None: still running
    Column("sealed", LargeBinary),  # headers and body of the response
)
