"""Organizations with people, secrets and evidence; on PostgreSQL every row belongs to its organization alone."""

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite's rowid alias must be spelt INTEGER
_FILL = sa.text("UPDATE organization SET uuid = :identifier WHERE id = :number")


def upgrade() -> None:
    _changes()
    _people()
    _vault()
    _evidence()
    if op.get_bind().dialect.name == "postgresql":
        op.create_index("message_organization", "message", ["organization", "id"])
        _row_level_security()
        _keep_on_postgresql()
    else:
        _keep_on_sqlite()


def _changes() -> None:
    op.add_column("integration", sa.Column("study", Id, nullable=True))
    op.add_column("integration", sa.Column("version", sa.Integer(), server_default="1", nullable=False))
    op.add_column("organization", sa.Column("uuid", sa.Uuid(), nullable=True))
    op.add_column("organization", sa.Column("title", sa.Text(), server_default="", nullable=False))
    op.add_column("organization", sa.Column("settings", sa.JSON(), server_default="{}", nullable=False))
    op.add_column("organization", sa.Column("version", sa.Integer(), server_default="1", nullable=False))
    op.add_column("organization", sa.Column("archived_at", sa.BigInteger(), nullable=True))
    for (number,) in op.get_bind().execute(sa.text("SELECT id FROM organization")).all():
        values = {"identifier": uuid.uuid4(), "number": number}
        op.get_bind().execute(_FILL.bindparams(sa.bindparam("identifier", type_=sa.Uuid())), values)
    op.create_index("organization_uuid", "organization", ["uuid"], unique=True)


def _people() -> None:
    op.create_table(
        "principal_index",
        sa.Column("hash", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("organization", Id, autoincrement=False, nullable=False),
        sa.Column("number", Id, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("hash", "kind", "organization", "number"),
    )
    op.create_table(
        "study",
        sa.Column("id", Id, nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("organization", Id, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("archived_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization"],
            ["organization.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("organization", "id"),
        sa.UniqueConstraint("organization", "name"),
        sa.UniqueConstraint("uuid"),
    )
    op.create_table(
        "user",
        sa.Column("id", Id, nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("organization", Id, nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("password", sa.Text(), nullable=True),
        sa.Column("password_at", sa.BigInteger(), nullable=True),
        sa.Column("totp", sa.LargeBinary(), nullable=True),
        sa.Column("totp_step", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("locked_until", sa.BigInteger(), nullable=True),
        sa.Column("identity_proofed", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("signed_in_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization"],
            ["organization.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("organization", "id"),
        sa.UniqueConstraint("uuid"),
    )
    there = sa.text("state <> 'removed'")
    op.create_index(
        "user_email", "user", ["organization", "email"], unique=True, sqlite_where=there, postgresql_where=there
    )
    op.create_table(
        "api_key",
        sa.Column("id", Id, nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("organization", Id, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("study", Id, nullable=True),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("allow", sa.JSON(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization"],
            ["organization.id"],
        ),
        sa.ForeignKeyConstraint(["organization", "study"], ["study.organization", "study.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key_id"),
        sa.UniqueConstraint("uuid"),
    )
    op.create_index("api_key_name", "api_key", ["organization", "name"])
    op.create_table(
        "link",
        sa.Column("id", Id, nullable=False),
        sa.Column("organization", Id, nullable=False),
        sa.Column("user", Id, nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization"],
            ["organization.id"],
        ),
        sa.ForeignKeyConstraint(["organization", "user"], ["user.organization", "user.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_link_user", "link", ["user"])
    op.create_table(
        "role_binding",
        sa.Column("id", Id, nullable=False),
        sa.Column("organization", Id, nullable=False),
        sa.Column("user", Id, nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("study", Id, nullable=True),
        sa.ForeignKeyConstraint(
            ["organization"],
            ["organization.id"],
        ),
        sa.ForeignKeyConstraint(["organization", "study"], ["study.organization", "study.id"]),
        sa.ForeignKeyConstraint(["organization", "user"], ["user.organization", "user.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_role_binding_user", "role_binding", ["user"])
    op.create_table(
        "session",
        sa.Column("id", Id, nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("organization", Id, nullable=False),
        sa.Column("user", Id, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("proved_at", sa.BigInteger(), nullable=False),
        sa.Column("signed_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_why", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization"],
            ["organization.id"],
        ),
        sa.ForeignKeyConstraint(["organization", "user"], ["user.organization", "user.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("uuid"),
    )
    op.create_index("ix_session_user", "session", ["user"])
    with op.batch_alter_table("integration") as batch:  # SQLite makes the table anew
        batch.create_foreign_key("integration_study", "study", ["organization", "study"], ["organization", "id"])


def _vault() -> None:
    op.create_table(
        "signing_key",
        sa.Column("id", Id, nullable=False),
        sa.Column("kid", sa.Text(), nullable=False),
        sa.Column("public", sa.JSON(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("retired_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("kid"),
    )
    op.create_table(
        "data_key",
        sa.Column("id", Id, nullable=False),
        sa.Column("organization", Id, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("wrapped_by", sa.Text(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("seals", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("retired_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization"],
            ["organization.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("organization", "number"),
    )
    op.create_table(
        "certificate",
        sa.Column("id", Id, nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("organization", Id, nullable=False),
        sa.Column("study", Id, nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=True),
        sa.Column("not_after", sa.BigInteger(), nullable=True),
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("key", sa.Integer(), nullable=True),
        sa.Column("warned", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("archived_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization"],
            ["organization.id"],
        ),
        sa.ForeignKeyConstraint(["organization", "study"], ["study.organization", "study.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("organization", "name"),
        sa.UniqueConstraint("uuid"),
    )
    op.create_table(
        "credential",
        sa.Column("id", Id, nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("organization", Id, nullable=False),
        sa.Column("study", Id, nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("secrets", sa.JSON(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("rotated_at", sa.BigInteger(), nullable=False),
        sa.Column("rotate_every", sa.Integer(), nullable=True),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.Column("reminded_at", sa.BigInteger(), nullable=True),
        sa.Column("archived_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization"],
            ["organization.id"],
        ),
        sa.ForeignKeyConstraint(["organization", "study"], ["study.organization", "study.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("organization", "name"),
        sa.UniqueConstraint("uuid"),
    )


def _evidence() -> None:
    op.create_table(
        "audit_event",
        sa.Column("id", Id, nullable=False),
        sa.Column("organization", Id, nullable=False),
        sa.Column("stamp", sa.BigInteger(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("entity", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("witness", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    about = sa.text("entity <> ''")
    op.create_index(
        "audit_event_entity",
        "audit_event",
        ["organization", "entity", "id"],
        sqlite_where=about,
        postgresql_where=about,
    )
    op.create_index("audit_event_organization", "audit_event", ["organization", "id"])
    op.create_index("audit_event_stamp", "audit_event", ["organization", "stamp"])
    op.create_table(
        "audit_seal",
        sa.Column("organization", Id, autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event", Id, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("organization", "position"),
        sa.UniqueConstraint("event"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "checkpoint",
        sa.Column("organization", Id, autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("message", sa.BigInteger(), nullable=False),
        sa.Column("stamp", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("organization", "number"),
    )
    op.create_table(
        "idempotency",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("organization", Id, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index("ix_idempotency_created_at", "idempotency", ["created_at"])
    op.create_table(
        "outbox",
        sa.Column("id", Id, nullable=False),
        sa.Column("organization", Id, nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("entity", sa.Text(), nullable=False),
        sa.Column("stamp", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "approval",
        sa.Column("id", Id, nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("organization", Id, nullable=False),
        sa.Column("study", Id, nullable=True),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("entity", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.BigInteger(), nullable=True),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization"],
            ["organization.id"],
        ),
        sa.ForeignKeyConstraint(["organization", "study"], ["study.organization", "study.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("uuid"),
    )
    op.create_table(
        "signature",
        sa.Column("id", Id, nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("organization", Id, nullable=False),
        sa.Column("study", Id, nullable=True),
        sa.Column("user", Id, nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("entity", sa.Text(), nullable=False),
        sa.Column("entity_version", sa.Integer(), nullable=False),
        sa.Column("stamp", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("seal", sa.LargeBinary(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization"],
            ["organization.id"],
        ),
        sa.ForeignKeyConstraint(["organization", "user"], ["user.organization", "user.id"]),
        sa.ForeignKeyConstraint(["organization", "study"], ["study.organization", "study.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("uuid"),
    )
    op.create_index("signature_entity", "signature", ["organization", "entity"])


# Whose rows a transaction sees: `hilum.organization` is a number, or * for the hub's own work. Without it: none.
_WHOSE = "(SELECT current_setting('hilum.organization', true))"
_OWN = "CASE WHEN {whose} = '*' THEN true ELSE {condition} END"
_NUMBER = f"NULLIF({_WHOSE}, '')::bigint"
_OWNED = (
    "study", "user", "role_binding", "link", "session", "api_key", "data_key", "credential", "certificate",
    "integration", "endpoint", "route_version", "message", "delivery", "job", "audit_event", "audit_seal",
    "checkpoint", "signature", "approval", "outbox", "idempotency",
)  # fmt: skip


def _row_level_security() -> None:
    """Tables that it leaves out hold ids, hashes and times only, or belong to the hub."""
    conditions = dict.fromkeys(_OWNED, f"organization = {_NUMBER}")
    conditions["organization"] = f"id = {_NUMBER}"
    conditions["body"] = "EXISTS (SELECT 1 FROM message m WHERE m.id = body.message)"
    conditions["attempt"] = "EXISTS (SELECT 1 FROM delivery d WHERE d.id = attempt.delivery)"
    for table, condition in conditions.items():
        own = _OWN.format(whose=_WHOSE, condition=condition)
        op.execute(f'ALTER TABLE "{table}" ENABLE ROW LEVEL SECURITY')
        op.execute(f'ALTER TABLE "{table}" FORCE ROW LEVEL SECURITY')
        op.execute(f'CREATE POLICY own ON "{table}" USING ({own}) WITH CHECK ({own})')


# Evidence is only ever added. A purge says so in its own transaction, and what it removed stands in a checkpoint.
_KEPT = ("audit_event", "audit_seal", "checkpoint")


def _keep_on_postgresql() -> None:
    op.execute("""
        CREATE FUNCTION hilum_keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF TG_OP = 'DELETE' AND current_setting('hilum.purge', true) = 'on' THEN RETURN OLD; END IF;
        RAISE EXCEPTION 'evidence is only ever added'; END $$
    """)
    for table in _KEPT:
        op.execute(
            f"CREATE TRIGGER {table}_keep BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION hilum_keep()"
        )


def _keep_on_sqlite() -> None:
    for table in _KEPT:
        stop = "BEGIN SELECT RAISE(ABORT, 'evidence is only ever added'); END"
        op.execute(f"CREATE TRIGGER {table}_keep_rows BEFORE UPDATE ON {table} {stop}")
        purging = "NOT EXISTS (SELECT 1 FROM setting WHERE name = 'purge')"
        op.execute(f"CREATE TRIGGER {table}_keep BEFORE DELETE ON {table} WHEN {purging} {stop}")
