"""The tables of who may do what: studies, users, their roles, sessions, keys of machines.

`principal_index` has no organization's row policy: it is asked before anybody is known, and holds hashes and numbers.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from hilum.store.schema import Id, metadata, own

study = Table(
    "study",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uuid", Uuid, nullable=False, unique=True),
    Column("organization", Id, ForeignKey("organization.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("archived_at", BigInteger),
    UniqueConstraint("organization", "name"),
    UniqueConstraint("organization", "id"),  # what others refer to
)

user = Table(
    "user",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uuid", Uuid, nullable=False, unique=True),
    Column("organization", Id, ForeignKey("organization.id"), nullable=False),
    Column("email", Text, nullable=False),  # in lower case; what one signs in with
    Column("name", Text, nullable=False),  # as it is printed beside a signature
    Column("state", Text, nullable=False),  # invited, active, disabled; removed: for good, its id is never used again
    Column("password", Text),  # Argon2id
    Column("password_at", BigInteger),
    Column("totp", LargeBinary),  # the sealed secret, once it was confirmed
    Column("totp_step", BigInteger, nullable=False),  # the last step that was used: a code holds once
    Column("failures", Integer, nullable=False),
    Column("locked_until", BigInteger),
    Column("identity_proofed", Integer, nullable=False),  # 1: somebody saw an identity document (11.100(b))
    Column("version", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("signed_in_at", BigInteger),
    Index(  # an address may come back, as somebody else's
        "user_email", "organization", "email", unique=True,
        sqlite_where=text("state <> 'removed'"), postgresql_where=text("state <> 'removed'"),
    ),
    UniqueConstraint("organization", "id"),  # what others refer to
)  # fmt: skip

role_binding = Table(
    "role_binding",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization", Id, ForeignKey("organization.id"), nullable=False),
    Column("user", Id, nullable=False, index=True),
    Column("role", Text, nullable=False),
    Column("study", Id),
    own("user"),
    own("study"),
)

principal_index = Table(
    "principal_index",
    metadata,
    Column("hash", BigInteger, primary_key=True, autoincrement=False),  # keyed: of an e-mail address, of a key's id …
    Column("kind", Text, primary_key=True),  # email, oidc, api_key, session
    Column("organization", Id, primary_key=True, autoincrement=False),
    Column("number", Id, primary_key=True, autoincrement=False),  # the row of that kind
)

link = Table(  # one-time links: set a first password, set a new one
    "link",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization", Id, ForeignKey("organization.id"), nullable=False),
    Column("user", Id, index=True),  # None: it makes the hub's first administrator
    Column("digest", LargeBinary, nullable=False),  # SHA-256 of its token
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
    own("user"),
)

session = Table(
    "session",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uuid", Uuid, nullable=False, unique=True),
    Column("organization", Id, ForeignKey("organization.id"), nullable=False),
    Column("user", Id, nullable=False, index=True),
    Column("kind", Text, nullable=False),  # cookie (the console) or token (refreshed by its holder)
    Column("digest", LargeBinary, nullable=False),  # SHA-256 of the cookie or of the newest refresh token
    Column("generation", Integer, nullable=False),  # of the refresh token; an older one that comes back ends it all
    Column("created_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("proved_at", BigInteger, nullable=False),  # when all components were last given
    Column("signed_at", BigInteger),  # the first signature of the session had both components
    Column("ended_at", BigInteger),
    Column("ended_why", Text, nullable=False),
    Column("source", Text, nullable=False),
    own("user"),
)

api_key = Table(
    "api_key",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uuid", Uuid, nullable=False, unique=True),
    Column("organization", Id, ForeignKey("organization.id"), nullable=False),
    Column("name", Text, nullable=False),  # two of one name may hold at a time, so that it can be rotated
    Column("key_id", Text, nullable=False, unique=True),  # the part of the key that may be seen
    Column("digest", LargeBinary, nullable=False),  # HMAC-SHA256 of the whole key
    Column("role", Text, nullable=False),
    Column("study", Id),
    Column("scopes", JSON, nullable=False),  # permissions
    Column("allow", JSON, nullable=False),  # CIDR blocks; none: from anywhere
    Column("version", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires_at", BigInteger),
    Column("used_at", BigInteger),
    Column("revoked_at", BigInteger),
    Index("api_key_name", "organization", "name"),
    own("study"),
)

signing_key = Table(  # of access tokens; the hub's own, published as JWKS
    "signing_key",
    metadata,
    Column("id", Id, primary_key=True),
    Column("kid", Text, nullable=False, unique=True),
    Column("public", JSON, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("retired_at", BigInteger),
)

data_key = Table(
    "data_key",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization", Id, ForeignKey("organization.id"), nullable=False),
    Column("number", Integer, nullable=False),  # the key version that stands in front of what it sealed
    Column("provider", Text, nullable=False),  # what wrapped it: file, environment, vault, kms
    Column("wrapped_by", Text, nullable=False),  # the wrapping key's own id
    Column("wrapped", LargeBinary, nullable=False),
    Column("seals", BigInteger, nullable=False),  # that were given out so far: each one is a nonce that was used up
    Column("created_at", BigInteger, nullable=False),
    Column("retired_at", BigInteger),
    UniqueConstraint("organization", "number"),
)

credential = Table(
    "credential",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uuid", Uuid, nullable=False, unique=True),
    Column("organization", Id, ForeignKey("organization.id"), nullable=False),
    Column("study", Id),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("fields", JSON, nullable=False),  # what may be seen, such as a user name or a token's address
    Column("secrets", JSON, nullable=False),  # the names of those that may not
    Column("sealed", LargeBinary, nullable=False),
    Column("key", Integer, nullable=False),  # the number of the data key that sealed it
    Column("version", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("rotated_at", BigInteger, nullable=False),
    Column("rotate_every", Integer),  # days; None: nobody is reminded
    Column("used_at", BigInteger),
    Column("reminded_at", BigInteger),  # when it was last said that it is due
    Column("archived_at", BigInteger),
    UniqueConstraint("organization", "name"),
    own("study"),
)

certificate = Table(
    "certificate",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uuid", Uuid, nullable=False, unique=True),
    Column("organization", Id, ForeignKey("organization.id"), nullable=False),
    Column("study", Id),
    Column("name", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),  # SHA-256, in hexadecimal; empty while only requested
    Column("not_before", BigInteger),
    Column("not_after", BigInteger),
    Column("chain", Text, nullable=False),  # PEM, the leaf first; public
    Column("request", Text, nullable=False),  # the PEM of its CSR, where we made the key
    Column("sealed", LargeBinary),  # the private key; None: only a partner's or an authority's certificate
    Column("key", Integer),  # the number of the data key that sealed it
    Column("warned", Integer, nullable=False),  # days before expiry of the last warning; 0: none yet
    Column("version", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("archived_at", BigInteger),
    UniqueConstraint("organization", "name"),
    own("study"),
)
