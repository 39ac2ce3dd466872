"""English."""

from __future__ import annotations

FAULTS: dict[str, tuple[str, str]] = {
    "dns": (
        "The host's name has no address.",
        "Check its spelling, and the name server that this machine asks.",
    ),
    "refused": (
        "Nothing answers at this address.",
        "Check host and port, whether the partner runs, and firewalls.",
    ),
    "timeout": (
        "The partner did not answer in time.",
        "Ask whether it is overloaded; else allow it a longer time-out.",
    ),
    "tls_untrusted": (
        "The partner's certificate is not one that we trust.",
        "Add its authority, or correct the name.",
    ),
    "tls_expired": (
        "The partner's certificate has expired.",
        "The partner must renew it; check this machine's clock.",
    ),
    "host_key": (
        "The server showed an SSH host key that we do not trust.",
        "Ask the partner whether this is its fingerprint; if it is, put it into host_key.",
    ),
    "auth": (
        "The partner does not know us.",
        "Check the credentials, and whether they were changed or have expired.",
    ),
    "consent": (
        "Nobody consents to this connection now.",
        "Authorize it: POST /api/v1/integrations/{id}/authorize.",
    ),
    "forbidden": (
        "The partner knows us, but does not let us do this.",
        "Ask for the right that is missing.",
    ),
    "not_found": (
        "The partner has nothing at this path.",
        "Check the URL, its version and its identifiers.",
    ),
    "rate_limited": (
        "We ask too often.",
        "Lower this endpoint's rate limit, or ask the partner for a higher one.",
    ),
    "http_5xx": (
        "The partner has a fault of its own.",
        "Try again later, and tell the partner if it stays.",
    ),
    "protocol": (
        "The answer is not what this protocol says.",
        "Check that URL and protocol belong together.",
    ),
    "blocked_by_policy": (
        "This hub may not connect there.",
        "An operator may allow the address, if it is meant.",
    ),
    "configuration": (
        "Something of our own is missing or does not fit.",
        "Correct the endpoint or its credential.",
    ),
    "too_large": (
        "The answer is larger than what is kept of one.",
        "Ask for less at a time, or raise the endpoint's max_answer.",
    ),
    "interrupted": (
        "The hub stopped while it was asked.",
        "Find out at the partner whether it took this before you ask again.",
    ),
    "cancelled": (
        "Somebody called it off.",
        "Find out at the partner whether it took this before you ask again.",
    ),
}
