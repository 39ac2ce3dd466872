"""What every plug-in's Config keeps: described, frozen, strict, and ready to become a form."""

# ruff: noqa: S101 - a suite asserts; pytest words its asserts

from __future__ import annotations

import json
from collections.abc import Iterator
from types import ModuleType
from typing import Any, ClassVar, get_args

import pytest
from pydantic import BaseModel, ValidationError

from hilum.errors import ConfigError
from hilum.model.configuration import Endpoint
from hilum.sdk.config import Config, read
from hilum.sdk.contracts import Connector
from hilum.sdk.testing.base import Suite

SHARED = frozenset({"url", "timeout", "timezone"})
"""Keys of an endpoint that its connector reads too. A connector's own must not be called like the others."""

SECRET = frozenset({"token", "password", "secret", "headers"})
"""Fields that may hold a secret must not be shown: `Field(..., repr=False)`."""


class ConfigSuite(Suite):
    """Hooks: `module`, whose `connector` or `step` has the Config, and `example`, values that it accepts."""

    module: ClassVar[ModuleType]
    example: ClassVar[dict[str, Any]]

    @property
    def config(self) -> type[Config]:
        connector = self.module.__dict__.get("connector")
        if isinstance(connector, Connector):
            return connector.config
        found: type[Config] = self.module.__dict__["step"].Config
        return found

    def test_the_module_says_in_one_line_what_it_is(self) -> None:
        first, _, rest = (self.module.__doc__ or "").partition("\n")
        assert first.endswith("."), "the docstring's first line is the catalogue text: one sentence"
        assert len(first) <= 120
        assert not rest or rest.startswith("\n"), "an empty line follows the first one"

    def test_the_example_is_accepted(self) -> None:
        assert isinstance(read(self.config, dict(self.example), ""), Config)

    def test_every_field_is_described(self) -> None:
        bare = [name for name, field in _fields(self.config) if not (field.description or "").strip()]
        assert not bare, f"fields without a description: {bare}"

    def test_an_unknown_key_is_refused_by_name(self) -> None:
        with pytest.raises(ConfigError) as caught:
            read(self.config, {**self.example, "no_such_key": 1}, "here")
        assert caught.value.where == "here.no_such_key"

    def test_it_is_frozen(self) -> None:
        config = read(self.config, dict(self.example), "")
        for name in type(config).model_fields:
            with pytest.raises(ValidationError):
                setattr(config, name, None)

    def test_its_schema_renders(self) -> None:
        schema = json.loads(json.dumps(self.config.model_json_schema()))
        assert schema.get("additionalProperties") is False, "an unknown key must be an error"

    def test_secrets_are_not_shown(self) -> None:
        shown = [name for name, field in _fields(self.config) if name.rpartition(".")[2] in SECRET and field.repr]
        assert not shown, f"these fields need repr=False: {shown}"

    def test_a_connector_takes_no_key_of_the_endpoint(self) -> None:
        if not isinstance(self.module.__dict__.get("connector"), Connector):
            pytest.skip("no connector")
        taken = set(self.config.model_fields) & set(Endpoint.model_fields) - SHARED
        assert not taken, f"these keys are the endpoint's own: {sorted(taken)}"


def _fields(model: type[BaseModel], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, field in model.model_fields.items():
        yield f"{before}{name}", field
        for inner in _models(field.annotation):
            yield from _fields(inner, f"{before}{name}.")


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)
