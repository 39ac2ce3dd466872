"""All SQL: one set of functions over SQLite and PostgreSQL; only named hot statements differ."""

from sqlalchemy import Connection

from hilum.store import (  # noqa: F401 - the tables of `metadata`
    schema_activity,
    schema_consents,
    schema_datasets,
    schema_evidence,
    schema_mappings,
    schema_people,
    schema_retention,
    schema_webhooks,
)
from hilum.store.store import Store
from hilum.store.within import Journal, Within

__all__ = ["Connection", "Journal", "Store", "Within"]
