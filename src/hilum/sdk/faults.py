"""What can be wrong with a connection to a partner, classed by what a person should do about it (ledger S2-42)."""

from __future__ import annotations

import dataclasses
import enum
import os
import re
import socket
import ssl
from collections.abc import Iterator

import h11
import httpx

from hilum.errors import ConfigError, HilumError, Refused
from hilum.sdk import texts
from hilum.sdk.trace import Trace

_EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED
_OURS = re.compile(r"ALERT.*(CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED)")  # said by the partner, about ours (RFC 8446, 6.2)


class Fault(enum.StrEnum):
    """The classes. `ADVICE` says what to do about each."""

    DNS = "dns"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    TLS_UNTRUSTED = "tls_untrusted"
    TLS_EXPIRED = "tls_expired"
    HOST_KEY = "host_key"  # of an SSH server: none is trusted, or it showed another
    AUTH = "auth"
    CONSENT = "consent"  # a person's, that an authorization server asks for: never given, or given up
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    RATE_LIMITED = "rate_limited"
    HTTP_5XX = "http_5xx"
    PROTOCOL = "protocol"
    BLOCKED_BY_POLICY = "blocked_by_policy"
    CONFIGURATION = "configuration"  # of our own: a certificate that cannot be loaded, a secret that is not there
    TOO_LARGE = "too_large"  # an answer that is not kept
    INTERRUPTED = "interrupted"  # the hub stopped meanwhile: nobody knows what became of it
    CANCELLED = "cancelled"  # a person called it off


ADVICE: dict[Fault, str] = {one: texts.advice(one) for one in Fault}
"""Cause and next step, in English; `sdk.texts` has them in other languages."""


@dataclasses.dataclass(frozen=True, slots=True)
class Timings:
    """Where the time of a call went, in milliseconds; None: not measured, or not needed (a connection was kept)."""

    total: float
    dns: float | None = None
    connect: float | None = None
    tls: float | None = None
    first_byte: float | None = None


class Failed(HilumError):
    """A call got no answer. `sent`: the partner may have taken it all the same. `trace`: what was asked."""

    def __init__(
        self, reason: str, fault: Fault, timings: Timings, *, sent: bool = False, trace: Trace | None = None
    ) -> None:
        super().__init__(reason)
        self.fault, self.timings, self.sent, self.trace = fault, timings, sent, trace


def fault_of(error: BaseException) -> Fault:
    """The class of what was raised: the first one in its chain of causes that is known."""
    return next((found for one in _chain(error) if (found := _known(one)) is not None), Fault.PROTOCOL)


def fault_of_status(status: int) -> Fault | None:
    """The class of an HTTP status; None: 2xx and 3xx are no fault."""
    if status < 400:
        return None
    known = {401: Fault.AUTH, 403: Fault.FORBIDDEN, 404: Fault.NOT_FOUND, 410: Fault.NOT_FOUND, 408: Fault.TIMEOUT,
             429: Fault.RATE_LIMITED}  # fmt: skip
    return known.get(status, Fault.HTTP_5XX if status >= 500 else Fault.PROTOCOL)


def _known(error: BaseException) -> Fault | None:
    if isinstance(error, Failed):
        return error.fault
    if isinstance(error, Refused):
        return Fault.BLOCKED_BY_POLICY
    if isinstance(error, ConfigError):
        return Fault.CONFIGURATION
    if isinstance(error, ssl.SSLCertVerificationError):
        return Fault.TLS_EXPIRED if error.verify_code == _EXPIRED else Fault.TLS_UNTRUSTED
    if isinstance(error, ssl.SSLError):
        return Fault.AUTH if _OURS.search(str(error.reason)) else Fault.PROTOCOL
    if isinstance(error, socket.gaierror):
        return Fault.DNS
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return Fault.TIMEOUT
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return Fault.PROTOCOL
    return Fault.REFUSED if isinstance(error, OSError) and error.errno else None


def reason_of(error: BaseException) -> str:
    """What went wrong at the partner's end, in a few words of ours: the cause at the bottom of httpx's chain."""
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    if isinstance(error, httpx.HTTPError):
        *_, error = _chain(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {(error.reason or type(error).__name__).replace('_', ' ').lower()}"
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        return os.strerror(error.errno)
    if isinstance(error, h11.ProtocolError):
        return "the answer is not HTTP/1.1"  # h11 would quote it, and it may be anything
    return (str(error) or type(error).__name__)[:200]


def _chain(error: BaseException) -> Iterator[BaseException]:
    """From what was raised down to its cause; an error of our own says all that there is to say.

    A context that was suppressed counts: httpcore's pool raises what it caught once more, from nothing.
    """
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = None if isinstance(found, HilumError) else found.__cause__ or found.__context__
