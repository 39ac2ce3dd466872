"""How we show a partner who we are: seven kinds, and what is wrong with one that somebody wrote (S3-31…S3-38)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Tag, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from hilum.errors import ConfigError
from hilum.sdk.authentication.certificate import Certificate
from hilum.sdk.authentication.kinds import ABSENT, ApiKey, Basic, Bearer, Jwt, Kind, NoAuthentication, plain
from hilum.sdk.authentication.oauth2 import OAuth2

KINDS: dict[str, type[Kind]] = {
    "none": NoAuthentication, "api_key": ApiKey, "oauth2": OAuth2, "basic": Basic, "bearer": Bearer, "jwt": Jwt,
    "certificate": Certificate,
}  # fmt: skip
SECRETS = frozenset(name for kind in KINDS.values() for name, field in kind.model_fields.items() if not field.repr)
"""The fields of any kind that nobody may read back."""


def _typed(given: Any) -> Any:
    """Without a type it is none; a type that there is not is never taken for none."""
    if not isinstance(given, Mapping):
        return given
    kind = given.get("type")
    if kind is None:
        return {**given, "type": "none"}
    if not isinstance(kind, str) or kind not in KINDS:
        text = f"Unknown authentication type {str(kind)[:50]!r}; there are: {', '.join(KINDS)}"
        raise PydanticCustomError("unknown", "{text}", {"text": text})
    return given


def _type(given: Any) -> str | None:
    found = given.get("type") if isinstance(given, Mapping) else getattr(given, "type", None)
    return found if isinstance(found, str) else None


Authentication = Annotated[
    Annotated[NoAuthentication, Tag("none")]
    | Annotated[ApiKey, Tag("api_key")]
    | Annotated[OAuth2, Tag("oauth2")]
    | Annotated[Basic, Tag("basic")]
    | Annotated[Bearer, Tag("bearer")]
    | Annotated[Jwt, Tag("jwt")]
    | Annotated[Certificate, Tag("certificate")],
    Discriminator(_type, custom_error_type="kind", custom_error_message="must be an object with a type"),
    BeforeValidator(_typed),
]
_READER: TypeAdapter[Kind] = TypeAdapter(Authentication)


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
    "ABSENT", "KINDS", "SECRETS", "ApiKey", "Authentication", "Basic", "Bearer", "Certificate", "Jwt", "Kind",
    "NoAuthentication", "OAuth2", "problems", "read",
]  # fmt: skip
