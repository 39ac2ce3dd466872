"""How long each class of what the hub writes is kept: usually, at least, and why (ledger S4-65…S4-70, C-19).

Where two rules fit, the longer one wins, and a legal hold beats both. An organization keeps things for longer as it
likes; below a class's least nothing goes. What has patients' data and no rule that wants it kept may go sooner (GDPR,
article 5(1)(e)).
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Literal

from hilum import clock
from hilum.errors import ConfigError

DAY = 86_400_000_000  # microseconds
MOST = {"days": 36_500, "years": 100}

Unit = Literal["days", "years"]
Class = Literal[
    "bodies", "audit_events", "archives", "subject_exports", "integration_logs", "diagnostics", "test_results",
    "health_results", "executions", "execution_bodies", "webhook_deliveries", "sessions", "jobs",
]  # fmt: skip


def years_before(now: int, count: int) -> int:
    """So many years of the calendar before a moment (microseconds); of a 29th of February the 28th."""
    moment = clock.from_micros(now)
    day = 28 if (moment.month, moment.day) == (2, 29) else moment.day
    return now - (moment - moment.replace(year=moment.year - count, day=day)) // datetime.timedelta(microseconds=1)


@dataclasses.dataclass(frozen=True, slots=True)
class Kept:
    """A class. `setting`: its number in an organization's settings; empty: `why` says where it comes from instead."""

    setting: str
    unit: Unit
    usual: int
    least: int
    what: str
    why: str

    def cutoff(self, now: int, number: int) -> int:
        """The moment (microseconds) up to which things are due that are kept for this number of days or years."""
        return years_before(now, number) if self.unit == "years" else now - number * DAY

    def check(self, number: int) -> None:
        """Raises ConfigError where something would go too soon, or would be kept for longer than can be said."""
        if number < self.least:
            text = f"at least {self.least} {self.unit}, not {number}: {self.why}"
            raise ConfigError(f"{self.what} are kept for {text}", where="keep")
        if number > MOST[self.unit]:
            raise ConfigError(f"{MOST[self.unit]} {self.unit} at most", where="keep")


CLASSES: Mapping[Class, Kept] = {
    "bodies": Kept("", "days", 90, 1, "bodies of messages",
                   "the configuration says it (retention.bodies), and a route may say its own"),
    "audit_events": Kept("audit_years", "years", 7, 7, "audit events, with changes of configuration and signatures",
                         "changes are evidence for seven years, and HIPAA wants its documents for six"),
    "archives": Kept("archive_years", "years", 7, 1, "archives of bodies", "an archive for less than a year is none"),
    "subject_exports": Kept("", "days", 7, 7, "exports about a person", "who asked fetches it within a week"),
    "integration_logs": Kept("log_years", "years", 7, 7, "lines of the integration log",
                             "records of healthcare are kept for seven years"),
    "diagnostics": Kept("diagnostic_years", "years", 3, 3, "diagnostics of errors",
                        "they are for troubleshooting, which goes back three years; the line itself stays longer"),
    "test_results": Kept("test_years", "years", 7, 7, "results of tests", "audits ask for seven years of them"),
    "health_results": Kept("health_years", "years", 1, 1, "results of health checks",
                           "monitoring looks back a year; changes of health are audit events, and stay longer"),
    "executions": Kept("execution_years", "years", 7, 7, "executions, without what was sent and answered",
                       "they are part of the integration log"),
    "execution_bodies": Kept("execution_body_days", "days", 90, 1, "what executions sent and were answered",
                             "less than a day helps nobody"),
    "webhook_deliveries": Kept("webhook_days", "days", 90, 90, "deliveries of webhooks, with their tries",
                               "a receiver that lost some asks for them again within 90 days"),
    "sessions": Kept("session_years", "years", 1, 1, "sessions that ended",
                     "who looks into an incident needs to see a year of them"),
    "jobs": Kept("job_days", "days", 90, 30, "jobs that ended", "who asked for one may still look at its result"),
}  # fmt: skip
