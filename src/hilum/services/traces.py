"""What went over the wire, as people see it: all of it for those who may see payloads, the outline for all others."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from hilum import telemetry
from hilum.sdk import headers

_PLAIN = frozenset({
    "accept", "accept-encoding", "allow", "cache-control", "connection", "content-encoding", "content-length",
    "content-type", "date", "host", "retry-after", "server", "transfer-encoding", "user-agent", "vary",
})  # fmt: skip
"""Headers whose values are about the protocol and never about a person."""


@dataclasses.dataclass(frozen=True, slots=True)
class TraceTimings:
    """Milliseconds; null: not measured, or not needed."""

    total: float
    dns: float | None
    connect: float | None
    tls: float | None
    firstByte: float | None


@dataclasses.dataclass(frozen=True, slots=True)
class TraceView:
    """The last try. Bodies are their first 1,024 characters, null for those who may not see payloads.

    Secrets are *** for everybody; for those who may not see payloads also what a header says that may be about a
    person, and `url` is the endpoint's, without what was put into it. `statusLine` null: there was no answer.
    """

    method: str | None
    url: str
    requestHeaders: dict[str, str]
    requestBody: str | None
    statusLine: str | None
    responseHeaders: dict[str, str]
    responseBody: str | None
    timings: TraceTimings | None


def shown(found: Mapping[str, Any] | None, *, payload: bool) -> TraceView | None:
    """A trace as it is stored; None where there is none."""
    if found is None:
        return None
    times = found.get("timings")
    return TraceView(
        method=found["method"], url=found["url"] if payload else found["endpoint"],
        requestHeaders=_headers(found["headers"], payload), requestBody=found["body"] if payload else None,
        statusLine=_status_line(found, payload), responseHeaders=_headers(found["answered"], payload),
        responseBody=found["answer"] if payload else None,
        timings=None if times is None else TraceTimings(
            times["total"], times["dns"], times["connect"], times["tls"], times["first_byte"]
        ),
    )  # fmt: skip


def _headers(given: Mapping[str, str], payload: bool) -> dict[str, str]:
    """A name is no secret; one that holds a secret is masked once more, whoever wrote it."""
    return {
        name: telemetry.MASK if headers.is_secret(name) or not (payload or name.lower() in _PLAIN) else value
        for name, value in given.items()
    }


def _status_line(found: Mapping[str, Any], payload: bool) -> str | None:
    """As HTTP/1.1 has it; of other protocols the code, whose text may name a patient."""
    if found["status"] is None:
        return None
    if found["method"] is not None:
        return f"HTTP/1.1 {found['status']} {found['reason']}".rstrip()
    return str(found["reason"] if payload else found["reason"].partition(":")[0]) or str(found["status"])
