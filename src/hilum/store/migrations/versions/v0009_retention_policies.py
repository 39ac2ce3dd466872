"""What retention has yet to empty or remove is found without reading all that is kept."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("execution", sa.Column("forgotten", sa.SmallInteger(), server_default="0", nullable=False))
    for name, table, stamp, condition in (
        ("execution_body", "execution", "started_at", "forgotten = 0"),
        ("execution_told", "execution", "started_at", "told IS NOT NULL"),
        ("activity_log_error", "activity_log", "stamp", "error IS NOT NULL"),
    ):
        where = sa.text(condition)
        op.create_index(name, table, ["organization", stamp], sqlite_where=where, postgresql_where=where)
    op.create_index("probe_result_organization", "probe_result", ["organization", "kind", "stamp"])
