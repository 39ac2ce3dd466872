"""What is wrong with a connection, classed whatever it is wrapped in."""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
import threading

import httpcore
import httpx
import pytest
import trustme

from hilum.errors import ConfigError, Refused
from hilum.sdk.faults import Failed, Fault, Timings, fault_of, fault_of_status, reason_of


def wrapped(inner: BaseException) -> httpx.ConnectError:
    """As httpx and the pool below it pass an error on, the context suppressed."""
    try:
        try:
            try:
                raise inner
            except BaseException as error:
                raise httpcore.ConnectError("in between") from error
        except httpcore.ConnectError as error:
            raise error from None
    except httpcore.ConnectError as error:
        found = httpx.ConnectError("at the top")
        found.__cause__ = error
        return found


@pytest.mark.parametrize(
    ("error", "fault", "reason"),
    [
        (Refused("the operator says no"), Fault.BLOCKED_BY_POLICY, "the operator says no"),
        (ConfigError("odd", where="tls"), Fault.CONFIGURATION, "tls: odd"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), Fault.DNS, "Name or service"),
        (OSError(errno.ECONNREFUSED, "x"), Fault.REFUSED, "Connection refused"),
        (OSError(errno.EHOSTUNREACH, "x"), Fault.REFUSED, "No route to host"),
        (ConnectionResetError(errno.ECONNRESET, "x"), Fault.PROTOCOL, "Connection reset by peer"),
        (Failed("the token URL: no", Fault.AUTH, Timings(1.0)), Fault.AUTH, "the token URL: no"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_an_error_is_known_bare_and_wrapped(error: BaseException, fault: Fault, reason: str) -> None:
    for one in (error, wrapped(error)):
        assert fault_of(one) is fault
        assert reason in reason_of(one)


def test_time_outs() -> None:
    for error in (TimeoutError("no connection to h:1 within 1 s"), httpx.ConnectTimeout(""), httpx.ReadTimeout("")):
        assert fault_of(error) is Fault.TIMEOUT
        assert reason_of(error) in ("no connection to h:1 within 1 s", "no answer in time")


def test_statuses() -> None:
    assert {status: fault_of_status(status) for status in (200, 304, 400, 401, 404, 408, 410, 418, 429, 500, 599)} == {
        200: None, 304: None, 400: Fault.PROTOCOL, 401: Fault.AUTH, 404: Fault.NOT_FOUND, 408: Fault.TIMEOUT,
        410: Fault.NOT_FOUND, 418: Fault.PROTOCOL, 429: Fault.RATE_LIMITED, 500: Fault.HTTP_5XX, 599: Fault.HTTP_5XX,
    }  # fmt: skip


def test_a_partner_that_refuses_our_certificate_does_not_know_us() -> None:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("lab.example").configure_cert(server)
    authority.configure_trust(server)
    server.verify_mode, server.maximum_version = ssl.CERT_REQUIRED, ssl.TLSVersion.TLSv1_2
    client = ssl.create_default_context()
    authority.configure_trust(client)
    trustme.CA().issue_cert("hub@hospital.example").configure_cert(client)
    near, far = socket.socketpair()

    def answer() -> None:
        with far, contextlib.suppress(OSError), server.wrap_socket(far, server_side=True):
            pass

    thread = threading.Thread(target=answer)
    thread.start()
    with near, pytest.raises(ssl.SSLError) as caught:
        client.wrap_socket(near, server_hostname="lab.example")
    thread.join()
    assert fault_of(caught.value) is Fault.AUTH
    assert reason_of(caught.value) == "TLS: tlsv1 alert unknown ca"
