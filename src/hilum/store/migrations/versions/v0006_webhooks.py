"""Webhooks: subscriptions and their deliveries, receivers."""

import sqlalchemy as sa
from alembic import op

from hilum.store.migrations.own_rows import protect

revision = "0006"
down_revision = "0005"

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite's rowid alias must be spelt INTEGER


def upgrade() -> None:
    _subscription()
    _delivery()
    _attempt()
    _receiver()
    protect("webhook_subscription", "webhook_delivery", "webhook_attempt", "webhook_receiver")


def _subscription() -> None:
    op.create_table(
        "webhook_subscription",
        sa.Column("id", Id, nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("organization", Id, nullable=False),
        sa.Column("study", Id, nullable=True),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("events", sa.JSON(), nullable=False),
        sa.Column("scheme", sa.Text(), nullable=False),
        sa.Column("public", sa.JSON(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("key", sa.Integer(), nullable=True),
        sa.Column("previous_until", sa.BigInteger(), nullable=True),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("failing_since", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("archived_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["organization"], ["organization.id"]),
        sa.ForeignKeyConstraint(["organization", "study"], ["study.organization", "study.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("organization", "id", name="webhook_subscription_own"),
        sa.UniqueConstraint("uuid"),
    )


def _delivery() -> None:
    op.create_table(
        "webhook_delivery",
        sa.Column("id", Id, nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("organization", Id, nullable=False),
        sa.Column("subscription", Id, nullable=False),
        sa.Column("event", sa.BigInteger(), nullable=True),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("stamp", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("earlier", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["organization"], ["organization.id"]),
        sa.ForeignKeyConstraint(
            ["organization", "subscription"], ["webhook_subscription.organization", "webhook_subscription.id"]
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("organization", "id", name="webhook_delivery_own"),
        sa.UniqueConstraint("subscription", "event", name="webhook_delivery_event"),
        sa.UniqueConstraint("uuid"),
    )
    waiting = sa.text("state = 'waiting'")
    op.create_index(
        "webhook_delivery_due", "webhook_delivery", ["next_at"], sqlite_where=waiting, postgresql_where=waiting
    )
    op.create_index("webhook_delivery_subscription", "webhook_delivery", ["subscription", "id"])


def _attempt() -> None:
    op.create_table(
        "webhook_attempt",
        sa.Column("id", Id, nullable=False),
        sa.Column("organization", Id, nullable=False),
        sa.Column("delivery", Id, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("duration", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("detail", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["organization"], ["organization.id"]),
        sa.ForeignKeyConstraint(["organization", "delivery"], ["webhook_delivery.organization", "webhook_delivery.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_webhook_attempt_delivery", "webhook_attempt", ["delivery"])


def _receiver() -> None:
    op.create_table(
        "webhook_receiver",
        sa.Column("id", Id, nullable=False),
        sa.Column("uuid", sa.Uuid(), nullable=False),
        sa.Column("organization", Id, nullable=False),
        sa.Column("integration", Id, nullable=False),
        sa.Column("scheme", sa.Text(), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("event_id", sa.JSON(), nullable=False),
        sa.Column("tolerance", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("key", sa.Integer(), nullable=True),
        sa.Column("previous_until", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("archived_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["organization"], ["organization.id"]),
        sa.ForeignKeyConstraint(["organization", "integration"], ["integration.organization", "integration.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("uuid"),
    )
    there = sa.text("archived_at IS NULL")
    op.create_index(
        "webhook_receiver_integration", "webhook_receiver", ["integration"], unique=True, sqlite_where=there,
        postgresql_where=there,
    )  # fmt: skip
