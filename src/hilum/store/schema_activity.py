"""The tables of how endpoints are used: executions, their blobs, the activity log, what connectivity tests found.

Sealed columns stand last: a range is counted without reading them. The wide indexes answer analytics by themselves.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)

from hilum.store.schema import Id, metadata, own

execution = Table(
    "execution",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uuid", Uuid, nullable=False, unique=True),
    Column("organization", Id, ForeignKey("organization.id"), nullable=False),
    Column("integration", Id, nullable=False),
    Column("endpoint", Id, nullable=False),
    Column("status", Text, nullable=False),  # executing, completed, failed, cancelled, timeout
    Column("started_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("duration", BigInteger),  # microseconds of all attempts, the pauses between them included
    Column("status_code", Integer),
    Column("fault", Text),
    Column("attempts", Integer, nullable=False),
    Column("correlation", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("request", LargeBinary, nullable=False),  # sealed: what was to be sent
    Column("response", LargeBinary),  # sealed: what the partner answered
    Column("told", LargeBinary),  # sealed: why it failed, and its attempts
    Column("synthetic", SmallInteger, nullable=False, server_default="0"),  # 1: a test's; analytics leave it out
    Index("execution_integration", "integration", "started_at", "status", "duration", "endpoint", "synthetic"),
    Index("execution_organization", "organization", "started_at", "status", "duration", "integration", "synthetic"),
    Column("forgotten", SmallInteger, nullable=False, server_default="0"),  # 1: retention removed what was sent
    Column("trace", LargeBinary),  # sealed: what went over the wire where it failed
    Index("execution_own", "organization", "id", unique=True),  # what others refer to
    # what retention has yet to empty
    Index("execution_body", "organization", "started_at", sqlite_where=text("forgotten = 0"),
          postgresql_where=text("forgotten = 0")),
    Index("execution_told", "organization", "started_at", sqlite_where=text("told IS NOT NULL"),
          postgresql_where=text("told IS NOT NULL")),
    own("integration"),
    own("endpoint"),
)  # fmt: skip

execution_blob = Table(  # a body that is too large for its execution's row
    "execution_blob",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uuid", Uuid, nullable=False, unique=True),
    Column("organization", Id, ForeignKey("organization.id"), nullable=False),
    Column("execution", Id, nullable=False),
    Column("content", LargeBinary, nullable=False),  # sealed
    Index("execution_blob_execution", "organization", "execution"),
    own("execution"),
)

activity_log = Table(
    "activity_log",
    metadata,
    Column("id", Id, primary_key=True),
    Column("uuid", Uuid, nullable=False, unique=True),
    Column("organization", Id, ForeignKey("organization.id"), nullable=False),
    Column("integration", Id, nullable=False),
    Column("endpoint", Id),
    Column("execution", Id),
    Column("stamp", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),  # execute, test, check
    Column("level", Text, nullable=False),  # debug, info, warn, error
    Column("outcome", Text, nullable=False),  # success, failure
    Column("status", Text, nullable=False),  # the execution's; of a test success or failed
    Column("status_code", Integer),
    Column("duration", BigInteger),  # microseconds
    Column("attempt", Integer, nullable=False),  # 0: of no single one
    Column("fault", Text),
    Column("correlation", Text, nullable=False),
    Column("error", LargeBinary),  # sealed: a partner's words
    Index("activity_log_integration", "integration", "stamp", "id"),
    Index("activity_log_error", "organization", "stamp", sqlite_where=text("error IS NOT NULL"),
          postgresql_where=text("error IS NOT NULL")),
    # failures are counted by class and endpoint without reading what went well
    Index("activity_log_failure", "integration", "stamp", "endpoint", "fault",
          sqlite_where=text("outcome = 'failure'"), postgresql_where=text("outcome = 'failure'")),
    # whoever removes an execution must find its entries: they point to it
    Index("activity_log_execution", "execution", sqlite_where=text("execution IS NOT NULL"),
          postgresql_where=text("execution IS NOT NULL")),
    own("integration"),
    own("endpoint"),
    own("execution"),
)  # fmt: skip

probe_result = Table(
    "probe_result",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization", Id, ForeignKey("organization.id"), nullable=False),
    Column("integration", Id, nullable=False),
    Column("endpoint", Id, nullable=False),
    Column("stamp", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),  # test, check
    Column("success", Integer, nullable=False),
    Column("duration", BigInteger),  # microseconds; None: nobody was asked
    Column("status_code", Integer),
    Column("fault", Text),
    Column("told", LargeBinary, nullable=False),  # sealed: the whole result
    Index("probe_result_integration", "integration", "endpoint", "id"),
    Index("probe_result_organization", "organization", "kind", "stamp"),
    own("integration"),
    own("endpoint"),
)
