"""Reports: what happened in a time, or how things stand, for people and for the file. One a file."""

from __future__ import annotations

from collections.abc import Mapping

from hilum.exporting.definition import Definition
from hilum.exporting.reports import (
    audit_trail,
    availability,
    connections,
    disclosures,
    integration_activity,
    validation_pack,
)

REPORTS: Mapping[str, Definition] = {
    one.name: one
    for one in (
        audit_trail.REPORT, availability.REPORT, connections.REPORT, disclosures.REPORT, integration_activity.REPORT,
        validation_pack.REPORT,
    )
}  # fmt: skip
"""Every report, by name."""
