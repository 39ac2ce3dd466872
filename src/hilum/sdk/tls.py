"""TLS as a connector's Config describes it, turned into an SSLContext."""

from __future__ import annotations

import contextlib
import os
import ssl
import tempfile
from collections.abc import Iterator
from typing import Any, Literal, Protocol

from pydantic import Field

from hilum.errors import ConfigError
from hilum.sdk.config import Config


class Tls(Config):
    """Certificates by file, or as text from the vault (`${secret:NAME.chain}`). TLS 1.2 at least."""

    certificate: str | None = Field(None, description="PEM file with our certificate and its chain, or its text.")
    key: str | None = Field(None, repr=False, description="PEM file with our private key, or its text.")
    ca: str | None = Field(
        None, description="PEM file of the authorities we trust, or its text; default: the system's."
    )
    client: Literal["none", "optional", "required"] = Field(
        "none", description="Listener: must the client show a certificate signed by `ca` (mutual TLS)?"
    )
    revocation: Literal["none", "leaf", "chain"] = Field(
        "none", description="Which of the partner's certificates must stand in no revocation list of `crl`."
    )
    crl: str | None = Field(None, description="PEM file with the authorities' revocation lists (CRL), or its text.")
    server_name: str | None = Field(None, description="Sender: the name that the partner's certificate must carry.")

    def listener(self) -> ssl.SSLContext:
        """Raises ConfigError where a file is missing or does not fit."""
        if not self.certificate:
            raise ConfigError("a TLS listener needs a certificate", where="tls.certificate")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._load(context)
        verify = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
        context.verify_mode = verify[self.client]
        return context

    def renew(self, context: ssl.SSLContext) -> None:
        """Show the certificate as it is in its files by now to whoever connects next. Raises ConfigError."""
        self._load(context)

    def sender(self) -> ssl.SSLContext:
        """Raises ConfigError where a file is missing or does not fit."""
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
        self._load(context)
        return context

    def _load(self, context: ssl.SSLContext) -> None:
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            if self.ca:
                text = self.ca if _is_text(self.ca) else None
                context.load_verify_locations(cafile=None if text else self.ca, cadata=text)
            if self.revocation != "none":
                self._load_lists(context)
            if self.certificate:
                with _file(self.certificate) as certificate, _file(self.key) as key:
                    context.load_cert_chain(certificate or "", key)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"cannot load: {error}", where="tls") from None

    def _load_lists(self, context: ssl.SSLContext) -> None:
        """A list that is missing or has ended refuses everybody: that is what was asked for (RFC 5280, 6.3)."""
        if not self.crl:
            raise ConfigError("checking for revocation needs the lists", where="tls.crl")
        with _file(self.crl) as lists:
            context.load_verify_locations(lists)
        whole = ssl.VERIFY_CRL_CHECK_CHAIN if self.revocation == "chain" else ssl.VERIFY_CRL_CHECK_LEAF
        context.verify_flags |= whole


class Carrier(Protocol):
    """A connection: asyncio's transport, httpcore's stream."""

    def get_extra_info(self, name: str) -> Any: ...


def version_of(carrier: Carrier | None) -> str | None:
    """What was negotiated, such as TLSv1.3; None where the connection is not encrypted."""
    found = None if carrier is None else carrier.get_extra_info("ssl_object")
    return None if found is None else found.version()


def present(context: ssl.SSLContext, certificate: str, key: str | None) -> None:
    """Show our certificate to a partner who asks for one; both are PEM text. Raises ConfigError."""
    try:
        with _file(certificate) as chain, _file(key) as own:
            context.load_cert_chain(chain or "", own)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"cannot load: {error}", where="certificate") from None


def trust(context: ssl.SSLContext, authorities: str) -> None:
    """Believe these authorities too, given as PEM text. Raises ConfigError."""
    try:
        context.load_verify_locations(cadata=authorities)
    except (OSError, ssl.SSLError, ValueError) as error:
        raise ConfigError(f"cannot load: {error}", where="ca") from None


def _is_text(value: str) -> bool:
    return value.lstrip().startswith("-----BEGIN ")


@contextlib.contextmanager
def _file(value: str | None) -> Iterator[str | None]:
    """The path of a file; text gets one for as long as it takes to load it, in memory where the system has such."""
    if value is None or not _is_text(value):
        yield value
    elif hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("hilum-tls"), "w", encoding="ascii", errors="replace") as file:
            file.write(value)
            file.flush()
            yield f"/proc/self/fd/{file.fileno()}"
    else:
        with tempfile.NamedTemporaryFile("w", encoding="ascii", errors="replace") as file:  # its owner's alone
            file.write(value)
            file.flush()
            yield file.name
