"""What every Step keeps: the same message gives the same result, whatever came before it."""

# ruff: noqa: S101 - a suite asserts; pytest words its asserts

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, ClassVar

import pytest

from hilum.errors import ConfigError, FormatError, StepError
from hilum.sdk.config import read
from hilum.sdk.contracts import Result, Step, StepContext, Turned, Work
from hilum.sdk.testing.base import Suite

WHERE = "routes[0].steps[0].verb"

ADT = (
    b"MSH|^~\\&|SEND|FAC|RECV|FAC|20260101120000||ADT^A01|1|P|2.5\r"
    b"EVN|A01|20260101120000\rPID|1||4711^^^HOSP^MR||Doe^Jane||19700101|F\rPV1|1|I\r"
)
ORU = (
    b"MSH|^~\\&|LAB|FAC|RECV|FAC|20260101120000||ORU^R01|2|P|2.5\r"
    b"PID|1||4712\rOBR|1|||GLU\rOBX|1|NM|GLU||5.5|mmol/L\rOBX|2|ST|NOTE||fine\r"
)


class StepSuite(Suite):
    """Hooks: `module`, `accepted` and `refused` configurations; `documents` is what `context.read` finds."""

    module: ClassVar[ModuleType]
    accepted: ClassVar[Sequence[Mapping[str, Any]]]
    refused: ClassVar[Sequence[Mapping[str, Any]]] = ()
    documents: ClassVar[Mapping[str, str]] = {}
    bodies: ClassVar[Sequence[bytes]] = (ADT, ORU)
    garbage: ClassVar[Sequence[bytes]] = (b"", b"MSH", b"\x00\xff", b"{}")

    def step(self, values: Mapping[str, Any]) -> Step[Any]:
        found: type[Step[Any]] = self.module.__dict__["step"]
        return found(read(found.Config, dict(values), WHERE), StepContext("UTC", WHERE, self.read))

    def read(self, name: str) -> str:
        if name not in self.documents:
            raise ConfigError(f"there is no document {name!r}", where=WHERE)
        return self.documents[name]

    def test_every_message_gets_a_result(self) -> None:
        for values in self.accepted:
            for body in self.bodies:
                shown(self.step(values), body)

    def test_the_same_message_gives_the_same_result(self) -> None:
        for values in self.accepted:
            used = self.step(values)
            if not used.deterministic:
                continue
            for body in [*self.bodies, *self.bodies]:
                assert shown(used, body) == shown(self.step(values), body), "a step remembers nothing"

    def test_garbage_is_a_fault_of_the_message(self) -> None:
        for values in self.accepted:
            for body in self.garbage:
                shown(self.step(values), body)

    def test_a_wrong_configuration_names_its_place(self) -> None:
        for values in self.refused:
            with pytest.raises(ConfigError) as caught:
                self.step(values)
            assert caught.value.where.startswith(WHERE), f"where is {caught.value.where!r}"

    def test_stored_examples_hold(self) -> None:
        for values in self.accepted:
            assert self.step(values).examples() == []


def outcome(step: Step[Any], work: Work) -> Result | str:
    """What became of the message; the two errors that a step may raise are their text."""
    try:
        found = step.run(work)
    except (StepError, FormatError) as error:
        return str(error)
    assert isinstance(found, Work | list | Turned), f"a step returns Work, a list of it or Turned, not {found!r}"
    return found


def shown(step: Step[Any], body: bytes) -> object:
    """The outcome in a form that can be compared."""
    found = outcome(step, Work(body))
    if isinstance(found, Work):
        return found.body, found.attributes
    if isinstance(found, list):
        return [(item.body, item.attributes) for item in found]
    return found
