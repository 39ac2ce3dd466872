"""TLS as a connector's Config describes it, turned into an SSLContext."""

from __future__ import annotations

import ssl
from typing import Literal

from pydantic import Field

from hilum.errors import ConfigError
from hilum.sdk.config import Config


class Tls(Config):
    """Certificates by file. TLS 1.2 at least."""

    certificate: str | None = Field(None, description="PEM file with our certificate and its chain.")
    key: str | None = Field(None, description="PEM file with our private key.")
    ca: str | None = Field(None, description="PEM file of the authorities we trust; default: the system's.")
    client: Literal["none", "optional", "required"] = Field(
        "none", description="Listener: must the client show a certificate signed by `ca` (mutual TLS)?"
    )
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

    def sender(self) -> ssl.SSLContext:
        """Raises ConfigError where a file is missing or does not fit."""
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
        self._load(context)
        return context

    def _load(self, context: ssl.SSLContext) -> None:
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            if self.ca:
                context.load_verify_locations(self.ca)
            if self.certificate:
                context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"cannot load: {error}", where="tls") from None
