"""How we show a partner who we are, and what is wrong with what somebody wrote of it (S3-31…S3-38).

Seven kinds are for HTTP. Partners that take files have two more: a key for SSH, and one for stores like Amazon S3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Tag, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from hilum.errors import ConfigError
from hilum.sdk.authentication.access_key import AccessKey
from hilum.sdk.authentication.certificate import Certificate
from hilum.sdk.authentication.kinds import ABSENT, ApiKey, Basic, Bearer, Jwt, Kind, NoAuthentication, plain
from hilum.sdk.authentication.oauth2 import OAuth2
from hilum.sdk.authentication.ssh_key import SshKey

HTTP: dict[str, type[Kind]] = {
    "none": NoAuthentication, "api_key": ApiKey, "oauth2": OAuth2, "basic": Basic, "bearer": Bearer, "jwt": Jwt,
    "certificate": Certificate,
}  # fmt: skip
KINDS: dict[str, type[Kind]] = {**HTTP, "ssh_key": SshKey, "access_key": AccessKey}
SECRETS = frozenset(name for kind in KINDS.values() for name, field in kind.model_fields.items() if not field.repr)
"""The fields of any kind that nobody may read back."""


def _typed(*kinds: str) -> Callable[[Any], Any]:
    """Without a type it is none; a type that there is not is never taken for none."""

    def typed(given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        kind = given.get("type")
        if kind is None:
            return {**given, "type": "none"} if "none" in kinds else given
        if not isinstance(kind, str) or kind not in kinds:
            text = f"Unknown authentication type {str(kind)[:50]!r}; there are: {', '.join(kinds)}"
            raise PydanticCustomError("unknown", "{text}", {"text": text})
        return given

    return typed


def _type(given: Any) -> str | None:
    found = given.get("type") if isinstance(given, Mapping) else getattr(given, "type", None)
    return found if isinstance(found, str) else None


_DISCRIMINATOR = Discriminator(_type, custom_error_type="kind", custom_error_message="must be an object with a type")
_Http = (
    Annotated[NoAuthentication, Tag("none")]
    | Annotated[ApiKey, Tag("api_key")]
    | Annotated[OAuth2, Tag("oauth2")]
    | Annotated[Basic, Tag("basic")]
    | Annotated[Bearer, Tag("bearer")]
    | Annotated[Jwt, Tag("jwt")]
    | Annotated[Certificate, Tag("certificate")]
)
_Ssh = Annotated[SshKey, Tag("ssh_key")]
Authentication = Annotated[_Http, _DISCRIMINATOR, BeforeValidator(_typed(*HTTP))]
"""For partners that speak HTTP."""

SshAuthentication = Annotated[
    Annotated[Basic, Tag("basic")] | _Ssh, _DISCRIMINATOR, BeforeValidator(_typed("basic", "ssh_key"))
]
"""For partners that speak SSH: a user's password or key."""

S3Authentication = Annotated[AccessKey, BeforeValidator(_typed("access_key"))]
"""For stores that are spoken to as Amazon S3 is."""

_Any = Annotated[
    _Http | _Ssh | Annotated[AccessKey, Tag("access_key")], _DISCRIMINATOR, BeforeValidator(_typed(*KINDS))
]
_READER: TypeAdapter[Kind] = TypeAdapter(_Any)


def problems(authentication: Mapping[str, Any] | None) -> tuple[list[str], list[str]]:
    """Every error and every warning, in the documents' words. Nobody is dialed; references are not looked up."""
    if not authentication:
        return [], [ABSENT]
    try:
        found = _READER.validate_python(authentication)
    except ValidationError as error:
        faults = [_fault(one) for one in error.errors(include_url=False) if not _is_reference(one["input"])]
        return list(dict.fromkeys(faults)), []
    return list(dict.fromkeys(found.faults())), list(found.warnings())


def read(authentication: Mapping[str, Any]) -> Kind:
    """Raises ConfigError naming the first error."""
    try:
        return _READER.validate_python(authentication)
    except ValidationError as error:
        raise ConfigError(_fault(error.errors(include_url=False)[0]), where="authentication") from None


def _fault(one: Any) -> str:
    text = str(one["msg"]).removeprefix("Value error, ")
    if one["type"] in ("needed", "unknown", "refused"):
        return text
    place = ".".join(map(str, one["loc"][1:]))
    return f"authentication.{place}: {text}" if place else f"authentication: {text}"


def _is_reference(value: Any) -> bool:
    return isinstance(value, str) and not plain(value)


__all__ = [
    "ABSENT", "HTTP", "KINDS", "SECRETS", "AccessKey", "ApiKey", "Authentication", "Basic", "Bearer", "Certificate",
    "Jwt", "Kind", "NoAuthentication", "OAuth2", "S3Authentication", "SshAuthentication", "SshKey", "problems", "read",
]  # fmt: skip
