"""Webhooks: what is told of, when a delivery is tried again, when a subscription is given up."""

from __future__ import annotations

import dataclasses
import enum
import random
import re
from collections.abc import Iterable

from hilum.errors import ConfigError

DELAYS = (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Seconds before each try of a delivery, from the one before it (Standard Webhooks 1.0, deliverability)."""

PATIENCE = 5 * 86_400_000_000
"""Microseconds of nothing but failures after which a subscription is disabled."""

OVERLAP = 86_400_000_000
"""Microseconds that a secret still holds after it was rotated."""

LONGEST_WAIT = 86_400.0
"""Seconds that a receiver may ask us to wait."""

KEPT = 90 * 86_400_000_000
"""Microseconds that an event is kept; of ended deliveries the organization's retention says it (ledger S4-70)."""

DISABLED = "webhook.disabled"
TEST = "webhook.test"

NOUNS = frozenset({
    "integration", "integration-health", "vendor", "configuration", "credential", "certificate", "lane", "message",
    "execution", "consent", "study", "approval", "signature", "legal-hold", "archive", "webhook",
})  # fmt: skip
"""What events are about. People, their keys and their sessions are the audit trail's alone."""

_PATTERN = re.compile(r"([a-z][a-z-]{0,40})\.(\*|[a-z_][a-z_-]{0,40})")


class SubscriptionState(enum.StrEnum):
    ACTIVE = "active"
    DISABLED = "disabled"  # nothing is queued; what waits rests


class DeliveryState(enum.StrEnum):
    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"  # after its last try; it can be replayed


DELIVERY_TRANSITIONS: dict[DeliveryState, frozenset[DeliveryState]] = {
    DeliveryState.WAITING: frozenset({DeliveryState.WAITING, DeliveryState.DELIVERED, DeliveryState.FAILED}),
    DeliveryState.DELIVERED: frozenset({DeliveryState.WAITING}),  # replayed
    DeliveryState.FAILED: frozenset({DeliveryState.WAITING}),
}


def check_events(patterns: Iterable[str]) -> None:
    """`*`, `integration.*` or `integration.create`. Raises ConfigError."""
    for number, pattern in enumerate(patterns):
        found = _PATTERN.fullmatch(pattern)
        if pattern != "*" and (found is None or found[1] not in NOUNS):
            known = ", ".join(sorted(NOUNS))
            raise ConfigError(f"{pattern!r} is neither * nor NOUN.VERB of {known}", where=f"events[{number}]")


def told(topic: str, patterns: Iterable[str]) -> bool:
    """Whether an event of this topic is one of those."""
    noun = topic.partition(".")[0]
    return noun in NOUNS and any(one in ("*", f"{noun}.*", topic) for one in patterns)


def delay(tried: int, retry_after: float | None = None) -> float | None:
    """Seconds before the next try after `tried` ones; None: there is none. What the receiver asked for wins."""
    if tried >= len(DELAYS):
        return None
    if retry_after is not None:
        return min(max(retry_after, 1.0), LONGEST_WAIT)
    return DELAYS[tried] * random.uniform(0.95, 1.1)


@dataclasses.dataclass(frozen=True, slots=True)
class EventId:
    """Where a received webhook says which event it is: a header, or a path into its JSON such as data.id."""

    header: str | None = None
    path: str | None = None
