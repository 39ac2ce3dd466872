"""A small data set as bytes of Dataset-JSON."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import pytest

WORDS: dict[str, Any] = {
    "datasetJSONCreationDateTime": "2026-03-01T12:30:05Z",
    "datasetJSONVersion": "1.1.0",
    "itemGroupOID": "IG.ADX",
    "records": 3,
    "name": "ADX",
    "label": "Example",
    "columns": [
        {"itemOID": name, "name": name, "label": "", "dataType": kind, **({"targetDataType": target} if target else {})}
        for name, kind, target in [
            ("ID", "string", None),
            ("SEQ", "integer", None),
            ("AVAL", "float", None),
            ("DOSE", "decimal", "decimal"),
            ("FLAG", "boolean", None),
            ("DTC", "date", None),
            ("ADT", "date", "integer"),
            ("LINK", "URI", None),
        ]
    ],
}
ROWS: list[list[Any]] = [
    ['é,]"[', 1, 1.5, "30.8983333232059", True, "2014-01", "2014-01-02", "urn:a"],
    ["", -(2**63), -7, "-0.10", False, "", None, ""],
    [None, None, None, None, None, None, "", None],
]
READ = [
    ['é,]"[', 1, 1.5, "30.8983333232059", True, "2014-01", 19725.0, "urn:a"],
    ["", -(2**63), -7.0, "-0.10", False, "", None, ""],
    [None, None, None, None, None, None, None, None],
]


def _file(form: str, rows: list[Any] | None = None, **changed: Any) -> bytes:
    rows = ROWS if rows is None else rows
    words = {**WORDS, "records": len(rows), **changed}
    if form == "json":
        return json.dumps({**words, "rows": rows}).encode()
    lines = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in [words, *rows]).encode()
    return {"gzip": gzip.compress, "zlib": zlib.compress, "ndjson": bytes}[form](lines)


@pytest.fixture(scope="session")
def file() -> Callable[..., bytes]:
    """Makes a file of a form (json, ndjson, gzip, zlib), of other rows, or with other words."""
    return _file


@pytest.fixture(scope="session")
def words() -> dict[str, Any]:
    return WORDS


@pytest.fixture(scope="session")
def rows() -> list[list[Any]]:
    """The rows as they stand in the file."""
    return ROWS


@pytest.fixture(scope="session")
def held() -> list[list[Any]]:
    """The rows as a batch holds them."""
    return READ
