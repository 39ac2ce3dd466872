"""The forms that audit events leave in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hilum import __version__
from hilum.formats import cef, ocsf
from hilum.formats.fhir import audit_event
from hilum.security.canonical import canonical

Sealed = tuple[int, dict[str, Any]]
"""An event and its position in its organization's chain."""


def document(form: str, one: Sealed) -> Mapping[str, Any]:
    """An event as an object of JSON, for every form but CEF."""
    position, event = one
    if form == "fhir":
        return audit_event.resource(event)
    return ocsf.event(event, position, __version__) if form == "ocsf" else event


def written(form: str, one: Sealed) -> str:
    """An event as one line."""
    if form == "cef":
        return cef.event(one[1], one[0], __version__)
    return canonical(document(form, one)).decode()
