from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from hilum.errors import ConfigError
from hilum.sdk import config, testing
from hilum.sdk.contracts import Connector


class Described(config.Config):
    url: str = Field(..., description="Where.")


class Bare(config.Config):
    url: str


class Inner(config.Config):
    bare: int = 1


class Nested(config.Config):
    url: str = Field(..., description="Where.")
    inner: list[Inner] = Field([], description="More.")


class Loose(Described):
    model_config = ConfigDict(extra="ignore")


class Thawed(Described):
    model_config = ConfigDict(frozen=False)


class Shown(Described):
    token: str = Field("", description="A secret.")


class Taken(Described):
    retries: int = Field(3, description="Not ours to say.")


class Odd(Described):
    value: Callable[[], int] | None = Field(None, description="What no schema knows.")


DOCUMENT = "What it is.\n\nAnd why."

CONFIGS: dict[str, tuple[str, type[BaseModel], str]] = {
    "no docstring": ("the_module_says_in_one_line_what_it_is", Described, ""),
    "no sentence": ("the_module_says_in_one_line_what_it_is", Described, "What it is"),
    "no first line": ("the_module_says_in_one_line_what_it_is", Described, "What it is.\nAnd why."),
    "refuses its example": ("the_example_is_accepted", Nested, DOCUMENT),
    "bare field": ("every_field_is_described", Bare, DOCUMENT),
    "bare field inside": ("every_field_is_described", Nested, DOCUMENT),
    "unknown keys": ("an_unknown_key_is_refused_by_name", Loose, DOCUMENT),
    "not frozen": ("it_is_frozen", Thawed, DOCUMENT),
    "no schema": ("its_schema_renders", Odd, DOCUMENT),
    "open schema": ("its_schema_renders", Loose, DOCUMENT),
    "secret shown": ("secrets_are_not_shown", Shown, DOCUMENT),
    "key of the endpoint": ("a_connector_takes_no_key_of_the_endpoint", Taken, DOCUMENT),
}


@pytest.mark.parametrize("fault", CONFIGS)
def test_a_config_at_fault_is_caught(fault: str) -> None:
    check, faulty, document = CONFIGS[fault]

    def suite(kind: type[BaseModel], text: str) -> testing.ConfigSuite:
        module = types.ModuleType("faulty", text)
        module.__dict__["connector"] = Connector(("x",), kind)  # type: ignore[arg-type]  # one of them is none
        example = {"url": "x", **({"inner": 7} if "example" in fault and kind is faulty else {})}
        return type("Faulty", (testing.ConfigSuite,), {"module": module, "example": example})()  # type: ignore[no-any-return]

    getattr(suite(Described, DOCUMENT), f"test_{check}")()
    with pytest.raises((AssertionError, RuntimeError, ConfigError, pytest.fail.Exception)):
        getattr(suite(faulty, document), f"test_{check}")()


def test_every_check_of_a_config_is_proven() -> None:
    assert checks(testing.ConfigSuite) == {check for check, _, _ in CONFIGS.values()}


def checks(suite: type[Any]) -> set[str]:
    return {name.removeprefix("test_") for name in dir(suite) if name.startswith("test_")}
