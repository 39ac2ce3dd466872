"""One request and its answer as they went over the wire, for whoever looks into a failure. Secrets never get in."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from urllib.parse import parse_qsl, urlencode, urlsplit

from hilum import telemetry
from hilum.sdk import headers

FIRST = 1_024
"""Characters of a body that a trace shows."""
_LOOKED_AT = 4 * FIRST  # bytes: what is secret is found before the cut goes through it


@dataclasses.dataclass(frozen=True, slots=True)
class Trace:
    """`method` None: its protocol has none. `status` None: there was no answer, whose body begins with `answer`."""

    method: str | None
    url: str
    headers: dict[str, str]
    status: int | None = None
    reason: str = ""
    answered: dict[str, str] = dataclasses.field(default_factory=dict)
    answer: str = ""


def of_url(url: str) -> str:
    """Without secrets: by how they look, by their value, and by what a parameter is called."""
    parts = urlsplit(url)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    if any(_names_secret(name) for name, _ in pairs):
        hidden = [(name, telemetry.MASK if _names_secret(name) else value) for name, value in pairs]
        url = parts._replace(query=urlencode(hidden, safe="*")).geturl()
    return telemetry.mask(url)


def of_headers(given: Iterable[tuple[str, str]]) -> dict[str, str]:
    """All that there are, without the values of those that hold secrets."""
    return {name: telemetry.MASK if _names_secret(name) else telemetry.mask(value) for name, value in given}


def beginning(body: bytes) -> str:
    """The first characters of a body as text, without secrets."""
    return telemetry.mask(body[:_LOOKED_AT].decode("utf-8", "replace"))[:FIRST]


def _names_secret(name: str) -> bool:
    return headers.is_secret(name) or telemetry.names_secret(name)
