"""The tables of data sets and exports: what was imported, the versions there are, what was exported, and for whom.

`sealed` is the key of the row's file (store/files.py), under data key `key` of the organization.
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
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from hilum.store.schema import Id, metadata, own

dataset = Table(
    "dataset",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uuid", Uuid, nullable=False, unique=True),
    Column("organization", Id, ForeignKey("organization.id"), nullable=False),
    Column("study", Id, nullable=False),
    Column("name", Text, nullable=False),
    Column("newest", Integer, nullable=False),  # number of its newest version
    Column("version", Integer, nullable=False),  # of this row
    Column("created_at", BigInteger, nullable=False),
    Column("archived_at", BigInteger),
    UniqueConstraint("organization", "study", "name"),
    UniqueConstraint("organization", "id"),
    own("study"),
)

dataset_version = Table(
    "dataset_version",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uuid", Uuid, nullable=False, unique=True),  # its file's name
    Column("organization", Id, ForeignKey("organization.id"), nullable=False),
    Column("dataset", Id, nullable=False),
    Column("number", Integer, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", LargeBinary, nullable=False),  # of the file as it lies there
    Column("document", JSON, nullable=False),  # label and variables (model/dataset.py)
    Column("provenance", JSON, nullable=False),  # file, its SHA-256, format, who
    Column("sealed", LargeBinary, nullable=False),
    Column("key", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("organization", "dataset", "number"),
    own("dataset"),
)

dataset_import = Table(
    "dataset_import",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uuid", Uuid, nullable=False, unique=True),  # its file's name, until it ended
    Column("organization", Id, ForeignKey("organization.id"), nullable=False),
    Column("study", Id, nullable=False),
    Column("definition", JSON, nullable=False),  # file, format, options, name of the data set
    Column("status", Text, nullable=False),  # queued, running, succeeded, failed
    Column("size", BigInteger, nullable=False),  # bytes of the file
    Column("sha256", LargeBinary, nullable=False),  # of the file as it came
    Column("rows", BigInteger, nullable=False),  # that were read so far
    Column("made", JSON, nullable=False),  # the data sets' ids
    Column("problem", JSON),  # reason, row, variable
    Column("sealed", LargeBinary),  # None: the file is gone
    Column("key", Integer),
    Column("asked_by", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Index("dataset_import_organization", "organization"),
    own("study"),
)

export = Table(
    "export",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uuid", Uuid, nullable=False, unique=True),  # its file's name
    Column("organization", Id, ForeignKey("organization.id"), nullable=False),
    Column("study", Id),
    Column("kind", Text, nullable=False),
    Column("definition", JSON, nullable=False),  # source, format, options, variables, purpose
    Column("status", Text, nullable=False),  # model/export.py
    Column("rows", BigInteger),  # that there are
    Column("done", BigInteger, nullable=False),  # that were written so far
    Column("aside", BigInteger, nullable=False),  # values that were set aside
    Column("file", Text, nullable=False),  # its name for people
    Column("media_type", Text, nullable=False),
    Column("size", BigInteger),  # bytes that are downloaded
    Column("sha256", LargeBinary),  # of what is downloaded
    Column("sealed", LargeBinary),
    Column("key", Integer),
    Column("warnings", JSON, nullable=False),
    Column("problem", JSON),  # reason, row, variable
    Column("downloads", Integer, nullable=False),
    Column("asked_by", Text, nullable=False),  # the principal's id …
    Column("asked_name", Text, nullable=False),  # … and name
    Column("created_at", BigInteger, nullable=False),
    Column("started_at", BigInteger),
    Column("ended_at", BigInteger),
    Column("expires_at", BigInteger),
    Column("version", Integer, nullable=False),
    Column("parent", Id),  # the one that this is a part of
    Column("facts", JSON, nullable=False, server_default="{}"),  # what is said of the file: checks, encryption, place
    Column("release", Text, nullable=False, server_default=""),  # needed: not to be fetched yet; else a signature's id
    Index("export_organization", "organization", "id"),
    UniqueConstraint("organization", "id", name="export_own"),  # what others refer to
    Index("export_parent", "parent", sqlite_where=text("parent IS NOT NULL"),
          postgresql_where=text("parent IS NOT NULL")),
    own("study"),
    ForeignKeyConstraint(["organization", "parent"], ["export.organization", "export.id"]),
)  # fmt: skip

export_link = Table(  # who has one fetches the file without an account
    "export_link",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uuid", Uuid, nullable=False, unique=True),
    Column("organization", Id, ForeignKey("organization.id"), nullable=False),
    Column("export", Id, nullable=False),
    Column("digest", LargeBinary, nullable=False),  # of the secret in its address
    Column("receiver", Text, nullable=False),
    Column("most", Integer),  # downloads that it is good for; None: any number
    Column("used", Integer, nullable=False),
    Column("made_by", Text, nullable=False),  # the principal's id …
    Column("made_name", Text, nullable=False),  # … and name
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
    Index("export_link_export", "organization", "export"),
    own("export"),
)

export_plan = Table(  # an export that is asked for again and again
    "export_plan",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uuid", Uuid, nullable=False, unique=True),
    Column("organization", Id, ForeignKey("organization.id"), nullable=False),
    Column("study", Id),
    Column("name", Text, nullable=False),
    Column("folded", Text),  # the name in lower case; None: archived, so that it is free again
    Column("kind", Text, nullable=False),
    Column("definition", JSON, nullable=False),  # as it would be asked for
    Column("cron", Text),  # UTC; None: only when somebody says so
    Column("next_at", BigInteger),
    Column("last", Id),  # the newest export that came of it
    Column("problem", Text),  # why the last time nothing came of it
    Column("owner", Text, nullable=False),  # whose rights it runs with: the principal's id …
    Column("owner_name", Text, nullable=False),  # … and name
    Column("version", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("archived_at", BigInteger),
    UniqueConstraint("organization", "folded"),
    Index("export_plan_due", "next_at", sqlite_where=text("next_at IS NOT NULL"),
          postgresql_where=text("next_at IS NOT NULL")),
    own("study"),
    ForeignKeyConstraint(["organization", "last"], ["export.organization", "export.id"]),
)  # fmt: skip
