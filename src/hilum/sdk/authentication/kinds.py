"""The kinds that a request alone shows: an API key, a user's password, a token of the partner's or of our own.

Whether something is missing is said by the model itself. What secrets are made of can only be looked at once references
are resolved: `faults` does that, and leaves out what is still a reference. Keys may be written in camel case too.
"""

from __future__ import annotations

import base64
import functools
import re
import ssl
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import httpx
from pydantic import AliasChoices, AliasGenerator, ConfigDict, Field, ValidationInfo, field_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from hilum import telemetry
from hilum.errors import ConfigError
from hilum.sdk import headers
from hilum.sdk.config import Config
from hilum.security.assertions import Signer

ABSENT = "No authentication configuration provided"
Algorithm = Literal[
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512",
    "EdDSA", "Ed25519",
]  # fmt: skip

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_COOKIE = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]+")  # RFC 6265, 4.1.1


class Kind(Config):
    """Base. `_needs` gives the text for a value that is not there; each fault is one line without its value."""

    model_config = ConfigDict(
        validate_default=True,
        alias_generator=AliasGenerator(
            validation_alias=lambda name: AliasChoices(*dict.fromkeys((name, to_camel(name))))
        ),
    )

    @classmethod
    def _needs(cls, name: str, said: Mapping[str, Any]) -> str | None:
        return None

    @field_validator("*", mode="before")
    @classmethod
    def _is_given(cls, value: Any, info: ValidationInfo) -> Any:
        name = str(info.field_name)
        if value is None or (isinstance(value, str) and not value.strip()):
            if text := cls._needs(name, info.data):
                raise PydanticCustomError("needed", "{text}", {"text": text})
            return cls.model_fields[name].get_default(call_default_factory=True)
        return value

    @property
    def secrets(self) -> list[str]:
        """The values that may be shown nowhere."""
        hidden = [name for name, field in type(self).model_fields.items() if not field.repr]
        return [value for name in hidden if isinstance(value := getattr(self, name), str) and value]

    def faults(self) -> Iterator[str]:
        """What is wrong with what is no reference."""
        yield from ()

    def warnings(self) -> Iterator[str]:
        yield from ()

    def check(self) -> None:
        """Raises ConfigError where something is wrong. From here on the mask looks for its secrets."""
        for value in self.secrets:
            telemetry.secrets.add(value)
        if found := list(self.faults()):
            raise ConfigError("; ".join(found), where="authentication")

    def sign(self, request: httpx.Request) -> None:
        """Put into the request what shows who we are; OAuth 2 needs a token for that, which `outbound` gets."""

    def present(self, context: ssl.SSLContext) -> None:
        """Let our certificate be shown. Raises ConfigError."""


class NoAuthentication(Kind):
    """The partner asks for nothing."""

    type: Literal["none"] = Field("none", description="The partner does not ask who we are.")

    def warnings(self) -> Iterator[str]:
        yield ABSENT


class ApiKey(Kind):
    """A key in a header, in the query or in a cookie."""

    type: Literal["api_key"] = Field("api_key", description="A key that the partner gave us.")
    key: str = Field("", repr=False, description="The key.")
    header_name: str = Field("X-API-Key", description="What the header, or the cookie, is called.")
    query_param: str = Field("api_key", description="What the query's parameter is called.")
    location: Literal["header", "query", "cookie"] = Field("header", description="Where the key is sent.")

    @classmethod
    def _needs(cls, name: str, said: Mapping[str, Any]) -> str | None:
        return "API key is required" if name == "key" else None

    def faults(self) -> Iterator[str]:
        if not headers.is_name(self.header_name) or self.header_name.lower() in headers.OURS:
            yield f"{self.header_name!r} can be no header of ours"
        if self.location == "header" and plain(self.key) and not headers.is_value(self.key):
            yield "the API key has characters that no header may have"
        if self.location == "cookie" and plain(self.key) and not _COOKIE.fullmatch(self.key):
            yield "the API key has characters that no cookie may have"

    def warnings(self) -> Iterator[str]:
        if self.location == "query":
            yield "An API key in the query is written into logs on its way - recommend a header"

    def sign(self, request: httpx.Request) -> None:
        if self.location == "header":
            request.headers[self.header_name] = self.key
        elif self.location == "cookie":
            cookies = [request.headers["cookie"]] if "cookie" in request.headers else []
            request.headers["Cookie"] = "; ".join([*cookies, f"{self.header_name}={self.key}"])
        else:
            pair = urllib.parse.urlencode({self.query_param: self.key}, quote_via=urllib.parse.quote)
            query = request.url.query.decode()
            request.url = request.url.copy_with(query=f"{query}&{pair}".lstrip("&").encode())


class Basic(Kind):
    """User name and password (RFC 7617)."""

    type: Literal["basic"] = Field("basic", description="A user's name and password.")
    username: str = Field("", description="The user's name.")
    password: str = Field("", repr=False, description="The password.")

    @classmethod
    def _needs(cls, name: str, said: Mapping[str, Any]) -> str | None:
        asked = name in ("username", "password")
        return "Basic authentication username and password are required" if asked else None

    def faults(self) -> Iterator[str]:
        if plain(self.username) and (":" in self.username or not self.username.isprintable()):
            yield "the user's name may hold no colon and no control characters"

    def sign(self, request: httpx.Request) -> None:
        request.headers["Authorization"] = basic(self.username, self.password)


class Bearer(Kind):
    """A token that does not change (RFC 6750)."""

    type: Literal["bearer"] = Field("bearer", description="A token that the partner gave us.")
    token: str = Field("", repr=False, description="The token.")

    @classmethod
    def _needs(cls, name: str, said: Mapping[str, Any]) -> str | None:
        return "Bearer token is required" if name == "token" else None

    def faults(self) -> Iterator[str]:
        if plain(self.token) and (" " in self.token or not headers.is_value(self.token)):
            yield "the token has characters that no header may have"

    def sign(self, request: httpx.Request) -> None:
        request.headers["Authorization"] = f"Bearer {self.token}"


class Jwt(Kind):
    """A token that we sign ourselves, a new one for each request (RFC 7519)."""

    type: Literal["jwt"] = Field("jwt", description="A token that we sign for each request.")
    algorithm: Algorithm = Field("HS256", description="How it is signed; a private key is better than a secret.")
    private_key: str = Field("", repr=False, description="The private key as PEM or JWK, for RS, ES, PS and EdDSA.")
    secret: str = Field("", repr=False, description="The shared secret, for HS: 32 bytes at least.")
    key_id: str = Field("", max_length=200, description="The header `kid`.")
    issuer: str = Field("", max_length=2_000, description="The claim `iss`.")
    subject: str = Field("", max_length=2_000, description="The claim `sub`.")
    audience: str = Field("", max_length=2_000, description="The claim `aud`.")
    expires_in: str = Field("1h", description="How long it holds: 300, 90s, 5m, 1h, 1d; a day at most.")

    @classmethod
    def _needs(cls, name: str, said: Mapping[str, Any]) -> str | None:
        shared = str(said.get("algorithm", "HS256")).startswith("HS")
        return "JWT secret is required" if name == "secret" and (shared or not said.get("private_key")) else None

    @field_validator("expires_in", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        return str(value) if type(value) is int else value

    @field_validator("expires_in")
    @classmethod
    def _is_a_time(cls, value: str) -> str:
        found = re.fullmatch(r"(\d{1,6}) ?([smhd]?)", value)
        if not found or not 10 <= int(found[1]) * _UNITS[found[2] or "s"] <= _UNITS["d"]:
            raise ValueError("must be a time from 10s to 1d, such as 300, 5m or 1h")
        return value

    @property
    def lifetime(self) -> int:
        """Seconds."""
        number = self.expires_in.rstrip("smhd ")
        return int(number) * _UNITS[self.expires_in[-1] if self.expires_in[-1] in _UNITS else "s"]

    @functools.cached_property
    def signer(self) -> Signer:
        """Raises ConfigError."""
        shared = self.algorithm.startswith("HS") or not self.private_key
        return Signer(self.secret if shared else self.private_key, self.algorithm, self.key_id)

    def faults(self) -> Iterator[str]:
        if plain(self.secret, self.private_key):
            try:
                _ = self.signer
            except ConfigError as error:
                yield f"JWT: {error}"

    def sign(self, request: httpx.Request) -> None:
        token = self.signer.issue(self.lifetime, iss=self.issuer, sub=self.subject, aud=self.audience)
        request.headers["Authorization"] = f"Bearer {token}"


def plain(*values: str) -> bool:
    """Is none of them a reference? Then their contents can be looked at."""
    return not any("${" in value for value in values)


def basic(name: str, password: str) -> str:
    """The value of Authorization (RFC 7617)."""
    return f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"
