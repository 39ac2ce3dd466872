"""What somebody asks of a de-identification: which kind, with whose key, and what differs for single variables."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from collections.abc import Mapping

from hilum.errors import ConfigError

SHORTEST_KEY = 16  # bytes
OVER = 90  # years: from this age on people are one category (45 CFR 164.514(b)(2)(i)(C))


class Kind(enum.StrEnum):
    """How much is taken away.

    `safe-harbor`: the 18 classes of 45 CFR 164.514(b)(2). `pseudonymise`: ids are exchanged for keyed codes, direct
    identifiers go, dates stay; still personal data (GDPR Art. 4(5)). `date-shift`: the same, and each subject's dates
    move back by a number of days of its own; a limited data set (164.514(e)) or a case for an expert (164.514(b)(1)).
    """

    NONE = "none"
    SAFE_HARBOR = "safe-harbor"
    PSEUDONYMISE = "pseudonymise"
    DATE_SHIFT = "date-shift"


class Action(enum.StrEnum):
    """What becomes of a variable's values, or of a field's."""

    KEEP = "keep"
    DROP = "drop"
    YEAR = "year"  # of a date only its year; `90+` where it says that somebody is older than 89
    AGE = "age"  # 90 and more are one category
    ZIP3 = "zip3"  # the first three digits; 000 where few people live
    HASH = "hash"  # a code instead; under safe-harbor a number of this export, otherwise the project's pseudonym
    SHIFT = "shift"  # by the subject's own number of days
    SCRUB = "scrub"  # patterns and known values are taken out of text


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What is wanted. Raises ConfigError where it contradicts itself.

    `key` is the project's, 16 bytes at least, secret, the same for all exports whose codes shall agree. `export` names
    this one export: numbers of safe-harbor hold for it alone. `on` is the day of the export, from which it follows
    which years say that somebody is over 89. `subject` is the variable of the subject; empty: found by its name.
    `columns` overrides what is done with a variable, `text` what is done with free text (drop or scrub). `sparse`:
    three-digit ZIP areas of 20,000 people or fewer by the current census, beside those that `places` knows.
    """

    kind: Kind
    on: datetime.date
    key: bytes = dataclasses.field(default=b"", repr=False)
    export: str = ""
    subject: str = ""
    columns: Mapping[str, Action] = dataclasses.field(default_factory=dict)
    text: Action | None = None
    sparse: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        keyed = self.kind is not Kind.NONE or {Action.HASH, Action.SHIFT}.intersection(self.columns.values())
        if keyed and len(self.key) < SHORTEST_KEY:
            raise ConfigError(f"a de-identification needs a key of {SHORTEST_KEY} bytes at least", where="key")
        if self.kind is Kind.SAFE_HARBOR and not self.export:
            raise ConfigError("safe-harbor needs the export's id: its numbers hold for one export", where="export")
        if self.text not in (None, Action.DROP, Action.SCRUB):
            raise ConfigError("free text can be dropped or scrubbed", where="text")
        if any(len(area) != 3 or not (area.isascii() and area.isdigit()) for area in self.sparse):
            raise ConfigError("a ZIP area is three digits", where="sparse")

    @property
    def oldest(self) -> int:
        """The last year in which somebody was born who is, or becomes this year, older than 89."""
        return self.on.year - OVER
