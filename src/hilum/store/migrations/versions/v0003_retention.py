"""Archives, legal holds and exports about a person."""

import sqlalchemy as sa
from alembic import op

from hilum.store.migrations.own_rows import protect

revision = "0003"
down_revision = "0002"

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite's rowid alias must be spelt INTEGER


def upgrade() -> None:
    _legal_hold()
    _archive()
    _subject_export()
    protect("legal_hold", "archive", "archived", "subject_export")


def _legal_hold() -> None:
    op.create_table(
        "legal_hold",
        sa.Column("id", Id, nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("organization", Id, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("patient", sa.BigInteger(), nullable=True),
        sa.Column("subject", sa.LargeBinary(), nullable=True),
        sa.Column("endpoint", Id, nullable=True),
        sa.Column("since", sa.BigInteger(), nullable=True),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("placed_by", sa.Text(), nullable=False),
        sa.Column("placed_at", sa.BigInteger(), nullable=False),
        sa.Column("lifted_by", sa.Text(), nullable=True),
        sa.Column("lifted_at", sa.BigInteger(), nullable=True),
        sa.Column("lifted_why", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["organization"], ["organization.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("uuid"),
    )
    op.create_index("legal_hold_organization", "legal_hold", ["organization"])


def _archive() -> None:
    op.create_table(
        "archive",
        sa.Column("id", Id, nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("organization", Id, nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("first", Id, nullable=False),
        sa.Column("last", Id, nullable=False),
        sa.Column("messages", sa.Integer(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("key", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("removed_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["organization"], ["organization.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("organization", "id"),
        sa.UniqueConstraint("uuid"),
    )
    op.create_table(
        "archived",
        sa.Column("message", Id, autoincrement=False, nullable=False),
        sa.Column("organization", Id, nullable=False),
        sa.Column("archive", Id, nullable=False),
        sa.Column("search_keys", sa.LargeBinary(), nullable=True),
        sa.Column("restored_until", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["organization", "archive"], ["archive.organization", "archive.id"]),
        sa.PrimaryKeyConstraint("message"),
    )
    op.create_index("ix_archived_archive", "archived", ["archive"])


def _subject_export() -> None:
    op.create_table(
        "subject_export",
        sa.Column("id", Id, nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("organization", Id, nullable=False),
        sa.Column("patient", sa.BigInteger(), nullable=False),
        sa.Column("subject", sa.LargeBinary(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("messages", sa.Integer(), nullable=False),
        sa.Column("written", sa.Integer(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.LargeBinary(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("key", sa.Integer(), nullable=True),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["organization"], ["organization.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("uuid"),
    )
    op.create_index("subject_export_organization", "subject_export", ["organization"])
