"""What a plug-in can be told is described: its fields become forms and reference pages."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

from pydantic import BaseModel

KINDS = ("connectors", "steps", "jobs", "exporters")


def configurations() -> Iterator[type[BaseModel]]:
    """Every pydantic model that a plug-in's module defines."""
    for kind in KINDS:
        try:
            package = importlib.import_module(f"hilum.{kind}")
        except ModuleNotFoundError:
            continue  # a kind that has no plug-in yet has no room
        for found in pkgutil.iter_modules(package.__path__):
            module = importlib.import_module(f"{package.__name__}.{found.name}")
            for _, thing in inspect.getmembers(module, inspect.isclass):
                if issubclass(thing, BaseModel) and thing.__module__ == module.__name__:
                    yield thing


def undescribed(model: type[BaseModel]) -> list[str]:
    """The fields without a description."""
    return [name for name, field in model.model_fields.items() if not (field.description or "").strip()]


def test_configurations_are_found() -> None:
    assert len(list(configurations())) > 3


def test_every_field_has_a_description() -> None:
    missing = {f"{model.__module__}.{model.__name__}": undescribed(model) for model in configurations()}
    assert {model: fields for model, fields in missing.items() if fields} == {}


def test_a_field_without_description_is_seen() -> None:
    class Config(BaseModel):
        path: str

    assert undescribed(Config) == ["path"]
