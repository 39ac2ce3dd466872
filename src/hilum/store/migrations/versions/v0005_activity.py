"""Executions, the activity log, what connectivity tests found."""

import sqlalchemy as sa
from alembic import op

from hilum.store.migrations.own_rows import protect

revision = "0005"
down_revision = "0004"

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite's rowid alias must be spelt INTEGER
_OWN = (["organization", "integration"], ["integration.organization", "integration.id"])


def upgrade() -> None:
    _execution()
    _activity_log()
    _probe_result()
    protect("execution", "activity_log", "probe_result")


def _execution() -> None:
    op.create_table(
        "execution",
        sa.Column("id", Id, nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("organization", Id, nullable=False),
        sa.Column("integration", Id, nullable=False),
        sa.Column("endpoint", Id, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("duration", sa.BigInteger(), nullable=True),
        sa.Column("status_code", sa.Integer(), nullable=True),
        sa.Column("fault", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("correlation", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("response", sa.LargeBinary(), nullable=True),
        sa.Column("told", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["organization"], ["organization.id"]),
        sa.ForeignKeyConstraint(*_OWN),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("uuid"),
    )
    for whose in ("integration", "organization"):
        other = {"integration": "endpoint", "organization": "integration"}[whose]
        op.create_index(f"execution_{whose}", "execution", [whose, "started_at", "status", "duration", other])


def _activity_log() -> None:
    op.create_table(
        "activity_log",
        sa.Column("id", Id, nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("organization", Id, nullable=False),
        sa.Column("integration", Id, nullable=False),
        sa.Column("endpoint", Id, nullable=True),
        sa.Column("execution", Id, nullable=True),
        sa.Column("stamp", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("status_code", sa.Integer(), nullable=True),
        sa.Column("duration", sa.BigInteger(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("fault", sa.Text(), nullable=True),
        sa.Column("correlation", sa.Text(), nullable=False),
        sa.Column("error", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["organization"], ["organization.id"]),
        sa.ForeignKeyConstraint(*_OWN),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("uuid"),
    )
    op.create_index("activity_log_integration", "activity_log", ["integration", "stamp", "id"])


def _probe_result() -> None:
    op.create_table(
        "probe_result",
        sa.Column("id", Id, nullable=False),
        sa.Column("organization", Id, nullable=False),
        sa.Column("integration", Id, nullable=False),
        sa.Column("endpoint", Id, nullable=False),
        sa.Column("stamp", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("success", sa.Integer(), nullable=False),
        sa.Column("duration", sa.BigInteger(), nullable=True),
        sa.Column("status_code", sa.Integer(), nullable=True),
        sa.Column("fault", sa.Text(), nullable=True),
        sa.Column("told", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["organization"], ["organization.id"]),
        sa.ForeignKeyConstraint(*_OWN),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("probe_result_integration", "probe_result", ["integration", "endpoint", "id"])
