"""What a session's holder shows: refresh tokens and cookies. Sealed, so that nobody makes one up, not even an old one.

A ticket holds its session's UUID, its generation and 128 random bits. The store keeps the newest one's digest; one
that opens but is not the newest was stolen, or used by two.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import uuid
from typing import Literal

from hilum.errors import StoreError, Unauthenticated
from hilum.security.seal import Sealer

Kind = Literal["cookie", "token"]
PREFIX = {"cookie": "", "token": "hilum_refresh_"}
_LARGEST = 512  # characters
OVER = "the session is over: sign in again"


class Tickets:
    """Makes and reads."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def make(self, kind: Kind, session: uuid.UUID, generation: int = 1) -> str:
        plain = session.bytes + generation.to_bytes(4, "big") + secrets.token_bytes(16)
        return PREFIX[kind] + base64.urlsafe_b64encode(self._sealer.seal(plain, _place(kind))).rstrip(b"=").decode()

    def read(self, kind: Kind, text: str) -> tuple[uuid.UUID, int]:
        """The session and the generation. Raises Unauthenticated where it is none of ours."""
        if len(text) > _LARGEST or not text.startswith(PREFIX[kind]):
            raise Unauthenticated(OVER)
        body = text.removeprefix(PREFIX[kind])
        try:
            sealed = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
            plain = self._sealer.open(sealed, _place(kind))
        except (ValueError, StoreError):
            raise Unauthenticated(OVER) from None
        return uuid.UUID(bytes=plain[:16]), int.from_bytes(plain[16:20], "big")


def digest(ticket: str) -> bytes:
    """What the store keeps of it."""
    return hashlib.sha256(ticket.encode()).digest()


def csrf(cookie: str) -> str:
    """The token that proves that a request comes from a page that was given it with the cookie."""
    return hashlib.sha256(b"csrf|" + cookie.encode()).hexdigest()


def _place(kind: Kind) -> bytes:
    return f"ticket|{kind}".encode()
