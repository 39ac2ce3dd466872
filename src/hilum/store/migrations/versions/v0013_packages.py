"""Exports of several parts, what is said of their files, who may fetch them without an account, and saved ones."""

import sqlalchemy as sa
from alembic import op

from hilum.store.migrations.own_rows import Id, create, own

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    with op.batch_alter_table("export") as table:  # SQLite makes the table anew
        table.create_unique_constraint("export_own", ["organization", "id"])
    with op.batch_alter_table("export") as table:  # refers to that, so it has to be there
        table.add_column(sa.Column("parent", Id, nullable=True))
        table.add_column(sa.Column("facts", sa.JSON(), nullable=False, server_default="{}"))
        table.add_column(sa.Column("release", sa.Text(), nullable=False, server_default=""))
        table.create_foreign_key("export_parent", "export", ["organization", "parent"], ["organization", "id"])
    there = sa.text("parent IS NOT NULL")
    op.create_index("export_parent", "export", ["parent"], sqlite_where=there, postgresql_where=there)
    create(
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
        own("export"),
    )
    op.create_index("export_link_export", "export_link", ["organization", "export"])
    create(
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
        own("study"),
        sa.ForeignKeyConstraint(["organization", "last"], ["export.organization", "export.id"]),
    )
    due = sa.text("next_at IS NOT NULL")
    op.create_index("export_plan_due", "export_plan", ["next_at"], sqlite_where=due, postgresql_where=due)
