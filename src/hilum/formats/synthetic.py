"""What says in a payload that a test made it: HL7 v2 by its processing id, FHIR by a security label.

HL7 v2: MSH-11.1 is T (training) or D (debugging), chapter 2, table 0103. FHIR R4: `meta.security` has HTEST of the code
system v3-ActReason.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hilum.errors import FormatError
from hilum.formats import hl7v2

PROCESSING = frozenset({b"T", b"D"})
LABEL = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HTEST"}
HEADERS = {"X-Hilum-Synthetic": "true"}
"""What an HTTP partner is told beside it, whatever the payload is."""


def says(data: Any) -> bool:
    """Whether an execution's data, JSON or text, says so."""
    if isinstance(data, str) and data.startswith("MSH"):
        return _trained(data.partition("\r")[0].partition("\n")[0].encode("utf-8", "replace"))
    return isinstance(data, dict) and "resourceType" in data and _labelled(data)


def mark(body: bytes) -> bytes:
    """`body` with the mark of its standard; unchanged where it has it, or its standard has none.

    Raises FormatError for HL7 v2 that cannot be read: nothing could be put in there.
    """
    if body.startswith(b"MSH"):
        if _trained(body):
            return body
        message = hl7v2.Message.parse(body)
        message.set("MSH-11.1", "T")
        return bytes(message)
    if not body.startswith(b"{"):
        return body
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return body
    if "resourceType" not in document:
        return body
    for one in _resources(document):
        if not _labelled(one):
            meta = one["meta"] = one["meta"] if isinstance(one.get("meta"), dict) else {}
            meta["security"] = [*_labels(one), LABEL]
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _trained(body: bytes) -> bool:
    try:
        message = hl7v2.Message.parse(body)
    except FormatError:
        return False
    return message.header[11].partition(message.delimiters.component)[0] in PROCESSING


def _resources(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A resource; of a Bundle those in it as well, since a server takes it apart."""
    yield document
    entries = document.get("entry") if document["resourceType"] == "Bundle" else None
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("resource"), dict):
            yield entry["resource"]


def _labels(resource: dict[str, Any]) -> list[Any]:
    meta = resource.get("meta")
    found = meta.get("security") if isinstance(meta, dict) else None
    return found if isinstance(found, list) else []


def _labelled(resource: dict[str, Any]) -> bool:
    return any(isinstance(one, dict) and one.get("code") == LABEL["code"] for one in _labels(resource))
