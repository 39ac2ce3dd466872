"""What a check of Define-XML reports, and every rule that it knows with its severity.

The texts name data sets, variables and rules, never a value of the data: `values` has those, which no log shall hold.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

Severity = Literal["error", "warning"]

RULES: dict[str, tuple[Severity, str]] = {
    "tables-none": ("error", "there is a data set"),
    "oid-twice": ("error", "no two definitions have one OID"),
    "name-twice": ("error", "no two data sets, and no two variables of one, have one name"),
    "name-empty": ("error", "what needs a name has one"),
    "reference-unknown": ("error", "what is referred to is defined"),
    "shape-wrong": ("error", "times, IDs, languages and numbers are such"),
    "term-unknown": ("error", "a word is of the list that Define-XML closes"),
    "key-twice": ("error", "places in a key count from 1, and no two variables have one"),
    "codes-none": ("error", "a code list has values or a dictionary"),
    "codes-mixed": ("error", "all values of a code list have decodes, or none has"),
    "codes-twice": ("error", "no two entries of a code list have one value"),
    "dataset-missing": ("error", "a data set that is defined is there"),
    "dataset-undefined": ("error", "a data set that is there is defined"),
    "dataset-data": ("error", "a data set has rows unless its definition says that it has no data"),
    "dataset-label": ("error", "a data set's label is the defined one"),
    "variable-missing": ("error", "a variable that is defined is there"),
    "variable-undefined": ("error", "a variable that is there is defined"),
    "variable-type": ("error", "a variable holds what its defined type says"),
    "variable-label": ("error", "a variable's label is the defined one"),
    "variable-length": ("warning", "a text's declared length is the defined one"),
    "variable-order": ("error", "variables stand in the defined order"),
    "variable-keys": ("error", "the key is the defined one"),
    "value-length": ("error", "no text is longer than its defined length"),
    "value-code": ("error", "every value is in the variable's code list"),
    "value-unchecked": ("warning", "few enough values were seen that all can be looked up in the code list"),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """`path` is `DM`, `DM.SEX`, or the OID of a definition that is neither; `rule` is a key of `RULES`."""

    path: str
    rule: str
    severity: Severity
    text: str
    values: tuple[str, ...] = dataclasses.field(default=(), repr=False)


def finding(path: str, rule: str, text: str, values: tuple[str, ...] = ()) -> Finding:
    """A finding with the severity of its rule."""
    return Finding(path, rule, RULES[rule][0], text, values)
