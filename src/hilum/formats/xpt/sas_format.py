"""SAS formats as people write them, `DATE9.`, `8.2`, `$20.`, and which of them show a number as a date or time.

Source: SAS 9.4 Formats and Informats: Reference, "Formats by Category".
"""

from __future__ import annotations

import re
from typing import NamedTuple

from hilum.model.dataset import DataType

_SPELLED = re.compile(r"(.*?)([0-9]*)(?:\.([0-9]*))?", re.DOTALL)

DEFAULT = {DataType.DATE: "DATE9.", DataType.DATETIME: "DATETIME20.", DataType.TIME: "TIME8."}

_DATE = re.compile(
    r"DATE|DAY|DOWNAME|(DDMM|MMDD|YYMM)(YY|DD)?[BCDNPS]?|JULDAY|JULIAN|MONNAME|MONTH|MONYY|NENGO|QTRR?|"
    r"(MMYY|YYMM|YYQ|YYQR)[BCDNPS]?|YYMON|YEAR|YYWEEK[UVW]|WEEK(DATE|DATX|DAY|[UVW])|WORDDAT[EX]|HDATE|HEBDATE|MINGUO|"
    r"([BE]8601|IS8601)DA|EURDF(DE|DN|DWN|DD|MN|MY|WDX|WKX)|NLDATE\w*|PDJULG|PDJULI"
)
_DATETIME = re.compile(
    r"DATETIME|DATEAMPM|MDYAMPM|DTDATE|DTMONYY|DTWKDATX|DTYEAR|DTYYQC|([BE]8601|IS8601)(D[TNXZ]|LX)|EURDFDT|NLDATM\w*"
)
_TIME = re.compile(r"TIME|TIMEAMPM|HHMM|HOUR|MMSS|([BE]8601|IS8601)(T[MXZ]|LZ)|NLTIM(E|AP)\w*")


class SasFormat(NamedTuple):
    """Its name without width, the width and the number of decimals, 0 where none is said."""

    name: str = ""
    width: int = 0
    decimals: int = 0

    def __str__(self) -> str:
        if not any(self):
            return ""
        return f"{self.name}{self.width or ''}.{self.decimals or ''}"


def parse(text: str) -> SasFormat:
    """The parts of a format; any text has them, and `str` of them is the text as SAS would write it."""
    found = _SPELLED.fullmatch(text)
    if found is None:
        return SasFormat(text)
    name, width, decimals = found.groups()
    return SasFormat(name, int(width or 0), int(decimals or 0))


def calendar(name: str) -> DataType | None:
    """Date, datetime or time, where a format of this name shows a number as one."""
    upper = name.upper()
    for kind, names in ((DataType.DATETIME, _DATETIME), (DataType.DATE, _DATE), (DataType.TIME, _TIME)):
        if names.fullmatch(upper):
            return kind
    return None
