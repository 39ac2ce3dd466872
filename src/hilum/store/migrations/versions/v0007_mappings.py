"""Stored mappings and their versions; who made a version of a route, and why."""

import sqlalchemy as sa
from alembic import op

from hilum.store.migrations.own_rows import protect

revision = "0007"
down_revision = "0006"

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite's rowid alias must be spelt INTEGER


def upgrade() -> None:
    op.add_column("route_version", sa.Column("created_by", sa.Text(), nullable=True))
    op.add_column("route_version", sa.Column("reason", sa.Text(), nullable=True))
    op.create_table(
        "mapping",
        sa.Column("id", Id, nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("organization", Id, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("current", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("archived_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["organization"], ["organization.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("uuid"),
        sa.UniqueConstraint("organization", "name"),
        sa.UniqueConstraint("organization", "id", name="mapping_own"),
    )
    op.create_table(
        "mapping_version",
        sa.Column("id", Id, nullable=False),
        sa.Column("organization", Id, nullable=False),
        sa.Column("mapping", Id, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("draft", sa.Integer(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["organization"], ["organization.id"]),
        sa.ForeignKeyConstraint(["organization", "mapping"], ["mapping.organization", "mapping.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("mapping", "number"),
    )
    protect("mapping", "mapping_version")
