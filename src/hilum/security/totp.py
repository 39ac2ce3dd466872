"""One-time codes of an authenticator app (TOTP, RFC 6238): six digits, thirty seconds, SHA-1 as every app has it.

A code holds for its own step and the ones beside it; `verify` returns the step, and whoever keeps it refuses it (and
earlier ones) from then on, as RFC 6238 section 5.2 asks.
"""

from __future__ import annotations

import hmac

import pyotp

ISSUER = "Hilum"
SECONDS = 30


def secret() -> str:
    """160 random bits in base32 (RFC 4226, R6)."""
    return pyotp.random_base32(32)


def uri(secret: str, email: str, organization: str) -> str:
    """otpauth://… for a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=f"{ISSUER} {organization}")


def verify(secret: str, code: str, stamp: int) -> int | None:
    """The step that a code belongs to, at `stamp` (microseconds) or one beside it; None where it is wrong."""
    if len(code) != 6 or not (code.isascii() and code.isdecimal()):
        return None
    now, found = stamp // 1_000_000 // SECONDS, None
    generator = pyotp.TOTP(secret)
    for step in (now - 1, now, now + 1):
        if hmac.compare_digest(generator.at(step * SECONDS), code):
            found = step
    return found
