"""What an endpoint does by a person's consent: where they go, what they bring back, and giving it back."""

from __future__ import annotations

import ssl
from typing import Any

from hilum.errors import ConfigError
from hilum.outbound.dialer import Dialer
from hilum.outbound.tokens import Token
from hilum.sdk.authentication import OAuth2
from hilum.sdk.faults import Failed

REVOKED, UNKNOWN = "revoked", "unknown"


class Consenting:
    """Of one endpoint, as it is set up right now. Raises ConfigError where its authentication is no person's."""

    def __init__(self, config: Any, dialer: Dialer, where: str) -> None:
        authentication = getattr(config, "authentication", None)
        if not isinstance(authentication, OAuth2) or authentication.grant_type != "authorization_code":
            raise ConfigError(
                "nobody consents to this: it is no oauth2 with grant_type authorization_code", where=where
            )
        self._authentication, self._dialer, self._where = authentication, dialer, where
        self._config = config

    @property
    def grant(self) -> str:
        return self._dialer.grant(self._authentication)

    def place(self, state: str, verifier: str, redirect: str) -> str:
        said = self._authentication.redirect_uri
        if said not in ("", redirect):
            text = f"redirect_uri is {said}, but people come back to {redirect}: leave it out"
            raise ConfigError(text, where=f"{self._where}.authentication")
        return self._authentication.consent(state, verifier, redirect)

    def from_here(self, issuer: str) -> bool:
        return self._authentication.from_here(issuer)

    async def give(self, code: str, verifier: str, redirect: str) -> Token:
        return await self._dialer.consent(self._authentication, code, verifier, redirect, tls=self._tls())

    async def give_back(self, token: Token) -> str:
        if not self._authentication.revocation_url:
            return UNKNOWN
        try:
            await self._dialer.give_back(self._authentication, token, tls=self._tls())
        except (Failed, ConfigError) as error:
            return str(error)
        return REVOKED

    def _tls(self) -> ssl.SSLContext | None:
        """The endpoint's own certificates hold for the authorization server as well, one without TLS has none."""
        sender = getattr(self._config, "sender", None)
        found: ssl.SSLContext | None = sender() if callable(sender) else None
        return found
