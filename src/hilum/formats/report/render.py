"""A report in any of its formats.

| format | files |
|---|---|
| pdf | one, or its parts |
| png, svg | a picture a page; of a board, one |
| xlsx | one: what it is, the figures, and a sheet a table and chart |
| csv | what it is, the figures, and a file a table and chart |
| json | one |
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from hilum.errors import ConfigError
from hilum.formats.report import content, pages, tables, workbook
from hilum.formats.report.document import Report
from hilum.formats.report.pages import Paper

MEDIA_TYPES = {
    "csv": "text/csv",
    "json": "application/json",
    "pdf": "application/pdf",
    "png": "image/png",
    "svg": "image/svg+xml",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_NAME = 60  # characters of a file's name


def render(report: Report, format: str, paper: Paper = Paper.A4) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Each file's name and its bytes, piece by piece; a file is to be read to its end before the next one.

    Raises ConfigError for a format that is none, or whose libraries are not installed; DataError, with row and
    variable, for a value that no report can hold.
    """
    if format not in MEDIA_TYPES:
        raise ConfigError(f"no report is {format!r}; it can be {', '.join(MEDIA_TYPES)}", where="format")
    known, name = content.identity(report), file_name(report.title)
    if format == "json":
        yield f"{name}.json", content.document(report, known)
    elif format == "csv":
        for ending, pieces in tables.csv(report, known):
            yield f"{name}-{ending}.csv", pieces
    elif format == "xlsx":
        yield f"{name}.xlsx", iter([workbook.xlsx(report, known)])
    else:
        made = pages.pdf(report, known, paper) if format == "pdf" else pages.pictures(report, known, format, paper)
        for ending, data in made:
            yield f"{name}{ending}.{format}", iter([data])


def file_name(title: str) -> str:
    """Letters, digits and hyphens that are a file's name everywhere."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_NAME].rstrip("-") or "report"
