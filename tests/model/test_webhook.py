"""When a webhook is tried again, and which events it is told of."""

from __future__ import annotations

import pytest

from hilum.errors import ConfigError
from hilum.model import webhook

SECOND, MINUTE, HOUR = 1, 60, 3_600
SCHEDULE = [0, 5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR]


@pytest.mark.ledger_part("S0-39", "0 s, 5 s, 5 min, 30 min, 2, 5, 10, 14, 20, 24 hours, with jitter; then no more")
def test_the_schedule_and_its_jitter() -> None:
    assert list(webhook.DELAYS) == SCHEDULE
    for tried, wanted in enumerate(SCHEDULE):
        found = [webhook.delay(tried) for _ in range(200)]
        assert all(one is not None and 0.95 * wanted <= one <= 1.1 * wanted for one in found)
        assert len(set(found)) > 100 or wanted == 0, "those who failed together do not come back together"
    assert webhook.delay(len(SCHEDULE)) is None
    assert webhook.delay(len(SCHEDULE), retry_after=5) is None


@pytest.mark.ledger_part("S0-39", "Retry-After in place of the schedule, a second at least, a day at most")
@pytest.mark.parametrize(("asked", "waits"), [(90.0, 90.0), (0.0, 1.0), (10.0**9, 86_400.0)])
def test_who_asks_to_wait(asked: float, waits: float) -> None:
    assert webhook.delay(3, asked) == waits


@pytest.mark.ledger_part("S0-39", "subscriptions by the type of an event, by its noun, or to all")
def test_events_by_type() -> None:
    assert webhook.told("study.create", ["study.create"])
    assert webhook.told("study.create", ["lane.*", "study.*"])
    assert webhook.told("study.create", ["*"])
    assert not webhook.told("study.create", ["study.change", "lane.*"])
    assert not webhook.told("user.create", ["*"]), "people are the audit trail's alone"
    webhook.check_events(["*", "study.*", "integration-health.change"])
    for wrong in ("user.create", "study", "study.*.x", "**", ""):
        with pytest.raises(ConfigError):
            webhook.check_events([wrong])
