"""What people consent to at partners' authorization servers."""

import sqlalchemy as sa
from alembic import op

from hilum.store.migrations.own_rows import protect

revision = "0010"
down_revision = "0009"

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite's rowid alias must be spelt INTEGER


def upgrade() -> None:
    op.create_table(
        "consent_request",
        sa.Column("id", Id, nullable=False),
        sa.Column("organization", Id, nullable=False),
        sa.Column("integration", Id, nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.Column("principal", sa.JSON(), nullable=False),
        sa.Column("browser", sa.LargeBinary(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["organization"], ["organization.id"]),
        sa.ForeignKeyConstraint(["organization", "integration"], ["integration.organization", "integration.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("organization", "state"),
    )
    op.create_table(
        "consent",
        sa.Column("id", Id, nullable=False),
        sa.Column("organization", Id, nullable=False),
        sa.Column("integration", Id, nullable=False),
        sa.Column("form", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("given_at", sa.BigInteger(), nullable=False),
        sa.Column("given_by", sa.Text(), nullable=False),
        sa.Column("given_name", sa.Text(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.Column("lapsed_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["organization"], ["organization.id"]),
        sa.ForeignKeyConstraint(["organization", "integration"], ["integration.organization", "integration.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("organization", "integration", "form"),
    )
    protect("consent_request", "consent")
