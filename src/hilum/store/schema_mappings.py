"""The tables of stored mappings: one that has a name, and every version of it for good."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Column, ForeignKey, Integer, Table, Text, UniqueConstraint, Uuid

from hilum.store.schema import Id, metadata, own

mapping = Table(
    "mapping",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uuid", Uuid, nullable=False, unique=True),
    Column("organization", Id, ForeignKey("organization.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False),  # the newest one's number
    Column("current", Integer),  # the number that routes use; None: there are drafts alone
    Column("created_at", BigInteger, nullable=False),
    Column("archived_at", BigInteger),
    UniqueConstraint("organization", "name"),
    UniqueConstraint("organization", "id", name="mapping_own"),
)

mapping_version = Table(
    "mapping_version",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization", Id, ForeignKey("organization.id"), nullable=False),
    Column("mapping", Id, nullable=False),
    Column("number", Integer, nullable=False),
    Column("draft", Integer, nullable=False),  # 1: nothing uses it
    Column("description", Text, nullable=False),
    Column("timezone", Text, nullable=False),  # in which its examples are run
    Column("document", JSON, nullable=False),  # as the step map takes it: rules and examples
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    UniqueConstraint("mapping", "number"),
    own("mapping"),
)
