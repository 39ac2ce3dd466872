from __future__ import annotations

import types
from typing import Any

import pytest
from pydantic import Field

from hilum.errors import ConfigError
from hilum.sdk import config, testing
from hilum.sdk.contracts import Result, Step, StepContext, Work


class Upper(Step["Upper.Config"]):
    """A step that keeps its contract."""

    class Config(config.Config):
        suffix: str = Field("", description="What is appended.")

    def __init__(self, config: Any, context: StepContext) -> None:
        super().__init__(config, context)
        if config.suffix == "wrong":
            raise ConfigError("no suffix", where=f"{context.where}.suffix")

    def run(self, work: Work) -> Result:
        work.replace(work.body.upper() + self.config.suffix.encode())
        return work


class Remembering(Upper):
    seen = 0

    def run(self, work: Work) -> Result:
        self.seen += 1
        work.replace(b"%d" % self.seen)
        return work


class Breaking(Upper):
    def run(self, work: Work) -> Result:
        if not work.body.startswith(b"MSH|"):
            raise KeyError("MSH")
        return work


class Silent(Upper):
    def run(self, work: Work) -> Any:
        return None


class Nowhere(Upper):
    def __init__(self, config: Any, context: StepContext) -> None:
        super().__init__(config, StepContext("UTC", "", context.read))


class Lenient(Upper):
    def __init__(self, config: Any, context: StepContext) -> None:
        Step.__init__(self, config, context)


class Wrong(Upper):
    def examples(self) -> list[str]:
        return ["example 1: expected A, got B"]


STEPS: dict[str, tuple[str, type[Step[Any]]]] = {
    "no result": ("every_message_gets_a_result", Silent),
    "remembers": ("the_same_message_gives_the_same_result", Remembering),
    "breaks": ("garbage_is_a_fault_of_the_message", Breaking),
    "wrong place": ("a_wrong_configuration_names_its_place", Nowhere),
    "lenient": ("a_wrong_configuration_names_its_place", Lenient),
    "examples fail": ("stored_examples_hold", Wrong),
}


def step_suite(step: type[Step[Any]]) -> testing.StepSuite:
    module = types.ModuleType("steps")
    module.__dict__["step"] = step
    names = {"module": module, "accepted": [{"suffix": "x"}], "refused": [{"suffix": "wrong"}]}
    return type("Faulty", (testing.StepSuite,), names)()  # type: ignore[no-any-return]


@pytest.mark.parametrize("fault", STEPS)
def test_a_step_at_fault_is_caught(fault: str) -> None:
    check, faulty = STEPS[fault]
    with pytest.raises((AssertionError, KeyError, pytest.fail.Exception)):
        getattr(step_suite(faulty), f"test_{check}")()


def test_a_step_that_keeps_its_contract_passes() -> None:
    for check in checks(testing.StepSuite):
        getattr(step_suite(Upper), f"test_{check}")()


def test_every_check_of_a_step_is_proven() -> None:
    assert checks(testing.StepSuite) == {check for check, _ in STEPS.values()}


def checks(suite: type[Any]) -> set[str]:
    return {name.removeprefix("test_") for name in dir(suite) if name.startswith("test_")}
