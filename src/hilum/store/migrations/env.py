"""Alembic's entry: runs the migrations on the connection that hilum.store.migrate passes."""

from alembic import context

from hilum.store.schema import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=True)
with context.begin_transaction():
    context.run_migrations()
connection.commit()
