"""Row level security as v0002 began it, for tables that come later: a transaction sees its organization's rows."""

from alembic import op

_WHOSE = "(SELECT current_setting('hilum.organization', true))"
_CONDITION = f"CASE WHEN {_WHOSE} = '*' THEN true ELSE organization = NULLIF({_WHOSE}, '')::bigint END"


def protect(*tables: str) -> None:
    """Tables with a column `organization`. SQLite has nothing of the kind."""
    if op.get_bind().dialect.name != "postgresql":
        return
    for table in tables:
        op.execute(f'ALTER TABLE "{table}" ENABLE ROW LEVEL SECURITY')
        op.execute(f'ALTER TABLE "{table}" FORCE ROW LEVEL SECURITY')
        op.execute(f'CREATE POLICY own ON "{table}" USING ({_CONDITION}) WITH CHECK ({_CONDITION})')
