"""All SQL: one set of functions over SQLite and PostgreSQL; only named hot statements differ."""

from sqlalchemy import Connection

from hilum.store.store import Store

__all__ = ["Connection", "Store"]
