"""Values of a column as ODM has them, and back: whole columns at a time.

| type | ODM's text |
|---|---|
| integer, decimal | digits; a decimal has no exponent |
| float, double | the fewest digits that tell the number, `INF`, `-INF`, `NaN` |
| float of 1.3.2 | which is an `xs:decimal`: the same without exponent, and none of these words |
| boolean | `true`, `false` |
| date, datetime, time | ISO 8601, of SAS's counts too; of text, parts may be left out, and intervals are taken |

A missing value has no text. An empty text is one, where the variable is text, a URI, or ISO 8601 text.
Source: CDISC ODM 1.3.2, 2.14 "Data Formats"; ODM 2.0, "Data Types"; XML Schema part 2, 3.2.
"""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from hilum.errors import DataError
from hilum.formats import cells, inference, missing, sas_time
from hilum.formats.cells import Refuse
from hilum.formats.odm.version import Version
from hilum.formats.plain_xml import REASON, unfit
from hilum.model.dataset import CALENDAR, DataType, Variable

_LONGEST = 1_600_000  # bytes; libxml2 takes an element of 10 MB unless told otherwise, and quotes become six
_NOTHING = pa.scalar(None, pa.string())
_DECIMAL = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)$"
_DAY = "(?:[0-9]{4}|-)(?:-(?:[0-9]{2}|-)){0,2}"  # what is not known is left out at the end, or a hyphen
_CLOCK = r"(?:[0-9]{2}|-)(?::(?:[0-9]{2}|-)){0,2}(?:\.[0-9]+)?(?:Z|[+-][0-9]{2}:[0-9]{2})?"
_MOMENT = f"{_DAY}(?:T{_CLOCK})?"
_CALENDAR = f"^(?:{_MOMENT}(?:/{_MOMENT})?|{_CLOCK})?$"
_WORDS = ((r"^(?i:\+?inf)$", "INF"), (r"^(?i:-inf)$", "-INF"), (r"^(?i:nan)$", "NaN"))
_TEXTS = (DataType.STRING, DataType.URI)
_REALS = (DataType.FLOAT, DataType.DOUBLE)


def texts(column: pa.Array, variable: Variable, version: Version, refuse: Refuse, row: int) -> pa.Array:
    """The column as ODM's text, nulls left out; `row` rows went before. What ODM or XML cannot hold is refused."""
    if variable.type in _REALS:
        return _reals(column, variable, version, refuse, row)
    found = cells.text(column, variable, refuse, row, letters=False)
    if variable.type in _TEXTS:
        found = _without(found, unfit(found), variable, refuse, row, REASON)
        long = pc.indices_nonzero(pc.greater(pc.binary_length(found), _LONGEST)).to_pylist()
        return _without(found, long, variable, refuse, row, "a text of more than 1.6 MB is too long for readers of XML")
    if variable.type is DataType.DECIMAL:
        return _shaped(found, _DECIMAL, variable, refuse, row, "it is no decimal number without an exponent")
    if variable.type in CALENDAR and not variable.counted:
        return _shaped(found, _CALENDAR, variable, refuse, row, f"it is no {variable.type} of ISO 8601")
    return found


def letters(column: pa.Array) -> pa.Array | None:
    """The letter of each special missing value of SAS; None where a column has none."""
    codes = cells.special(column) if pa.types.is_floating(column.type) else None
    if codes is None or not cells.missing_mask(codes).any():
        return None
    named = pa.array([chr(code) if chr(code) in missing.LETTERS else None for code in range(256)])
    return named.take(pa.array(codes))


def values(found: pa.Array, variable: Variable, row: int) -> pa.Array:
    """Texts of a file, `.A` for a special missing value, as a batch holds them; `row` rows went before.

    Raises DataError for the first one that is no value of the type.
    """
    if variable.type in _TEXTS:
        return found
    plain = pc.utf8_trim_whitespace(found)
    if variable.type in CALENDAR and not variable.counted:
        _demand(pc.match_substring_regex(plain, _CALENDAR), variable, row)
        return plain
    plain = pc.if_else(pc.equal(plain, ""), _NOTHING, plain)
    if variable.type is DataType.DECIMAL:
        _demand(pc.match_substring_regex(plain, _DECIMAL), variable, row)
        return plain
    if variable.counted:
        return _counts(plain, variable, row)
    if variable.type is DataType.BOOLEAN:
        plain = pc.if_else(pc.equal(plain, "1"), "true", pc.if_else(pc.equal(plain, "0"), "false", plain))
    elif variable.type is DataType.INTEGER:
        plain = pc.replace_substring_regex(plain, r"^\+", "")
    else:
        plain = pc.replace_substring_regex(plain, r"([0-9])[Dd]([+-]?[0-9])", r"\1E\2")  # an exponent, in 1.3.2
    return inference.convert(plain, variable.type, variable.name, row)


def _reals(column: pa.Array, variable: Variable, version: Version, refuse: Refuse, row: int) -> pa.Array:
    found = pc.if_else(pc.is_nan(column), _NOTHING, pc.cast(column, pa.string()))
    codes = cells.special(column)
    if codes is not None:  # a NaN that is no missing value
        found = pc.if_else(pa.array(codes == 255), "NaN", found)
    narrow = variable.type is DataType.FLOAT and not version.exponents
    odd = pc.match_substring_regex(found, "[a-zA-Z]")
    if not pc.any(odd).as_py():
        return found
    for pattern, word in _WORDS:
        found = pc.replace_substring_regex(found, pattern, word)
    if not narrow:
        return found
    changed = found.to_pylist()
    for place in pc.indices_nonzero(odd).to_pylist():
        if "N" in changed[place]:
            refuse(row + place + 1, variable.name, changed[place], "a float of ODM 1.3.2 is a decimal number")
            changed[place] = None
        else:
            changed[place] = f"{Decimal(changed[place]):f}"
    return pa.array(changed, pa.string())


def _counts(plain: pa.Array, variable: Variable, row: int) -> pa.Array:
    letter = pc.fill_null(pc.match_substring_regex(plain, r"^\.[_A-Z]$"), False)
    found, wrong = sas_time.counts(pc.if_else(letter, _NOTHING, plain), variable.type)
    if wrong:
        reason = f"it is no complete {variable.type} of ISO 8601 without a time zone"
        raise DataError(reason, row=row + wrong[0] + 1, variable=variable.name)
    if not pc.any(letter).as_py():
        return found
    special = found.to_pylist()
    for place in pc.indices_nonzero(letter).to_pylist():
        special[place] = missing.special(plain[place].as_py()[1])
    return pa.array(special, pa.float64(), from_pandas=False)


def _shaped(found: pa.Array, shape: str, variable: Variable, refuse: Refuse, row: int, reason: str) -> pa.Array:
    right = pc.fill_null(pc.match_substring_regex(found, shape), True)
    wrong = [] if pc.all(right).as_py() is not False else pc.indices_nonzero(pc.invert(right)).to_pylist()
    return _without(found, wrong, variable, refuse, row, reason)


def _without(found: pa.Array, wrong: list[int], variable: Variable, refuse: Refuse, row: int, reason: str) -> pa.Array:
    """Refuse what stands in these places; where that returns, it is missing."""
    if not wrong:
        return found
    left = found.to_pylist()
    for place in wrong:
        refuse(row + place + 1, variable.name, left[place], reason)
        left[place] = None
    return pa.array(left, pa.string())


def _demand(right: pa.Array, variable: Variable, row: int) -> None:
    place = pc.index(right, False).as_py()
    if place >= 0:
        raise DataError(f"this is no {variable.type}", row=row + place + 1, variable=variable.name)
