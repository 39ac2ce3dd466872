"""A client of a Hilum hub. `calls` has one function for each operation of its API, `models` what they take and give."""

from hilum_client import calls, models
from hilum_client.call import Answer, Call, Listing
from hilum_client.errors import (
    Conflict,
    Forbidden,
    HilumError,
    HubUnreachable,
    Invalid,
    KeyMisused,
    NotFound,
    PartnerFailed,
    RateLimited,
    ServerError,
    Stale,
    Unauthenticated,
    VersionNeeded,
)
from hilum_client.hub import AsyncHilum, Hilum
from hilum_client.waits import Waits

__all__ = [
    "Answer", "AsyncHilum", "Call", "Conflict", "Forbidden", "Hilum", "HilumError", "HubUnreachable", "Invalid",
    "KeyMisused", "Listing", "NotFound", "PartnerFailed", "RateLimited", "ServerError", "Stale", "Unauthenticated",
    "VersionNeeded", "Waits", "calls", "models",
]  # fmt: skip
