"""What validation reports, and every rule that it knows with its usual severity.

The texts name places, rules and definitions, never a value of the message: they travel in ACKs and logs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Literal, get_args

from hilum.formats.hl7v2.ack import AckError
from hilum.formats.hl7v2.path import parse_path

Severity = Literal["error", "warning", "info"]

SEVERITIES: tuple[Severity, ...] = get_args(Severity)


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """A rule's usual severity, the error code of table 0357 that an ACK gives for it, and what it asks."""

    severity: Severity
    code: str
    text: str


RULES: dict[str, Rule] = {
    "version-unknown": Rule("error", "203", "MSH-12 names a version of HL7 v2"),
    "version-nearest": Rule("info", "203", "the version has definitions of its own; else the nearest is used"),
    "message-type-unknown": Rule("error", "200", "MSH-9.1 is a message type of the version"),
    "event-unknown": Rule("error", "201", "MSH-9.2 is a trigger event of the version"),
    "message-local": Rule("info", "200", "the type or event is of the standard; of a local one no order is known"),
    "structure-unknown": Rule("info", "200", "the version gives the event a structure; else no order is known"),
    "structure-mismatch": Rule("warning", "200", "MSH-9.3 is the structure of the event"),
    "segment-missing": Rule("error", "100", "a required segment is there"),
    "segment-order": Rule("error", "100", "a segment stands where the structure has it"),
    "segment-repeats": Rule("error", "198", "a segment or group is not repeated beyond its cardinality"),
    "segment-unexpected": Rule("error", "100", "a segment belongs to the structure"),
    "segment-unknown": Rule("error", "100", "a segment is one of the version, or a Z segment"),
    "segment-forbidden": Rule("error", "100", "a segment is not forbidden by the profile"),
    "field-missing": Rule("error", "101", 'a required field has a value; the null "" is one'),
    "field-repeats": Rule("error", "198", "a field is not repeated beyond its cardinality"),
    "field-unknown": Rule("warning", "102", "a field is defined by the version"),
    "field-withdrawn": Rule("warning", "102", "a field is not withdrawn in the version"),
    "field-length": Rule("warning", "104", "a field keeps to its length"),
    "component-missing": Rule("warning", "101", "a required component has a value"),
    "component-unknown": Rule("warning", "102", "a component or subcomponent is defined by the data type"),
    "component-length": Rule("warning", "104", "a component keeps to its length"),
    "data-type": Rule("error", "102", "a value can be read as its data type"),
    "value-type-missing": Rule("error", "101", "OBX-2 is valued where OBX-5 is"),
    "table-hl7": Rule("error", "103", "a coded value (ID, CNE) is in its HL7 table"),
    "table-user": Rule("warning", "103", "a coded value (IS, CE, CWE, CF) is in its suggested table"),
    "table-later": Rule("info", "103", "a coded value is known to its own version, not only to a later one"),
    "table-profile": Rule("error", "103", "a value is one of those that the profile lists"),
    "pattern": Rule("error", "102", "a value matches the profile's pattern"),
    "encoding": Rule("error", "102", "the bytes can be read in the message's character set"),
    "control-character": Rule("warning", "102", "a value has no control characters"),
    "delimiters": Rule("warning", "102", "MSH-2 declares distinct encoding characters"),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """`path` is written as `PV1`, `PID-7` or `OBX[3]-5[2].1`; `rule` is a key of `RULES`."""

    path: str
    rule: str
    severity: Severity
    text: str


def finding(path: str, rule: str, text: str) -> Finding:
    """A finding with the usual severity of its rule."""
    return Finding(path, rule, RULES[rule].severity, text)


def ack_errors(findings: Iterable[Finding]) -> list[AckError]:
    """The findings of severity error, for the ERR segments of an ACK."""
    return [
        AckError(RULES[one.rule].code, "E", _location(one.path), one.text)
        for one in findings
        if one.severity == "error"
    ]


def _location(path: str) -> str | None:
    """`path`, or None for a name that no segment can have."""
    try:
        return str(parse_path(path))
    except ValueError:
        return None
