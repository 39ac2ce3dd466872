"""Tables as CSV (RFC 4180, UTF-8) that a spreadsheet shows and does not run."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

MEDIA_TYPE = "text/csv"
_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a spreadsheet takes for the start of a formula; an apostrophe before it makes it text."""


def lines(rows: Iterable[Sequence[Any]]) -> bytes:
    """Rows, each ended by CRLF. What is a list or an object is written as JSON, nothing as nothing."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue().encode("utf-8", "replace")


def _cell(value: Any) -> str:
    if isinstance(value, Mapping | list):
        value = json.dumps(value, ensure_ascii=False) if value else ""
    text = "" if value is None else str(value)
    if isinstance(value, int | float):
        return text  # a number that begins with a minus is none the less a number
    return f"'{text}" if text.startswith(_STARTS) else text
