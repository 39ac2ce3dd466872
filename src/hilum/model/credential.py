"""Kinds of credentials: what of each may be seen (fields) and what may not (secrets).

`${secret:NAME}` stands for the kind's main secret, `${secret:NAME.FIELD}` for any field or secret of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AnyHttpUrl, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from hilum.errors import ConfigError
from hilum.model.configuration import UNSEEN

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
"""Of a credential or certificate. It has no dot: that stands before the field in `${secret:NAME.FIELD}`."""

Key = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,62}$")]
Text = Annotated[str, StringConstraints(max_length=2_000, pattern=rf"^[^{UNSEEN}]*$")]
LONGEST = 32_768
"""Characters of one secret."""


class Fields(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ApiKeyFields(Fields):
    header: Text = Field("X-API-Key", description="The header that it is sent in.")


class BasicFields(Fields):
    username: Text = Field(..., min_length=1, description="Who signs in.")


class BearerFields(Fields):
    pass


class OAuth2Fields(Fields):
    token_url: AnyHttpUrl = Field(..., description="Where tokens are asked for.")
    client_id: Text = Field(..., min_length=1, description="The hub's name there.")
    grant: Literal["client_credentials", "refresh_token", "password"] = Field(
        "client_credentials", description="How tokens are asked for."
    )
    scope: Text = Field("", description="Scopes, with spaces between.")
    audience: Text = Field("", description="Whom the tokens are for.")
    username: Text = Field("", description="Who signs in, with the grant `password`.")

    @field_validator("token_url")
    @classmethod
    def _holds_no_secret(cls, url: AnyHttpUrl) -> AnyHttpUrl:
        if url.username is not None or url.password is not None or url.fragment is not None:
            raise ValueError("must hold no credentials: they belong into the secrets")
        return url


class JwtFields(Fields):
    algorithm: Literal["RS256", "RS384", "PS256", "ES256", "ES384", "EdDSA", "HS256", "HS384"] = Field(
        "RS384", description="How assertions are signed."
    )
    issuer: Text = Field(..., min_length=1, description="The claim `iss`.")
    subject: Text = Field("", description="The claim `sub`; empty: the issuer.")
    audience: Text = Field("", description="The claim `aud`.")
    key_id: Text = Field("", description="The header `kid`.")
    lifetime: int = Field(300, ge=10, le=3_600, description="Seconds that an assertion holds.")


class SshKeyFields(Fields):
    username: Text = Field(..., min_length=1, description="Who signs in.")
    public_key: Text = Field("", description="The public half, as it stands in authorized_keys.")


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """`secrets` names those that there may be, the main one first. None: any."""

    fields: type[Fields] | None
    secrets: tuple[str, ...] | None
    hinted: frozenset[str] = frozenset()  # of which the last four characters may be shown: long random ones


KINDS: dict[str, Kind] = {
    "api_key": Kind(ApiKeyFields, ("key",), frozenset({"key"})),
    "basic": Kind(BasicFields, ("password",)),
    "bearer": Kind(BearerFields, ("token",), frozenset({"token"})),
    "oauth2": Kind(OAuth2Fields, ("client_secret", "refresh_token", "password"), frozenset({"client_secret"})),
    "jwt": Kind(JwtFields, ("private_key", "shared_secret")),
    "ssh_key": Kind(SshKeyFields, ("private_key", "passphrase")),
    "generic": Kind(None, None),
}
_HINT_FROM = 24  # characters that a secret must have for its last four to be shown


def check(kind: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as they are stored, defaults included. Raises ConfigError naming the field."""
    model = KINDS[kind].fields
    if model is None:
        for name, value in fields.items():
            if not isinstance(value, str) or len(value) > LONGEST or "\0" in value:
                raise ConfigError("must be text", where=f"fields.{name}")
        return dict(fields)
    try:
        return model.model_validate(dict(fields)).model_dump(mode="json")
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ConfigError(first["msg"], where=f"fields.{place}" if place else "fields") from None


def check_secrets(kind: str, names: Mapping[str, Any]) -> None:
    """Raises ConfigError where the kind has no secret of a name."""
    known = KINDS[kind].secrets
    for name in names:
        if known is not None and name not in known:
            raise ConfigError(f"{kind} has {', '.join(known)}", where=f"secrets.{name}")


def hint(kind: str, name: str, value: str) -> str:
    """The last four characters, where they tell nothing; else nothing."""
    return value[-4:] if name in KINDS[kind].hinted and len(value) >= _HINT_FROM else ""


def main(kind: str, secrets: Mapping[str, Any]) -> str | None:
    """The name of the secret that `${secret:NAME}` stands for; None where it is open which."""
    known = KINDS[kind].secrets
    names = [name for name in known if name in secrets] if known is not None else list(secrets)
    if known is not None:
        return names[0] if names else None
    return names[0] if len(names) == 1 else None
