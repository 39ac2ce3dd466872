"""The tables of what is kept and for how long: legal holds, archives of bodies, exports about a person.

`sealed` is the key of the row's file, under data key `key` of the organization. Without it nobody opens the file.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)

from hilum.store.schema import Id, metadata, own

legal_hold = Table(
    "legal_hold",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uuid", Uuid, nullable=False, unique=True),
    Column("organization", Id, ForeignKey("organization.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("patient", BigInteger),  # search key (a keyed hash) of whose messages it holds; None: everybody's
    Column("subject", LargeBinary),  # the same as it stands in messages, sealed
    Column("endpoint", Id),  # that received them; None: any
    Column("since", BigInteger),  # received from then on …
    Column("until", BigInteger),  # … and before then
    Column("version", Integer, nullable=False),
    Column("placed_by", Text, nullable=False),
    Column("placed_at", BigInteger, nullable=False),
    Column("lifted_by", Text),
    Column("lifted_at", BigInteger),  # None: it holds
    Column("lifted_why", Text, nullable=False),
    Index("legal_hold_organization", "organization"),
    own("endpoint"),
)

archive = Table(
    "archive",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uuid", Uuid, nullable=False, unique=True),
    Column("organization", Id, ForeignKey("organization.id"), nullable=False),
    Column("since", BigInteger, nullable=False),  # when the oldest of its messages was received …
    Column("until", BigInteger, nullable=False),  # … and the newest
    Column("first", Id, nullable=False),  # messages by their rows; there may be others between these two
    Column("last", Id, nullable=False),
    Column("messages", Integer, nullable=False),
    Column("size", BigInteger, nullable=False),  # bytes of the file
    Column("sha256", LargeBinary, nullable=False),  # of the file as it lies there
    Column("sealed", LargeBinary),  # None: removed, with its file
    Column("key", Integer),
    Column("created_at", BigInteger, nullable=False),
    Column("removed_at", BigInteger),
    UniqueConstraint("organization", "id"),
)

archived = Table(
    "archived",
    metadata,
    Column("message", Id, primary_key=True, autoincrement=False),
    Column("organization", Id, nullable=False),
    Column("archive", Id, nullable=False, index=True),
    Column("search_keys", LargeBinary),  # 8 bytes each: without its body they cannot be made again (SQLite)
    Column("restored_until", BigInteger),  # its body was put back until then
    own("archive"),
)

subject_export = Table(
    "subject_export",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uuid", Uuid, nullable=False, unique=True),
    Column("organization", Id, ForeignKey("organization.id"), nullable=False),
    Column("patient", BigInteger, nullable=False),  # search key of the person that it is about
    Column("subject", LargeBinary, nullable=False),  # the same as it stands in messages, sealed
    Column("format", Text, nullable=False),  # json, csv
    Column("reason", Text, nullable=False),
    Column("state", Text, nullable=False),  # waiting, running, done, failed, expired
    Column("messages", Integer, nullable=False),  # that there are, once they were looked for
    Column("written", Integer, nullable=False),  # of them so far
    Column("size", BigInteger),
    Column("sha256", LargeBinary),
    Column("sealed", LargeBinary),
    Column("key", Integer),
    Column("asked_by", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("finished_at", BigInteger),
    Column("expires_at", BigInteger),
    Column("problem", Text, nullable=False),
    Index("subject_export_organization", "organization"),
)
