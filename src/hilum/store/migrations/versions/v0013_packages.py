"""Exports of several parts, what is said of their files, who may fetch them without an account, and saved ones."""

import sqlalchemy as sa
from alembic import op

from hilum.store.migrations.own_rows import protect

revision = "0013"
down_revision = "0012"

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite's rowid alias must be spelt INTEGER


def upgrade() -> None:
    op.add_column("export", sa.Column("parent", Id, nullable=True))
    op.add_column("export", sa.Column("facts", sa.JSON(), nullable=False, server_default="{}"))
    op.add_column("export", sa.Column("release", sa.Text(), nullable=False, server_default=""))
    op.create_index("export_own", "export", ["organization", "id"], unique=True)
    there = sa.text("parent IS NOT NULL")
    op.create_index("export_parent", "export", ["parent"], sqlite_where=there, postgresql_where=there)
    _create(
        "export_link",
        sa.Column("export", Id, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("receiver", sa.Text(), nullable=False),
        sa.Column("most", sa.Integer(), nullable=True),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("made_name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        _own("export"),
    )
    op.create_index("export_link_export", "export_link", ["organization", "export"])
    _create(
        "export_plan",
        sa.Column("study", Id, nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("folded", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("definition", sa.JSON(), nullable=False),
        sa.Column("cron", sa.Text(), nullable=True),
        sa.Column("next_at", sa.BigInteger(), nullable=True),
        sa.Column("last", Id, nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("owner_name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("archived_at", sa.BigInteger(), nullable=True),
        sa.UniqueConstraint("organization", "folded"),
        _own("study"),
    )
    due = sa.text("next_at IS NOT NULL")
    op.create_index("export_plan_due", "export_plan", ["next_at"], sqlite_where=due, postgresql_where=due)


def _create(name: str, *parts: sa.schema.SchemaItem) -> None:
    op.create_table(
        name,
        sa.Column("id", Id, nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("organization", Id, nullable=False),
        *parts,
        sa.ForeignKeyConstraint(["organization"], ["organization.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("uuid"),
    )
    protect(name)


def _own(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["organization", table], [f"{table}.organization", f"{table}.id"])
