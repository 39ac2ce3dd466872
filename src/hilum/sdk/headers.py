"""What may stand in an HTTP header that we send (RFC 9110, 5.1 and 5.5), and which of them hold secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping

from hilum import telemetry

MOST = 50
OURS = frozenset({
    "connection", "content-length", "expect", "host", "idempotency-key", "keep-alive", "proxy-connection", "te",
    "trailer", "transfer-encoding", "upgrade",
})  # fmt: skip
"""Those that the hub sets: they frame the message, or they are about the connection."""

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_VALUE = re.compile(r"(?! )[\x20-\x7e]{0,16000}(?<! )")
_SECRET = re.compile(r"(?i)authorization|cookie|key|token|secret|password")


def is_name(name: str) -> bool:
    """May a header be called so?"""
    return _NAME.fullmatch(name) is not None


def is_value(value: str) -> bool:
    """May a header have this value? No line breaks, no space at its ends."""
    return _VALUE.fullmatch(value) is not None


def is_secret(name: str) -> bool:
    """Is its value treated as a secret, by its name (ledger S2-36)?"""
    return _SECRET.search(name) is not None and not name.lower().startswith("access-control-")


def check(headers: Mapping[str, str]) -> None:
    """Raises ValueError naming the header that cannot be sent, never its value."""
    if len(headers) > MOST:
        raise ValueError(f"there may be at most {MOST} headers")
    for name, value in headers.items():
        if not is_name(name) or not is_value(value):
            raise ValueError(f"{name!r} and its value are no header")
        if name.lower() in OURS:
            raise ValueError(f"{name} is set by the hub")


def protect(headers: Mapping[str, str]) -> None:
    """The mask looks for the values of those that hold secrets, whole and without their scheme."""
    for name, value in headers.items():
        if is_secret(name):
            telemetry.secrets.add(value)
            telemetry.secrets.add(value.rpartition(" ")[2])
