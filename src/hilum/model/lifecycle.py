"""Where an integration stands in its life (ledger S2-45…S2-49). Health is another axis: connectivity never moves this.

initializing -> testing -> active <-> inactive
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

from hilum.errors import Conflict


class Lifecycle(enum.StrEnum):
    """`RUNS` says in which of them sources listen and lanes send."""

    INITIALIZING = "initializing"  # made, not initialised yet
    TESTING = "testing"  # its connectivity is being tested for the first time
    ACTIVE = "active"
    INACTIVE = "inactive"  # a person switched it off; deliveries wait
    ERROR = "error"  # it could not be initialised, or failed too often in a row
    ARCHIVED = "archived"  # deleted, but for what must be kept


class Health(enum.StrEnum):
    """What the last checks found."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"


_L = Lifecycle
LIFECYCLE_TRANSITIONS: dict[Lifecycle, frozenset[Lifecycle]] = {
    _L.INITIALIZING: frozenset({_L.TESTING, _L.ACTIVE, _L.INACTIVE, _L.ERROR, _L.ARCHIVED}),
    _L.TESTING: frozenset({_L.ACTIVE, _L.INACTIVE, _L.ERROR, _L.ARCHIVED}),
    _L.ACTIVE: frozenset({_L.INACTIVE, _L.ERROR, _L.ARCHIVED}),
    _L.INACTIVE: frozenset({_L.TESTING, _L.ACTIVE, _L.ARCHIVED}),
    _L.ERROR: frozenset({_L.ACTIVE, _L.INACTIVE, _L.ARCHIVED}),
    _L.ARCHIVED: frozenset({_L.INACTIVE}),
}

RUNS = frozenset({Lifecycle.ACTIVE, Lifecycle.ERROR})
"""Here messages flow: an error of connectivity holds lanes by itself, and must not stop what still works."""


def check(before: Lifecycle, after: Lifecycle) -> None:
    """Raises Conflict where `after` may not follow."""
    if after not in LIFECYCLE_TRANSITIONS[before]:
        raise Conflict(f"an integration that is {before} cannot become {after}")


def health_of(successes: Sequence[bool]) -> Health:
    """All, some or none of the endpoints (ledger S3-62); without any nobody knows."""
    if not successes:
        return Health.UNKNOWN
    if all(successes):
        return Health.HEALTHY
    return Health.DEGRADED if any(successes) else Health.UNHEALTHY
