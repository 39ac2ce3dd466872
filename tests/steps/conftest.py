"""A way to make one step as a route makes it, with files of its own, and a message to run it on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from hilum.errors import ConfigError
from hilum.formats.hl7v2 import Message
from hilum.sdk import config
from hilum.sdk.contracts import Step, StepContext, Work

ADT = b"""MSH|^~\\&|HIS|H|LAB|L|20240701120000||ADT^A01^ADT_A01|7|P|2.5
EVN|A01|20240701
PID|1||4711^^^MRN~0815^^^NHS||Doe^Jane^\\T\\||19700101|F
PV1|1|I|W1^101^1
OBX|1|NM|GLU^Glucose||5.5|mmol/l
NTE|1||first
OBX|2|ST|HB^Haemoglobin||high
NTE|1||second
""".replace(b"\n", b"\r")


@pytest.fixture
def adt() -> Work:
    return Work(ADT, attributes={"file_name": "a.hl7"})


@pytest.fixture
def parsed() -> Message:
    """The same message, untouched, to compare with."""
    return Message.parse(ADT)


@pytest.fixture
def make() -> Callable[..., Step[Any]]:
    """Make a step of its values; `files` is what stands in the operator's folder."""

    def call(
        step: type[Step[Any]],
        values: Any,
        *,
        files: Mapping[str, str] | None = None,
        zone: str = "Europe/Berlin",
        format: str = "hl7v2",
    ) -> Step[Any]:
        def read(name: str) -> str:
            if name not in (files or {}):
                raise ConfigError(f"{name} is no file", where="here")
            return dict(files or {})[name]

        where = "routes[r].steps[0].verb"
        return step(config.read(step.Config, values, where), StepContext(zone, where, read, format=format))

    return call
