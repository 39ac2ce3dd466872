"""The tables of what people consent to at partners' authorization servers: what was begun, and what was given."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Column, ForeignKey, LargeBinary, Table, Text, UniqueConstraint

from hilum.store.schema import Id, metadata, own

consent_request = Table(  # somebody is on the way to an authorization server; gone once they come back
    "consent_request",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization", Id, ForeignKey("organization.id"), nullable=False),
    Column("integration", Id, nullable=False),
    Column("state", LargeBinary, nullable=False),  # the digest of what the server brings back
    Column("principal", JSON, nullable=False),  # who began it: kind, id, name, number
    Column("browser", LargeBinary),  # the digest of that browser's cookie; None: it was begun by a program
    Column("sealed", LargeBinary, nullable=False),  # verifier, endpoint, where they come back to, who may answer
    Column("until", BigInteger, nullable=False),
    UniqueConstraint("organization", "state"),
    own("integration"),
)

consent = Table(  # the tokens themselves are partner_token's
    "consent",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization", Id, ForeignKey("organization.id"), nullable=False),
    Column("integration", Id, nullable=False),
    Column("form", Text, nullable=False),  # a digest of the authentication as it is written (model/consent.py)
    Column("key", Text, nullable=False),  # of partner_token
    Column("scopes", JSON, nullable=False),  # that were given
    Column("given_at", BigInteger, nullable=False),
    Column("given_by", Text, nullable=False),
    Column("given_name", Text, nullable=False),
    Column("until", BigInteger),  # when it ends by itself; None: it is renewed as long as the server does so
    Column("lapsed_at", BigInteger),  # when the server took it no more
    UniqueConstraint("organization", "integration", "form"),
    own("integration"),
)
