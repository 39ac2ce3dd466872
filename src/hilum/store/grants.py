"""What the hub's own role may do on PostgreSQL: read and write rows, add evidence. It owns nothing.

The owner migrates, grants and purges; who has its role could switch row level security off.
"""

from __future__ import annotations

import sqlalchemy as sa

from hilum.store.schema import metadata, search_key

_EVIDENCE = frozenset({"audit_event", "audit_seal", "checkpoint"})  # added to and read, never changed


def grant(connection: sa.Connection, role: str) -> None:
    """Let `role` do its work, as the owner. Raises an SQLAlchemy error where there is no such role."""
    quote = connection.dialect.identifier_preparer.quote
    known = sa.inspect(connection).get_table_names()
    tables = [one for one in (*(table.name for table in metadata.sorted_tables), search_key.name) if one in known]
    for table in tables:
        rights = "SELECT, INSERT" if table in _EVIDENCE else "SELECT, INSERT, UPDATE, DELETE"
        connection.exec_driver_sql(f"GRANT {rights} ON {quote(table)} TO {quote(role)}")
    connection.exec_driver_sql(f"GRANT SELECT ON alembic_version TO {quote(role)}")
    connection.exec_driver_sql(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {quote(role)}")


def escapes(connection: sa.Connection) -> bool:
    """Whether row level security does not bind the role that is connected: a superuser, or one with BYPASSRLS."""
    query = "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
    return bool(connection.exec_driver_sql(query).scalar())
