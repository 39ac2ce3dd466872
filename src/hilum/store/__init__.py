"""All SQL: one set of functions over SQLite and PostgreSQL; only named hot statements differ."""

from hilum.store.store import Store

__all__ = ["Store"]
