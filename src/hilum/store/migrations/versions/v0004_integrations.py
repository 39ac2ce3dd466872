"""Integrations that are made through the API: titles, environments, lifecycle, health, how they were initialised."""

import sqlalchemy as sa
from alembic import op

from hilum.store.migrations.own_rows import protect

revision = "0004"
down_revision = "0003"

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite's rowid alias must be spelt INTEGER


def upgrade() -> None:
    with op.batch_alter_table("integration") as table:
        for column in (
            sa.Column("title", sa.Text(), nullable=True),
            sa.Column("environment", sa.Text(), nullable=True),
            sa.Column("lifecycle", sa.Text(), server_default="active", nullable=False),
            sa.Column("health", sa.Text(), server_default="unknown", nullable=False),
            sa.Column("health_at", sa.BigInteger(), nullable=True),
            sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
            sa.Column("last_error", sa.LargeBinary(), nullable=True),
            sa.Column("created_at", sa.BigInteger(), nullable=True),
            sa.Column("created_by", sa.Text(), nullable=True),
            sa.Column("updated_at", sa.BigInteger(), nullable=True),
            sa.Column("archived_at", sa.BigInteger(), nullable=True),
        ):
            table.add_column(column)
        table.create_unique_constraint("integration_title", ["organization", "environment", "title"])
        table.create_unique_constraint("integration_own", ["organization", "id"])
    op.create_table(
        "integration_history",
        sa.Column("id", Id, nullable=False),
        sa.Column("organization", Id, nullable=False),
        sa.Column("integration", Id, nullable=False),
        sa.Column("stamp", sa.BigInteger(), nullable=False),
        sa.Column("before", sa.Text(), nullable=True),
        sa.Column("after", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["organization"], ["organization.id"]),
        sa.ForeignKeyConstraint(["organization", "integration"], ["integration.organization", "integration.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("integration_history_integration", "integration_history", ["integration", "id"])
    op.create_table(
        "initialization",
        sa.Column("id", Id, nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("organization", Id, nullable=False),
        sa.Column("integration", Id, nullable=True),
        sa.Column("stamp", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("succeeded", sa.Integer(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["organization"], ["organization.id"]),
        sa.ForeignKeyConstraint(["organization", "integration"], ["integration.organization", "integration.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("uuid"),
    )
    op.create_index("initialization_integration", "initialization", ["integration", "id"])
    op.create_table(
        "vendor",
        sa.Column("id", Id, nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("organization", Id, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("folded", sa.Text(), nullable=True),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("warned", sa.JSON(), server_default="{}", nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("archived_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["organization"], ["organization.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("uuid"),
        sa.UniqueConstraint("organization", "folded"),
    )
    op.create_table(
        "partner_token",
        sa.Column("organization", Id, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("stamp", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["organization"], ["organization.id"]),
        sa.PrimaryKeyConstraint("organization", "key"),
    )
    protect("integration_history", "initialization", "vendor", "partner_token")
