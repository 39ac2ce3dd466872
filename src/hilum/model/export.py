"""An export: what was asked for, how it stands, and the way from one status to the next (ledger S1-16, S1-21)."""

from __future__ import annotations

import enum


class ExportKind(enum.StrEnum):
    """What is exported."""

    DATA = "data"
    DASHBOARD = "dashboard"
    REPORT = "report"
    BULK = "bulk"


class ExportStatus(enum.StrEnum):
    """Where an export stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"  # values that the format cannot represent were set aside
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"  # its file is gone, what was asked for stays known


_S = ExportStatus
EXPORT_TRANSITIONS: dict[ExportStatus, frozenset[ExportStatus]] = {
    _S.QUEUED: frozenset({_S.RUNNING, _S.CANCELLED, _S.FAILED}),
    _S.RUNNING: frozenset({_S.RUNNING, _S.SUCCEEDED, _S.PARTIAL, _S.FAILED, _S.CANCELLED}),  # a restart begins anew
    _S.SUCCEEDED: frozenset({_S.EXPIRED}),
    _S.PARTIAL: frozenset({_S.EXPIRED}),
    _S.FAILED: frozenset({_S.QUEUED}),  # tried again
    _S.CANCELLED: frozenset({_S.QUEUED}),
    _S.EXPIRED: frozenset(),
}
READY = frozenset({_S.SUCCEEDED, _S.PARTIAL})
"""There is a file to fetch."""
ENDED = frozenset({_S.SUCCEEDED, _S.PARTIAL, _S.FAILED, _S.CANCELLED, _S.EXPIRED})
