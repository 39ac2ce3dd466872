"""A certificate of ours, shown by mutual TLS (RFC 8446, 4.4.2)."""

from __future__ import annotations

import base64
import functools
import ssl
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from hilum import clock
from hilum.errors import ConfigError
from hilum.sdk.authentication.kinds import Kind, plain
from hilum.sdk.tls import present, trust
from hilum.security import certificates


class Certified(Kind):
    """What shows a client certificate."""

    pkcs12: str = Field("", repr=False, description="Certificate and key as a PKCS#12 file, in base64.")
    certificate: str = Field("", description="Our certificate and its chain, as PEM text.")
    key: str = Field("", repr=False, description="Its private key, as PEM text.")
    passphrase: str = Field("", repr=False, description="The passphrase of the key or the PKCS#12 file.")

    @functools.cached_property
    def bundle(self) -> certificates.Bundle:
        """Raises ConfigError where it cannot be read, or the key is another's."""
        if not self.pkcs12:
            return certificates.read_pem(self.certificate, self.key, self.passphrase or None)
        try:
            content = base64.b64decode("".join(self.pkcs12.split()), validate=True)
        except ValueError:
            raise ConfigError("is no base64", where="pkcs12") from None
        return certificates.read_pkcs12(content, self.passphrase or None)

    def present(self, context: ssl.SSLContext) -> None:
        if self.bundle.key:
            present(context, self.bundle.chain, self.bundle.key)

    def certificate_faults(self) -> Iterator[str]:
        """Pair, period and purpose."""
        if not plain(self.pkcs12, self.certificate, self.key, self.passphrase):
            return
        try:
            leaf, now = self.bundle.links[0], clock.micros()
        except ConfigError as error:
            yield f"client certificate: {error}"
            return
        if self.bundle.key is None:
            yield "client certificate: pkcs12: holds no private key"
        if not leaf.not_before <= now <= leaf.not_after:
            first, last = (clock.from_micros(at).date() for at in (leaf.not_before, leaf.not_after))
            yield f"client certificate: holds from {first} to {last}, not now"
        if not {"client", "authority"} & set(leaf.uses):
            yield "client certificate: is not for clients (extended key usage clientAuth)"


class Certificate(Certified):
    """A client certificate (mutual TLS)."""

    type: Literal["certificate"] = Field("certificate", description="A client certificate, shown by mutual TLS.")
    ca: str = Field("", description="The authorities of the partner's certificate, as PEM text; beside the system's.")

    @classmethod
    def _needs(cls, name: str, said: Mapping[str, Any]) -> str | None:
        asked = name in ("certificate", "key") and not said.get("pkcs12")
        return "Client certificate and private key are required" if asked else None

    def faults(self) -> Iterator[str]:
        yield from self.certificate_faults()
        if self.ca and plain(self.ca):
            try:
                trust(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), self.ca)
            except ConfigError:
                yield "ca: is no PEM certificate"

    def present(self, context: ssl.SSLContext) -> None:
        super().present(context)
        if self.ca:
            trust(context, self.ca)
