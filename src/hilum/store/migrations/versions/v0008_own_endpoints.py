"""Endpoints and executions that are named are those of the same organization; what is synthetic says so."""

import sqlalchemy as sa
from alembic import op
from alembic.operations import BatchOperations

revision = "0008"
down_revision = "0007"

_WIDE = {"integration": "endpoint", "organization": "integration"}


def upgrade() -> None:
    op.create_index("endpoint_own", "endpoint", ["organization", "id"], unique=True)  # without making it anew
    _execution()
    _refers("activity_log", "endpoint", "execution")
    there = sa.text("execution IS NOT NULL")
    op.create_index("activity_log_execution", "activity_log", ["execution"], sqlite_where=there, postgresql_where=there)
    _refers("probe_result", "endpoint")
    _refers("legal_hold", "endpoint")
    op.add_column("message", _synthetic())  # neither database touches the rows


def _execution() -> None:
    for whose in _WIDE:
        op.drop_index(f"execution_{whose}", "execution")
    with op.batch_alter_table("execution") as table:  # SQLite makes the table anew
        table.add_column(_synthetic())
        _refer(table, "execution", "endpoint")
    op.create_index("execution_own", "execution", ["organization", "id"], unique=True)
    for whose, other in _WIDE.items():
        columns = [whose, "started_at", "status", "duration", other, "synthetic"]
        op.create_index(f"execution_{whose}", "execution", columns)


def _refers(table: str, *targets: str) -> None:
    with op.batch_alter_table(table) as batch:
        for target in targets:
            _refer(batch, table, target)


def _refer(batch: BatchOperations, table: str, target: str) -> None:
    batch.create_foreign_key(f"{table}_{target}", target, ["organization", target], ["organization", "id"])


def _synthetic() -> sa.Column[int]:
    return sa.Column("synthetic", sa.SmallInteger(), server_default="0", nullable=False)
