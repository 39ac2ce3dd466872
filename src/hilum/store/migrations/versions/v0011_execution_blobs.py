"""Bodies of executions that are too large for their rows, traces of those that failed, and failures found by class."""

import sqlalchemy as sa
from alembic import op

from hilum.store.migrations.own_rows import protect

revision = "0011"
down_revision = "0010"

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite's rowid alias must be spelt INTEGER


def upgrade() -> None:
    op.create_table(
        "execution_blob",
        sa.Column("id", Id, nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("organization", Id, nullable=False),
        sa.Column("execution", Id, nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["organization"], ["organization.id"]),
        sa.ForeignKeyConstraint(["organization", "execution"], ["execution.organization", "execution.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("uuid"),
    )
    op.create_index("execution_blob_execution", "execution_blob", ["organization", "execution"])
    protect("execution_blob")
    op.add_column("execution", sa.Column("trace", sa.LargeBinary(), nullable=True))
    failed = sa.text("outcome = 'failure'")
    op.create_index(
        "activity_log_failure", "activity_log", ["integration", "stamp", "endpoint", "fault"], sqlite_where=failed,
        postgresql_where=failed,
    )  # fmt: skip
