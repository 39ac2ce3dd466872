"""Tables that come later, as v0002 began them: rows of organizations, and row level security that hides the others'."""

import sqlalchemy as sa
from alembic import op

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite's rowid alias must be spelt INTEGER

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


def create(name: str, *parts: sa.schema.SchemaItem) -> None:
    """A table of rows that have a number, a UUID and an organization, protected."""
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


def own(table: str) -> sa.ForeignKeyConstraint:
    """Column `table` names a row of that table, of the same organization."""
    return sa.ForeignKeyConstraint(["organization", table], [f"{table}.organization", f"{table}.id"])
