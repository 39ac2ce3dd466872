"""Which rows of a table are meant: conditions on its variables, all of which must hold."""

from __future__ import annotations

import enum
import re
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hilum.errors import ConfigError


class Comparison(enum.StrEnum):
    """What a value is held against another one by. A missing value meets `missing` alone."""

    EQUAL = "eq"
    UNEQUAL = "ne"
    LESS = "lt"
    AT_MOST = "le"
    MORE = "gt"
    AT_LEAST = "ge"
    AMONG = "in"
    CONTAINS = "contains"
    STARTS = "starts"
    MISSING = "missing"
    PRESENT = "present"


Value = str | int | float | bool
_ALONE = frozenset({Comparison.MISSING, Comparison.PRESENT})
_SIGNS = {"=": "eq", "==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
_TEXT = re.compile(r"\s*([^\s<>=!]+)\s*(<=|>=|!=|==|=|<|>|\s(?:in|contains|starts|missing|present)\b)\s*(.*?)\s*", re.S)


class Condition(BaseModel):
    """`value`: what to compare with; a list for `in`, nothing for `missing` and `present`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    variable: str = Field(..., min_length=1, max_length=100, description="Of the table.")
    op: Comparison = Field(..., description="How it is compared.")
    value: Value | list[Value] | None = Field(None, description="With what; a list for `in`. Dates as ISO 8601.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.op is Comparison.AMONG) != isinstance(self.value, list):
            raise ValueError("`in` needs a list, what is not `in` has none")
        if (self.op in _ALONE) != (self.value is None):
            raise ValueError("`missing` and `present` have no value, all others need one")
        return self


def condition(text: str) -> Condition:
    """Of a text such as `AGE >= 65`, `SEX in F,M`, `AVAL missing`. Raises ConfigError."""
    found = _TEXT.fullmatch(text)
    if found is None:
        raise ConfigError(f"{text!r} is no condition; such as AGE>=65, 'SEX in F,M' or 'AVAL missing'", where="where")
    variable, sign, rest = found.groups()
    op = Comparison(_SIGNS.get(sign, sign.strip()))
    value: str | list[Value] | None = rest
    if op is Comparison.AMONG:
        value = [one.strip() for one in rest.split(",")]
    elif op in _ALONE:
        value = None
        if rest:
            raise ConfigError(f"{op} has no value", where="where")
    return Condition(variable=variable, op=op, value=value)
