"""The first schema."""

import sqlalchemy as sa
from alembic import op

from hilum.store import schema

revision = "0001"
down_revision = None


def upgrade() -> None:
    bind = op.get_bind()
    schema.metadata.create_all(bind)
    bind.execute(schema.shard.insert(), [{"id": n, "epoch": 0, "tail": 0, "through": 0} for n in range(64)])
    bind.execute(schema.setting.insert(), [{"name": "message_floor", "value": "0"}])
    if bind.dialect.name == "postgresql":
        schema.search_key.create(bind)
        bind.execute(sa.text("CREATE SEQUENCE message_ids INCREMENT 1000"))
        bind.execute(sa.text("CREATE SEQUENCE delivery_ids INCREMENT 1000"))
