"""A vendor: who makes or runs the systems at the other end, and what was agreed with them (ledger S0-05)."""

from __future__ import annotations

import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from hilum.model.configuration import UNSEEN

Line = Annotated[str, StringConstraints(max_length=200, pattern=rf"^[^{UNSEEN}]*$")]
WARNINGS = (60, 30, 14, 7, 1)
"""Days before an agreement or a piece of evidence ends on which people are told."""


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Contact(Part):
    name: Line = Field(..., min_length=1)
    email: Line = Field("", description="Where to write.")
    phone: Line = ""
    role: Line = Field("", description="Such as support, privacy or contracts.")


class Agreement(Part):
    """`kind`: BAA (HIPAA), DPA (GDPR, article 28), or what else was signed."""

    kind: Literal["BAA", "DPA", "contract", "other"]
    reference: Line = Field(..., min_length=1, description="Its number, or where it is kept.")
    signed_on: datetime.date | None = None
    ends_on: datetime.date | None = Field(
        None, description="The last day; people are told 60, 30, 14, 7, 1 days before."
    )


class Evidence(Part):
    """What the vendor shows of its own assurance: ISO 27001, DSPT, SOC 2 …"""

    kind: Line = Field(..., min_length=1)
    reference: Line = Field(..., min_length=1)
    ends_on: datetime.date | None = None


class Vendor(Part):
    """What is known of one."""

    name: Line = Field(..., min_length=1, description="As integrations name it in `provider`.")
    owner: Line = Field("", description="Who of our own people answers for it.")
    contacts: list[Contact] = Field([], max_length=50)
    agreements: list[Agreement] = Field([], max_length=50)
    evidence: list[Evidence] = Field([], max_length=50)
    notes: Annotated[str, StringConstraints(max_length=2_000)] = ""

    def ending(self, today: datetime.date) -> dict[str, int]:
        """Days that are left of each agreement and piece of evidence that ends within the first warning."""
        found = {}
        ends: list[Agreement | Evidence] = [*self.agreements, *self.evidence]
        for one in ends:
            if one.ends_on is not None and (left := (one.ends_on - today).days) <= WARNINGS[0]:
                found[f"{one.kind} {one.reference}"] = left
        return found


def due(left: int, told: int | None) -> int | None:
    """The warning that is to be given now, days before the end; None: it was given, or it is not time."""
    passed = [one for one in WARNINGS if left <= one]
    if not passed or (told is not None and told <= passed[-1]):
        return None
    return passed[-1]
