"""OAuth 2.0 as a client (RFC 6749, 7521, 7523, 7636, 8705): what is configured, and what follows from it alone."""

from __future__ import annotations

import base64
import functools
import hashlib
import ssl
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import httpx
from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from hilum.errors import ConfigError
from hilum.sdk.authentication.certificate import Certified
from hilum.sdk.authentication.kinds import plain
from hilum.security.assertions import Signer

CREDENTIALS = "OAuth2 client credentials are required"
_ASSERTION = 300  # seconds that an assertion holds; SMART Backend Services allows five minutes
_LOCAL = ("localhost", "127.0.0.1", "::1")
ADDRESSES = ("token_url", "authorization_url", "revocation_url")
"""Where secrets go: tokens, codes, and what shows who we are."""

Grant = Literal["client_credentials", "authorization_code", "refresh_token", "jwt_bearer"]
ClientAuthentication = Literal["basic", "post", "private_key_jwt", "tls_client_auth", "none"]


class OAuth2(Certified):
    """Tokens from an authorization server. Who has to answer for the client: itself, or a person who consents once."""

    type: Literal["oauth2"] = Field("oauth2", description="Tokens from an authorization server.")
    grant_type: Grant = Field("client_credentials", description="How tokens are asked for; never by a password.")
    client_authentication: ClientAuthentication | None = Field(
        None, description="How we sign in at the token URL; by default `basic` with a secret, `none` without."
    )
    token_url: str = Field("", max_length=2_000, description="Where tokens are asked for.")
    client_id: str = Field("", max_length=2_000, description="Our name there.")
    client_secret: str = Field("", repr=False, description="The secret, for `basic` and `post`.")
    scopes: list[str] = Field([], max_length=100, description="What the token shall be good for.")
    audience: str = Field("", max_length=2_000, description="Whom the token is for, where the server asks for that.")
    private_key: str = Field(
        "", repr=False, description="PEM or JWK, for `private_key_jwt` and for the grant `jwt_bearer`."
    )
    algorithm: Literal["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "EdDSA"] = (
        Field("RS384", description="How that key signs.")
    )
    key_id: str = Field("", max_length=200, description="The header `kid` of what it signs.")
    subject: str = Field("", max_length=2_000, description="Grant jwt_bearer: for whom; by default the client.")
    assertion_audience: str = Field(
        "", max_length=2_000, description="The claim `aud` of what we sign; by default the token URL."
    )
    authorization_url: str = Field("", max_length=2_000, description="Grant authorization_code: where people consent.")
    redirect_uri: str = Field(
        "", max_length=2_000, description="Grant authorization_code: where they come back to; by default to the hub."
    )
    issuer: str = Field(
        "", max_length=2_000, description="Grant authorization_code: who the server says that it is (RFC 9207)."
    )
    revocation_url: str = Field("", max_length=2_000, description="Where tokens are given back (RFC 7009).")
    refresh_token: str = Field("", repr=False, description="Grant refresh_token: the first one.")

    @classmethod
    def _needs(cls, name: str, said: Mapping[str, Any]) -> str | None:
        grant = said.get("grant_type", "client_credentials")
        way = said.get("client_authentication") or ("basic" if grant == "client_credentials" else "none")
        needed = {
            "token_url": "OAuth2 token URL is required",
            "client_id": CREDENTIALS,
            "client_secret": CREDENTIALS if way in ("basic", "post") else None,
            "private_key": CREDENTIALS if way == "private_key_jwt" else
            "OAuth2 private key is required" if grant == "jwt_bearer" else None,
            "authorization_url": "OAuth2 authorization URL is required" if grant == "authorization_code" else None,
            "refresh_token": "OAuth2 refresh token is required" if grant == "refresh_token" else None,
        }  # fmt: skip
        return needed.get(name)

    @field_validator("grant_type", mode="before")
    @classmethod
    def _is_no_password(cls, value: Any) -> Any:
        if value == "password":
            raise PydanticCustomError("refused", "the password grant is refused (RFC 9700, 2.4): use another grant")
        return value

    @field_validator("scopes", mode="before")
    @classmethod
    def _as_list(cls, value: Any) -> Any:
        return value.split() if isinstance(value, str) and plain(value) else value

    @field_validator("token_url", "authorization_url", "redirect_uri", "revocation_url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        if not url:
            return url
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment:
            raise ValueError("must be written https://host/path")
        if parts.username is not None or parts.password is not None:
            raise ValueError("must hold no credentials")
        _ = parts.port  # raises ValueError beyond 65535
        try:
            httpx.URL(url)  # stricter about hosts: 0177.0.0.1 is none
        except httpx.InvalidURL as error:
            raise ValueError(str(error)) from None
        return url

    @property
    def way(self) -> ClientAuthentication:
        """How the client signs in."""
        return self.client_authentication or ("basic" if self.client_secret else "none")

    @property
    def lasting(self) -> bool:
        """Do new tokens come from a refresh token, which may be replaced each time?"""
        return self.grant_type in ("authorization_code", "refresh_token")

    @property
    def unencrypted(self) -> tuple[str, ...]:
        """The addresses on other hosts to which secrets would go in the clear."""
        parts = {name: urllib.parse.urlsplit(getattr(self, name)) for name in ADDRESSES}
        return tuple(name for name, one in parts.items() if one.scheme == "http" and one.hostname not in _LOCAL)

    @functools.cached_property
    def digest(self) -> str:
        """Of all that is configured, secrets too: tokens belong to exactly this."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    @functools.cached_property
    def signer(self) -> Signer:
        """Raises ConfigError."""
        return Signer(self.private_key, self.algorithm, self.key_id)

    def assertion(self, subject: str) -> str:
        """Who the client says that it is, or for whom it asks (RFC 7523, 3)."""
        audience = self.assertion_audience or self.token_url
        return self.signer.issue(_ASSERTION, iss=self.client_id, sub=subject, aud=audience)

    def faults(self) -> Iterator[str]:
        if self.way == "none" and self.grant_type == "client_credentials":
            yield CREDENTIALS
        if self.way == "tls_client_auth":
            if not (self.pkcs12 or (self.certificate and self.key)):
                yield CREDENTIALS
            else:
                yield from self.certificate_faults()
        if self.private_key and plain(self.private_key):
            try:
                _ = self.signer
            except ConfigError as error:
                yield f"OAuth2: {error}"
        for scope in self.scopes:
            if plain(scope) and not _is_scope(scope):
                yield "a scope has characters that none may have"

    def warnings(self) -> Iterator[str]:
        for name in self.unencrypted:
            yield f"OAuth2 {name.replace('_url', '')} URL is not encrypted - recommend using HTTPS for security"

    def present(self, context: ssl.SSLContext) -> None:
        """At the token URL, and at the partner's: tokens may be bound to the certificate (RFC 8705, 3)."""
        if self.way == "tls_client_auth":
            super().present(context)

    def consent(self, state: str, verifier: str, redirect: str = "") -> str:
        """Where to send the person who consents (RFC 6749, 4.1.1). `verifier`: RFC 7636's, kept by who asks.

        `redirect`: where they come back to, if that is not configured. What the address says itself weakens nothing.
        """
        said = {
            "response_type": "code", "client_id": self.client_id, "redirect_uri": redirect or self.redirect_uri,
            "scope": " ".join(self.scopes), "audience": self.audience, "state": state,
            "code_challenge": challenge(verifier), "code_challenge_method": "S256",
        }  # fmt: skip
        place = urllib.parse.urlsplit(self.authorization_url)
        own = urllib.parse.parse_qsl(place.query, keep_blank_values=True)
        query = [pair for pair in own if pair[0] not in said] + [pair for pair in said.items() if pair[1]]
        return place._replace(query=urllib.parse.urlencode(query)).geturl()

    def from_here(self, issuer: str) -> bool:
        """Is this the server that people were sent to (RFC 9207)? Where no issuer is configured, its host tells."""
        if self.issuer:
            return issuer == self.issuer
        return _origin(issuer) in (_origin(self.authorization_url), _origin(self.token_url))


def challenge(verifier: str) -> str:
    """S256 (RFC 7636, 4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _origin(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port; of what is no address something that no address has."""
    try:
        parts = urllib.parse.urlsplit(url)
        usual = {"https": 443, "http": 80}.get(parts.scheme)
        return parts.scheme, parts.hostname, usual if parts.port is None else parts.port
    except ValueError:
        return "", None, None


def _is_scope(scope: str) -> bool:
    """RFC 6749, 3.3."""
    return bool(scope) and all(33 <= ord(one) <= 126 and one not in '"\\' for one in scope)
