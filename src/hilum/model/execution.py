"""One request to an endpoint that was asked for through the API, with what became of it (ledger S3-51)."""

from __future__ import annotations

import enum


class ExecutionState(enum.StrEnum):
    """Stored at once as `executing`; every other state is final."""

    EXECUTING = "executing"
    COMPLETED = "completed"  # the partner answered 2xx or 3xx
    FAILED = "failed"  # it answered otherwise or not at all, or nobody knows (the hub was killed meanwhile)
    CANCELLED = "cancelled"  # a person called it off; the partner may have taken it all the same
    TIMEOUT = "timeout"  # no answer in time: a failure too


_S = ExecutionState
EXECUTION_TRANSITIONS: dict[ExecutionState, frozenset[ExecutionState]] = {
    _S.EXECUTING: frozenset({_S.COMPLETED, _S.FAILED, _S.CANCELLED, _S.TIMEOUT}),
    _S.COMPLETED: frozenset(),
    _S.FAILED: frozenset(),
    _S.CANCELLED: frozenset(),
    _S.TIMEOUT: frozenset(),
}

FAILURES = frozenset({_S.FAILED, _S.TIMEOUT})
"""What counts as failed. Cancelled and executing ones count as neither (S3-66, S4-97)."""
