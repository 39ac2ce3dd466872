"""What a connector, a step or a job can be told. Field descriptions become forms and reference pages."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from hilum.errors import ConfigError


class Config(BaseModel):
    """Base of every plug-in's Config: frozen, and an unknown key is an error. Every field has a description."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


C = TypeVar("C", bound=BaseModel)


def read(config: type[C], values: Any, where: str) -> C:
    """Validate `values`. Raises ConfigError naming the first wrong key, the value's place and the reason."""
    try:
        return config.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
        raise ConfigError(first["msg"], where=f"{where}{place}" if where else place.lstrip(".")) from None
