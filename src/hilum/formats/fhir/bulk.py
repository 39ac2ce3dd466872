"""FHIR Bulk Data: a document taken apart into its resources, and the manifest of the files that hold them.

Source: HL7 FHIR Bulk Data Access (Flat FHIR) 2.0.0, "Bulk Data Output File Request" and "Bulk Data Status Request".
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from hilum.errors import FormatError

BUNDLE, OUTCOME = "Bundle", "OperationOutcome"
MANIFEST = "manifest.json"

_TYPE = re.compile(r"[A-Z][A-Za-z]{0,63}")


def is_resource(value: Any) -> bool:
    """Does it say which resource it is? What is in it is not looked at."""
    return (
        isinstance(value, dict) and isinstance(kind := value.get("resourceType"), str) and bool(_TYPE.fullmatch(kind))
    )


def resources(value: Any) -> Iterator[dict[str, Any] | None]:
    """The resource itself, or those of a Bundle, Bundles in it as well; None for an entry that holds none.

    Raises FormatError where something in it is no resource of FHIR.
    """
    if not is_resource(value):
        raise FormatError("this is no FHIR resource: it says no resourceType that FHIR could have")
    if value["resourceType"] != BUNDLE:
        yield value
        return
    entries = value.get("entry", [])
    if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
        raise FormatError("the entries of a Bundle are a list of objects")
    for one in entries:
        if "resource" in one:
            yield from resources(one["resource"])
        else:
            yield None


def file_name(kind: str) -> str:
    """Of the file with the resources of a type."""
    return f"{kind}.ndjson"


def manifest(counts: Mapping[str, int], created: datetime.datetime, request: str) -> bytes:
    """Of files with so many resources of each type. Addresses are the files' names: the manifest lies beside them.

    What FHIR calls OperationOutcome is no data: the guide wants it in `error`.
    """
    told = [{"type": kind, "url": file_name(kind), "count": many} for kind, many in sorted(counts.items())]
    document = {
        "transactionTime": created.isoformat(),
        "request": request,
        "requiresAccessToken": False,
        "output": [one for one in told if one["type"] != OUTCOME],
        "deleted": [],
        "error": [one for one in told if one["type"] == OUTCOME],
    }
    return json.dumps(document, indent=2).encode() + b"\n"
