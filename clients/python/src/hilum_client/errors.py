"""What a hub answers where it does not do what it was asked: one class a kind, each with the whole envelope."""

from __future__ import annotations

import contextlib
import datetime
import email.utils
import json
from collections.abc import Mapping
from typing import Any


class HilumError(Exception):
    """The hub's error. `code` as in INT001, `field` where it is wrong, `request_id` for its log and audit trail."""

    def __init__(
        self, message: str, *, status: int = 0, code: str = "", field: str | None = None,
        details: Mapping[str, Any] | None = None, timestamp: str = "", request_id: str = "",
        retry_after: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__(f"{code}: {message}" if code else message)
        self.message = message
        self.status = status
        self.code = code
        self.field = field
        self.details = dict(details or {})
        self.timestamp = timestamp
        self.request_id = request_id
        self.retry_after = retry_after  # seconds that the hub asks to wait


class Invalid(HilumError):
    """400, 413, 414, 415: the request cannot be what it is."""


class Unauthenticated(HilumError):
    """401: the hub does not know who asks."""


class Forbidden(HilumError):
    """403: not for this caller."""


class NotFound(HilumError):
    """404: not there, or not for this caller to see."""


class Conflict(HilumError):
    """409: what stands there already does not allow it."""


class Stale(Conflict):
    """412: somebody changed it in the meantime. Read it again."""


class KeyMisused(HilumError):
    """422: an Idempotency-Key that was used for another request."""


class VersionNeeded(HilumError):
    """428: changing this needs the ETag that was read, as If-Match."""


class RateLimited(HilumError):
    """429, after all tries: too many requests. `retry_after` says when to come again."""


class ServerError(HilumError):
    """500, 503: the hub could not."""


class PartnerFailed(HilumError):
    """502, 504: the system behind the hub failed or was too slow."""


class HubUnreachable(HilumError):
    """No answer came. `sent` says whether the hub may have got the request."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


_KINDS: dict[int, type[HilumError]] = {
    400: Invalid, 401: Unauthenticated, 403: Forbidden, 404: NotFound, 409: Conflict, 412: Stale, 413: Invalid,
    414: Invalid, 415: Invalid, 422: KeyMisused, 428: VersionNeeded, 429: RateLimited, 500: ServerError,
    502: PartnerFailed, 503: ServerError, 504: PartnerFailed,
}  # fmt: skip


def error_of(status: int, headers: Mapping[str, str], content: bytes) -> HilumError:
    """The error that an answer is, also where something between here and the hub made it."""
    told: Any = None
    with contextlib.suppress(ValueError):
        told = json.loads(content)
    envelope = told.get("error") if isinstance(told, dict) else None
    about: dict[str, Any] = envelope if isinstance(envelope, dict) else {}
    return _KINDS.get(status, HilumError)(
        str(about.get("message", f"the answer was {status}")),
        status=status,
        code=str(about.get("code", "")),
        field=about.get("field"),
        details=about.get("details"),
        timestamp=str(about.get("timestamp", "")),
        request_id=str(about.get("request_id") or headers.get("x-request-id", "")),
        retry_after=_seconds(headers.get("retry-after", ""), headers.get("date", "")),
    )


def _seconds(told: str, date: str) -> float | None:
    """Retry-After, as seconds or as a date that is compared with the answer's own: clocks may differ."""
    if told.strip().isdecimal():
        return float(told)
    with contextlib.suppress(ValueError):
        until, now = (email.utils.parsedate_to_datetime(one) for one in (told, date))
        return max((until - now) / datetime.timedelta(seconds=1), 0.0)
    return None
